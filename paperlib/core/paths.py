"""Where everything lies. No other file spells a folder of the project."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from paperlib.core.errors import PaperlibError

# The budgets of studies.profiles; each has a folder of its name under results/ and figures/.
ProfileName = Literal["smoke", "quick", "laptop", "station", "paper"]


def project() -> Path | None:
    """`PAPERLIB_ROOT`, else the nearest folder upwards that holds `notebooks/`; None outside a checkout.

    Here and below: PaperlibError if a variable names no folder.
    """
    if given := os.environ.get("PAPERLIB_ROOT"):
        return _folder("PAPERLIB_ROOT", Path(given)).resolve()
    for folder in (Path.cwd(), *Path.cwd().parents, Path(__file__).resolve().parents[2]):
        if (folder / "notebooks").is_dir() and (folder / "pyproject.toml").is_file():
            return folder
    return None


def root() -> Path:
    """The project's folder, with notebooks and committed results; PaperlibError outside a checkout."""
    if (folder := project()) is None:
        raise PaperlibError("no project folder here: run inside the checkout, or set PAPERLIB_ROOT to it")
    return folder


def cache() -> Path:
    """Downloaded and decoded data: `PAPERLIB_CACHE`, else the user's cache folder."""
    if given := os.environ.get("PAPERLIB_CACHE"):
        return _folder("PAPERLIB_CACHE", Path(given), may_be_made=True)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "paperlib"


def calibrations() -> Path:
    """What `paperlib calibrate` found of this machine's CPU, in the cache."""
    return cache() / "calibration"


def locks() -> Path:
    """Lock files of this user on this machine: `PAPERLIB_LOCKS`, else a folder among the temporary files."""
    user = os.getuid() if hasattr(os, "getuid") else "mine"
    return Path(os.environ.get("PAPERLIB_LOCKS") or Path(tempfile.gettempdir(), f"paperlib-locks-{user}"))


def mirrors() -> list[Path]:
    """Local folders with real images: `PAPERLIB_DATA`, several separated as in PATH."""
    return [_folder("PAPERLIB_DATA", Path(p)) for p in os.environ.get("PAPERLIB_DATA", "").split(os.pathsep) if p]


def _folder(variable: str, path: Path, *, may_be_made: bool = False) -> Path:
    if not (path.is_dir() or (may_be_made and not path.exists())):
        raise PaperlibError(f"{variable} names {path}, which is no folder; mend or unset it")
    return path


@dataclass(frozen=True)
class Layout:
    """The folders of one set of results: `Layout.of("quick")` or any other name."""

    results: Path
    figures: Path

    @classmethod
    def of(cls, name: str) -> "Layout":
        """`name` becomes a folder under results/ and figures/; PaperlibError if it could escape them.

        The two lie in `PAPERLIB_OUTPUT`, else in the project's folder, outside a checkout in the current one.
        """
        if not isinstance(name, str) or not name or name != Path(name).name or name in {".", ".."}:
            raise PaperlibError(f"results name {name!r} must be a plain folder name, such as 'quick'")
        given = os.environ.get("PAPERLIB_OUTPUT")
        base = _folder("PAPERLIB_OUTPUT", Path(given), may_be_made=True) if given else project() or Path.cwd()
        return cls(base / "results" / name, base / "figures" / name)

    @property
    def name(self) -> str:
        return self.results.name

    @property
    def tweaked(self) -> "Layout":
        """Beside these: what a notebook with changed parameters runs and shows."""
        name = f"{self.name}-tweaked"
        return Layout(self.results.with_name(name), self.figures.with_name(name))

    @property
    def trials(self) -> Path:
        return self.results / "trials"

    @property
    def costs(self) -> Path:
        return self.results / "costs"

    @property
    def edge(self) -> Path:
        return self.results / "edge"

    @property
    def checkpoints(self) -> Path:
        return self.results / "checkpoints"

    @property
    def notebooks(self) -> Path:
        return self.results / "notebooks"

    @property
    def tables(self) -> Path:
        return self.results / "tables"

    @property
    def report(self) -> Path:
        return self.results / "report"
