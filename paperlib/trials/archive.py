"""Committed records: those of a profile in one file."""

import io
import lzma
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import get_args

from pydantic import ValidationError

from paperlib.core import paths
from paperlib.core.errors import PaperlibError
from paperlib.core.io import extract_tar
from paperlib.core.paths import Layout, ProfileName
from paperlib.schema.record import Record

ARCHIVE = "records.tar.xz"


# The profiles, largest first; the first that is there speaks for the project in the README.
ORDER: tuple[str, ...] = get_args(ProfileName)[::-1]


def pack(layout: Layout) -> bytes:
    """All records (trials, costs, CPU study) as tar.xz: sorted names, no dates, so equal records, equal bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        folders = (layout.trials, layout.costs, layout.edge)
        for path in [path for folder in folders for path in sorted(folder.glob("*.json"))]:
            member = tarfile.TarInfo(path.relative_to(layout.results).as_posix())
            member.size, member.mode = path.stat().st_size, 0o644
            tar.addfile(member, io.BytesIO(path.read_bytes()))
    return lzma.compress(buffer.getvalue())


@contextmanager
def open_archive(archive: Path) -> Iterator[Layout]:
    """The records of an archive in a folder that goes at the end. PaperlibError if it is damaged."""
    name = archive.parent.name
    with tempfile.TemporaryDirectory() as folder:
        layout = Layout(Path(folder) / "results" / name, Path(folder) / "figures" / name)
        layout.results.mkdir(parents=True)
        with damage_told(archive), tarfile.open(archive, mode="r:xz") as tar:
            extract_tar(tar, layout.results)
        yield layout


@contextmanager
def damage_told(archive: Path) -> Iterator[None]:
    """PaperlibError instead of what reading a damaged archive raises."""
    try:
        yield
    except (OSError, EOFError, lzma.LZMAError, tarfile.TarError) as error:
        raise PaperlibError(f"{archive} is damaged ({error}): get it again with `git checkout`") from None


def archives() -> list[Path]:
    """The committed archives, in the order of ORDER; other names between laptop and quick.

    One without `kept.json` beside it is of a study that still runs, and speaks for nobody.
    """
    by_name = sorted((paths.root() / "results").glob(f"*/{ARCHIVE}"))
    by_name = [path for path in by_name if path.with_name("kept.json").exists()]
    return sorted(by_name, key=lambda p: ORDER.index(p.parent.name) if p.parent.name in ORDER else 2.5)


def find_record(beginning: str) -> Record:
    """The record of the trial whose id begins so: of any results folder, else of a committed archive.

    Raises PaperlibError where none does, with the nearest ids, or several do.
    """
    files = Layout.of("quick").results.parent.glob("*/trials/*.json")
    texts = {path.stem: path.read_bytes() if path.stem.startswith(beginning) else b"" for path in files}
    for archive in archives() if not any(texts.values()) else ():
        with damage_told(archive), tarfile.open(archive, mode="r:xz") as tar:
            for member in tar:
                folder, _, name = member.name.removesuffix(".json").partition("/")
                if folder == "trials" and (file := tar.extractfile(member)):
                    texts.setdefault(name, file.read() if name.startswith(beginning) else b"")
        if any(texts.values()):
            break
    matches = sorted(name for name, text in texts.items() if text)
    if len(matches) > 1:
        raise PaperlibError(f"{len(matches)} trials begin with {beginning!r}, such as {matches[0]}: give more digits")
    if not matches:
        near = get_close_matches(beginning, texts, 3, 0.4)
        hint = f"; near it: {', '.join(near)}" if near else ""
        known = "`paperlib run` prints ids, tidy.csv lists them; `paperlib explain` takes its options instead, too"
        raise PaperlibError(f"no trial begins with {beginning!r}{hint}; {known}")
    try:
        return Record.model_validate_json(texts[matches[0]])
    except ValidationError as error:
        raise PaperlibError(f"the record of trial {matches[0]} cannot be read: {error}") from None
