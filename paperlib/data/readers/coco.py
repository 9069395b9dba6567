"""The industrial set in its COCO layout: one folder a split, the class being the annotation's category."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paperlib.core.errors import PaperlibError
from paperlib.data.imageset import Split, stratified_index
from paperlib.data.readers.arrays import Parts
from paperlib.data.readers.image_files import decode
from paperlib.data.registry import DATASETS
from paperlib.data.spec import ResolvedSource, Spec
from paperlib.schema.images import LABELS, Source

FOLDERS = {"train": "Train_Dataset", "val": "Valid_Dataset", "test": "Test_Dataset"}
TABLE = "coco_annotations.json"
LABEL = "provenance.json"
MAX_BYTES = 2**30


def find(spec: Spec, folder: Path, size: int) -> ResolvedSource:
    """The three splits under `folder`, ready to be decoded at `size` px.

    `provenance.json` ({"source", "note"}) labels what the renderer wrote; without it the counts decide
    between official and subset. The option `reduced` takes BloodMNIST's counts, class balance kept, or that
    same share of a smaller set. Raises PaperlibError for annotations that do not fit.
    """
    splits = {name: _split(spec, folder / part) for name, part in FOLDERS.items()}
    counts = tuple(len(labels) for _, labels in splits.values())
    source, note = _label(folder, counts == spec.info.counts)
    if spec.option:
        wanted = DATASETS["bloodmnist"].counts
        share = sum(wanted) / sum(spec.info.counts)
        for (name, (files, labels)), most in zip(list(splits.items()), wanted, strict=True):
            n = max(len(spec.info.classes), min(most, round(share * len(labels))))
            index = stratified_index(labels, n)
            splits[name] = ([files[i] for i in index], labels[index])
        note = f"{note}; reduced arm"

    def read() -> tuple[Parts, str]:
        files = [path for paths, _ in splits.values() for path in paths]
        decoded = decode(files, size, "restore the file or draw the set anew: paperlib data render")
        ends = np.cumsum([len(labels) for _, labels in splits.values()])
        blocks = np.split(decoded.images, ends[:-1])
        return {n: Split(b, labels) for (n, (_, labels)), b in zip(splits.items(), blocks, strict=True)}, decoded.note

    train, val, test = (len(labels) for _, labels in splits.values())
    everything = tuple(path for paths, _ in splits.values() for path in paths)
    everything += tuple(folder / part / TABLE for part in FOLDERS.values())
    return ResolvedSource(source, note, str(folder), everything, (train, val, test), size, read)


def _label(folder: Path, complete: bool) -> tuple[Source, str]:
    path = folder / LABEL
    if not path.is_file():
        return ("official", "the whole set") if complete else ("subset", "fewer images than the official set")
    try:
        said = json.loads(path.read_text())
        if said["source"] in LABELS:
            return said["source"], str(said["note"])
    except (ValueError, KeyError, TypeError):
        pass
    raise PaperlibError(f"{path}: expected a source ({', '.join(LABELS)}) and a note; mend or remove it")


def _split(spec: Spec, folder: Path) -> tuple[list[Path], NDArray[np.int64]]:
    table = folder / TABLE
    classes = {name: i for i, name in enumerate(spec.info.classes)}
    try:
        if table.stat().st_size > MAX_BYTES:
            raise ValueError("larger than 1 GiB")
        said = json.loads(table.read_text())
        names = {int(c["id"]): str(c["name"]) for c in said["categories"]}
        used: dict[int, set[str]] = {}
        for mark in said["annotations"]:
            used.setdefault(int(mark["image_id"]), set()).add(names[mark["category_id"]])
        images: list[dict[str, Any]] = said["images"]
        kinds = [used.get(int(image["id"]), set()) for image in images]
        files = [_path(folder, str(image["file_name"])) for image in images]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PaperlibError(f"{table}: not a COCO file with images, annotations and categories ({error!r})") from None
    labels = np.zeros(len(files), np.int64)
    for i, kind in enumerate(kinds):
        if len(kind) != 1 or (name := next(iter(kind))) not in classes:
            raise PaperlibError(
                f"{table}: image {files[i].name} needs one category of {', '.join(classes)};"
                f" found {', '.join(sorted(kind)) or 'none'}"
            )
        labels[i] = classes[name]
    if empty := [name for name, i in classes.items() if not (labels == i).any() or not len(labels)]:
        raise PaperlibError(f"{table}: no image of class {empty[0]!r}; every class needs at least one")
    return files, labels


def _path(folder: Path, name: str) -> Path:
    path = Path(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"image path {name!r} leaves its folder")
    return folder / path if path.parts[:1] == ("images",) else folder / "images" / path
