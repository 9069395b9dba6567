"""What each notebook shows: its tables and figures, written from the records and listed in a manifest."""

import os
import shutil
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from paperlib import studies
from paperlib.claims.effects import METRICS
from paperlib.core.paths import Layout
from paperlib.core.registry import unknown
from paperlib.exhibits import (
    cpu_figures,
    effect_figures,
    effect_tables,
    paper_f_figures,
    paper_f_tables,
    published,
    sensitivity,
    tutorial_figures,
    tutorial_tables,
)
from paperlib.exhibits.manifest import Exhibit, input_hash, read_manifest, write_manifest
from paperlib.exhibits.results import Source
from paperlib.schema.record import Record
from paperlib.schema.trial import Trial
from paperlib.studies import cpu
from paperlib.studies.profiles import PROFILES
from paperlib.studies.tutorial import TECHNIQUES, TUTORIALS


def tutorial(source: Source, dataset: str) -> list[Exhibit | None]:
    """The tutorial tables on one data set, and the figures of compression, of what is forgotten, of the space."""
    layout = source.layout
    arms = source.table[source.table.scope.eq("global") & source.table.dataset.eq(dataset)]
    made: list[Exhibit | None] = [
        *tutorial_tables.write_all(arms, [r for r in source.records if r.id in set(arms.id)], layout)
    ]
    made += [tutorial_figures.compression(source.table, layout), tutorial_figures.space(source.table, layout)]
    return [
        *made,
        tutorial_figures.recall(source.records, arms, layout),
        tutorial_figures.disagreements(source.records, arms, layout),
    ]


def mlp(source: Source) -> list[Exhibit | None]:
    """Section 01: paper P's perceptrons, one table and one figure per model for every metric of its abstract."""
    here = source.models("mlp")
    table, layout = here.table, here.layout
    made: list[Exhibit | None] = [effect_tables.write_comparison(table, name, "mlp", layout) for name in METRICS]
    for model in dict.fromkeys(table.model):
        made += [effect_figures.comparison(table, name, model, layout) for name in effect_figures.COMPARED]
        made += [effect_figures.curves(here.records, table, model, q, layout) for q in ("accuracy", "loss")]
        made += [effect_figures.pareto(table, model, layout), effect_figures.layers(here.records, model, layout)]
    made += [effect_tables.write_layers(here.records, layout), effect_tables.write_quirks(table, layout)]
    return [*made, published.write(table, "mlp", layout)]


def vgg(source: Source) -> list[Exhibit | None]:
    """Section 02: paper P's VGG-16, with the arm that prunes as the published code does."""
    here = source.models("vgg16").datasets(f=False)
    table, layout = here.table, here.layout
    if table.empty:
        return []
    made: list[Exhibit | None] = [effect_tables.write_comparison(table, name, "vgg", layout) for name in METRICS]
    made += [effect_figures.comparison(table, name, "vgg16", layout) for name in effect_figures.COMPARED]
    made += [effect_figures.curves(here.records, table, "vgg16", q, layout) for q in ("accuracy", "loss")]
    made += [effect_figures.pareto(table, "vgg16", layout), effect_tables.write_published(table, layout)]
    return [*made, published.write(table, "vgg", layout)]


def networks(source: Source) -> list[Exhibit | None]:
    """Section 03: paper F's figures 1 to 17 and tables 1 to 3, scenario by scenario, and every metric as a table."""
    here = source.models("vgg16", "resnet18").datasets(f=True)
    table, records, layout = here.table, here.records, here.layout
    if table.empty:
        return []
    made = [paper_f_figures.networks(table, records, layout), paper_f_figures.splits(table, records, layout)]
    for scenario in paper_f_figures.scenarios(table):
        made += [paper_f_figures.curves(records, table, q, scenario, layout) for q in paper_f_figures.CURVES]
        made += [paper_f_figures.by_method(table, q, scenario, layout) for q in paper_f_figures.COSTS_AND_SCORES]
    made += [published.write(table, "industrial", layout)]
    made += [paper_f_tables.doerrich(table, layout), paper_f_tables.sparsities(table, layout)]
    made += [paper_f_tables.settings(table, records, layout), paper_f_tables.quality(table, layout)]
    return made + [effect_tables.write_comparison(table, name, "industrial", layout) for name in METRICS]


@dataclass(frozen=True)
class Asked:
    """What a section shows. profile: whose study, None for a folder of no profile; ids: only these trials, None for
    all that are there; axes: the parameters of the notebook that were changed."""

    profile: str | None
    ids: frozenset[str] | None = None
    axes: Mapping[str, Any] = field(default_factory=dict)


