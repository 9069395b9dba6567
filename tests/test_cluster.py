"""Batches; snakemake on this machine and on a real Slurm give the records of a plain run, also after faults.

The last two need snakemake (`make cluster`) and a running Slurm (`.ci/slurm start`); where they are missing the
tests are skipped and `-rs` in pyproject.toml prints why.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from paperlib import studies
from paperlib.batches import batches
from paperlib.comparing import differences
from paperlib.paths import Layout
from paperlib.record import Record
from paperlib.run import dense_twin, run_all
from paperlib.store import Store

ROOT = Path(__file__).parents[1]
SNAKEMAKE = os.environ.get("SNAKEMAKE") or shutil.which("snakemake")
TRIALS = studies.mlp("smoke") + studies.quirks("smoke")


def slurm_is_up() -> bool:
    if not shutil.which("sinfo"):
        return False
    found = subprocess.run(["sinfo", "-h", "-o", "%t"], capture_output=True, text=True, check=False)
    return found.returncode == 0 and found.stdout.strip() in {"idle", "mix", "alloc"}


needs_snakemake = pytest.mark.skipif(not SNAKEMAKE, reason="NOT TESTED: no snakemake here; make cluster")
needs_slurm = pytest.mark.skipif(not slurm_is_up(), reason="NOT TESTED: no Slurm here; .ci/slurm start (as root)")


@pytest.mark.parametrize("count", [1, 3, 8, 1000])
def test_batches_hold_every_trial_once_and_keep_families_together(count: int) -> None:
    found = batches(TRIALS, count)
    assert sorted(t.id for batch in found for t in batch) == sorted({t.id for t in TRIALS})
    assert all(found) and len(found) <= count
    home = {dense_twin(t): n for n, batch in enumerate(found) for t in batch}
    assert all(home[dense_twin(t)] == n for n, batch in enumerate(found) for t in batch)
    assert found == batches(TRIALS[::-1][::-1], count)


def command(folder: Path, *words: str) -> tuple[list[str], dict[str, str]]:
    """snakemake on the trials of smoke, with this python's paperlib."""
    assert SNAKEMAKE is not None
    here = f"{sys.executable} -m paperlib"
    variables = {"PAPERLIB_OUTPUT": str(folder), "PYTHONPATH": str(ROOT), "PAPERLIB_DEVICE": "cpu"}
    goals = [f"{folder}/results/smoke/jobs/trials-{n}-of-2.done" for n in range(2)]
    call = [SNAKEMAKE, "-s", str(ROOT / "Snakefile"), "--directory", str(folder), *words, "--config", "profile=smoke"]
    return [*call, "batches=2", f"paperlib={here}", "--", *goals], os.environ | variables


def records(folder: Path) -> list[Record]:
    return Store(Layout(folder / "results" / "smoke", folder)).records()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """The records of the same trials by one call in this process."""
    folder = tmp_path_factory.mktemp("plain")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAPERLIB_DEVICE", "cpu")
        run_all(TRIALS, Layout(folder / "results" / "smoke", folder))
    return records(folder)


def same(found: list[Record], expected: list[Record]) -> bool:
    assert [r.id for r in found] == [r.id for r in expected], "a record is lost or there twice"
    return not [d for a, b in zip(expected, found, strict=True) for d in differences(a, b)]


@needs_snakemake
def test_snakemake_on_this_machine_gives_the_same_records(tmp_path: Path, plain: list[Record]) -> None:
    words, environment = command(tmp_path, "--cores", "2")
    subprocess.run(words, env=environment, check=True, timeout=900, capture_output=True)
    assert same(records(tmp_path), plain)


@needs_snakemake
@needs_slurm
def test_slurm_with_a_cancelled_job_and_a_node_down_loses_nothing(tmp_path: Path, plain: list[Record]) -> None:
    words, environment = command(tmp_path, "--profile", str(ROOT / "profiles" / "slurm"))
    log = (tmp_path / "log").open("w")
    node = subprocess.check_output(["sinfo", "-h", "-o", "%n"], text=True).strip()
    faults = [["scancel", "-u", "root"], ["scontrol", "update", f"nodename={node}", "state=down", "reason=test"]]
    for fault in faults:
        running = subprocess.Popen(words, env=environment, stdout=log, stderr=log)
        before = len(records(tmp_path))
        until = time.monotonic() + 200
        while len(records(tmp_path)) < before + 3 and time.monotonic() < until:
            time.sleep(0.5)
        subprocess.run(fault, check=True)
        running.terminate()
        running.wait(timeout=120)
        subprocess.run(["scancel", "-u", "root"], check=True)
        # A node that was set down comes back by itself (ReturnToService=2) or by resume.
        subprocess.run(["scontrol", "update", f"nodename={node}", "state=resume"], check=False, capture_output=True)
        time.sleep(5)
        assert len(records(tmp_path)) >= before + 3, "the fault did not strike a running job"
    subprocess.run([*words[:1], "--unlock", *words[1:]], env=environment, check=True, stdout=log, stderr=log)
    subprocess.run(words, env=environment, check=True, timeout=900, stdout=log, stderr=log)
    assert same(records(tmp_path), plain)
