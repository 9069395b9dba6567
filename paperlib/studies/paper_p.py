"""Paper P: perceptrons and VGG-16, global and layer-wise, and the arms of its published code."""

from collections.abc import Sequence
from functools import cache

from paperlib.core.errors import PaperlibError
from paperlib.data import DATASETS, load
from paperlib.schema.trial import Fields, Trial, make_trial
from paperlib.studies.profiles import budgeted, check_axes, profile

# Arms of the authors' code that concern MLPs; `set` is the method that all of them touch.
QUIRKS = ("double-softmax", "uniform-er", "swap-first", "stale-regrowth", "test-from-train")
PUBLISHED = ("keeps-last-only",)


def mlp(
    profile_name: str,
    *,
    datasets: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    sparsities: Sequence[float] | None = None,
    scopes: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
    seeds: int | None = None,
) -> list[Trial]:
    """Paper P's MLP grid in a profile; any axis may be replaced.

    Dense once per data set, model and seed; `random` at sparsity 0 is the A/A control "mask at 0 %".
    Scopes are asked for only where they are possible: `layerwise-matched` needs enough hidden weights,
    `set` and `rigl` have no threshold. Raises PaperlibError for an axis without values.
    """
    check_axes(seeds, datasets=datasets, models=models, sparsities=sparsities, scopes=scopes, methods=methods)
    trials: list[Trial] = []
    for budget, common in budgeted(profile(profile_name).mlp, datasets, models, seeds):
        trials += [make_trial(common), make_trial(common, method="random")]
        trials += [
            make_trial(common, method=method, sparsity=sparsity, scope=scope)
            for sparsity in filter(None, sparsities or budget.sparsities)
            for scope in scopes or budget.scopes
            for method in methods or budget.methods
            if _is_possible(common["model"], budget.width, common["dataset"], method, scope, sparsity)
        ]
    return list(dict.fromkeys(trials))


def vgg(
    profile_name: str,
    *,
    datasets: Sequence[str] | None = None,
    sparsities: Sequence[float] | None = None,
    scopes: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
    seeds: int | None = None,
) -> list[Trial]:
    """Paper P's VGG-16 grid in a profile; any axis may be replaced.

    Convolutions lose the same share of filters as linear layers of weights. The as-published arm prunes linear
    layers only, and its `layerwise` leaves only the last one dense (quirk `keeps-last-only`).
    Raises PaperlibError for an axis without values.
    """
    check_axes(seeds, datasets=datasets, sparsities=sparsities, scopes=scopes, methods=methods)
    trials: list[Trial] = []
    for budget, common in budgeted({"vgg16": profile(profile_name).vgg}, datasets, None, seeds):
        # P mirrors and crops photographs only; a mirrored digit is another sign.
        common["augment"] = budget.augment and common["dataset"] == "cifar10"
        published: Fields = {**common, "quirks": PUBLISHED}
        trials += [make_trial(common), make_trial(common, method="random")]
        trials += [make_trial(published)] if budget.published else []
        for sparsity in filter(None, sparsities or budget.sparsities):
            for method in methods or budget.methods:
                for scope in scopes or budget.scopes:
                    arm: Fields = {"method": method, "sparsity": sparsity, "scope": scope}
                    trials.append(make_trial({**common, **arm}, conv_sparsity=sparsity))
                    if method in budget.published:
                        trials.append(make_trial({**published, **arm}))
    return list(dict.fromkeys(trials))


def quirks(profile_name: str) -> list[Trial]:
    """The as-published arms: SET at 50 % global on the small MLP and MNIST, each quirk alone and all of them."""
    budgets = profile(profile_name).mlp
    arms: list[tuple[str, ...]] = [(), *((quirk,) for quirk in QUIRKS), tuple(sorted(QUIRKS))]
    return [
        make_trial(common, method="set", sparsity=0.5, quirks=arm)
        for _, common in budgeted(budgets, ["mnist"], ["mlp-small"], None)
        for arm in arms
    ]


@cache
def _is_possible(model: str, width: float, dataset: str, method: str, scope: str, sparsity: float) -> bool:
    """Whether the scope can hold so much sparsity, asked of the pruner itself on a model without memory."""
    import torch

    from paperlib.models import build
    from paperlib.pruners.allocation import uniform
    from paperlib.pruners.layers import layers_of

    if method in {"set", "rigl"} and scope == "global-threshold":
        return False
    trial = make_trial(model=model, method="random", scope=scope, sparsity=sparsity)
    images = DATASETS[dataset] if dataset in DATASETS else load(dataset)  # a folder of one's own
    with torch.device("meta"):
        network = build(model, images.shape, len(images.classes), width)
    try:
        uniform(layers_of(network, trial))
    except PaperlibError:
        return False
    return True
