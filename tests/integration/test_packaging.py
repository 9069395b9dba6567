"""pyproject.toml, requirements.lock and environment.yml describe one environment."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, version

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins(name: str) -> dict[str, str]:
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
    return {str(canonicalize_name(line.split("==")[0])): line.split("==")[1] for line in lines}


LOCK, CLUSTER = pins("requirements.lock"), pins("requirements-cluster.lock")
EXTRAS = PROJECT["optional-dependencies"]
DIRECT = [Requirement(r) for r in PROJECT["dependencies"] + EXTRAS["dev"] + EXTRAS["fast"]]


@pytest.mark.parametrize("requirement", DIRECT, ids=str)
def test_the_lock_pins_every_direct_dependency_within_its_range(requirement: Requirement) -> None:
    pinned = LOCK[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(pinned)
    assert version(requirement.name).split("+")[0] == pinned, "the environment is not the locked one: make setup"


def imported(folder: str) -> set[str]:
    """Names of the foreign top-level modules that the code below `folder` imports, at any depth."""
    names: set[str] = set()
    for node in (n for f in (ROOT / folder).rglob("*.py") for n in ast.walk(ast.parse(f.read_text()))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module.split(".")[0])
    own = {"paperlib", "tests", "soak", *(f.stem for f in (ROOT / folder).glob("*.py"))}
    return names - own - set(sys.stdlib_module_names)


@pytest.mark.parametrize(
    ("folder", "kinds"), [("paperlib", ["fast"]), ("soak", ["dev"]), ("benchmarks", ["dev"]), ("tests", ["dev"])]
)
def test_every_import_is_declared(folder: str, kinds: list[str]) -> None:
    declared = PROJECT["dependencies"] + [r for kind in kinds for r in EXTRAS[kind]]
    names = {canonicalize_name(Requirement(r).name) for r in declared}
    homes = packages_distributions()
    found = imported(folder)
    assert found
    undeclared = {m for m in found if not names & {canonicalize_name(d) for d in homes.get(m, [])}}
    assert not undeclared, f"{folder} imports what pyproject.toml does not name"


def test_the_cluster_lock_pins_its_extra_and_only_adds() -> None:
    for requirement in map(Requirement, EXTRAS["cluster"]):
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
