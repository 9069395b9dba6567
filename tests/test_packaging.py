"""pyproject.toml, requirements.lock and environment.yml describe one environment."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins(name: str) -> dict[str, str]:
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
    return {str(canonicalize_name(line.split("==")[0])): line.split("==")[1] for line in lines}


LOCK, CLUSTER = pins("requirements.lock"), pins("requirements-cluster.lock")
DIRECT = [Requirement(r) for r in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]]


@pytest.mark.parametrize("requirement", DIRECT, ids=str)
def test_the_lock_pins_every_direct_dependency_within_its_range(requirement: Requirement) -> None:
    pinned = LOCK[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(pinned)
    assert version(requirement.name).split("+")[0] == pinned, "the environment is not the locked one: make setup"


def test_the_cluster_lock_pins_its_extra_and_only_adds() -> None:
    for requirement in map(Requirement, PROJECT["optional-dependencies"]["cluster"]):
        assert requirement.specifier.contains(CLUSTER[canonicalize_name(requirement.name)])
    assert not LOCK.keys() & CLUSTER.keys()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-cluster.lock"])
def test_a_lock_holds_nothing_but_pins(name: str) -> None:
    lines = [x for x in (ROOT / name).read_text().splitlines() if not x.startswith("#")]
    assert lines == sorted(lines, key=str.lower)
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)


def test_conda_users_get_the_same() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *plain, with_pip = environment["dependencies"]
    assert plain == [f"python{PROJECT['requires-python']}", "pip"]
    assert with_pip == {"pip": ["-r requirements.lock", "-e ."]}
    assert environment["name"] == PROJECT["name"]
