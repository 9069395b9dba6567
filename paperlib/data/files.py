"""What is known of files without understanding their format: states, checksums, labels, and the line for a bad one."""

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np

from paperlib.core.errors import PaperlibError
from paperlib.data.imageset import Parts
from paperlib.schema.images import FILE_SOURCES, Source


def file_states(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    """(path, bytes, modification time in ns) of each file; one that is missing is left out: its reader names it."""
    states = []
    for file in files:
        with suppress(OSError):
            state = file.stat()
            states.append((str(file), state.st_size, state.st_mtime_ns))
    return states


def md5(path: Path) -> str:
    """MD5 of a file, 32 hex digits; one that was read before is not read again."""
    state = path.stat()
    return _md5(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=32)
def _md5(path: Path, _size: int, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def pixel_hash(parts: Parts) -> str:
    """SHA-256 over train and test pixels and labels, independent of the file format; 64 hex digits."""
    digest = hashlib.sha256()
    for split in (parts["train"], parts["test"]):
        digest.update(np.ascontiguousarray(split.images).data)
        digest.update(split.labels.astype(np.uint8).tobytes())
    return digest.hexdigest()


def read_label(path: Path) -> tuple[Source, str]:
    """Provenance word and note of the JSON file that a user or the renderer laid beside images.

    PaperlibError unless it holds {"source": one of FILE_SOURCES, "note": text or missing}.
    """
    try:
        label = json.loads(path.read_text())
        source, note = label["source"], str(label.get("note", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise PaperlibError(f"{path}: expected {{'source': …, 'note': …}} in JSON; mend or remove it") from None
    if source not in FILE_SOURCES:
        raise PaperlibError(f"{path}: source {source!r} must be one of {', '.join(FILE_SOURCES)}")
    return source, note


def damaged(path: Path, name: str, expected: str, actual: str) -> PaperlibError:
    """The one line for a file of data set `name` that is not as expected, with the command that gets it anew."""
    return PaperlibError(
        f"{path}: damaged or not of this set: expected {expected}, found {actual}; remove it, or get it anew"
        f" with: paperlib data fetch {name} --force"
    )
