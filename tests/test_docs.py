"""The documentation: links lead somewhere, the example of a method runs, commands exist."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
import typer

from paperlib.cli import app
from paperlib.execution.realise import WAYS
from paperlib.paths import Layout
from paperlib.pruners import METHODS
from paperlib.run import run
from paperlib.trial import make_trial

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_and_their_options_exist(page: Path) -> None:
    tree = typer.main.get_command(app)
    for line in re.findall(r"paperlib ((?:[a-z-]+ ?)+(?: ?--?[^`#\n]*)?)", page.read_text()):
        words = line.split()
        command = tree.commands.get(words[0])  # type: ignore[attr-defined]
        if command is None:
            continue  # prose, not a command
        if hasattr(command, "commands") and len(words) > 1 and not words[1].startswith("-"):
            assert words[1] in command.commands, line
            command = command.commands[words[1]]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {w for w in words if w.startswith("--")} <= known, line


def examples() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "adding.md").read_text(), re.DOTALL)


def test_the_example_of_a_meter_meters(tmp_path: Path) -> None:
    _, source = examples()
    names: dict[str, Any] = {}
    exec(compile(source, "adding.md", "exec"), names)
    (tmp_path / "plug").write_text("50")
    meters = names["with_plug"](tmp_path / "plug")
    meters.energy.update_s = 0.0
    with meters.window() as window:
        time.sleep(0.01)
        (tmp_path / "plug").write_text("70")
    assert window.reading.energy_j == pytest.approx(60 * window.reading.time_s, rel=0.1)
    meters.energy.update_s = 1e9
    with meters.window() as window:
        pass
    assert window.reading.energy_j is None, "a window shorter than an update of the plug"


@pytest.mark.usefixtures("tiny_images")
def test_the_example_of_a_method_is_a_method(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    source, _ = examples()
    monkeypatch.setattr(METHODS, "_things", dict(METHODS._things))
    exec(compile(source, "adding.md", "exec"), {})
    record = run(make_trial(method="largest", sparsity=0.5, epochs=2, batch_size=16), layout)
    assert record.status == "done" and record.network is not None
    assert record.network.scope_sparsity == pytest.approx(0.5, abs=0.01)


def test_the_table_of_ways_is_the_one_in_code() -> None:
    table = (ROOT / "docs/measuring.md").read_text().partition("## What each way")[2]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| `")]
    written = {name: row for row in rows for name in re.findall(r"`([a-z0-9+]+)`", row[0])}
    assert written.keys() == set(WAYS)
    for name, row in written.items():
        assert (row[2].strip() == "yes") == WAYS[name].exact
        assert (row[4].strip() == "any") == ("cuda" in WAYS[name].devices)
