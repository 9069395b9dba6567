"""VisA in its official layout, as normal against anomalous images (paper F: 80/20; or `2cls_highshot`)."""

import csv
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from paperlib.core.errors import PaperlibError
from paperlib.data.imageset import Source
from paperlib.data.readers.image_files import image_source
from paperlib.data.spec import ResolvedSource, Spec
from paperlib.data.splits import holdout

CSV_FOLDER = "split_csv"
LABELS = {"normal": 0, "anomaly": 1}
OBJECTS = 12


class Row(NamedTuple):
    """One image of a split file."""

    object: str
    train: bool
    label: int
    path: Path


def candidates_in(spec: Spec, folder: Path, size: int, own_folder: bool) -> Iterator[Callable[[], ResolvedSource]]:
    """The set itself if `folder` holds its split files; see `sources.Reader`."""
    if (folder / CSV_FOLDER).is_dir():
        yield partial(_resolve, spec, folder, size)


def _resolve(spec: Spec, folder: Path, size: int) -> ResolvedSource:
    """The objects that lie under `folder` (or those asked for), split, ready to be decoded at `size` px.

    F's split (section 3.3) holds out 20 % of each object and label for testing; `2cls_highshot` is the
    official one. Either way validation is a tenth of train. Raises PaperlibError for a wrong csv row and
    for an object that is not there.
    """
    split_name = spec.option or "1cls"
    table = folder / CSV_FOLDER / f"{split_name}.csv"
    rows = _rows(table, folder)
    present = [name for name in sorted({r.object for r in rows}) if (folder / name).is_dir()]
    if absent := [o for o in spec.objects if o not in present]:
        raise PaperlibError(f"{folder}: no object {absent[0]!r} of VisA here (here: {', '.join(present) or 'none'})")
    objects = spec.objects or tuple(present)
    rows = [r for r in rows if r.object in objects]
    labels = np.array([r.label for r in rows], np.int64)
    if len(set(labels.tolist())) != len(LABELS):
        raise PaperlibError(f"{table}: expected normal and anomalous images of {', '.join(present) or 'any object'}")
    groups = 2 * np.array([objects.index(r.object) for r in rows], np.int64) + labels
    if spec.option:
        train, test = (np.flatnonzero([r.train == side for r in rows]) for side in (True, False))
    else:
        train, test = holdout(groups, 0.2)
    fit, validation = holdout(groups[train], 0.1)
    splits = {
        name: ([rows[i].path for i in index], labels[index])
        for name, index in (("train", train[fit]), ("val", train[validation]), ("test", test))
    }
    source: Source = "official" if len(objects) == OBJECTS else "subset"
    note = f"{len(objects)} of {OBJECTS} objects ({', '.join(objects)}), {spec.option or '80/20 split'}"
    repair = "get it anew with: paperlib data fetch visa --force"
    return image_source(source, note, folder, splits, [table], size, repair)


def _rows(table: Path, folder: Path) -> list[Row]:
    try:
        with table.open(newline="", encoding="utf-8") as file:
            rows = [[row.get(k) or "" for k in ("object", "split", "label", "image")] for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PaperlibError(f"{table}: cannot be read as a VisA split file ({error})") from None
    for line, (name, split, label, image) in enumerate(rows, 2):
        plain_name = name == Path(name).name and name not in {".", ".."}
        inside = image and not Path(image).is_absolute() and ".." not in Path(image).parts
        if not (plain_name and inside and split in {"train", "test"} and label in LABELS):
            raise PaperlibError(
                f"{table}, line {line}: expected object, split train or test, label normal or anomaly and a"
                f" relative image path, found {name!r}, {split!r}, {label!r}, {image!r}"
            )
    return [Row(name, split == "train", LABELS[label], folder / image) for name, split, label, image in rows]
