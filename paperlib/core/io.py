"""Files written whole or not at all."""

import os
import shutil
import tarfile
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


def extract_tar(tar: tarfile.TarFile, folder: Path) -> None:
    """Write the plain files of a tar below `folder`. PaperlibError for a link, a device or a path that leaves it.

    By hand, since tarfile's own filter came with Python 3.11.4.
    """
    for member in tar:
        target = (folder / member.name).resolve()
        if not (member.isfile() or member.isdir()) or not target.is_relative_to(folder.resolve()):
            raise PaperlibError(
                f"{member.name!r} in an archive is no plain file below its folder; nothing more is read"
            )
        if (content := tar.extractfile(member)) is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
            with content, target.open("wb") as file:
                shutil.copyfileobj(content, file)
