"""Images in memory: `load(name)` gives an ImageSet from the best source that is here."""

import hashlib
import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, get_args

import numpy as np
from numpy.typing import NDArray

from paperlib.core import paths
from paperlib.core.errors import PaperlibError
from paperlib.data.imageset import TEST_SHARE, Content, ImageSet, Provenance, Selection, Source, Split
from paperlib.data.registry import DATASETS, DatasetInfo
from paperlib.data.sources import find_images, read_images
from paperlib.data.spec import Spec, parse_name
from paperlib.data.splits import resplit_train, with_validation

if TYPE_CHECKING:
    from paperlib.data.download import Fetched
    from paperlib.data.verification import Check

__all__ = [
    "DATASETS",
    "Content",
    "DatasetInfo",
    "DatasetStatus",
    "ImageSet",
    "Selection",
    "fetch",
    "identify",
    "load",
    "resplit_train",
    "select",
    "status",
    "verify",
]

FOLDER = "folder:"
RESOLUTIONS = (8, 512)


@dataclass(frozen=True)
class DatasetStatus:
    """What `load(name)` would give now, and the command that would give something better ('' if nothing)."""

    name: str
    source: Source | None
    note: str
    where: str
    counts: tuple[int, int, int] | None
    cure: str


def load(name: str, resolution: int | None = None, test_share: float = TEST_SHARE) -> ImageSet:
    """The images of a registered set, or of a folder of class folders (`folder:PATH`).

    name: a key of DATASETS, `industrial-reduced`, `visa[@2cls_highshot][:object,…]` or `folder:PATH`.
    resolution: height and width in pixels; None for the set's own (28, 32 or 224).
    test_share: of each class of a folder that has no test images of its own.
    Sets without an official validation split hold out 10 % of train, stratified, the same every time.
    The last two sets stay in memory. Raises PaperlibError for unknown names and damaged files.
    """
    return _load(name, resolution, test_share, _files_key(name, resolution))


@lru_cache(maxsize=2)
def _load(name: str, resolution: int | None, test_share: float, _files: str) -> ImageSet:
    if name.startswith(FOLDER):
        from paperlib.data.readers import class_folders

        return class_folders.load(name.removeprefix(FOLDER), resolution, test_share)
    spec = parse_name(name)
    found = find_images(spec, resolution)
    parts, note = read_images(spec, found)
    train, val = with_validation(parts["train"], parts.get("val"))
    provenance = Provenance(found.source, note, found.where)
    images = ImageSet(name, train, val, parts["test"], spec.info.classes, provenance)
    size = resolution or spec.info.shape[0]
    return images if images.shape[:2] == (size, size) else _resized(images, size)


def _files_key(name: str, resolution: int | None) -> str:
    """A key of the files that `load` would read now (names, sizes, times) and of what is said of them."""
    if resolution is not None and not RESOLUTIONS[0] <= resolution <= RESOLUTIONS[1]:
        low, high = RESOLUTIONS
        raise PaperlibError(f"resolution must lie in {low} to {high} pixels, not {resolution}")
    if name.startswith(FOLDER):
        from paperlib.data.readers import class_folders

        files, said = tuple(class_folders.files(name.removeprefix(FOLDER))), ""
    else:
        found = find_images(parse_name(name), resolution)
        files, said = found.files, f"{found.source} {found.note} {found.where}"
    digest = hashlib.sha256(f"{version('paperlib')} {said}".encode())
    for file in files:
        with suppress(OSError):  # a missing file is told by the reader, with what mends it
            state = file.stat()
            digest.update(f"\n{file} {state.st_size} {state.st_mtime_ns}".encode())
    return digest.hexdigest()


def select(wanted: Selection, files: str | None = None) -> ImageSet:
    """The images of a selection; the last two stay in memory. files: `Content.files`, if that is known already.

    Raises PaperlibError for unknown names, damaged files and limits that leave fewer images than classes.
    """
    return _select(wanted, files or _files_key(wanted.name, wanted.resolution))


@lru_cache(maxsize=2)
def _select(wanted: Selection, files: str) -> ImageSet:
    images = _load(wanted.name, wanted.resolution, wanted.test_share, files)
    if wanted.resplit_seed is not None:
        images = resplit_train(images, wanted.resplit_seed)
    return images.limited(wanted.train, wanted.test)


def identify(wanted: Selection) -> Content:
    """Source and hash of the images that `select` gives now; read only if their files are new or changed.

    The answer is kept in the cache folder under the files' names, sizes and times. Raises as `select` does.
    """
    files = _files_key(wanted.name, wanted.resolution)
    key = hashlib.sha256(json.dumps([*wanted, files]).encode()).hexdigest()[:32]
    kept = paths.cache() / "content" / f"{key}.json"
    with suppress(OSError, ValueError, TypeError):  # none yet, or a damaged one: it is only a cache
        source, found = json.loads(kept.read_text())
        if source in get_args(Source) and re.fullmatch("[0-9a-f]{16}", found):
            return Content(source, found, files)
    images = select(wanted, files)
    content = Content(images.provenance.source, images.content_hash, files)
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(content[:2]))
        part.replace(kept)
    return content


def _resized(images: ImageSet, size: int) -> ImageSet:
    note = f"{images.provenance.note}; resized from {images.shape[0]} to {size} px"
    return replace(
        images,
        train=Split(_resize(images.train.images, size), images.train.labels),
        val=Split(_resize(images.val.images, size), images.val.labels),
        test=Split(_resize(images.test.images, size), images.test.labels),
        provenance=replace(images.provenance, note=note),
    )


def _resize(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """(N,H,W,C) to (N,size,size,C), bilinear with antialiasing."""
    import torch
    from torch.nn.functional import interpolate

    out = np.empty((len(images), size, size, images.shape[3]), np.uint8)
    for start in range(0, len(images), 1024):
        block = torch.from_numpy(images[start : start + 1024]).permute(0, 3, 1, 2).float()
        scaled = interpolate(block, (size, size), mode="bilinear", antialias=True)
        out[start : start + 1024] = scaled.round_().clamp_(0, 255).permute(0, 2, 3, 1).numpy()
    return out


def status() -> list[DatasetStatus]:
    """One line for each registered set: where its images would come from now. Damage is told, not raised.

    PaperlibError if PAPERLIB_DATA or PAPERLIB_CACHE names no folder.
    """
    paths.mirrors()
    paths.cache()
    return [_status(parse_name(name)) for name in DATASETS]


def _status(spec: Spec) -> DatasetStatus:
    info = spec.info
    cure = info.manual or f"paperlib data fetch {info.name}"
    try:
        found = find_images(spec)
    except PaperlibError as error:
        return DatasetStatus(info.name, None, str(error), "", None, cure + (" --force" if info.files else ""))
    cure = "" if found.source in {"official", "rebuilt"} else cure
    return DatasetStatus(info.name, found.source, found.note, found.where, found.counts, cure)


def fetch(names: Sequence[str] = (), *, force: bool = False, resolution: int | None = None) -> list["Fetched"]:
    """Gets the named sets (none: all) into the cache; see `paperlib.data.download.fetch`."""
    from paperlib.data import download

    return download.fetch(names, force=force, resolution=resolution)


def verify(names: Sequence[str] = ()) -> list["Check"]:
    """Reads and hashes every file of the named sets (none: all); see `paperlib.data.verification.verify`."""
    from paperlib.data import verification

    return verification.verify(names)