def _perceptrons(layout: Layout, asked: Asked) -> list[Exhibit | None]:
    every = Source.of(layout, asked.ids)
    swept, whole = sensitivity.write(every.models("mlp").table, "mlp", layout), every.comparable()
    if asked.profile is None:
        return [*mlp(whole), *swept]
    wanted = {t.id for t in studies.tutorial(asked.profile)}
    # A curve's many sparsities would drown paper P's grid: they stand in figures of their own.
    grid = {t.id for t in studies.mlp(asked.profile, **asked.axes)}
    plan, curves = TUTORIALS[asked.profile], whole.only(wanted)
    shown = tutorial(curves, plan.datasets[0]) if curves.table.method.isin(TECHNIQUES).any() else []
    return [*mlp(whole.without(wanted - grid)), *shown, *swept]


def _vgg(layout: Layout, asked: Asked) -> list[Exhibit | None]:
    every = Source.of(layout, asked.ids)
    swept = sensitivity.write(every.models("vgg16").datasets(f=False).table, "vgg", layout)
    return [*vgg(every.comparable()), *swept]


def _networks(layout: Layout, asked: Asked) -> list[Exhibit | None]:
    every = Source.of(layout, asked.ids)
    swept = sensitivity.write(every.models("vgg16", "resnet18").datasets(f=True).table, "industrial", layout)
    return [*networks(every.comparable()), *swept]


SECTIONS: dict[str, Callable[[Layout, Asked], Sequence[Exhibit | None]]] = {
    "01": _perceptrons,
    "02": _vgg,
    "03": _networks,
    "04": lambda layout, asked: cpu_figures.write(layout),
}


def write(number: str, layout: Layout, asked: Asked | None = None) -> list[Exhibit]:
    """Write the tables and figures of one section and put them into the manifest; returns them.

    asked: what to show, if not all that is there. Raises PaperlibError for an unknown section, or if there are no
    records.
    """
    if number not in SECTIONS:
        raise unknown("section", number, list(SECTIONS))
    asked = asked or Asked(layout.name if layout.name in PROFILES else None)
    shown = [e for e in SECTIONS[number](layout, asked) if e]
    made = [replace(e, section=number, inputs=input_hash(e.trials, layout)) for e in shown]
    with FileLock(layout.results / ".manifest.lock"):  # notebooks are executed side by side
        others = [e for e in read_manifest(layout) if e.section != number]
        write_manifest(sorted([*others, *made], key=lambda e: e.section), layout)
    return made


class Ran(NamedTuple):
    """What a notebook ran or found, where it lies, and the tables and figures made of it."""

    layout: Layout
    trials: list[Trial]
    records: list[Record]
    exhibits: list[Exhibit]


def run(number: str, profile: str, **axes: Any) -> Ran:
    """Run or find the trials of notebook `number`, and write its tables and figures.

    The profile's own study lies in results/<profile>. With other parameters, exactly the trials asked for are shown,
    and all of it lies in results/<profile>-tweaked; trials of the study are found where they are, not run again.
    Raises PaperlibError for a profile or an axis that there is not.
    """
    from paperlib.trials.runner import run_all

    trials, layout = studies.study(number, profile, **axes), Layout.of(profile)
    if set(trials) == set(studies.study(number, profile)):
        set_aside(layout, profile, whole_study(profile))
        return Ran(layout, trials, run_all(trials, layout), write(number, layout))
    inside = [trial for trial in trials if trial.id in whole_study(profile)]
    run_all(inside, layout)
    for trial in inside:
        for name in (f"trials/{trial.id}.json", f"checkpoints/{trial.id}.safetensors"):
            _bring(layout.results / name, layout.tweaked.results / name)
    records = run_all(trials, layout.tweaked)
    asked = Asked(profile, frozenset(trial.id for trial in trials), axes)
    return Ran(layout.tweaked, trials, records, write(number, layout.tweaked, asked))


@cache
def whole_study(profile: str) -> frozenset[str]:
    """The ids of all trials of a profile."""
    return frozenset(trial.id for number in SECTIONS for trial in studies.study(number, profile))


def set_aside(layout: Layout, profile: str, own: Collection[str]) -> None:
    """Move the records that are not among the ids `own` of the profile into the folder beside it, and say so."""
    measured = {"machine", *(setting.id for setting in cpu.settings(profile))}
    strange = [path for path in layout.trials.glob("*.json") if path.stem not in own]
    strange += [path for path in layout.edge.glob("*.json") if path.stem not in measured]
    for path in strange:
        for file in (path, layout.checkpoints / f"{path.stem}.safetensors"):
            target = layout.tweaked.results / file.relative_to(layout.results)
            target.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # no checkpoint, or another process has just done so
                file.replace(target)
    if strange:
        what = f"{len(strange)} record(s) that are not of the study {profile}"
        print(f"paperlib: {what} moved to {layout.tweaked.results}", file=sys.stderr)


def _bring(source: Path, target: Path) -> None:
    """`target` becomes the file `source`, where that exists: by a link where the disk can, else by a copy."""
    if not source.exists() or (target.exists() and target.samefile(source)):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        os.link(source, draft)
    except OSError:
        shutil.copy2(source, draft)
    draft.replace(target)
