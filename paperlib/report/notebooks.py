"""Executes the notebooks with papermill, one process each, and only when something changed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from paperlib.core import paths
from paperlib.core.errors import FailedError, PaperlibError
from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.core.progress import afterwards
from paperlib.core.registry import unknown
from paperlib.meters.carbon import grid
from paperlib.report import schedule
from paperlib.report.freshness import fingerprint, is_current, mark_current
from paperlib.report.notebook_links import END, TOP, link, written
from paperlib.report.schedule import NOTEBOOK_S
from paperlib.studies import sections
from paperlib.studies.costs import run_cost_study
from paperlib.studies.sections import COLLATION, Notebook
from paperlib.trials.environment import cores
from paperlib.trials.subprocess_runner import run_in_subprocess

# Drawing takes one core; a notebook that trains waits for its turn (`exclusive_resources`).
SIDE_BY_SIDE = min(2, cores())


def execute(
    only: Sequence[str] | None, profile: str, layout: Layout, parameters: Mapping[str, Any] | None = None
) -> list[Path]:
    """Run notebooks (all, or the numbers in `only`) into results/<profile>/notebooks/; returns their outputs.

    Their trials run first, here, where progress can be seen; the notebook then finds them done. A notebook
    whose source, parameters, package and records are unchanged is left as it is. Records that are not of the
    profile's study are moved into results/<profile>-tweaked, where notebooks with `parameters` are written, too.
    Raises PaperlibError for unknown numbers and parameters, FailedError for a cell that fails.
    """
    from paperlib.report.section_run import set_aside

    selected = sections.chosen(only)
    grid()  # a wrong PAPERLIB_GRID shows before anything runs
    given = {"profile": profile} | dict(parameters or {})
    targets = [_target(notebook, layout.tweaked if parameters else layout) for notebook in selected.values()]
    if not parameters and all(_is_unchanged(notebook, given, layout) for notebook in selected.values()):
        for notebook in selected.values():
            print(f"{notebook.name}: unchanged", file=sys.stderr)
        return targets
    for notebook in selected.values():
        _refuse_unknown(notebook, given)
    set_aside(layout, profile)
    if parameters:
        layout = layout.tweaked
    stages = _stages(selected, profile, layout) if not parameters else []
    for place, (_, work) in enumerate(stages, start=1):
        later = sum(seconds for seconds, _ in stages[place:])
        afterwards.set(later + NOTEBOOK_S * len(selected) / SIDE_BY_SIDE)
        work()
    # Only now, since all notebooks see all records; the collation last, since it sees the others' exhibits.
    for is_last in (False, True):
        group = [notebook for number, notebook in selected.items() if (number == COLLATION) == is_last]
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            ran = list(pool.map(lambda notebook: _refresh(notebook, given, layout), group))
        for notebook in (n for n, is_new in zip(group, ran, strict=True) if is_new):
            mark_current(_target(notebook, layout), _made_from(notebook, given, layout))
    return targets


def _stages(selected: Mapping[str, Notebook], profile: str, layout: Layout) -> list[tuple[float, Callable[[], object]]]:
    """What runs before the notebooks are executed, each with the seconds that it is expected to take."""
    stages: list[tuple[float, Callable[[], object]]] = []
    for number, notebook in selected.items():
        trials = sections.with_images(notebook.trials(profile), profile)
        stages.append((schedule.training_s(trials, layout), partial(run_in_subprocess, trials, layout)))
        timing_s = schedule.cpu_study_s(profile, layout) if number == sections.CPU_STUDY else 0.0
        stages.append((timing_s, partial(notebook.measure, profile, layout)))
    seconds = schedule.costs_s(profile, layout, *selected)
    return [*stages, (seconds, partial(run_cost_study, profile, layout, *selected))]


def _target(notebook: Notebook, layout: Layout) -> Path:
    return layout.notebooks / f"{notebook.name}.ipynb"


def _refresh(notebook: Notebook, parameters: Mapping[str, Any], layout: Layout) -> bool:
    """Execute a notebook if anything that it depends on has changed; whether it was executed."""
    target, is_new = _target(notebook, layout), not _is_unchanged(notebook, parameters, layout)
    print(f"{notebook.name}: {'running' if is_new else 'unchanged'}", file=sys.stderr, flush=True)
    if is_new:
        _execute(notebook, parameters, target)
        target.with_name(f"{notebook.name}.failed.ipynb").unlink(missing_ok=True)
    return is_new


def _is_unchanged(notebook: Notebook, parameters: Mapping[str, Any], layout: Layout) -> bool:
    # It was executed after its trials, so those are done, too.
    return is_current(_target(notebook, layout), _made_from(notebook, parameters, layout))


def _made_from(notebook: Notebook, parameters: Mapping[str, Any], layout: Layout) -> str:
    # Without nbformat, which takes seconds to import.
    cells = [cell for cell in json.loads(notebook.source.read_bytes())["cells"] if cell.get("id") not in {TOP, END}]
    text = "\n".join("".join(cell["source"]) for cell in cells)
    return fingerprint(layout, json.dumps(parameters, sort_keys=True, default=str).encode(), text.encode())


def keep_outputs(profile: str, layout: Layout) -> list[Path]:
    """Put the outputs of executed notebooks into their sources, to be committed; returns the sources.

    What papermill added goes: the injected cell and its metadata. The links between the notebooks are written
    anew. Raises PaperlibError if one did not run.
    """
    import nbformat

    for notebook in sections.NOTEBOOKS.values():
        target = _target(notebook, layout)
        if not target.exists():
            raise PaperlibError(f"{target} is not there: run `paperlib reproduce --profile {profile}` first")
        source, executed = (nbformat.read(path, as_version=4) for path in (notebook.source, target))
        new = [c for c in written(executed.cells) if "injected-parameters" not in c.metadata.get("tags", [])]
        old = written(source.cells)
        if [cell.source for cell in new] != [cell.source for cell in old]:
            raise PaperlibError(
                f"{notebook.name} changed since it ran: run `paperlib reproduce --profile {profile}` again"
            )
        for cell, executed_cell in zip(old, new, strict=True):
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = executed_cell.outputs, executed_cell.execution_count
        write_atomically(notebook.source, (nbformat.writes(source) + "\n").encode())
    sources = [notebook.source for notebook in sections.NOTEBOOKS.values()]
    link(sources)
    return sources


def _refuse_unknown(notebook: Notebook, parameters: Mapping[str, Any]) -> None:
    # papermill itself only warns about a parameter that the notebook does not have.
    import papermill

    names = list(papermill.inspect_notebook(str(notebook.source)))
    for name in parameters:
        if name not in names:
            raise unknown(f"parameter of {notebook.name}", name, names)


def _execute(notebook: Notebook, parameters: Mapping[str, Any], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}")
    command = [sys.executable, "-m", "papermill", str(notebook.source), str(draft), "--no-progress-bar"]
    command += ["--kernel", "python3", "--cwd", str(notebook.source.parent)]
    command += ["--parameters_yaml", json.dumps(dict(parameters))]  # JSON is YAML
    # The kernel `python3` of this environment, not one that the user may have installed elsewhere.
    environment = os.environ | {"JUPYTER_PREFER_ENV_PATH": "1", "PAPERLIB_ROOT": str(paths.root())}
    # Two notebooks whose cells train on all cores would spin for each other's threads.
    environment |= {"OMP_NUM_THREADS": str(cores() // SIDE_BY_SIDE)}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if finished.returncode:
        failed = target.with_name(f"{notebook.name}.failed.ipynb")
        if draft.exists():
            draft.replace(failed)
        raise FailedError(f"{notebook.name}: {_what_failed(failed, finished.stderr)}")
    draft.replace(target)


def _what_failed(output: Path, stderr: str) -> str:
    import nbformat

    heading = ""
    cells = nbformat.read(output, as_version=4).cells if output.exists() else []
    # Count as the reader's own notebook does, without the cells that papermill put in.
    added = {"injected-parameters", "papermill-error-cell-tag"}
    readers = [cell for cell in cells if not added & set(cell.metadata.get("tags", []))]
    for number, cell in enumerate(readers, start=1):
        if cell.cell_type == "markdown" and cell.source.startswith("#"):
            heading = cell.source.splitlines()[0].lstrip("# ")
        for item in cell.get("outputs", []):
            if item.output_type == "error":
                last = (item.evalue or item.ename).strip().splitlines()[-1]
                return f"cell {number} ({heading}) failed: {item.ename}: {last}; see {output}, mend it, run again"
    lines = stderr.strip().splitlines() or ["no message"]
    raise PaperlibError(f"papermill did not run: {lines[-1]}")
