"""What a profile has not run of what a claim rests on, and why a claim cannot be decided by running it here."""

from dataclasses import dataclass

import pandas as pd

from paperlib.claims.cost_evidence import COSTS
from paperlib.claims.evidence import SWAP, Asked, Evidence
from paperlib.claims.ledger import Claim
from paperlib.claims.settings import Setting
from paperlib.claims.stats.power import MOST
from paperlib.claims.verdict import MODELLED, UNDECIDED, Verdict
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.costs.records import read_costs
from paperlib.schema.cost import PROCESSES, CostSetting, Effort
from paperlib.schema.trial import Trial
from paperlib.studies.costs import cost_settings, effort_of
from paperlib.studies.costs import settings as measured_settings
from paperlib.studies.paper_f import industrial, limit
from paperlib.studies.paper_p import mlp, vgg
from paperlib.trials.store import Store


@dataclass(frozen=True)
class Missing:
    """Trials and cost settings, each with its effort, that have no complete record.

    processes: runs that a complete cost record has; fresh: how many of them are to come.
    """

    trials: tuple[Trial, ...]
    costs: dict[CostSetting, Effort]
    processes: int = PROCESSES
    fresh: int = PROCESSES

    def __bool__(self) -> bool:
        return bool(self.trials or self.costs)

    def __str__(self) -> str:
        """`12 trials and 3 costs, in 2 processes`."""
        parts = [f"{len(self.trials)} trials"] * bool(self.trials)
        parts += [f"{len(self.costs)} costs, in {self.fresh} processes"] * bool(self.costs)
        return " and ".join(parts) or "nothing"


def asked_by(claim: Claim) -> Asked:
    """The arms that a claim's test looks for, found by asking it without any evidence."""
    evidence = Evidence.of(pd.DataFrame())
    claim.test(evidence)
    return evidence.asked


def missing(claim: Claim, verdict: Verdict, profile_name: str, layout: Layout) -> Missing:
    """What the claim lacks of the profile's trials and costs; with more seeds or processes where the verdict says so.

    Nothing where the verdict is no matter of records, or decided on all of them. PaperlibError for an unknown profile.
    """
    asked = asked_by(claim)
    if verdict.base not in UNDECIDED:
        return Missing((), {})
    trials = [trial for seeds in {None, verdict.seeds} for trial in _grid(profile_name, seeds) if _is_of(trial, asked)]
    done = Store(layout).find(trials)
    processes = max(PROCESSES, verdict.processes or 0)
    of_claim = {setting for arm in asked.costs for setting in cost_settings(*arm)}  # at width 1: others are no evidence
    runs = {record.id: len(record.runs) for record in read_costs(layout)}
    costs = [s for s in measured_settings(profile_name) if s in of_claim and runs.get(s.id, 0) < processes]
    return Missing(
        tuple(trial for trial in dict.fromkeys(trials) if trial not in done),
        {setting: effort_of(profile_name, setting) for setting in costs},
        processes,
        processes - min((runs.get(setting.id, 0) for setting in costs), default=processes),
    )


def refuse(claim: Claim, verdict: Verdict, profile_name: str, lacking: Missing) -> None:
    """PaperlibError in one line where running the claim's trials and costs here could decide nothing."""
    asked, needs = asked_by(claim), f"it takes {verdict.needs}"
    if lacks := _lacking_machines(asked):
        raise PaperlibError(f"{claim.id} takes costs on {lacks}, which this machine does not have")
    if not asked.trials | asked.costs:
        raise PaperlibError(f"no trial or cost of this profile decides {claim.id}: {needs}")
    names = asked.quantities & {*COSTS}
    if any(COSTS[name].source for name in names) and not any("time" in name for name in names) and not _has_counter():
        raise PaperlibError(f"{claim.id} is about energy, which no counter measures here; {MODELLED}")
    if verdict.base not in UNDECIDED:
        raise PaperlibError(f"nothing to run: {claim.id} is {verdict.word} on what profile {profile_name} has")
    if max(verdict.seeds or 0, verdict.processes or 0) > MOST:
        raise PaperlibError(f"{claim.id} would take more than {MOST:,} repeats at the spread seen here")
    if not lacking:
        raise PaperlibError(f"nothing to run: profile {profile_name} has all that it affords of {claim.id}; {needs}")


def _grid(profile_name: str, seeds: int | None) -> list[Trial]:
    return [trial for study in (mlp, vgg, industrial, limit) for trial in study(profile_name, seeds=seeds)]


def _is_of(trial: Trial, asked: Asked) -> bool:
    shares = trial.conv_sparsity, trial.sparsity
    arm = Setting(trial.dataset, trial.model, trial.method, *shares, trial.scope)
    return arm in asked.trials and not trial.quirks and trial.swap == SWAP


def _has_counter() -> bool:
    from paperlib.meters import Meters
    from paperlib.trials.environment import devices

    return Meters.for_device(devices()[0]).energy.source not in {None, "modelled", "simulated"}


def _lacking_machines(asked: Asked) -> str:
    """The machines that are asked for and not here."""
    from paperlib.trials.environment import describe_environment, devices

    here = {device: describe_environment(device).gpu or "" for device in devices()}
    kinds = {device.partition(":")[0].replace("cuda", "gpu") for device in here}
    cards = [name for name in asked.machines if name not in {"cpu", "gpu"}]
    lacking = sorted(name for name in asked.machines - {*cards} if name not in kinds)
    lacking += [
        name for name in cards if not any(each in card for each in name.split(" or ") for card in here.values())
    ]
    return " and ".join({"cpu": "a CPU", "gpu": "a GPU"}.get(name, f"a GPU of type {name}") for name in lacking)
