"""Signals, full disks, memory limits, odd paths and clocks: one line, nothing half-written, the next run completes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from paperlib.core.paths import Layout
from paperlib.schema.record import Record
from paperlib.schema.trial import Trial
from paperlib.trials.differences import list_differences
from paperlib.trials.runner import run
from paperlib.trials.store import Store

WORDS = ("run", "--epochs", "2", "--train-images", "300", "--test-images", "100")
# No mirror and an empty cache, so that every trial takes the packaged digits, whatever this machine has.
QUIET = {"PAPERLIB_DATA": "", "PAPERLIB_DEVICE": "cpu", "OMP_NUM_THREADS": "1"}


def start(folder: Path, *words: str, limit: tuple[str, ...] = (), **variables: str) -> subprocess.Popen[str]:
    own = {"PAPERLIB_OUTPUT": str(folder), "PAPERLIB_CACHE": str(folder / "cache")}
    environment = os.environ | QUIET | own | variables
    # Where the tests themselves run in the background of a shell, their children would ignore Ctrl-C.
    command = ["env", "--default-signal=INT", *limit, sys.executable, "-m", "paperlib", *words]
    return subprocess.Popen(command, env=environment, text=True, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    try:
        _, said = process.communicate(timeout=300)
    finally:
        process.kill()  # nothing goes on when the test is over
    assert "Traceback" not in said
    return process.returncode, said


def only_record(folder: Path) -> Record:
    store = Store(Layout(folder / "results" / "scratch", folder))
    assert not list(store.layout.trials.glob(".*")), "a half-written file was left"
    (record,) = store.records()
    return record


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """The record of an undisturbed run of WORDS."""
    folder = tmp_path_factory.mktemp("calm")
    assert finish(start(folder, *WORDS))[0] == 0
    return only_record(folder)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_clean_with_a_hint_and_the_next_run_completes(
    sent: signal.Signals, code: int, tmp_path: Path, calm: Record
) -> None:
    process = start(tmp_path, "run", "--epochs", "100000", "--train-images", "300", "--test-images", "100")
    trials = tmp_path / "results" / "scratch" / "trials"
    while not trials.exists():  # made right before the training starts
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(sent)
    ended, said = finish(process)
    assert ended == code and "goes on where this one stopped" in said.splitlines()[-1]
    assert not list(trials.iterdir())
    assert finish(start(tmp_path, *WORDS))[0] == 0
    assert list_differences(calm, only_record(tmp_path)) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, calm: Record) -> None:
    ended, said = finish(start(tmp_path, *WORDS, limit=("prlimit", "--fsize=1000")))
    assert ended == 2 and "free some space" in said.splitlines()[-1]
    assert not list((tmp_path / "results" / "scratch" / "trials").iterdir())
    assert finish(start(tmp_path, *WORDS))[0] == 0
    assert list_differences(calm, only_record(tmp_path)) == []


def test_too_little_memory_is_one_line(tmp_path: Path) -> None:
    # The limit comes into force after the imports, which alone need gigabytes of address space.
    code = (
        "import sys, resource, psutil, paperlib.trials.runner; from paperlib.cli import main;"
        "now = psutil.Process().memory_info().vms; resource.setrlimit(resource.RLIMIT_AS, (now + 2**27,) * 2); main()"
    )
    words = ("--model", "mlp-medium", "--epochs", "1", "--train-images", "300", "--test-images", "100", "--width", "4")
    environment = os.environ | QUIET | {"PAPERLIB_OUTPUT": str(tmp_path)}
    command = [sys.executable, "-c", code, "run", *words]
    ended = subprocess.run(command, env=environment, text=True, capture_output=True, check=False, timeout=300)
    assert ended.returncode == 1 and "Traceback" not in ended.stderr, ended.stderr
    assert "memory" in ended.stderr.splitlines()[-1]
    assert not list((tmp_path / "results" / "scratch" / "trials").iterdir())


def test_paths_locale_and_time_zone_change_no_number(tmp_path: Path, calm: Record) -> None:
    folder = tmp_path / 'résultats d\'été "b" 数'
    folder.mkdir()
    odd = {"LC_ALL": "C", "LANG": "tr_TR.UTF-8", "TZ": "Pacific/Kiritimati", "PYTHONUTF8": "0"}
    ended, said = finish(start(folder, *WORDS, PAPERLIB_CACHE=str(folder / "zwischen lager"), **odd))
    assert ended == 0, said
    assert list_differences(calm, only_record(folder)) == []


def test_two_runs_at_once_on_one_store_leave_one_right_record(tmp_path: Path, calm: Record) -> None:
    both = [start(tmp_path, *WORDS) for _ in range(2)]
    assert [finish(process)[0] for process in both] == [0, 0]
    assert list_differences(calm, only_record(tmp_path)) == []


@pytest.mark.usefixtures("tiny_images")
def test_a_clock_set_back_makes_no_negative_time(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(2_000_000_000, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(now)))
    record = run(Trial(epochs=2, batch_size=16), layout)
    assert record.train_s is not None and 0 <= record.train_s < 60
    assert all(0 <= epoch.time_s < 60 for epoch in record.curve)


@pytest.mark.usefixtures("tiny_images")
def test_a_read_only_folder_is_said_before_any_work(layout: Layout, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        # Root may write anywhere but in the kernel's own file system.
        layout = Layout(Path("/proc/paperlib"), tmp_path)
    else:
        tmp_path.chmod(0o500)
    from paperlib.core.errors import PaperlibError

    with pytest.raises(PaperlibError, match="cannot write"):
        run(Trial(epochs=2, batch_size=16), layout)


@pytest.mark.usefixtures("tiny_images")
def test_a_damaged_checkpoint_is_named_with_its_cure(layout: Layout) -> None:
    from safetensors.torch import save_file
    from torch import zeros

    from paperlib.core.errors import PaperlibError

    dense = run(Trial(epochs=2, batch_size=16), layout)
    weights = layout.checkpoints / f"{dense.id}.safetensors"
    whole = weights.read_bytes()
    pruned = Trial(epochs=2, batch_size=16, method="post-training", sparsity=0.5)
    save_file({"1.weight": zeros(2, 2)}, weights)
    with pytest.raises(PaperlibError, match="damaged checkpoint"):
        run(pruned, layout)
    weights.write_bytes(whole[:100])
    with pytest.raises(PaperlibError, match="delete it"):
        run(pruned, layout)
    weights.unlink()
    record = run(pruned, layout)
    assert record.status == "done" and weights.read_bytes() == whole
