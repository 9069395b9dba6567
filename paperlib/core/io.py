"""Files written whole or not at all."""

import os
import tempfile
from pathlib import Path

from paperlib.core.errors import PaperlibError


def write_atomically(path: Path, data: bytes) -> None:
    """Write all of `data` under `path` or nothing; safe with several writers. PaperlibError if it can't."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        cure = "free some space or choose another folder with PAPERLIB_OUTPUT"
        raise PaperlibError(f"cannot write {path}: {error.strerror}; {cure}") from None
