"""What this machine has, what it lacks, and one cure for each lack: `paperlib doctor`."""

import math
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from rich.table import Table
from rich.text import Text

from paperlib.core import paths
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.trials.environment import cores

FREE_GB = 5
PROGRAMS = {
    "npm": "carries the official MNIST where its host is out of reach",
    "apt-get": "carries the official FashionMNIST where its host is out of reach",
    "chromium": "renders the report for a look at it",
}
PACKAGES = {"onnxruntime": "export", "openvino": "openvino"}  # with the extra that brings each
RAPL_CURE = "to meter instead: sudo chmod -R a+r /sys/class/powercap/intel-rapl*"
State = Literal["ok", "lack", "note"]
_STYLE = {"ok": "green", "lack": "red", "note": "yellow"}


@dataclass(frozen=True)
class Check:
    """One line of the doctor's table.

    state: `ok`, `lack` (something that a user may want to mend) or `note` (works, but know it).
    cure: one command or one sentence, empty where nothing is to be done.
    """

    subject: str
    state: State
    found: str
    cure: str = ""


def checks() -> list[Check]:
    """All checks of this machine, in the order in which they are shown; touches no network."""
    return [*_software_and_processor(), *_devices(), *_storage(), *_images(), *_programs(), *_runtimes()]


def render(found: list[Check]) -> Table:
    """The checks as a table for rich's console."""
    table = Table("", "subject", "found", "what to do", title="paperlib doctor", title_justify="left")
    for check in found:
        # Text, not markup: a path or a command may hold square brackets.
        table.add_row(Text(check.state, _STYLE[check.state]), *map(Text, (check.subject, check.found, check.cure)))
    return table


def cpu_limit(groups: Path = Path("/sys/fs/cgroup")) -> float | None:
    """CPUs that this process's control group may use at once (versions 1 and 2), None for no limit."""
    try:
        if (new := groups / "cpu.max").is_file():
            quota, period = new.read_text(encoding="utf-8").split()[:2]
        else:
            files = (groups / "cpu" / f"cpu.cfs_{name}_us" for name in ("quota", "period"))
            quota, period = (file.read_text(encoding="utf-8").strip() for file in files)
    except OSError:
        return None
    return None if quota in {"max", "-1"} else int(quota) / int(period)


def _software_and_processor() -> Iterator[Check]:
    import torch

    yield Check("Python", "ok", f"{platform.python_version()} on {platform.platform(terse=True)}")
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU only"
    yield Check("torch", "ok", f"{torch.__version__} ({build})")
    cpu = torch.cpu.get_capabilities()
    usable, limit = cores(), cpu_limit()
    allowed = usable if limit is None else min(usable, max(1, math.floor(limit)))
    threads = torch.get_num_threads()
    capped = "" if limit is None else f", limited to {limit:g} by the control group"
    name = cpu.get("cpu_name", "unknown CPU")
    text = f"{name}: {usable} logical CPUs usable{capped}; torch uses {threads} threads"
    cure = f"export OMP_NUM_THREADS={allowed}"
    yield Check("CPU", "lack", text, cure) if threads > allowed else Check("CPU", "ok", text)
    bf16 = ", ".join(name for name in ("avx512_bf16", "amx_bf16", "bf16") if cpu.get(name))
    emulated = "no such instructions: bf16 works but is emulated, expect it to be slow"
    yield Check("bf16 on cpu", "ok", bf16) if bf16 else Check("bf16 on cpu", "note", emulated)


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
        cure = "export PAPERLIB_GRID=ITA" if "PAPERLIB_GRID" in str(error) else "paperlib calibrate"
        yield Check("meters", "lack", str(error), cure)
        return
    for fact in dict.fromkeys(facts):
        if fact.name == "CO2":
            yield Check("CO2", "ok", fact.found, "for another grid: export PAPERLIB_GRID=DEU (three-letter code)")
        else:
            cure = RAPL_CURE if RAPL_FORBIDDEN in fact.found and not fact.real else ""
            yield Check(fact.name, "ok" if fact.real else "note", fact.found, cure)


def _storage() -> Iterator[Check]:
    try:
        if paths.project() is None:
            lies = "not here: notebooks and committed results lie in it; own trials run anywhere"
            yield Check("checkout", "note", lies, "cd into it, or export PAPERLIB_ROOT=/its/folder")
        folder = Layout.of("quick").results
    except PaperlibError as error:
        cure = "cd into the checkout; mend or unset PAPERLIB_ROOT and PAPERLIB_OUTPUT"
        yield Check("results folder", "lack", str(error), cure)
        return
    there = next(p for p in (folder, *folder.parents) if p.exists())
    cure = "export PAPERLIB_OUTPUT=/a/folder/of/yours"
    writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    lacking = Check("results folder", "lack", f"{there} cannot be written", cure)
    yield Check("results folder", "ok", f"{folder} can be written") if writable else lacking
    free = shutil.disk_usage(there).free / 1e9
    cure = f"free at least {FREE_GB} GB on the disk of {there}"
    enough = Check("disk", "ok", f"{free:.0f} GB free")
    yield enough if free >= FREE_GB else Check("disk", "lack", f"{free:.1f} GB free", cure)


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
        text = f"{row.source}, {row.counts[0]} training and {row.counts[2]} test images: {row.where}"
        state: State = "ok" if row.source == "official" else "lack" if row.source == "stand-in" else "note"
        yield Check(f"images: {row.name}", state, text, "" if state == "ok" else row.cure)


def _programs() -> Iterator[Check]:
    for name, purpose in PROGRAMS.items():
        path, lacking = shutil.which(name), f"not here; optional: it {purpose}"
        yield Check(f"program {name}", "ok", path) if path else Check(f"program {name}", "note", lacking)


def _runtimes() -> Iterator[Check]:
    for name, extra in PACKAGES.items():
        with suppress(PackageNotFoundError):
            yield Check(f"runtime {name}", "ok", version(name))
            continue
        cure = f"pip install {name}, or in the checkout pip install -e '.[{extra}]'"
        yield Check(f"runtime {name}", "note", "not here; optional: it runs exported networks", cure)


def command() -> None:
    """Say what this machine has, which meters are real, which images are here, and the cure for each lack."""
    from paperlib.core.progress import wide_console

    wide_console().print(render(checks()))
