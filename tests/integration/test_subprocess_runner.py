"""Trials in a process of their own: a crash is survived, an error comes through, a third crash ends it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from paperlib.core.errors import FailedError, PaperlibError
from paperlib.core.paths import Layout
from paperlib.schema.trial import Trial, make_trial
from paperlib.trials import subprocess_runner
from paperlib.trials.store import Store
from paperlib.trials.subprocess_runner import run_in_subprocess

SMALL = {"epochs": 1, "train_images": 300, "test_images": 100, "batch_size": 32}


def crashes_until_third(trials: list[Trial], layout: Layout, done: object, after_s: float) -> None:
    """Stands for `_work`: a native crash twice, then the real thing."""
    mark = layout.results / "crashes"
    mark.parent.mkdir(parents=True, exist_ok=True)
    with mark.open("a") as file:
        file.write("x")
    if len(mark.read_text()) < subprocess_runner.CRASHES:
        os.kill(os.getpid(), signal.SIGABRT)
    WORK(trials, layout, done, after_s)  # type: ignore[arg-type]


def crashes_always(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


WORK = subprocess_runner._work


def test_trials_run_and_the_impossible_is_said(layout: Layout) -> None:
    trial = make_trial(**SMALL)
    run_in_subprocess([trial], layout)
    record = Store(layout).get(trial.id)
    assert record is not None and record.status == "done"
    with pytest.raises(PaperlibError, match="empty"):
        run_in_subprocess([make_trial(**SMALL, method="pre-training", sparsity=0.9999)], layout)


def test_two_crashes_are_survived(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(subprocess_runner, "_work", crashes_until_third)
    trial = make_trial(**SMALL)
    run_in_subprocess([trial], layout)
    assert Store(layout).get(trial.id) is not None
    assert capfd.readouterr().err.count("died (exit code -6") == 2


def test_a_killed_parent_takes_its_trials_with_it(layout: Layout) -> None:
    code = (
        "from paperlib.core.paths import Layout; from paperlib.schema.trial import make_trial;"
        "from paperlib.trials.subprocess_runner import run_in_subprocess;"
        "run_in_subprocess([make_trial(epochs=100000, train_images=300)], Layout.of('x'))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    while not (layout.trials.parents[1] / "x" / "trials").exists():  # made right before the training starts
        assert parent.poll() is None
        time.sleep(0.05)
    children = psutil.Process(parent.pid).children(recursive=True)
    assert children
    parent.kill()
    parent.wait()
    assert psutil.wait_procs(children, timeout=60)[1] == []


def test_the_third_crash_ends_it_with_one_line(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess_runner, "_work", crashes_always)
    with pytest.raises(FailedError, match="crashed 3 times"):
        run_in_subprocess([make_trial(**SMALL)], layout)


def test_nothing_starts_when_all_is_done(layout: Layout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trial = make_trial(**SMALL)
    run_in_subprocess([trial], layout)
    monkeypatch.setattr(subprocess_runner, "get_context", lambda _: pytest.fail("started a process"))
    run_in_subprocess([trial], layout)
