"""Image files to uint8 arrays, decoded once: the array is cached and found again by the files' bytes."""

import hashlib
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paperlib.core import paths
from paperlib.core.errors import PaperlibError
from paperlib.data.imageset import Parts, Split
from paperlib.data.spec import ResolvedSource
from paperlib.schema.images import Source

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm"})
MAX_PIXELS = 100_000_000
# Pixel modes of Pillow that are converted to RGB, and what the note calls them.
CONVERTED = dict.fromkeys(("L", "LA", "1"), "grey") | dict.fromkeys(("P", "PA"), "palette")
CONVERTED |= {"RGBA": "RGBA", "CMYK": "CMYK"}
FileSplits = Mapping[str, tuple[list[Path], NDArray[np.int64]]]  # files and labels of each split
T = TypeVar("T")


def image_source(
    source: Source, note: str, folder: Path, splits: FileSplits, tables: Sequence[Path], size: int, repair: str
) -> ResolvedSource:
    """A set of image files, ready to be decoded at `size` px. tables: the files that say what the images are."""

    def read() -> tuple[Parts, str]:
        parts, converted = decode_splits(splits, size, repair)
        return parts, conversion_note(converted)

    files = (*(path for paths, _ in splits.values() for path in paths), *tables)
    train, val, test = (len(splits[name][1]) for name in ("train", "val", "test"))
    return ResolvedSource(source, note, str(folder), files, (train, val, test), size, read)


def decode_splits(splits: FileSplits, size: int, repair: str) -> tuple[Parts, dict[str, int]]:
    """The splits with their images (N, size, size, 3) uint8, and what was converted; see `decode`."""
    images, converted = decode([path for files, _ in splits.values() for path in files], size, repair)
    blocks = np.split(images, np.cumsum([len(files) for files, _ in splits.values()])[:-1])
    return {n: Split(b, labels) for (n, (_, labels)), b in zip(splits.items(), blocks, strict=True)}, converted


def conversion_note(converted: Mapping[str, int]) -> str:
    """The conversions in words, '' if there were none."""
    counts = ", ".join(f"{n:,} {kind}" for kind, n in sorted(converted.items()))
    return f"converted to RGB: {counts}" if counts else ""


def progress(items: Iterable[T], description: str, total: int) -> Iterable[T]:
    """`items` with a bar and the time left on a terminal; silent elsewhere."""
    from rich.console import Console
    from rich.progress import track

    return track(items, description, total, console=Console(stderr=True), disable=not sys.stderr.isatty())


def decode(files: Sequence[Path], size: int, repair: str) -> tuple[NDArray[np.uint8], dict[str, int]]:
    """All `files`, in order, squeezed to size x size pixels (bilinear, aspect not kept), in RGB.

    Returns (N, size, size, 3) uint8 and how many files of which kind were converted to RGB. The cache key is a hash
    over size, order and every file's bytes, so a changed file is decoded anew and a moved folder is not.
    Raises PaperlibError naming the first file that is missing, cut or no image; `repair` ends that line.
    """
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        key = hashlib.blake2b(f"v1 {size} {len(files)}".encode(), digest_size=16)
        for digest in progress(pool.map(lambda path: _hash(path, repair), files), "checking images", len(files)):
            key.update(digest)
        cached = paths.cache() / "decoded" / f"{key.hexdigest()}.npz"
        if cached.is_file():
            with np.load(cached) as arrays:
                return arrays["images"], dict(zip(arrays["kinds"].tolist(), arrays["counts"].tolist(), strict=True))
        images = np.empty((len(files), size, size, 3), np.uint8)
        kinds: Counter[str] = Counter()
        decoded = pool.map(lambda path: _image(path, size, repair), files)
        for i, (pixels, kind) in enumerate(progress(decoded, "decoding images", len(files))):
            images[i] = pixels
            kinds[kind] += 1
    del kinds["RGB"]
    cached.parent.mkdir(parents=True, exist_ok=True)
    part = cached.with_name(f"{cached.stem}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        with part.open("wb") as file:
            np.savez(file, images=images, kinds=list(kinds), counts=list(kinds.values()))
        part.replace(cached)
    finally:
        part.unlink(missing_ok=True)
    return images, dict(kinds)


def _hash(path: Path, repair: str) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()
    except OSError as error:
        raise PaperlibError(f"{path}: cannot be read ({error.strerror or error}); {repair}") from None


def _image(path: Path, size: int, repair: str) -> tuple[NDArray[np.uint8], str]:
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels, at most {MAX_PIXELS:,} allowed")
            if image.mode != "RGB" and image.mode not in CONVERTED:
                raise ValueError(f"pixel mode {image.mode}; 8 bits a channel allowed")
            kind = CONVERTED.get(image.mode, "RGB")
            image.draft("RGB", (size, size))
            rgb = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = str(error).replace(f" {str(path)!r}", "")
        raise PaperlibError(f"{path}: damaged or no image ({reason}); {repair}") from None
    return np.asarray(rgb), kind
