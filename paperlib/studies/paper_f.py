"""Paper F: VGG16 and ResNet18 on medical and industrial images, in three scenarios."""

from collections.abc import Sequence
from dataclasses import dataclass

from paperlib.core.registry import unknown
from paperlib.schema.trial import Fields, Trial, make_trial
from paperlib.studies.profiles import budgeted, check_axes, profile


@dataclass(frozen=True)
class Scenario:
    """Shares removed: of the filters of every convolution and of the weights of every linear layer."""

    name: str
    title: str
    conv: float
    linear: float


SCENARIOS = {
    s.name: s
    for s in (
        Scenario("i", "uniform high", 0.8, 0.8),
        Scenario("ii", "mixed", 0.5, 0.8),
        Scenario("iii", "linear only", 0.0, 0.8),
    )
}


# Beyond the scenarios, where F says that training fails: shares of filters, epochs, one method whose masks stay and one
# whose masks move, the recipe that F states, and seeds by profile that can afford it: whole networks take hours.
LIMIT, LIMIT_EPOCHS, LIMIT_METHODS = (0.9, 0.95), 10, ("pre-training", "set")
LIMIT_RECIPE: Fields = {
    "width": 1.0, "epochs": LIMIT_EPOCHS, "lr": 1e-4, "batch_size": 64, "schedule": "constant", "augment": False,
    "options": {},
}  # fmt: skip
LIMIT_SEEDS = {"laptop": 1, "station": 3, "paper": 3}


def scenario(given: str | tuple[float, float]) -> Scenario:
    """F's scenario of that name, or one's own as (filters, weights) removed; PaperlibError for other names."""
    if not isinstance(given, str):
        conv, linear = given
        return Scenario(f"{conv:g}/{linear:g}", "own", conv, linear)
    if given not in SCENARIOS:
        raise unknown("scenario", given, list(SCENARIOS))
    return SCENARIOS[given]


def industrial(
    profile_name: str,
    *,
    datasets: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    scenarios: Sequence[str | tuple[float, float]] | None = None,
    methods: Sequence[str] | None = None,
    seeds: int | None = None,
) -> list[Trial]:
    """Paper F's grid in a profile; any axis may be replaced.

    Per data set, model and seed: dense once, `random` at sparsity 0 as A/A control, the constant predictor, and
    every method in every scenario. Methods of `Budget.baselines_on` run on those data sets only, where the
    profile cannot afford more. Raises PaperlibError for an axis without values and for unknown names.
    """
    check_axes(seeds, datasets=datasets, models=models, scenarios=scenarios, methods=methods)
    budgets = profile(profile_name).industrial
    chosen = [scenario(s) for s in scenarios or SCENARIOS]
    trials: list[Trial] = []
    for budget, common in budgeted(budgets, datasets, models, seeds):
        has_baselines = budget.baselines_on is None or common["dataset"] in budget.baselines_on
        trials += [make_trial(common), make_trial(common, method="random")]
        with_set = [m for m, b in budgets.items() if common["dataset"] in (datasets or b.datasets)]
        trials += [make_trial(common, method="majority")] if common["model"] == with_set[0] else []
        trials += [
            make_trial(common, method=method, conv_sparsity=s.conv, sparsity=s.linear)
            for s in chosen
            for method in methods or (*budget.methods, *(budget.baselines if has_baselines else ()))
        ]
    return list(dict.fromkeys(trials))


def limit(profile_name: str, seeds: int | None = None) -> list[Trial]:
    """Whole networks with 90 and 95 % of the filters removed, on BloodMNIST for ten epochs at F's learning rate.

    Beside them dense of the first seed alone: it only has to learn in as many. Empty in profiles that cannot afford it.
    """
    if profile_name not in LIMIT_SEEDS:
        return []
    trials, budgets = list[Trial](), profile(profile_name).industrial
    for _, budgeted_fields in budgeted(budgets, ("bloodmnist",), None, seeds or LIMIT_SEEDS[profile_name]):
        common: Fields = {**budgeted_fields, **LIMIT_RECIPE}
        trials += [make_trial(common)] if common["seed"] == 0 else []
        trials += [
            make_trial(common, method=method, conv_sparsity=share, sparsity=SCENARIOS["i"].linear)
            for share in LIMIT
            for method in LIMIT_METHODS
        ]
    return trials
