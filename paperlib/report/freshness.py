"""Whether an output is of just these inputs: beside each output lies the fingerprint of what it was made from."""

import hashlib
from pathlib import Path

from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.exhibits.manifest import inputs


def fingerprint(layout: Layout, *parts: bytes) -> str:
    """SHA-256 over the package, the images and records that are here, and `parts`."""
    digest = hashlib.sha256(inputs(layout).encode())
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def is_current(output: Path, made_from: str) -> bool:
    """Whether `output` is there and was made from inputs of this fingerprint; never for an empty fingerprint."""
    return bool(made_from) and output.exists() and stored_fingerprint(output) == made_from


def mark_current(output: Path, made_from: str) -> None:
    """Write the fingerprint of what `output` was made from beside it."""
    write_atomically(_stamp(output), made_from.encode())


def stored_fingerprint(output: Path) -> str:
    """The fingerprint of what `output` was made from; empty if none is known."""
    return _stamp(output).read_text() if _stamp(output).exists() else ""


def _stamp(output: Path) -> Path:
    return output.with_name(f".{output.name}.stamp")
