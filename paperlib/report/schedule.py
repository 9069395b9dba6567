"""How long the stages of a reproduction may take, by the reference's trainings and the profile's budgets.

It costs nothing; progress adds it to the time left of its own loop. `paperlib plan` measures, and knows better.
"""

from collections.abc import Sequence

from paperlib.core.paths import Layout
from paperlib.costs.records import BATCHES, is_complete
from paperlib.data import FOLDER, parse_name
from paperlib.report.committed import reference_tables
from paperlib.schema.cost import PROCESSES
from paperlib.schema.trial import Trial
from paperlib.studies import costs
from paperlib.trials.environment import cores
from paperlib.trials.store import Store

# Executing one notebook and drawing its figures: the mean of the five of `quick`, on 2 cores of an AMD EPYC.
NOTEBOOK_S = 17.0


def training_s(trials: Sequence[Trial], layout: Layout) -> float:
    """Of the trials without a record: what such networks took in the reference, for as many images and epochs.

    0 without a reference. Post-training takes dense's network and trains none.
    """
    done, tables = Store(layout).find(trials), reference_tables()
    missing = [t for t in trials if t not in done and not t.method.startswith("post-training")]
    if tables is None or not missing:
        return 0.0
    rows = tables.trials[tables.trials.train_time_s.notna() & (tables.trials.epochs > 0)]
    rate = rows.train_time_s / (rows.epochs * rows.train_images)
    of_model = rate.groupby(rows.model).median()
    of_network = rate.groupby([rows.model, rows.width]).median()
    rates = (of_network.get((t.model, t.width), of_model.get(t.model, rate.median())) for t in missing)
    return sum(float(rate) * t.epochs * _images(t) for rate, t in zip(rates, missing, strict=True))


def _images(trial: Trial) -> int:
    official = 0 if trial.dataset.startswith(FOLDER) else parse_name(trial.dataset).info.counts[0]
    return trial.train_images or official


def costs_s(profile_name: str, layout: Layout, *numbers: str) -> float:
    """Of the costs without a complete record: the budgets of a network's three comparisons in each process."""
    todo = [s for s in costs.settings(profile_name, *numbers) if not is_complete(s, layout)]
    efforts = {s.network: costs.effort_of(profile_name, s) for s in todo}
    return PROCESSES * sum(3 * effort.budget_s + effort.training_s / PROCESSES for effort in efforts.values())


def cpu_study_s(profile_name: str, layout: Layout) -> float:
    """Of the networks of the CPU study without a record: the budget of each batch size and number of threads."""
    from paperlib.studies import cpu  # with torch, which a list of notebooks does not need

    todo = [s for s in cpu.settings(profile_name) if not (layout.edge / f"{s.id}.json").exists()]
    return sum(len(BATCHES) * len({1, cores()}) * s.budget_s for s in todo)
