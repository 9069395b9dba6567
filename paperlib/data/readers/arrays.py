"""Reading array files that others wrote: npz, idx and CIFAR batches, without running anything in them."""

import gzip
import io
import pickle
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paperlib.data.files import damaged, md5, read_label
from paperlib.data.imageset import Parts, Split
from paperlib.data.registry import CIFAR_BATCHES, DatasetInfo, idx_names
from paperlib.data.spec import ResolvedSource, Spec
from paperlib.schema.images import Source

MAX_IMAGES = 2_000_000
BROKEN = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError)


def candidates_in(spec: Spec, folder: Path, size: int, own_folder: bool) -> Iterator[Callable[[], ResolvedSource]]:
    """The set's npz file in `folder`, then its idx files or CIFAR batches; see `sources.Reader`."""
    info = spec.info
    names = {s: f"{info.name}{'' if s == info.shape[0] else f'_{s}'}.npz" for s in info.sizes or info.shape[:1]}
    by_size = {s: folder / name for s, name in names.items() if (folder / name).is_file()}
    if by_size:  # the images of `size` pixels, else the next larger, else the largest
        best = min((s for s in by_size if s >= size), default=max(by_size))
        yield partial(_from_npz, info, by_size[best], best)
    # The idx files of MNIST and FashionMNIST bear the same names: only from a folder of the set's own.
    if not info.sizes and (own_folder or info.stem or info.shape[2] == 3) and (files := batch_files(info, folder)):
        yield partial(_from_batches, info, folder, files)


def _from_npz(info: DatasetInfo, path: Path, size: int) -> ResolvedSource:
    shapes = npz_shapes(info, path, size)
    counts = (shapes["train_images"][0], shapes.get("val_images", (0,))[0], shapes["test_images"][0])
    source, note = _npz_provenance(info, path, counts)
    return ResolvedSource(source, note, str(path), (path,), counts, size, lambda: (read_npz(info, path, size), ""))


def _npz_provenance(info: DatasetInfo, path: Path, counts: tuple[int, int, int]) -> tuple[Source, str]:
    """By the label `NAME.json` beside the file if there is one, else by what its counts and checksum show."""
    label = path.with_suffix(".json")
    source, note = read_label(label) if label.is_file() else ("official", "no label beside it")
    if source != "official":
        return source, note
    if counts != info.counts:
        return "subset", f"{note}; {_share(info, counts)}"
    official_md5 = next((f.md5 for f in info.files if f.name == path.name and info.sizes), None)
    if official_md5 is None:
        return ("official" if info.pixels else "rebuilt"), note
    if (actual := md5(path)) == official_md5:
        return "official", "the official file"
    if label.is_file():
        raise damaged(path, info.name, f"MD5 {official_md5}", actual)
    return "rebuilt", f"{note}; MD5 {actual} is not the official file's"


def _from_batches(info: DatasetInfo, folder: Path, files: list[Path]) -> ResolvedSource:
    rgb = info.shape[2] == 3
    train, test = (0, 0) if rgb else (len(_idx(info, files[i], 3, header_only=True)) for i in (0, 2))
    counts = info.counts if rgb else (train, 0, test)
    source: Source = "official" if counts == info.counts else "subset"
    note = "the official files" if source == "official" else _share(info, counts)
    paths, size = tuple(files), info.shape[0]
    return ResolvedSource(source, note, str(folder), paths, counts, size, lambda: (read_batches(info, files), ""))


def _share(info: DatasetInfo, counts: tuple[int, int, int]) -> str:
    return f"{sum(counts):,} of {sum(info.counts):,} official images"


def batch_files(info: DatasetInfo, folder: Path) -> list[Path] | None:
    """The set's six CIFAR batches or four idx files (gzipped or plain) in `folder`; None unless the first is there."""
    names = CIFAR_BATCHES if info.shape[2] == 3 else idx_names(info)
    files = [next((p for p in (folder / f"{n}.gz", folder / n) if p.is_file()), folder / n) for n in names]
    return files if files[0].is_file() else None


def read_batches(info: DatasetInfo, files: list[Path]) -> Parts:
    """Train and test split of the files that `batch_files` names; PaperlibError if one is missing or damaged."""
    return (read_cifar if info.shape[2] == 3 else read_idx)(info, files)


