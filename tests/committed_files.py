"""Files that are made again beside the committed ones."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path


def assert_committed(made: Mapping[str, Path], archive: Path) -> None:
    """The files, by their names in `kept.json` beside the archive, are the committed ones.

    Byte for byte on the machine that kept them; another CPU may round a last digit, and a few files with it.
    """
    committed = json.loads(archive.with_name("kept.json").read_text())["files"]
    assert made.keys() == committed.keys(), f"run `paperlib keep-results {archive.parent.name}`"
    other = [name for name, path in made.items() if hashlib.sha256(path.read_bytes()).hexdigest() != committed[name]]
    assert len(other) <= len(made) // 20, f"run `paperlib keep-results {archive.parent.name}`: {other}"
