"""Tables and figures as values, the files that they are written to, and the manifest that lists them all."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import paperlib
from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.data import image_states
from paperlib.data.files import file_states


@dataclass(frozen=True)
class Exhibit:
    """One table or figure, as the manifest lists it.

    files: paths relative to the folder that holds results/ and figures/ (`output_root`): .csv, .html and .tex of a
    table, .svg and .png (and .pdf) of a figure. trials: sorted ids of the records that it shows, never empty.
    section: the notebook that it belongs to; inputs: `input_hash` of those records when it was made. Whoever makes an
    exhibit leaves these two empty: `collation.write` fills them.
    """

    name: str
    kind: Literal["table", "figure"]
    title: str
    caption: str
    files: tuple[str, ...]
    trials: tuple[str, ...]
    section: str = ""
    inputs: str = ""


def output_root(layout: Layout) -> Path:
    """The folder above results/ and figures/, to which an exhibit's paths are relative."""
    return layout.results.parents[1]


def save(
    kind: Literal["table", "figure"],
    name: str,
    title: str,
    caption: str,
    contents: Mapping[str, bytes],
    trials: Iterable[str],
    layout: Layout,
) -> Exhibit:
    """Write the files of an exhibit (contents: ending, such as `.csv` -> bytes) into its folder; returns it."""
    folder = layout.tables if kind == "table" else layout.figures
    paths = [folder / f"{name}{ending}" for ending in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        write_atomically(path, content)
    files = tuple(path.relative_to(output_root(layout)).as_posix() for path in paths)
    return Exhibit(name, kind, title, caption, files, tuple(sorted(set(trials))))


def input_hash(trials: Iterable[str], layout: Layout) -> str:
    """SHA-256 over the records behind an exhibit, trials or CPU measurements; one that is gone counts as empty."""
    digest = hashlib.sha256()
    for name in sorted(trials):
        files = (folder / f"{name}.json" for folder in (layout.trials, layout.costs, layout.edge))
        states = ((f, f.stat()) for f in files if f.is_file())
        content = next((_content_hash(f, s.st_mtime_ns, s.st_size) for f, s in states), hashlib.sha256().digest())
        digest.update(name.encode() + content)
    return digest.hexdigest()


@cache
def _content_hash(path: Path, mtime_ns: int, size: int) -> bytes:
    # One record stands in a hundred exhibits.
    return hashlib.sha256(path.read_bytes()).digest()


def inputs(layout: Layout) -> str:
    """SHA-256 over what notebooks and report are made from: the package, the images that are here, the records.

    Of images and records names, sizes and dates, not the content: it is asked several times whether anything is new.
    """
    records = [path for folder in (layout.trials, layout.costs, layout.edge) for path in sorted(folder.glob("*.json"))]
    record_states = ((Path(path).name, size, time) for path, size, time in file_states(records))
    states = [_package(), *image_states(), *record_states]
    return hashlib.sha256(json.dumps(states).encode()).hexdigest()


@cache
def _package() -> str:
    digest, package = hashlib.sha256(), Path(paperlib.__file__).parent
    for path in (*sorted(package.rglob("*.py")), *sorted(package.rglob("*.j2"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def write_manifest(exhibits: Iterable[Exhibit], layout: Layout) -> Path:
    """results/<profile>/manifest.json: every exhibit with its caption, files and the trials it shows."""
    path = layout.results / "manifest.json"
    keys = ("kind", "title", "caption", "section", "files", "trials", "inputs")
    entries = {e.name: {key: getattr(e, key) for key in keys} for e in exhibits}
    write_atomically(path, (json.dumps(entries, indent=1, ensure_ascii=False) + "\n").encode())
    return path


def read_manifest(layout: Layout) -> list[Exhibit]:
    """The exhibits of a profile, in the order in which they were made; empty if there are none yet."""
    path = layout.results / "manifest.json"
    if not path.exists():
        return []
    entries = json.loads(path.read_text()).items()
    return [Exhibit(name, **e | {"files": tuple(e["files"]), "trials": tuple(e["trials"])}) for name, e in entries]
