"""Results that are committed: the records of a profile in one file, from which all else is made again, byte for byte.

`results/<name>/records.tar.xz` holds the records; `kept.json` the machines with versions and the SHA-256 of every file
made from them. A reader's own run writes beside these two and never touches them.
"""

import hashlib
import io
import json
import sys
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from paperlib.core import paths
from paperlib.core.errors import PaperlibError
from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.core.registry import unknown
from paperlib.costs.records import cost_table, read_costs, write_cost_table
from paperlib.exhibits.manifest import output_root
from paperlib.trials.archive import ARCHIVE, ORDER, archives, damage_told, open_archive, pack
from paperlib.trials.store import Store

# Beside tables and figures; with the latter all that follows from the records.
TABLES = ("tidy", "costs")
DATA_FILES = (
    *(f"{name}.{kind}" for name in TABLES for kind in ("csv", "parquet")),
    "manifest.json",
    "claims.csv",
    "claims.json",
)


class Tables(NamedTuple):
    """The tidy table of trials, that of costs, and whose they are: `results/quick`, or `results/laptop, committed`."""

    trials: pd.DataFrame
    costs: pd.DataFrame
    whose: str


def tables_of(name: str) -> Tables:
    """The tables of results/<name>; the committed ones where there are no records of one's own.

    Those are the ones of the same name, for a profile without any the first of `archives`, and that is said on stderr.
    Raises PaperlibError if there are neither.
    """
    layout = Layout.of(name)
    if any(layout.trials.glob("*.json")):
        return Tables(*_of_records(layout), f"results/{name}")
    by_name = {archive.parent.name: archive for archive in archives()}
    archive = by_name.get(name) or (next(iter(by_name.values()), None) if name in ORDER else None)
    if archive is None and name in ORDER:
        raise PaperlibError(f"no records in {layout.trials}: run `paperlib reproduce --profile {name}` first")
    if archive is None:
        others = sorted(trials.parent.name for trials in layout.results.parent.glob("*/trials"))
        raise unknown("results", name, list(dict.fromkeys((*ORDER, *others))))
    print(f"paperlib: no own results in {layout.results}: {describe_committed(archive)}", file=sys.stderr)
    return Tables(*_of_archive(archive), f"results/{archive.parent.name}, committed")


def reference() -> Path | None:
    """The committed archive that speaks where own records decide nothing: the largest; None where there is none."""
    return next(iter(archives()), None) if paths.project() else None


def reference_tables() -> Tables | None:
    """The tables of `reference`."""
    archive = reference()
    return Tables(*_of_archive(archive), f"results/{archive.parent.name}, committed") if archive else None


def reference_bases(archive: Path) -> dict[str, str]:
    """The verdicts of an archive in a word, by claim: as they were kept, else worked out anew."""
    from paperlib.claims import verdicts

    if (content := _kept(archive, "claims.json")) is not None:
        return {entry["id"]: entry["base"] for entry in json.loads(content)}
    trials, costs = _of_archive(archive)
    return {verdict.claim: verdict.base for verdict in verdicts(trials, measured=costs)}


def describe_committed(archive: Path) -> str:
    """`these are the committed ones of results/laptop (1,927 trials, AMD EPYC)`."""
    machines = about["machines"] if (about := _about(archive)) else []
    facts = [f"{about['records']:,} trials"] if about else []
    facts += sorted({m["gpu"] or m["cpu"] for m in machines})
    return f"these are the committed ones of results/{archive.parent.name} ({', '.join(facts)})"


def trials_of(archive: Path) -> set[str]:
    """The ids of the trials in an archive, without unpacking it to disk."""
    with damage_told(archive), tarfile.open(archive, mode="r:xz") as tar:
        return {Path(name).stem for name in tar.getnames() if name.startswith("trials/")}


def _about(archive: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        about: dict[str, Any] = json.loads(archive.with_name("kept.json").read_bytes())
        return about
    return {}


def _of_records(layout: Layout) -> tuple[pd.DataFrame, pd.DataFrame]:
    return Store(layout).table(), cost_table(read_costs(layout))


def _of_archive(archive: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables beside the archive if they are those that were kept (an own run overwrites them), else from records.

    Reading them takes 0.05 s; unpacking and parsing 1,927 records takes 3 s.
    """
    kept = [content for name in TABLES if (content := _kept(archive, f"{name}.parquet")) is not None]
    if len(kept) == len(TABLES):
        trials, costs = (pd.read_parquet(io.BytesIO(content)) for content in kept)
        return trials, costs
    with open_archive(archive) as layout:
        return _of_records(layout)


def _kept(archive: Path, name: str) -> bytes | None:
    """A file beside an archive, if it is the one that was kept with it."""
    expected = _about(archive).get("files", {}).get(f"results/{archive.parent.name}/{name}")
    with suppress(OSError):
        content = archive.with_name(name).read_bytes()
        if hashlib.sha256(content).hexdigest() == expected:
            return content
    return None


def regenerate(layout: Layout) -> list[Path]:
    """Write every table, figure, verdict and the tidy table from the records alone; returns the files, sorted."""
    from paperlib import claims
    from paperlib.exhibits import collation

    Store(layout).write_table()
    write_cost_table(layout)
    made = [output_root(layout) / f for n in collation.SECTIONS for e in collation.write(n, layout) for f in e.files]
    claims.write(layout)
    return sorted({*made, *(layout.results / name for name in DATA_FILES)})


def regenerated_hashes(layout: Layout) -> dict[str, str]:
    """SHA-256 of each file that the records of `layout` give, by its path below the project."""
    top = output_root(layout)
    return {f.relative_to(top).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest() for f in regenerate(layout)}


def keep_records(layout: Layout, project: Path) -> Path:
    """Put the records of `layout` into `project`; returns the archive. PaperlibError if there are none."""
    archive = project / "results" / layout.name / ARCHIVE
    if not any(layout.trials.glob("*.json")):
        raise PaperlibError(f"no records in {layout.trials}: run `paperlib reproduce --profile {layout.name}` first")
    write_atomically(archive, pack(layout))
    return archive


def keep(layout: Layout, project: Path) -> Path:
    """Put the records of `layout` and all that is made from them into `project`; returns the archive.

    The copies are made anew from the archive, so that it alone is known to suffice; where there are no records of
    one's own, from the archive that is there. Raises PaperlibError if there is neither.
    """
    archive = project / "results" / layout.name / ARCHIVE
    if any(layout.trials.glob("*.json")) or not archive.exists():
        keep_records(layout, project)
    with open_archive(archive) as unpacked:
        records, hashes = Store(unpacked).records(), regenerated_hashes(unpacked)
        for name in hashes:
            write_atomically(project / name, (output_root(unpacked) / name).read_bytes())
    for notebook in sorted(layout.notebooks.glob("0?_*.ipynb")):
        write_atomically(archive.parent / "notebooks" / notebook.name, _without_paths(notebook))
    machines = sorted({r.environment.model_dump_json() for r in records})
    about = {"records": len(records), "machines": [json.loads(m) for m in machines], "files": hashes}
    write_atomically(archive.with_name("kept.json"), (json.dumps(about, indent=1) + "\n").encode())
    return archive


def _without_paths(notebook: Path) -> bytes:
    """The executed notebook without the two paths by which papermill tells where it ran."""
    import nbformat

    read = nbformat.read(notebook, as_version=4)
    for name in ("input_path", "output_path"):
        read.metadata.get("papermill", {}).pop(name, None)
    return (nbformat.writes(read) + "\n").encode()
