"""Image files to one uint8 array, decoded once: the array is cached and found again by the files' bytes."""

import hashlib
import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paperlib.core import paths
from paperlib.core.errors import PaperlibError

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm"})
MAX_PIXELS = 100_000_000
KINDS = {
    "L": "grey",
    "LA": "grey",
    "1": "grey",
    "P": "palette",
    "PA": "palette",
    "RGBA": "RGBA",
    "CMYK": "CMYK",
}
T = TypeVar("T")


@dataclass(frozen=True)
class Decoded:
    """images (N, size, size, 3) uint8, and how many files of which kind were converted to RGB."""

    images: NDArray[np.uint8]
    converted: dict[str, int]

    @property
    def note(self) -> str:
        """The conversions in words, '' if there were none."""
        told = ", ".join(f"{n:,} {kind}" for kind, n in sorted(self.converted.items()))
        return f"converted to RGB: {told}" if told else ""


def progress(items: Iterable[T], what: str, total: int) -> Iterable[T]:
    """`items` with a bar and the time left on a terminal; silent elsewhere."""
    from rich.console import Console
    from rich.progress import track

    return track(items, what, total, console=Console(stderr=True), disable=not sys.stderr.isatty())


def decode(files: Sequence[Path], size: int, repair: str) -> Decoded:
    """All `files`, in order, squeezed to size x size pixels (bilinear, aspect not kept), in RGB.

    The cache key is a hash over size, order and every file's bytes, so a changed file is decoded anew and
    a moved folder is not. Raises PaperlibError naming the first file that is missing, cut or no image;
    `repair` ends that line.
    """
    workers = min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        digests = pool.map(lambda path: _hash(path, repair), files)
        total = hashlib.blake2b(f"v1 {size} {len(files)}".encode(), digest_size=16)
        for digest in progress(digests, "checking images", len(files)):
            total.update(digest)
        target = paths.cache() / "decoded" / f"{total.hexdigest()}.npy"
        if not target.is_file():
            _fill(target, files, lambda path: _image(path, size, repair), pool, size)
    converted = json.loads(target.with_suffix(".json").read_text())
    return Decoded(np.load(target, allow_pickle=False), converted)


def _fill(
    target: Path,
    files: Sequence[Path],
    read: Callable[[Path], tuple[NDArray[np.uint8], str]],
    pool: ThreadPoolExecutor,
    size: int,
) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.stem}.{os.getpid()}.{threading.get_ident()}.part")
    shape = (len(files), size, size, 3)
    kinds: Counter[str] = Counter()
    try:
        out = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
        for i, (pixels, kind) in enumerate(progress(pool.map(read, files), "decoding images", len(files))):
            out[i] = pixels
            kinds[kind] += 1
        out.flush()
        kinds.pop("RGB", None)
        # The counts first: an array without them would be taken for complete.
        counts = part.with_suffix(".counts")
        counts.write_text(json.dumps(kinds))
        counts.replace(target.with_suffix(".json"))
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


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
            if image.mode != "RGB" and image.mode not in KINDS:
                raise ValueError(f"pixel mode {image.mode}; 8 bits a channel allowed")
            kind = KINDS.get(image.mode, "RGB")
            image.draft("RGB", (size, size))
            rgb = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        said = str(error).replace(f" {str(path)!r}", "")
        raise PaperlibError(f"{path}: damaged or no image ({said}); {repair}") from None
    return np.asarray(rgb), kind
