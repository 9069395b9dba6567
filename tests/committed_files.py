"""Files that are made again beside the committed ones."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path


def assert_committed(made: Mapping[str, Path], archive: Path, *, whole: bool = True) -> None:
    """The files, by their names in `kept.json` beside the archive, are the committed ones; whole: and all of them.

    Byte for byte on the machine that kept them; another CPU may round a last digit, and a few files with it.
    """
    committed = json.loads(archive.with_name("kept.json").read_text())["files"]
    advice = f"run `paperlib keep-results {archive.parent.name}`"
    assert made.keys() == committed.keys() if whole else made and made.keys() <= committed.keys(), advice
    other = [name for name, path in made.items() if hashlib.sha256(path.read_bytes()).hexdigest() != committed[name]]
    assert len(other) <= len(committed) // 20, f"{advice}: {other}"
