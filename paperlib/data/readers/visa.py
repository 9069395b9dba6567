"""VisA in its official layout, as normal against anomalous images (paper F: 80/20; or `2cls_highshot`)."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from paperlib.core.errors import PaperlibError
from paperlib.data.imageset import Split
from paperlib.data.readers.arrays import Parts
from paperlib.data.readers.image_files import decode
from paperlib.data.spec import ResolvedSource, Spec
from paperlib.data.splits import holdout

CSV_FOLDER = "split_csv"
LABELS = {"normal": 0, "anomaly": 1}
OBJECTS = 12


@dataclass(frozen=True)
class Row:
    """One image of a split file."""

    object: str
    train: bool
    label: int
    path: Path


def find(spec: Spec, folder: Path, size: int) -> ResolvedSource:
    """The objects that lie under `folder` (or those asked for), split, ready to be decoded at `size` px.

    F's split (section 3.3) holds out 20 % of each object and label for testing; `2cls_highshot` is the
    official one. Either way validation is a tenth of train. Raises PaperlibError for a wrong csv row and
    for an object that is not there.
    """
    table = folder / CSV_FOLDER / f"{spec.option or '1cls'}.csv"
    rows = _rows(table, folder)
    known = sorted({r.object for r in rows})
    here = [o for o in known if (folder / o).is_dir()]
    if wrong := [o for o in spec.objects if o not in here]:
        raise PaperlibError(f"{folder}: no object {wrong[0]!r} of VisA here (here: {', '.join(here) or 'none'})")
    chosen = spec.objects or tuple(here)
    rows = [r for r in rows if r.object in chosen]
    labels = np.array([r.label for r in rows], np.int64)
    if len(set(labels.tolist())) != len(LABELS):
        raise PaperlibError(f"{table}: expected normal and anomalous images of {', '.join(here) or 'any object'}")
    groups = 2 * np.array([chosen.index(r.object) for r in rows], np.int64) + labels
    if spec.option:
        train, test = (np.flatnonzero([r.train == side for r in rows]) for side in (True, False))
    else:
        train, test = holdout(groups, 0.2)
    kept, held = holdout(groups[train], 0.1)
    index = {"train": train[kept], "val": train[held], "test": test}
    note = f"{len(chosen)} of {OBJECTS} objects ({', '.join(chosen)}), {spec.option or '80/20 split'}"

    def read() -> tuple[Parts, str]:
        decoded = decode([r.path for r in rows], size, "get it anew with: paperlib data fetch visa --force")
        return {name: Split(decoded.images[i], labels[i]) for name, i in index.items()}, decoded.note

    counts = (len(kept), len(held), len(test))
    files = (*(r.path for r in rows), table)
    return ResolvedSource(
        "official" if len(chosen) == OBJECTS else "subset", note, str(folder), files, counts, size, read
    )


def _rows(table: Path, folder: Path) -> list[Row]:
    try:
        with table.open(newline="", encoding="utf-8") as file:
            return [_row(table, folder, n, row) for n, row in enumerate(csv.DictReader(file), 2)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PaperlibError(f"{table}: cannot be read as a VisA split file ({error})") from None


def _row(table: Path, folder: Path, line: int, row: dict[str, str]) -> Row:
    name, split, label, image = (row.get(k) or "" for k in ("object", "split", "label", "image"))
    path = Path(image)
    good = (
        split in {"train", "test"} and label in LABELS and image and name not in {".", ".."} and name == Path(name).name
    )
    if not good or path.is_absolute() or ".." in path.parts:
        raise PaperlibError(
            f"{table}, line {line}: expected object, split train or test, label normal or anomaly and a"
            f" relative image path, found {name!r}, {split!r}, {label!r}, {image!r}"
        )
    return Row(name, split == "train", LABELS[label], folder / path)