def checked(info: DatasetInfo, path: Path, images: NDArray[Any], labels: NDArray[Any]) -> Split:
    """(N,H,W[,C]) and (N,) or (N,1) as a Split; PaperlibError unless counts, channels and labels fit."""
    if images.ndim == 3:
        images = images[..., None]
    labels = labels.reshape(len(labels), -1)[:, 0] if labels.ndim in {1, 2} and labels.size else labels
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != info.shape[2]:
        raise damaged(path, info.name, f"uint8 images (N, H, W, {info.shape[2]})", f"{images.dtype} {images.shape}")
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) != len(images) or not len(labels):
        expected = f"{len(images)} whole-number labels, one for each image"
        raise damaged(path, info.name, expected, f"{labels.dtype} labels {labels.shape}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= len(info.classes):
        raise damaged(path, info.name, f"labels 0 to {len(info.classes) - 1}", f"labels {low} to {high}")
    return Split(np.ascontiguousarray(images), labels.astype(np.int64))


def npz_shapes(info: DatasetInfo, path: Path, size: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays in `path` from their headers alone; refuses wrong sizes before memory is taken.

    `size` is the height and width that the images must have.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                with archive.open(entry) as member:
                    major, _ = np.lib.format.read_magic(member)
                    reader = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
                    shape, _, dtype = reader[major](member)
                shapes[entry.filename.removesuffix(".npy")] = shape
                if dtype.hasobject:
                    raise ValueError(f"{entry.filename} holds Python objects")
                declared = int(np.prod([int(n) for n in shape], dtype=object)) * dtype.itemsize
                if not 0 <= entry.file_size - declared <= 65_536 + 12:
                    raise ValueError(f"{entry.filename} declares {declared:,} bytes, has {entry.file_size:,}")
    except BROKEN as error:
        raise damaged(path, info.name, "an npz file of plain arrays", str(error) or "a broken zip") from None
    for split in ("train", "test"):
        shape = shapes.get(f"{split}_images", ())
        if shape[1:3] != (size, size) or shape[0] > MAX_IMAGES or f"{split}_labels" not in shapes:
            expected = f"{split}_images (N, {size}, {size}, …) and {split}_labels"
            raise damaged(path, info.name, expected, ", ".join(f"{k} {v}" for k, v in shapes.items()) or "nothing")
    return shapes


def read_npz(info: DatasetInfo, path: Path, size: int) -> Parts:
    """The splits of a MedMNIST-style file: {train,val,test}_{images,labels}, val being optional."""
    shapes = npz_shapes(info, path, size)
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in shapes}
    except BROKEN as error:
        raise damaged(path, info.name, "arrays that match their checksums", str(error)) from None
    return {
        split: checked(info, path, arrays[f"{split}_images"], arrays[f"{split}_labels"])
        for split in ("train", "val", "test")
        if f"{split}_images" in arrays and f"{split}_labels" in arrays
    }


def read_idx(info: DatasetInfo, paths: list[Path]) -> Parts:
    """The splits of the four files; EMNIST's images are stored transposed and come out upright."""
    parts = {}
    for split, (path, labels) in {"train": paths[:2], "test": paths[2:]}.items():
        images = _idx(info, path, 3)
        if images.shape[1:] != info.shape[:2]:
            raise damaged(path, info.name, f"images of {info.shape[:2]} pixels", f"{images.shape[1:]}")
        parts[split] = checked(info, path, images.transpose(0, 2, 1) if info.stem else images, _idx(info, labels, 1))
    return parts


def _idx(info: DatasetInfo, path: Path, dims: int, header_only: bool = False) -> NDArray[np.uint8]:
    limit = MAX_IMAGES * (info.shape[0] * info.shape[1] if dims == 3 else 1)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            magic = file.read(4)
            if magic != bytes((0, 0, 8, dims)):
                raise ValueError(f"first bytes {magic.hex(' ') or 'missing'}")
            shape = tuple(int(n) for n in np.frombuffer(file.read(4 * dims), ">u4"))
            size = int(np.prod(shape, dtype=object))
            if len(shape) != dims or size > limit:
                raise ValueError(f"a declared shape {shape}")
            if header_only:
                return np.broadcast_to(np.uint8(0), shape)
            body = file.read(size + 1)
        if len(body) != size:
            raise ValueError(f"{'more' if len(body) > size else f'{len(body):,}'} bytes instead of {size:,}")
    except BROKEN as error:
        raise damaged(path, info.name, f"an idx file of {dims} dimensions of bytes", str(error)) from None
    return np.frombuffer(body, np.uint8).reshape(shape).copy()  # torch wants writable memory


class _Bytes:
    """Stands in for numpy's array and dtype constructors: keeps the state, runs nothing of numpy."""

    def __init__(self, *arguments: Any) -> None:
        self.state: Any = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Unpickler(pickle._Unpickler):
    """Knows four harmless names and refuses every other, so that a foreign pickle cannot act.

    Written in Python, unlike pickle.Unpickler, whose memo table a hostile file can blow up in one step.
    """

    def find_class(self, module: str, name: str) -> Any:
        is_numpy = module in {"numpy.core.multiarray", "numpy._core.multiarray", "numpy"}
        if is_numpy and name in {"_reconstruct", "ndarray", "dtype"}:
            return _Bytes
        if (module, name) == ("_codecs", "encode"):
            return lambda text, _: text.encode("latin1")
        raise ValueError(f"a call of {module}.{name}, which is not data")


def read_cifar(info: DatasetInfo, paths: list[Path]) -> Parts:
    """Train (five batches) and test split of CIFAR-10's python version."""
    parts = [_batch(info, path) for path in paths]
    images, labels = (np.concatenate([p[i] for p in parts[:-1]]) for i in (0, 1))
    return {"train": checked(info, paths[0], images, labels), "test": checked(info, paths[-1], *parts[-1])}


def _batch(info: DatasetInfo, path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    try:
        if path.stat().st_size >= 2**27:
            raise ValueError("a far larger file")
        content = _Unpickler(io.BytesIO(path.read_bytes()), encoding="bytes").load()
        pixels, labels = (content.get(k, content.get(k.decode())) for k in (b"data", b"labels"))
        *_, body = pixels.state
        return np.frombuffer(body, np.uint8).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), np.array(labels, np.int64)
    except Exception as error:  # a hostile or cut pickle can fail in any way
        expected = "a batch with uint8 data (N, 3072) and labels"
        raise damaged(path, info.name, expected, str(error) or type(error).__name__) from None
