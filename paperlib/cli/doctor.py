"""What this machine has, what it lacks, and one cure for each lack: `paperlib doctor`."""

import math
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.table import Table
from rich.text import Text

from paperlib.core import paths
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout

FREE_GB = 5
PROGRAMS = {
    "npm": "carries the official MNIST where its host is out of reach",
    "apt-get": "carries the official FashionMNIST where its host is out of reach",
    "chromium": "renders the report for a look at it",
}
RAPL_CURE = "to meter instead: sudo chmod -R a+r /sys/class/powercap/intel-rapl*"
_STYLE = {"ok": "green", "lack": "red", "note": "yellow"}


@dataclass(frozen=True)
class Check:
    """One line of the doctor's table.

    state: `ok`, `lack` (something that a user may want to mend) or `note` (works, but know it).
    cure: one command or one sentence, empty where nothing is to be done.
    """

    subject: str
    state: Literal["ok", "lack", "note"]
    found: str
    cure: str = ""


def checks() -> list[Check]:
    """All checks of this machine, in the order in which they are shown; touches no network."""
    return [*_software(), *_processor(), *_devices(), *_storage(), *_images(), *_programs()]


def render(found: list[Check]) -> Table:
    """The checks as a table for rich's console."""
    table = Table("", "subject", "found", "what to do", title="paperlib doctor", title_justify="left")
    for check in found:
        # Text, not markup: a path or a command may hold square brackets.
        state = Text(check.state, _STYLE[check.state])
        table.add_row(state, Text(check.subject), Text(check.found), Text(check.cure))
    return table


def cpu_limit(groups: Path = Path("/sys/fs/cgroup")) -> float | None:
    """CPUs that this process's control group may use at once (versions 1 and 2), None for no limit."""
    try:
        if (new := groups / "cpu.max").is_file():
            quota, period = new.read_text(encoding="utf-8").split()[:2]
        else:
            quota = (groups / "cpu" / "cpu.cfs_quota_us").read_text(encoding="utf-8").strip()
            period = (groups / "cpu" / "cpu.cfs_period_us").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return None if quota in {"max", "-1"} else int(quota) / int(period)


def _software() -> Iterator[Check]:
    import torch

    yield Check("Python", "ok", f"{platform.python_version()} on {platform.platform(terse=True)}")
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU only"
    yield Check("torch", "ok", f"{torch.__version__} ({build})")


def _processor() -> Iterator[Check]:
    import torch

    cpu = torch.cpu.get_capabilities()
    affinity = getattr(os, "sched_getaffinity", None)
    usable = len(affinity(0)) if affinity else os.cpu_count() or 1
    limit = cpu_limit()
    allowed = usable if limit is None else min(usable, max(1, math.floor(limit)))
    threads = torch.get_num_threads()
    capped = "" if limit is None else f", limited to {limit:g} by the control group"
    name = cpu.get("cpu_name", "unknown CPU")
    text = f"{name}: {usable} logical CPUs usable{capped}; torch uses {threads} threads"
    if threads > allowed:
        yield Check("CPU", "lack", text, f"export OMP_NUM_THREADS={allowed}")
    else:
        yield Check("CPU", "ok", text)
    bf16 = [name for name in ("avx512_bf16", "amx_bf16", "bf16") if cpu.get(name)]
    if bf16:
        yield Check("bf16 on cpu", "ok", ", ".join(bf16))
    else:
        yield Check("bf16 on cpu", "note", "no such instructions: bf16 works but is emulated, expect it to be slow")


def _devices() -> Iterator[Check]:
    import torch

    from paperlib import meters
    from paperlib.meters.energy import RAPL_FORBIDDEN

    names = ["cpu"]
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            total = torch.cuda.get_device_properties(i).total_memory / 2**30
            yield Check(f"cuda:{i}", "ok", f"{torch.cuda.get_device_name(i)}, {total:.0f} GiB")
            names.append(f"cuda:{i}")
    elif torch.version.cuda:
        yield Check("GPU", "lack", "torch is built for CUDA but sees no device", "check `nvidia-smi` and the driver")
    else:
        yield Check("GPU", "note", "none: the papers' full budgets (profile `paper`) need one, the others do not")
    try:
        facts = [fact for name in names for fact in meters.describe(name)]
    except PaperlibError as error:
        yield Check("meters", "lack", str(error), "export PAPERLIB_GRID=ITA")
        return
    for fact in dict.fromkeys(facts):
        if fact.name == "CO2":
            yield Check("CO2", "ok", fact.found, "for another grid: export PAPERLIB_GRID=DEU (three-letter code)")
        elif fact.real:
            yield Check(fact.name, "ok", fact.found)
        else:
            yield Check(fact.name, "note", fact.found, RAPL_CURE if RAPL_FORBIDDEN in fact.found else "")


def _storage() -> Iterator[Check]:
    try:
        if paths.project() is None:
            lies = "not here: notebooks and committed results lie in it; own trials run anywhere"
            yield Check("checkout", "note", lies, "cd into it, or export PAPERLIB_ROOT=/its/folder")
        folder = Layout.of("quick").results
    except PaperlibError as error:
        yield Check(
            "results folder",
            "lack",
            str(error),
            "cd into the checkout; mend or unset PAPERLIB_ROOT and PAPERLIB_OUTPUT",
        )
        return
    there = next(p for p in (folder, *folder.parents) if p.exists())
    if os.access(there, os.W_OK | os.X_OK) and there.is_dir():
        yield Check("results folder", "ok", f"{folder} can be written")
    else:
        cure = "export PAPERLIB_OUTPUT=/a/folder/of/yours"
        yield Check("results folder", "lack", f"{there} cannot be written", cure)
    free = shutil.disk_usage(there).free / 1e9
    if free >= FREE_GB:
        yield Check("disk", "ok", f"{free:.0f} GB free")
    else:
        yield Check("disk", "lack", f"{free:.1f} GB free", f"free at least {FREE_GB} GB on the disk of {there}")


def _images() -> Iterator[Check]:
    from paperlib import data

    try:
        rows = data.status()
    except PaperlibError as error:
        yield Check("images", "lack", str(error), "mend or unset PAPERLIB_DATA and PAPERLIB_CACHE")
        return
    for row in rows:
        if row.counts is None:
            yield Check(f"images: {row.name}", "lack", row.note, row.cure)
            continue
        train, _, test = row.counts
        text = f"{row.source}, {train} training and {test} test images: {row.where}"
        if row.source == "official":
            yield Check(f"images: {row.name}", "ok", text)
        else:
            yield Check(f"images: {row.name}", "lack" if row.source == "stand-in" else "note", text, row.cure)


def _programs() -> Iterator[Check]:
    for name, purpose in PROGRAMS.items():
        if path := shutil.which(name):
            yield Check(f"program {name}", "ok", path)
        else:
            yield Check(f"program {name}", "note", f"not here; optional: it {purpose}")


def command() -> None:
    """Say what this machine has, which meters are real, which images are here, and the cure for each lack."""
    from paperlib.core.progress import wide_console

    wide_console().print(render(checks()))
