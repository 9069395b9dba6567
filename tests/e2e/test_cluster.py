"""Snakemake on this machine and on a real Slurm give the records of a plain run, also after faults.

The last two need snakemake (`make cluster`) and a running Slurm (`.ci/slurm start`); where they are missing the
tests are skipped, and the run's last lines say so. All of them run the small study of cluster_study.py, in whole:
trials, notebooks, collation, report.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from paperlib.core.paths import Layout
from paperlib.schema.record import Record
from paperlib.trials.differences import TOLERANCES, list_differences
from paperlib.trials.store import Store
from tests.cluster_study import TRIALS, write_notebooks
from tests.conftest import ROOT
from tests.not_tested import TO_TEST

SNAKEMAKE = os.environ.get("SNAKEMAKE") or shutil.which("snakemake", path=Path(sys.executable).parent)


def slurm_is_up() -> bool:
    if not shutil.which("sinfo"):
        return False
    found = subprocess.run(["sinfo", "-h", "-o", "%t"], capture_output=True, text=True, check=False)
    return found.returncode == 0 and found.stdout.strip() in {"idle", "mix", "alloc"}


needs_snakemake = pytest.mark.skipif(not SNAKEMAKE, reason=f"no snakemake here{TO_TEST}make cluster")
needs_slurm = pytest.mark.skipif(not slurm_is_up(), reason=f"no Slurm here{TO_TEST}.ci/slurm start (as root)")


PAPERLIB = [sys.executable, "-m", "tests.cluster_study"]


def surroundings(folder: Path) -> dict[str, str]:
    """The small study, its notebooks and its results, all below `folder`."""
    write_notebooks(folder)
    own = {"PAPERLIB_OUTPUT": folder, "PAPERLIB_ROOT": folder, "PYTHONPATH": ROOT, "PAPERLIB_DATA": ""}
    own |= {"PAPERLIB_CACHE": folder / "cache"}
    return os.environ | {name: str(value) for name, value in own.items()}


def snakemake(folder: Path, *words: str) -> list[str]:
    """The whole graph of the small study, its trials in two batches."""
    assert SNAKEMAKE is not None
    call = [SNAKEMAKE, "-s", str(ROOT / "Snakefile"), "--directory", str(folder), *words]
    return [*call, "--config", "profile=smoke", "batches=2", f"paperlib={' '.join(PAPERLIB)}"]


def records(folder: Path) -> list[Record]:
    return Store(Layout(folder / "results" / "smoke", folder)).records()


def dates(folder: Path) -> dict[str, int]:
    """When each record was written."""
    return {path.stem: path.stat().st_mtime_ns for path in (folder / "results/smoke/trials").glob("*.json")}


def succeed(words: list[str], environment: dict[str, str]) -> str:
    finished = subprocess.run(words, env=environment, check=False, timeout=600, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr[-3000:]
    return finished.stdout


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """The records of `paperlib reproduce`."""
    folder = tmp_path_factory.mktemp("plain")
    succeed([*PAPERLIB, "reproduce", "--profile", "smoke"], surroundings(folder))
    return records(folder)


def same(found: list[Record], expected: list[Record]) -> bool:
    assert [r.id for r in expected] == sorted(t.id for t in TRIALS)
    assert [r.id for r in found] == [r.id for r in expected], "a record is lost or there twice"
    # Which networks train together hangs on where a job was cut, and their last digits on that.
    differences = [d for a, b in zip(expected, found, strict=True) for d in list_differences(a, b)]
    return not [d for d in differences if not d.within(TOLERANCES) and d.field != "engine"]


@needs_snakemake
def test_snakemake_on_this_machine_gives_the_same_records(tmp_path: Path, plain: list[Record]) -> None:
    tmp_path /= "d'été 1"
    words = [*snakemake(tmp_path, "--cores", "2"), "cores=1"]  # two batches at once, a core for each
    succeed(words, surroundings(tmp_path))
    found = records(tmp_path)
    assert same(found, plain)
    assert {len(r.place.cores) for r in found if r.place} == {r.environment.cores for r in found} == {1}
    assert (tmp_path / "results/smoke/report/index.html").exists()


def edges(mermaid: str) -> set[tuple[str, str]]:
    names = dict(re.findall(r"(id\d+)\[(.+)\]", mermaid))
    return {(names[a], names[b]) for a, b in re.findall(r"(id\d+) --> (id\d+)", mermaid)}


@needs_snakemake
def test_the_graph_in_the_documentation_is_the_snakefiles(tmp_path: Path) -> None:
    config = ["profile=quick", "batches=3", f"paperlib={sys.executable} -m paperlib"]
    words = [*snakemake(tmp_path)[:5], "--dag", "mermaid-js", "--config", *config]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PAPERLIB_OUTPUT": str(tmp_path)}
    drawn = succeed(words, environment)
    assert edges((ROOT / "docs" / "cluster.md").read_text()) == edges(drawn) != set()


def until(true: Callable[[], object], seconds: float = 400) -> None:  # generous: the machine may do other work
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)


def running_jobs() -> list[str]:
    return subprocess.check_output(["squeue", "-h", "-t", "R", "-o", "%i"], text=True).split()


@needs_snakemake
@needs_slurm
def test_slurm_with_a_cancelled_job_and_a_node_down_loses_nothing(
    tmp_path: Path, plain: list[Record], capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ("--slurm-init-seconds-before-status-checks", "3", "--seconds-between-status-checks", "2")
    words = snakemake(tmp_path, "--profile", str(ROOT / "profiles" / "slurm"), *quick)
    environment, log = surroundings(tmp_path), (tmp_path / "log").open("w")
    node = subprocess.check_output(["sinfo", "-h", "-o", "%n"], text=True).strip()
    update = ["scontrol", "update", f"nodename={node}"]

    def work(before: int) -> bool:
        return bool(running_jobs()) and len(dates(tmp_path)) >= before + 3

    first = subprocess.Popen(words, env=environment, stdout=log, stderr=log)
    try:
        until(lambda: work(0))
        cancelled, kept = running_jobs(), dates(tmp_path)
        subprocess.run(["scancel", *cancelled], check=True)
        until(lambda: work(len(kept)))  # the same call goes on: snakemake sends the job again
        struck, later = running_jobs(), dates(tmp_path)
        subprocess.run([*update, "state=down", "reason=test"], check=True)
        until(lambda: struck[0] not in running_jobs())
    finally:
        first.kill()  # the login node dies as well; SIGTERM would have it wait for its jobs
        first.wait()
        subprocess.run(["scancel", "-u", "root"], check=True)
        subprocess.run([*update, "state=resume"], check=False, capture_output=True)
    until(slurm_is_up)
    assert 0 < len(kept) < len(later) < len(TRIALS), "the faults did not strike in the middle"
    subprocess.run([*words, "--unlock"], env=environment, check=True, stdout=log, stderr=log)
    subprocess.run(words, env=environment, check=True, timeout=400, stdout=log, stderr=log)
    now = dates(tmp_path)
    assert same(records(tmp_path), plain)
    assert now == now | later and later == later | kept, "a record was lost or made twice"
    counts = f"{len(kept)} records when {len(cancelled)} job was cancelled, {len(later)} when the node went down"
    with capsys.disabled():
        print(f"\nSlurm: {counts} under {len(struck)} job, {len(now)} of {len(TRIALS)} after a rerun; lost 0, double 0")
