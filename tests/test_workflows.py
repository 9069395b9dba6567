"""The CI examples run targets and keep folders which exist; `make clean` spares what is committed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def steps(flow: Path) -> list[dict[str, object]]:
    return [step for job in yaml.safe_load(flow.read_text())["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("flow", FLOWS, ids=lambda p: p.stem)
def test_a_workflow_runs_targets_that_the_makefile_has(flow: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = [str(step["run"]) for step in steps(flow) if "run" in step]
    assert commands and all(step.get("run") or step.get("uses") for step in steps(flow))
    for command in commands:
        program, *words = command.split()
        assert program == "make" and words and set(words) <= targets, command


def test_changes_are_tested_and_every_month_all_is_run() -> None:
    made = {flow.stem: yaml.safe_load(flow.read_text()) for flow in FLOWS}  # YAML 1.1 reads the key `on` as True
    assert {"push", "pull_request"} <= set(made["test"][True])
    (when,) = made["monthly"][True]["schedule"]
    assert re.fullmatch(r"\d+ \d+ 1 \* \*", when["cron"])
    assert "make reproduce" in [step.get("run") for step in steps(FLOWS[0])]


def test_clean_spares_what_is_committed(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    names = ("quick/records.tar.xz", "quick/kept.json", "laptop/kept.json", "laptop/tidy.csv", "laptop/tables/a.csv")
    kept = {tmp_path / "results" / name for name in names}
    made = {tmp_path / "results" / name for name in ("quick/tidy.csv", "laptop/trials/a.json", "smoke/kept.json")}
    for path in kept | made:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)
    assert {p for p in (tmp_path / "results").rglob("*") if p.is_file()} == kept
