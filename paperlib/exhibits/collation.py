"""What each notebook shows: its tables and figures, written from the records and listed in a manifest.

To add one: write a function that takes a `Source` (records, tidy table, folders), hands a figure to `style.save` or
the rows of a table to `tables.write`, and returns their Exhibit, or None where the records hold nothing for it. Its
caption states n (`captions.seeds`) and the images (`captions.provenance`). Then put the function into SECTIONS: it
stands in the manifest, the report and notebook 05; `expected.WANTED` demands it of a complete report.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from filelock import FileLock

from paperlib import studies
from paperlib.claims.cost_arms import measured_arms
from paperlib.core.paths import Layout
from paperlib.core.registry import unknown
from paperlib.exhibits import (
    balance,
    cost_exhibits,
    cpu_figures,
    effect_figures,
    effect_tables,
    overall,
    paper_f_figures,
    paper_f_tables,
    published,
    savings,
    sensitivity,
    tutorial_figures,
    tutorial_tables,
)
from paperlib.exhibits.manifest import Exhibit, input_hash, read_manifest, write_manifest
from paperlib.exhibits.results import Source
from paperlib.studies.profiles import F_DATASETS, PROFILES
from paperlib.studies.tutorial import TECHNIQUES, TUTORIALS

Made = Iterable[Exhibit | None]


def _tables(source: Source, study: str) -> Made:
    return [effect_tables.write_accuracy(source, study), cost_exhibits.table(source, study)]


def _model_figures(source: Source, study: str) -> Made:
    for model in dict.fromkeys(source.table.model):
        yield effect_figures.comparison(source, model)
        yield from (effect_figures.curves(source, quantity, model) for quantity in effect_figures.CURVES)
        yield effect_figures.pareto(source, model)
        if study == "mlp":
            yield effect_figures.layers(source, model)


def _cost_figures(source: Source, study: str) -> Made:
    models = dict.fromkeys(arm.setting.model for arm in measured_arms(source.costs, study))
    return [cost_exhibits.figure(source, study, model) for model in models]


def _scenario_figures(source: Source, study: str) -> Made:
    for scenario in paper_f_figures.scenarios(source.table):
        yield from (paper_f_figures.curves(source, q, scenario) for q in effect_figures.CURVES)
        yield paper_f_figures.scores(source, scenario)
        yield from (paper_f_figures.training_cost(source, name, scenario) for name in paper_f_figures.COSTS_OF_F)


def _each(*makers: Callable[[Source], Exhibit | None]) -> Callable[[Source, str], Made]:
    return lambda source, study: [make(source) for make in makers]


@dataclass(frozen=True)
class Section:
    """A notebook on trials. study: ending of its tables' names; models: beginnings of its models' names; of_f: whether
    its trials are paper F's, None for all; makers: what makes its tables and figures, in this order."""

    study: str
    models: tuple[str, ...]
    of_f: bool | None
    makers: tuple[Callable[[Source, str], Made], ...]

    def records(self, every: Source, profile: str | None = None, axes: Mapping[str, Any] | None = None) -> Source:
        """Those of its models and its paper. A profile's F may have trials on a data set of P: its grid (with the
        axes that were changed, of this section) tells them."""
        chosen = every.table.model.str.startswith(self.models)
        if self.of_f is not None:
            shown = every.table.dataset.str.partition(":")[0].isin(F_DATASETS)
            if profile:
                of_f = {t.id for t in studies.industrial(profile, **(axes or {} if self.of_f else {}))}
                of_p = {t.id for t in studies.vgg(profile, **({} if self.of_f else axes or {}))}
                shown |= every.table.id.isin(of_f if self.of_f else of_f - of_p)
            chosen &= shown == self.of_f
        return every.where(chosen)


def _world(source: Source, study: str) -> Made:
    return [published.write(source, study)]


SECTIONS: dict[str, Section | None] = {
    "01": Section(
        "mlp", ("mlp",), None,
        (_tables, _model_figures, _cost_figures, _each(effect_tables.write_layers, effect_tables.write_quirks), _world),
    ),
    "02": Section(
        "vgg", ("vgg16",), False,
        (_tables, _model_figures, _cost_figures, _each(effect_tables.write_published), _world),
    ),
    "03": Section(
        "industrial", ("vgg16", "resnet18"), True,
        (
            _each(paper_f_figures.networks, paper_f_figures.splits), _scenario_figures, _world,
            _each(paper_f_tables.doerrich, paper_f_tables.sparsities, paper_f_tables.settings, paper_f_tables.quality),
            _tables, _cost_figures,
        ),
    ),
    "04": None,  # the CPU study, which has records of its own
    "05": Section("overall", ("",), None, (_each(balance.figure, overall.table, overall.profile),)),
}  # fmt: skip


def write(
    number: str,
    layout: Layout,
    *,
    profile: str | None = None,
    ids: Collection[str] | None = None,
    axes: Mapping[str, Any] | None = None,
) -> list[Exhibit]:
    """Write the tables and figures of one section and put them into the manifest; returns them.

    profile: whose study, if the folder is not named like it; ids: only these trials, None for all that are there; axes:
    the parameters of the notebook that were changed. Raises PaperlibError for an unknown section, or if there are no
    records.
    """
    if number not in SECTIONS:
        raise unknown("section", number, list(SECTIONS))
    section = SECTIONS[number]
    if section is None:
        shown: Made = cpu_figures.write(layout)
        if any(layout.trials.glob("*.json")):
            shown = [*shown, savings.table(Source.of(layout, ids))]
    else:
        profile = profile or (layout.name if layout.name in PROFILES else None)
        records = section.records(Source.of(layout, ids), profile, axes)
        shown = _of_trials(section, records, profile, axes or {})
    made = [replace(e, section=number, inputs=input_hash(e.trials, layout)) for e in shown if e]
    with FileLock(layout.results / ".manifest.lock"):  # notebooks are executed side by side
        others = [e for e in read_manifest(layout) if e.section != number]
        write_manifest(sorted([*others, *made], key=lambda e: e.section), layout)
    return made


def _of_trials(section: Section, every: Source, profile: str | None, axes: Mapping[str, Any]) -> Made:
    main, curves = every.where(every.table.main_setting), None
    if section is SECTIONS["01"] and profile:
        # A curve's many sparsities would drown paper P's grid: they stand in figures of their own.
        of_curves = {t.id for t in studies.tutorial_trials(profile)}
        of_grid = {t.id for t in studies.mlp(profile, **axes)}
        curves = main.where(main.table.id.isin(of_curves))
        main = main.where(~main.table.id.isin(of_curves - of_grid))
    if len(main.table):
        for make in section.makers:
            yield from make(main, section.study)
    if curves and profile and curves.table.method.isin(TECHNIQUES).any():
        yield from tutorial(curves, TUTORIALS[profile].datasets[0])
    if section is not SECTIONS["05"]:
        yield from sensitivity.write(every, section.study)


def tutorial(source: Source, dataset: str) -> list[Exhibit | None]:
    """The tutorial tables on one data set, and the figures of compression, of what is forgotten, of the space."""
    arms = source.where(source.table.scope.eq("global") & source.table.dataset.eq(dataset))
    figures = [tutorial_figures.compression(source), tutorial_figures.space(source)]
    return [
        *tutorial_tables.write_all(arms), *figures, tutorial_figures.recall(arms), tutorial_figures.disagreements(arms)
    ]  # fmt: skip
