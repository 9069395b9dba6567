"""The CI examples run targets and keep folders which exist; `make clean` spares what is committed; what a run did not
test, it says at its end."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

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


CASES = """
import pytest

@pytest.mark.skipif(True, reason="no sun here; to have it tested: wait for the morning")
@pytest.mark.parametrize("hour", range(3))
def test_sun(hour): ...

def test_rain():
    {rain}
"""


@pytest.fixture
def weather(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = cases\naddopts = -q\n")
    (tmp_path / "cases").mkdir()
    return tmp_path


def last_lines(folder: Path, source: str, *words: str) -> list[str]:
    (folder / "cases" / "test_weather.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-p", "tests.not_tested", "-p", "no:cacheprovider", *words]
    # Loading every plugin that is installed takes most of the time.
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return ran.stdout.splitlines()[-3:]


def test_a_run_ends_with_what_it_did_not_test_and_how_to_have_it_tested(weather: Path) -> None:
    line = "NOT TESTED: 3 tests of cases/test_weather.py: no sun here; to have it tested: wait for the morning"
    *_, said, count = last_lines(weather, CASES.format(rain="pass"))
    assert said == line and count.startswith("1 passed, 3 skipped")
    *_, said, count = last_lines(weather, CASES.format(rain="assert False"), "-p", "xdist", "-n", "2")
    assert said == line and count.startswith("1 failed, 3 skipped")
    *_, said, part, count = last_lines(weather, CASES.format(rain="pass"), "-k", "rain or sun")
    assert said == line and "make test" in part and count.startswith("1 passed, 3 skipped")
    *_, said, count = last_lines(weather, "def test_rain(): ...\n")
    assert said == "Everything was tested: no test was skipped." and count.startswith("1 passed")


def test_every_reason_to_skip_says_how_to_have_it_tested() -> None:
    sources = [(p, p.read_text()) for p in sorted((ROOT / "tests").rglob("*.py")) if p != Path(__file__)]
    reasons = [(p.name, r) for p, text in sources for r in re.findall(r"skip(?:if)?\((.*?)\)\n", text, re.DOTALL)]
    assert len(reasons) >= 5
    assert [(name, reason) for name, reason in reasons if "{TO_TEST}" not in reason] == []


def test_ci_says_in_one_line_that_no_browser_can_be_had(tmp_path: Path) -> None:
    def browser() -> str:
        command = [shutil.which("bash") or "bash", str(ROOT / ".ci" / "browser")]
        return subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True).stdout

    def program(name: str, line: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)

    assert re.fullmatch("Browser: NOT TESTED, .*no apt-get.*; to have it tested, .*\n", browser())
    program("apt-get", "echo reading >&2; echo no such host >&2; exit 100")
    program("id", "echo 1000")
    assert "only root can install it" in browser()
    program("id", "echo 0")
    program("timeout", 'shift; "$@"')
    assert re.fullmatch(r"Browser: NOT TESTED, .*\(no such host\).*\n", browser())
    program("apt-get", f"printf '#!/bin/sh\\n' > {tmp_path}/chromium; /bin/chmod +x {tmp_path}/chromium")
    assert browser() == ""


def test_container_and_fresh_machine_install_what_the_readme_says(tmp_path: Path) -> None:
    readme, docker = ((ROOT / name).read_text() for name in ("README.md", "Dockerfile"))
    (said,) = re.findall(r"`apt-get install ([^`]+)`", readme)
    assert re.findall(r"apt-get install -y --no-install-recommends (.+?) &&", docker) == [said]
    assert re.findall(r"^RUN (?!apt-get)(.+)$|^CMD (.+)$", docker, re.MULTILINE) == [
        ("make setup", ""),
        ("", '["make", "reproduce"]'),
    ]
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert (ROOT / ".devcontainer" / container["build"]["dockerfile"]).resolve() == ROOT / "Dockerfile"
    assert f" AS {container['build']['target']}\n" in docker and container["postCreateCommand"] == "make setup"

    def fresh() -> tuple[int, str]:
        command = [shutil.which("bash") or "bash", str(ROOT / ".ci" / "fresh")]
        environment = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return ran.returncode, ran.stdout

    def program(name: str, line: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)

    program("dirname", f"echo {ROOT / '.ci'}")
    for name, line, why in (
        ("id", "echo 1000", "only root"),
        ("id", "echo 0", "no apt-get here"),
        ("apt-get", "echo reading >&2; echo no such host >&2; exit 100", "no such host"),
    ):
        program(name, line)
        program("timeout", 'shift; "$@"')
        code, told = fresh()
        assert code == 3 and re.fullmatch("Fresh machine: NOT TESTED, .*; to have it tested, .*\n", told)
        assert why in told
