"""Executes the notebooks with papermill, one process each, and only when something changed."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from paperlib.core import paths
from paperlib.core.errors import FailedError, PaperlibError
from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.core.registry import unknown
from paperlib.exhibits.manifest import inputs
from paperlib.report.notebook_links import END, TOP, link, written
from paperlib.studies.sections import COLLATION, NOTEBOOKS, Notebook, chosen
from paperlib.trials.environment import cores
from paperlib.trials.subprocess_runner import run_in_subprocess

SIDE_BY_SIDE = min(2, cores())  # drawing takes one core; a notebook that trains waits for its turn (`places.alone`)


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

    asked = chosen(only)
    given = {"profile": profile} | dict(parameters or {})
    if not parameters and all(_unchanged(notebook, given, layout) for notebook in asked.values()):
        for notebook in asked.values():
            print(f"{notebook.name}: unchanged", file=sys.stderr)
        return [_target(notebook, layout) for notebook in asked.values()]
    for notebook in asked.values():
        _refuse_unknown(notebook, given)
    set_aside(layout, profile, {trial.id for notebook in NOTEBOOKS.values() for trial in notebook.trials(profile)})
    if parameters:
        layout = layout.tweaked
    for notebook in asked.values() if not parameters else ():
        run_in_subprocess(notebook.trials(profile), layout)
        notebook.measure(profile, layout)
    # Only now, since all notebooks see all records; the collation last, since it sees the others' exhibits.
    for group in ([n for k, n in asked.items() if k != COLLATION], [n for k, n in asked.items() if k == COLLATION]):
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            ran = list(pool.map(lambda notebook: _refresh(notebook, given, layout), group))
        for notebook in (n for n, new in zip(group, ran, strict=True) if new):
            stamp = _target(notebook, layout).with_suffix(".stamp")
            write_atomically(stamp, fingerprint(notebook, given, layout).encode())
    return [_target(notebook, layout) for notebook in asked.values()]


def _target(notebook: Notebook, layout: Layout) -> Path:
    return layout.notebooks / f"{notebook.name}.ipynb"


def _refresh(notebook: Notebook, parameters: Mapping[str, Any], layout: Layout) -> bool:
    """Execute a notebook if anything that it depends on has changed; whether it was executed."""
    target = _target(notebook, layout)
    if _unchanged(notebook, parameters, layout):
        print(f"{notebook.name}: unchanged", file=sys.stderr)
        return False
    print(f"{notebook.name}: running", file=sys.stderr, flush=True)
    _execute(notebook, parameters, target)
    target.with_name(f"{notebook.name}.failed.ipynb").unlink(missing_ok=True)
    return True


def _unchanged(notebook: Notebook, parameters: Mapping[str, Any], layout: Layout) -> bool:
    """Whether its output is of just these inputs. It was executed after its trials, so those are done, too."""
    target = _target(notebook, layout)
    stamp = target.with_suffix(".stamp")
    return target.exists() and stamp.exists() and stamp.read_text() == fingerprint(notebook, parameters, layout)


def fingerprint(notebook: Notebook, parameters: Mapping[str, Any], layout: Layout) -> str:
    """SHA-256 over the notebook, its parameters, the images that are here, the package's sources and the records."""
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True, default=str).encode())
    digest.update(inputs(layout).encode())
    # Without nbformat, which takes seconds to import.
    cells = [cell for cell in json.loads(notebook.source.read_bytes())["cells"] if cell.get("id") not in {TOP, END}]
    digest.update("\n".join("".join(cell["source"]) for cell in cells).encode())
    return digest.hexdigest()


def keep_outputs(profile: str, layout: Layout) -> list[Path]:
    """Put the outputs of executed notebooks into their sources, to be committed; returns the sources.

    What papermill added goes: the injected cell and its metadata. The links between the notebooks are written
    anew. Raises PaperlibError if one did not run.
    """
    import nbformat

    sources = [notebook.source for notebook in NOTEBOOKS.values()]
    for notebook in NOTEBOOKS.values():
        target = _target(notebook, layout)
        if not target.exists():
            raise PaperlibError(f"{target} is not there: run `paperlib reproduce --profile {profile}` first")
        source, ran = (nbformat.read(path, as_version=4) for path in (notebook.source, target))
        cells = [cell for cell in written(ran.cells) if "injected-parameters" not in cell.metadata.get("tags", [])]
        own = written(source.cells)
        if [cell.source for cell in cells] != [cell.source for cell in own]:
            raise PaperlibError(
                f"{notebook.name} changed since it ran: run `paperlib reproduce --profile {profile}` again"
            )
        for old, new in zip(own, cells, strict=True):
            if old.cell_type == "code":
                old.outputs, old.execution_count = new.outputs, new.execution_count
        write_atomically(notebook.source, (nbformat.writes(source) + "\n").encode())
    link(sources)
    return sources


def _refuse_unknown(notebook: Notebook, parameters: Mapping[str, Any]) -> None:
    # papermill itself only warns about a parameter that the notebook does not have.
    import papermill

    known = papermill.inspect_notebook(str(notebook.source))
    for name in parameters:
        if name not in known:
            raise unknown(f"parameter of {notebook.name}", name, list(known))


def _execute(notebook: Notebook, parameters: Mapping[str, Any], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}")
    command = [sys.executable, "-m", "papermill", str(notebook.source), str(draft), "--no-progress-bar"]
    command += ["--kernel", "python3", "--cwd", str(notebook.source.parent)]
    command += ["--parameters_yaml", json.dumps(dict(parameters))]  # JSON is YAML
    # The kernel `python3` of this environment, not one that the user may have installed elsewhere.
    environment = os.environ | {"JUPYTER_PREFER_ENV_PATH": "1", "PAPERLIB_ROOT": str(paths.root())}
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
    own = [cell for cell in cells if not added & set(cell.metadata.get("tags", []))]
    for number, cell in enumerate(own, start=1):
        if cell.cell_type == "markdown" and cell.source.startswith("#"):
            heading = cell.source.splitlines()[0].lstrip("# ")
        for item in cell.get("outputs", []):
            if item.output_type == "error":
                last = (item.evalue or item.ename).strip().splitlines()[-1]
                return f"cell {number} ({heading}) failed: {item.ename}: {last}; see {output}, mend it, run again"
    lines = stderr.strip().splitlines() or ["no message"]
    raise PaperlibError(f"papermill did not run: {lines[-1]}")
