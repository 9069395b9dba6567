"""Runs what a notebook asks for, then writes its tables and figures; keeps a profile's study apart from the rest."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from paperlib import studies
from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.exhibits import collation
from paperlib.exhibits.manifest import Exhibit
from paperlib.schema.record import Record
from paperlib.schema.trial import Trial
from paperlib.studies import costs, cpu
from paperlib.studies.sections import all_trials, with_images
from paperlib.trials.runner import run_all


class SectionRun(NamedTuple):
    """What a notebook ran or found, where it lies, and the tables and figures made of it."""

    layout: Layout
    trials: list[Trial]
    records: list[Record]
    exhibits: list[Exhibit]


def run(number: str, profile: str, **axes: Any) -> SectionRun:
    """Run or find the trials of notebook `number`, and write its tables and figures.

    The profile's own study lies in results/<profile>. With other parameters, exactly the trials asked for are shown,
    and all of it lies in results/<profile>-tweaked; trials of the study are found where they are, not run again.
    Raises PaperlibError for a profile or an axis that there is not.
    """
    trials, layout = studies.study(number, profile, **axes), Layout.of(profile)
    if set(trials) == set(studies.study(number, profile)):
        set_aside(layout, profile)
        costs.run_cost_study(profile, layout, number)
        trials = with_images(trials, profile)
        return SectionRun(layout, trials, run_all(trials, layout), collation.write(number, layout))
    study = set(all_trials(profile))
    of_study = [trial for trial in trials if trial in study]
    run_all(of_study, layout)
    for trial in of_study:
        for name in (f"trials/{trial.id}.json", f"checkpoints/{trial.id}.safetensors"):
            _link_or_copy(layout.results / name, layout.tweaked.results / name)
    records = run_all(trials, layout.tweaked)
    for path in layout.costs.glob("*.json"):
        _link_or_copy(path, layout.tweaked.costs / path.name)
    exhibits = collation.write(number, layout.tweaked, profile=profile, ids={t.id for t in trials}, axes=axes)
    return SectionRun(layout.tweaked, trials, records, exhibits)


def set_aside(layout: Layout, profile: str) -> None:
    """Move the records that are not of the profile's study into results/<profile>-tweaked, and say so on stderr."""
    study = {trial.id for trial in all_trials(profile)}
    measured = {"machine", *(s.id for s in cpu.settings(profile)), *(s.id for s in costs.settings(profile))}
    others = [path for path in layout.trials.glob("*.json") if path.stem not in study]
    others += [p for folder in (layout.edge, layout.costs) for p in folder.glob("*.json") if p.stem not in measured]
    for path in others:
        for file in (path, layout.checkpoints / f"{path.stem}.safetensors"):
            target = layout.tweaked.results / file.relative_to(layout.results)
            target.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # no checkpoint, or another process has just done so
                file.replace(target)
    if others:
        what = f"{len(others)} record(s) that are not of the study {profile}"
        print(f"paperlib: {what} moved to {layout.tweaked.results}", file=sys.stderr)


def _link_or_copy(source: Path, target: Path) -> None:
    """`target` becomes the file `source`, where that exists: by a link where the disk can, else by a copy."""
    if not source.exists() or (target.exists() and target.samefile(source)):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:
        write_atomically(target, source.read_bytes())
