"""Images in memory: `load(name)` gives an ImageSet from the best source that is here."""

import hashlib
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import get_args

import numpy as np

from paperlib.core import paths
from paperlib.core.errors import PaperlibError
from paperlib.core.io import write_atomically
from paperlib.data.files import file_states
from paperlib.data.imageset import ImageSet, Provenance, Split
from paperlib.data.readers import class_folders
from paperlib.data.registry import DATASETS
from paperlib.data.sources import find_images, read_images
from paperlib.data.spec import Spec, parse_name
from paperlib.data.splits import resplit_train, with_validation
from paperlib.schema.images import TEST_SHARE, Content, Selection, Source

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


def load(name: str, resolution: int | None = None) -> ImageSet:
    """The images of a registered set, or of a folder of class folders (`folder:PATH`).

    name: a key of DATASETS, `industrial-reduced`, `visa[@2cls_highshot][:object,…]` or `folder:PATH`.
    resolution: height and width in pixels; None for the set's own (28, 32 or 224).
    Sets without an official validation split hold out 10 % of train, stratified, the same every time.
    The last two sets stay in memory. Raises PaperlibError for unknown names and damaged files.
    """
    return _load(name, resolution, TEST_SHARE, _files_key(name, resolution))


@lru_cache(maxsize=2)
def _load(name: str, resolution: int | None, test_share: float, _files: str) -> ImageSet:
    if name.startswith(FOLDER):
        return class_folders.load_folder(name.removeprefix(FOLDER), resolution, test_share)
    spec = parse_name(name)
    source = find_images(spec, resolution)
    parts, note = read_images(spec, source)
    size, (height, width, _) = resolution or spec.info.shape[0], parts["train"].images.shape[1:]
    if (height, width) != (size, size):
        parts = {split: _resized(part, size) for split, part in parts.items()}
        note += f"; resized from {height} to {size} px"
    train, val = with_validation(parts["train"], parts.get("val"))
    return ImageSet(name, train, val, parts["test"], spec.info.classes, Provenance(source.source, note, source.where))


def _files_key(name: str, resolution: int | None) -> str:
    """A key of the files that `load` would read now (names, sizes, times) and of their provenance."""
    low, high = RESOLUTIONS
    if resolution is not None and not low <= resolution <= high:
        raise PaperlibError(f"resolution must lie in {low} to {high} pixels, not {resolution}")
    if name.startswith(FOLDER):
        states: list[object] = [*file_states(class_folders.list_images(name.removeprefix(FOLDER)))]
    else:
        source = find_images(parse_name(name), resolution)
        states = [source.source, source.note, source.where, *file_states(source.files)]
    return _digest(version("paperlib"), *states)


def _digest(*values: object) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def select(selection: Selection, files: str | None = None) -> ImageSet:
    """The images of a selection; the last two stay in memory. files: `Content.files`, if that is known already.

    Raises PaperlibError for unknown names, damaged files and limits that leave fewer images than classes.
    """
    return _select(selection, files or _files_key(selection.name, selection.resolution))


@lru_cache(maxsize=2)
def _select(selection: Selection, files: str) -> ImageSet:
    images = _load(selection.name, selection.resolution, selection.test_share, files)
    if selection.resplit_seed is not None:
        images = resplit_train(images, selection.resplit_seed)
    return images.limited(selection.train, selection.test)


def identify(selection: Selection) -> Content:
    """Source and hash of the images that `select` gives now; read only if their files are new or changed.

    The answer is cached in a file under a hash of the files' names, sizes and times. Raises as `select` does.
    """
    files = _files_key(selection.name, selection.resolution)
    cached = paths.cache() / "content" / f"{_digest(*selection, files)[:32]}.json"
    with suppress(OSError, ValueError, TypeError):  # none yet, or a damaged one: it is only a cache
        source, content_hash = json.loads(cached.read_text())
        if source in get_args(Source) and re.fullmatch("[0-9a-f]{16}", content_hash):
            return Content(source, content_hash, files)
    images = select(selection, files)
    content = Content(images.provenance.source, images.content_hash, files)
    with suppress(PaperlibError):  # a cache that cannot be written is no cache
        write_atomically(cached, json.dumps(content[:2]).encode())
    return content


def _resized(split: Split, size: int) -> Split:
    """Images (N, H, W, C) to (N, size, size, C), bilinear with antialiasing."""
    import torch
    from torch.nn.functional import interpolate

    resized = np.empty((len(split), size, size, split.images.shape[3]), np.uint8)
    for start in range(0, len(split), 1024):
        block = torch.from_numpy(split.images[start : start + 1024]).permute(0, 3, 1, 2).float()
        scaled = interpolate(block, (size, size), mode="bilinear", antialias=True)
        resized[start : start + 1024] = scaled.round_().clamp_(0, 255).permute(0, 2, 3, 1).numpy()
    return Split(resized, split.labels)


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
        source = find_images(spec)
    except PaperlibError as error:
        return DatasetStatus(info.name, None, str(error), "", None, cure + ("" if info.manual else " --force"))
    cure = "" if source.source in {"official", "rebuilt"} else cure
    return DatasetStatus(info.name, source.source, source.note, source.where, source.counts, cure)


def image_states() -> list[tuple[object, ...]]:
    """What a trial on each data set would be given now: provenance and file states, without reading the images."""
    states: list[tuple[object, ...]] = []
    for name in DATASETS:
        try:
            source = find_images(parse_name(name))
            states.append((name, source.source, source.note, source.counts, *file_states(source.files)))
        except (PaperlibError, OSError) as error:  # damaged ones are a state as any other
            states.append((name, str(error)))
    return states
