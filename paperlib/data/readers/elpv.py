"""Solar cells as the Python package `elpv-dataset` ships them: a table of defect probabilities and 300-px images."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from paperlib.core.errors import PaperlibError
from paperlib.data.imageset import Parts, Split
from paperlib.data.readers.image_files import image_source
from paperlib.data.spec import ResolvedSource, Spec
from paperlib.data.splits import VALIDATION, holdout
from paperlib.schema.images import Source

TABLE = "labels.csv"
TEST = 0.25  # Deitsch et al. train on 75 % of the cells and test on 25 %, stratified; which ones is not published
TYPES = {"mono", "poly"}


def candidates_in(spec: Spec, folder: Path, size: int, own_folder: bool) -> Iterator[Callable[[], ResolvedSource]]:
    """The set itself if `folder`, its own, holds the table; see `sources.Reader`."""
    if own_folder and (folder / TABLE).is_file():
        yield partial(_resolve, spec, folder, size)


def _resolve(spec: Spec, folder: Path, size: int) -> ResolvedSource:
    """The cells split by class, ready to be decoded at `size` px as grey images; PaperlibError for a wrong line.

    A cell is defective if its defect probability (0, 1/3, 2/3 or 1) is above one half.
    """
    table = folder / TABLE
    try:
        rows = [line.split() for line in table.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise PaperlibError(f"{table}: cannot be read ({error}); {_repair(spec)}") from None
    files, defective = [], []
    for line, row in enumerate(rows, 1):
        try:
            name, probability, kind = row
            path, share = Path(name), float(probability)
            if path.is_absolute() or ".." in path.parts or not 0 <= share <= 1 or kind not in TYPES:
                raise ValueError
        except ValueError:
            expected = "a relative image path, a defect probability in [0, 1] and mono or poly"
            raise PaperlibError(f"{table}, line {line}: expected {expected}; {_repair(spec)}") from None
        files.append(folder / path)
        defective.append(share > 0.5)
    labels = np.array(defective, np.int64)
    if set(labels.tolist()) != {0, 1}:
        raise PaperlibError(f"{table}: expected functional and defective cells; {_repair(spec)}")
    train, test = holdout(labels, TEST)
    fit, validation = holdout(labels[train], VALIDATION)
    splits = {
        name: ([files[i] for i in index], labels[index])
        for name, index in (("train", train[fit]), ("val", train[validation]), ("test", test))
    }
    source: Source = "official" if len(files) == sum(spec.info.counts) else "subset"
    note = f"{len(files):,} solar cells, split 75/25 by class here, a tenth of train for validation"
    found = image_source(source, note, folder, splits, [table], size, _repair(spec))
    return replace(found, read=lambda: _grey(*found.read()))


def _grey(parts: Parts, note: str) -> tuple[Parts, str]:
    """The first of three equal channels; `note` would tell the conversion that is undone so."""
    return {name: Split(split.images[..., :1], split.labels) for name, split in parts.items()}, ""


def _repair(spec: Spec) -> str:
    return f"get it anew with: paperlib data fetch {spec.info.name} --force"
