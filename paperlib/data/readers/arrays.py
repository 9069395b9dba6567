"""Reading array files that others wrote: npz, idx and CIFAR batches, without running anything in them."""

import gzip
import io
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from paperlib.core.errors import PaperlibError
from paperlib.data.imageset import Split
from paperlib.data.registry import BATCH_MD5, DatasetInfo, idx_names

Parts = dict[str, Split]
MAX_IMAGES = 2_000_000
BROKEN = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError)


def damaged(path: Path, name: str, expected: str, found: str) -> PaperlibError:
    """The one line for a file that is not what it should be, with the command that gets it anew."""
    return PaperlibError(
        f"{path}: damaged or not of this set: expected {expected}, found {found}; remove it, or get it anew"
        f" with: paperlib data fetch {name} --force"
    )


def checked(info: DatasetInfo, path: Path, images: NDArray[Any], labels: NDArray[Any]) -> Split:
    """(N,H,W[,C]) and (N,) or (N,1) as a Split; PaperlibError unless counts, channels and labels fit."""
    if images.ndim == 3:
        images = images[..., None]
    labels = labels.reshape(len(labels), -1)[:, 0] if labels.ndim in {1, 2} and labels.size else labels
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != info.shape[2]:
        wanted = f"uint8 images (N, H, W, {info.shape[2]})"
        raise damaged(path, info.name, wanted, f"{images.dtype} {images.shape}")
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) != len(images) or not len(labels):
        found = f"{labels.dtype} labels {labels.shape}"
        raise damaged(path, info.name, f"{len(images)} whole-number labels, one for each image", found)
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= len(info.classes):
        raise damaged(path, info.name, f"labels 0 to {len(info.classes) - 1}", f"labels {low} to {high}")
    return Split(np.ascontiguousarray(images), labels.astype(np.int64))


# npz ------------------------------------------------------------------------------------------------------


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
            wanted = f"{split}_images (N, {size}, {size}, …) and {split}_labels"
            raise damaged(path, info.name, wanted, ", ".join(f"{k} {v}" for k, v in shapes.items()) or "nothing")
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


# idx ------------------------------------------------------------------------------------------------------


def idx_paths(info: DatasetInfo, folder: Path) -> list[Path] | None:
    """The set's four idx files in `folder`, gzipped or plain; None unless the first one is there."""
    found = [next((p for p in (folder / f"{n}.gz", folder / n) if p.is_file()), folder / n) for n in idx_names(info)]
    return found if found[0].is_file() else None


def read_idx(info: DatasetInfo, paths: list[Path]) -> Parts:
    """The splits of the four files; EMNIST's images are stored transposed and come out upright."""
    arrays = [_idx(info, path, 3 if "images" in path.name else 1) for path in paths]
    if info.stem:
        arrays[0], arrays[2] = arrays[0].transpose(0, 2, 1), arrays[2].transpose(0, 2, 1)
    for path, array in ((paths[0], arrays[0]), (paths[2], arrays[2])):
        if array.shape[1:] != info.shape[:2]:
            raise damaged(path, info.name, f"images of {info.shape[:2]} pixels", f"{array.shape[1:]}")
    return {
        "train": checked(info, paths[0], arrays[0], arrays[1]),
        "test": checked(info, paths[2], arrays[2], arrays[3]),
    }


def idx_count(info: DatasetInfo, path: Path) -> int:
    """The number of images that the header of an idx file declares."""
    return _idx(info, path, 3, header_only=True).shape[0]


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


# CIFAR batches --------------------------------------------------------------------------------------------


class _Bytes:
    """Stands in for numpy's array and dtype constructors: keeps the state, runs nothing of numpy."""

    def __init__(self, *arguments: Any) -> None:
        self.state: Any = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _encode(text: str, _coding: str) -> bytes:
    return text.encode("latin1")


class _Reader(pickle._Unpickler):
    """Knows four harmless names and refuses every other, so that a foreign pickle cannot act.

    Written in Python, unlike pickle.Unpickler, whose memo table a hostile file can blow up in one step.
    """

    def find_class(self, module: str, name: str) -> Any:
        if module in {"numpy.core.multiarray", "numpy._core.multiarray", "numpy"} and name in {
            "_reconstruct",
            "ndarray",
            "dtype",
        }:
            return _Bytes
        if (module, name) == ("_codecs", "encode"):
            return _encode
        raise ValueError(f"a call of {module}.{name}, which is not data")


def cifar_paths(folder: Path) -> list[Path] | None:
    """The six batch files in `folder`; None unless the first one is there."""
    found = [folder / name for name in BATCH_MD5]
    return found if found[0].is_file() else None


def read_cifar(info: DatasetInfo, paths: list[Path]) -> Parts:
    """Train (five batches) and test split of CIFAR-10's python version."""
    parts = [_batch(info, path) for path in paths]
    images, labels = (np.concatenate([p[i] for p in parts[:-1]]) for i in (0, 1))
    return {
        "train": checked(info, paths[0], images, labels),
        "test": checked(info, paths[-1], *parts[-1]),
    }


def _batch(info: DatasetInfo, path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    def bad(found: str) -> NoReturn:
        raise damaged(path, info.name, "a batch with uint8 data (N, 3072) and labels", found)

    try:
        raw = path.read_bytes() if path.stat().st_size < 2**27 else bad("a far larger file")
        content = _Reader(io.BytesIO(raw), encoding="bytes").load()
        pixels, labels = (content.get(k, content.get(k.decode())) for k in (b"data", b"labels"))
        *_, body = pixels.state
        flat = np.frombuffer(body, np.uint8)
        array = flat.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        return array, np.array(labels, np.int64)
    except PaperlibError:
        raise
    except Exception as error:  # a hostile or cut pickle can fail in any way
        bad(str(error) or type(error).__name__)
