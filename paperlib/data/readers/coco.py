"""The industrial set in its COCO layout: one folder a split, the class being the annotation's category."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paperlib.core.errors import PaperlibError
from paperlib.data.files import read_label
from paperlib.data.imageset import stratified_index
from paperlib.data.readers.image_files import image_source
from paperlib.data.registry import DATASETS
from paperlib.data.spec import ResolvedSource, Spec
from paperlib.schema.images import Source

FOLDERS = {"train": "Train_Dataset", "val": "Valid_Dataset", "test": "Test_Dataset"}
TABLE = "coco_annotations.json"
LABEL = "provenance.json"


def candidates_in(spec: Spec, folder: Path, size: int, own_folder: bool) -> Iterator[Callable[[], ResolvedSource]]:
    """The set itself if `folder` holds one of its three folders; see `sources.Reader`."""
    if any((folder / split).is_dir() for split in FOLDERS.values()):
        yield partial(resolve, spec, folder, size)


def resolve(spec: Spec, folder: Path, size: int) -> ResolvedSource:
    """The three splits under `folder`, ready to be decoded at `size` px.

    `provenance.json` ({"source", "note"}) labels what the renderer wrote; without it the counts decide
    between official and subset. The option `reduced` takes BloodMNIST's counts, class balance kept, or that
    same share of a smaller set. Raises PaperlibError for annotations that do not fit.
    """
    splits = {name: _split(spec, folder / split_folder) for name, split_folder in FOLDERS.items()}
    source: Source
    if (folder / LABEL).is_file():
        source, note = read_label(folder / LABEL)
    elif tuple(len(labels) for _, labels in splits.values()) == spec.info.counts:
        source, note = "official", "the whole set"
    else:
        source, note = "subset", "fewer images than the official set"
    if spec.option:
        blood_counts = DATASETS["bloodmnist"].counts
        share = sum(blood_counts) / sum(spec.info.counts)
        for (name, (files, labels)), most in zip(list(splits.items()), blood_counts, strict=True):
            index = stratified_index(labels, max(len(spec.info.classes), min(most, round(share * len(labels)))))
            splits[name] = ([files[i] for i in index], labels[index])
        note = f"{note}; reduced arm"
    tables = [folder / split_folder / TABLE for split_folder in FOLDERS.values()]
    repair = "restore the file or draw the set anew: paperlib data render"
    return image_source(source, note, folder, splits, tables, size, repair)


def _split(spec: Spec, folder: Path) -> tuple[list[Path], NDArray[np.int64]]:
    table = folder / TABLE
    try:
        content = json.loads(table.read_text())
        names = {int(c["id"]): str(c["name"]) for c in content["categories"]}
        by_image: dict[int, set[str]] = {}
        for annotation in content["annotations"]:
            by_image.setdefault(int(annotation["image_id"]), set()).add(names[annotation["category_id"]])
        categories = [by_image.get(int(image["id"]), set()) for image in content["images"]]
        files = [_path(folder, str(image["file_name"])) for image in content["images"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PaperlibError(f"{table}: not a COCO file with images, annotations and categories ({error!r})") from None
    classes = spec.info.classes
    for file, category in zip(files, categories, strict=True):
        if len(category) != 1 or not category <= set(classes):
            raise PaperlibError(
                f"{table}: image {file.name} needs one category of {', '.join(classes)};"
                f" found {', '.join(sorted(category)) or 'none'}"
            )
    labels = np.array([classes.index(min(category)) for category in categories], np.int64)
    if absent := [name for i, name in enumerate(classes) if i not in labels]:
        raise PaperlibError(f"{table}: no image of class {absent[0]!r}; every class needs at least one")
    return files, labels


def _path(folder: Path, name: str) -> Path:
    path = Path(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"image path {name!r} leaves its folder")
    return folder / path if path.parts[:1] == ("images",) else folder / "images" / path
