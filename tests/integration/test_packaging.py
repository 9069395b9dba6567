"""pyproject.toml, requirements.lock and environment.yml describe one environment."""

import ast
import inspect
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from importlib import import_module
from importlib.metadata import distributions, entry_points, packages_distributions, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins(name: str) -> dict[str, str]:
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
    return {str(canonicalize_name(line.split("==")[0])): line.split("==")[1] for line in lines}


LOCK, CLUSTER = pins("requirements.lock"), pins("requirements-cluster.lock")
EXTRAS = PROJECT["optional-dependencies"]
LOCKED = [name for name in EXTRAS if name not in {"cluster", "openvino", "rivals"}]
DIRECT = [Requirement(r) for r in PROJECT["dependencies"] + [r for name in LOCKED for r in EXTRAS[name]]]


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
    ("folder", "kinds"),
    [
        ("paperlib", ["notebooks", "export", "render", "fast", "openvino", "crate"]),
        *((folder, LOCKED) for folder in ("soak", "tests")),
        ("benchmarks", [*LOCKED, "rivals"]),
    ],
)
def test_every_import_is_declared(folder: str, kinds: list[str]) -> None:
    declared = PROJECT["dependencies"] + [r for kind in kinds for r in EXTRAS[kind]]
    names = {canonicalize_name(Requirement(r).name) for r in declared}
    homes = packages_distributions()
    found = imported(folder)
    assert found
    undeclared = {m for m in found if not names & {canonicalize_name(d) for d in homes.get(m, [m])}}
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


def test_the_lock_is_one_for_every_python_that_the_project_takes() -> None:
    """Debian 12 has Python 3.11.2; what is installed here in another version is not looked at."""
    oldest = PROJECT["requires-python"].removeprefix(">=") + ".0"
    installed = {canonicalize_name(d.name): d for d in distributions()}
    here = [installed[name] for name, pin in LOCK.items() if name in installed and installed[name].version == pin]
    assert len(here) > len(LOCK) / 2
    refused = {d.name for d in here if not SpecifierSet(d.metadata.get("Requires-Python") or "").contains(oldest)}
    assert refused == set()


def test_the_installed_command_is_a_function() -> None:
    module, _, name = PROJECT["scripts"]["paperlib"].partition(":")
    assert inspect.isfunction(getattr(import_module(module), name))
    (script,) = entry_points(group="console_scripts", name="paperlib")
    assert inspect.isfunction(script.load()), "an older install: make setup"


def test_conda_users_get_the_same() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *plain, with_pip = environment["dependencies"]
    assert plain == [f"python{PROJECT['requires-python']}", "pip"]
    assert with_pip == {"pip": ["-r requirements.lock", "-e ."]}
    assert environment["name"] == PROJECT["name"]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """An interpreter that has the wheel and the locked environment but neither this checkout nor its variables."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(ROOT / "paperlib", source / "paperlib", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", "..", "."]
    subprocess.run(command, cwd=source, check=True, timeout=300)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "bare", symlinks=True)
    (packages,) = (folder / "bare" / "lib").glob("python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    # Other distributions only: a `.pth` in that folder, such as that of this checkout, is not read from there.
    (packages / "locked.pth").write_text(sysconfig.get_path("purelib") + "\n")
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PAPERLIB", "PYTHON", "COV"))}
    return folder / "bare" / "bin" / "python", own


def call(bare: tuple[Path, dict[str, str]], folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    python, variables = bare
    own = variables | {"PAPERLIB_CACHE": str(folder / "cache"), "PAPERLIB_DEVICE": "cpu"}
    command = [str(python), "-m", "paperlib", *words]
    return subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, check=False, timeout=600)


def test_the_wheel_works_outside_the_checkout(bare: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    python, variables = bare
    where = [str(python), "-c", "import paperlib; print(paperlib.__file__)"]
    place = subprocess.run(where, cwd=tmp_path, env=variables, capture_output=True, text=True, check=True).stdout
    assert str(python.parents[1]) in place
    ran = call(bare, tmp_path, "run", "--epochs", "1", "--train-images", "200", "--test-images", "100")
    assert ran.returncode == 0 and len(list((tmp_path / "results" / "scratch" / "trials").glob("*.json"))) == 1
    assert "needs costs" in call(bare, tmp_path, "claims", "C46", "--profile", "scratch").stdout
    assert "1 trials" in call(bare, tmp_path, "findings", "--profile", "scratch").stdout
    planned = call(bare, tmp_path, "plan", "--profile", "smoke", "--only", "05")
    assert planned.returncode == 0 and "tables and figures" in planned.stdout, planned.stderr


@pytest.mark.parametrize("words", ["claims", "findings", "reproduce --profile smoke", "reference laptop"])
def test_where_the_wheel_ends_is_one_line(words: str, bare: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    ended = call(bare, tmp_path, *words.split())
    assert ended.returncode == 2 and ended.stderr.splitlines()[-1].startswith("paperlib: no project folder here")
