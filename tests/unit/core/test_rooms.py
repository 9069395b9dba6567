"""The package's rooms: nothing else at its top level, imports in one direction, no circles, no long file."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter

from tests.conftest import ROOT

PACKAGE = ROOT / "paperlib"
# A room imports from those before it.
ROOMS = (
    "core", "schema", "data", "models", "pruners", "meters", "execution", "trials", "costs", "studies", "claims",
    "exhibits", "report", "cli",
)  # fmt: skip
FILES = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}


def imports(module: str) -> Iterator[str]:
    """The modules of this package that a module imports, at any depth of its code."""
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "paperlib":
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield next(
                    name for name in (full, f"{full}.__init__", node.module, f"{node.module}.__init__") if name in FILES
                )


def test_the_top_level_holds_the_rooms_alone() -> None:
    entries = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert entries == {*ROOMS, "__init__.py", "__main__.py"}


def test_a_room_imports_only_from_those_before_it() -> None:
    backward = [
        f"{module} -> {other}"
        for module in FILES
        for other in imports(module)
        if module.split(".")[1] in ROOMS and other.split(".")[1] in ROOMS
        if ROOMS.index(other.split(".")[1]) > ROOMS.index(module.split(".")[1])
    ]
    assert backward == []


def test_there_are_no_circles() -> None:
    graph = {module: {other for other in imports(module) if other != module} for module in FILES}
    TopologicalSorter(graph).prepare()


def test_no_file_is_long() -> None:
    assert [module for module, path in FILES.items() if len(path.read_text().splitlines()) > 300] == []
