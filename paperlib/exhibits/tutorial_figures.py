"""Accuracy against compression, what pruning forgets, and where the allocations lie in the space of prunings."""

import numpy as np
import seaborn as sns

from paperlib.claims.effects import corrected_protocol, marked, near_chance
from paperlib.claims.stats import SHARE, SHARE_DIFFERENCE, mean_interval, paired_difference
from paperlib.data import DATASETS
from paperlib.exhibits import style
from paperlib.exhibits.captions import panel_title, provenance, seeds_and_images, with_source
from paperlib.exhibits.manifest import Exhibit
from paperlib.exhibits.results import Source
from paperlib.exhibits.tables import IDS, estimate_text, write
from paperlib.schema.record import Record
from paperlib.studies.tutorial import TECHNIQUES
from paperlib.trials.predictions import disagreement, pruning_identified_exemplars, unpack

ALLOCATIONS = {  # scope -> name and line
    "global": ("uniform", "-"),
    "global-threshold": ("global threshold", "--"),
    "erdos-renyi": ("Erdős–Rényi", ":"),
}
Pairs = list[tuple[Record, Record]]  # (pruned, dense) of each seed


def compression(source: Source) -> Exhibit | None:
    """Test accuracy at 2x to 64x fewer weights, a panel per data set, on a logarithmic axis."""
    rows = corrected_protocol(source.table)
    rows = rows[(rows.scope == "global") & rows.method.isin(["dense", *TECHNIQUES])]
    pruned = rows[rows.method != "dense"]
    if pruned.empty:
        return None
    datasets = list(dict.fromkeys(pruned.dataset))
    titles = [panel_title(rows, dataset, str(pruned.model.iloc[0])) for dataset in datasets]
    figure, grid = style.panels(titles, "compression (weights over weights kept)", "test accuracy, %")
    methods = [m for m in TECHNIQUES if (pruned.method == m).any()]
    for axes, dataset in zip(grid, datasets, strict=True):
        in_panel = rows[rows.dataset == dataset]
        style.dense_level(axes, mean_interval(in_panel[in_panel.method == "dense"].test_accuracy, SHARE), 100)
        for i, method in enumerate(methods):
            scores = in_panel[in_panel.method == method].groupby("sparsity").test_accuracy
            estimates = {1 / (1 - s) * 1.04 ** (i - 1): mean_interval(group, SHARE) for s, group in scores}
            means = [e.mean * 100 for e in estimates.values() if e]
            axes.plot(list(estimates), means, color=style.colour(method), linewidth=0.8)
            for x, estimate in estimates.items():
                style.dot(axes, x, estimate, 100, method)
        style.majority(axes, in_panel.test_majority)
        axes.set_xscale("log", base=2)
        factors = sorted({round(1 / (1 - s)) for s in in_panel.sparsity if s})
        axes.set_xticks(factors, [f"{f}×" for f in factors])
        style.limit_percent(axes)
    dense = "dense (95 % interval)" if rows["seed"].nunique() > 1 else "dense"
    style.legend(figure, methods, [dense, "majority rate"])
    text = (
        "Small MLP, the same share of every linear layer removed. `iterative` prunes and fine-tunes in rounds within "
        f"the budget of the others; the others cut the trained network once. {seeds_and_images(rows)}. The paper's "
        "values are not published."
    )
    title = "Accuracy against compression"
    return style.save(figure, "compression_mlp-small", title, text, rows.id, source.layout)


def space(source: Source) -> Exhibit | None:
    """Accuracy over random layer ratios at one total sparsity, with the usual allocations marked (one seed)."""
    rows = source.table[(source.table.status == "done") & (source.table.method == "post-training")]
    draws = rows[rows.scope == "random-ratios"]
    if draws.empty:
        return None
    sparsity, dataset, seed = draws.sparsity.iloc[0], draws.dataset.iloc[0], draws.seed.iloc[0]
    same = (rows.sparsity == sparsity) & (rows.dataset == dataset) & (rows.seed == seed) & rows.scope.isin(ALLOCATIONS)
    title = f"{with_source(dataset, draws.source)}, {sparsity:.0%} of all weights gone"
    figure, (axes,) = style.panels([title], "test accuracy, %", "draws")
    sns.histplot(x=draws.test_accuracy * 100, bins="auto", color=style.NOISE, ax=axes)
    sns.rugplot(x=draws.test_accuracy * 100, color="black", ax=axes)
    handles = []
    for scope, (name, dashes) in ALLOCATIONS.items():
        for accuracy in rows[same & (rows.scope == scope)].test_accuracy:
            label = f"{name} ({(draws.test_accuracy > accuracy).mean():.0%} of draws better)"
            handles.append(axes.axvline(accuracy * 100, color=style.COLOURS["dense"], linestyle=dashes, label=label))
    figure.legend(handles=handles, loc="outside lower center", frameon=False)
    text = (
        f"Small MLP, post-training magnitude pruning without fine-tuning; layer densities in {len(draws)} random "
        f"proportions, all at exactly the same total. n = 1 network (seed {seed}), no interval: the spread is that of "
        f"the allocation. Images: {provenance(draws)}."
    )
    ids = [*draws.id, *rows[same].id]
    return style.save(figure, "space_mlp-small", "A sample of the pruning space", text, ids, source.layout)


def recall(source: Source) -> Exhibit | None:
    """Change of each class's recall against dense of the same seeds, a panel per post-training sparsity."""
    by_sparsity = _by_sparsity(source)
    if not by_sparsity:
        return None
    first, untrained = next(iter(by_sparsity.values()))[0][0], bool(near_chance(source.table))
    info = DATASETS.get(first.trial.dataset)
    names = info.classes if info else tuple(map(str, range(first.data.classes)))
    titles = [marked(f"{sparsity:.1%} removed", untrained) for sparsity in by_sparsity]
    figure, grid = style.panels(titles, "recall against dense, points", height=3.2)
    for axes, pairs in zip(grid, by_sparsity.values(), strict=True):
        pruned, dense = (
            np.array([r.test.class_recall for r in side if r.test], float) for side in zip(*pairs, strict=True)
        )
        for place in range(pruned.shape[1]):
            estimate = paired_difference(pruned[:, place], dense[:, place], SHARE_DIFFERENCE)
            if estimate is not None:
                reach = style.interval_reach(estimate, 100)
                axes.errorbar(estimate.mean * 100, place, xerr=reach, color=style.colour("post-training"), marker="s")
        axes.axvline(0, color=style.COLOURS["dense"], linewidth=1)
        axes.set_yticks(range(len(names)), names, fontsize=7)
        axes.set_xlim(-105, 105)
    text = (
        "Small MLP, post-training, global. What one accuracy hides: recall of each class, paired by seed. "
        f"{_seeds_and_images(source)}."
    )
    ids = (r.id for pairs in by_sparsity.values() for pair in pairs for r in pair)
    return style.save(figure, "recall_mlp-small", "Which classes pruning forgets", text, ids, source.layout)


def disagreements(source: Source) -> Exhibit | None:
    """How many test images are answered otherwise than by dense, beside how much accuracy changed."""
    table, untrained = [], bool(near_chance(source.table))
    for sparsity, pairs in _by_sparsity(source).items():
        pruned, dense = ([unpack(r.predictions or "") for r in side] for side in zip(*pairs, strict=True))
        changed = mean_interval([disagreement(a, b) for a, b in zip(pruned, dense, strict=True)], SHARE)
        changes = [a.test.accuracy - b.test.accuracy for a, b in pairs if a.test and b.test]
        forgotten = pruning_identified_exemplars(dense, pruned)
        table.append(
            {
                "removed": marked(f"{sparsity:.1%}", untrained),
                "accuracy, points": estimate_text(mean_interval(changes, SHARE_DIFFERENCE)),
                "answers changed, %": estimate_text(changed),
                "modal answer changed": f"{len(forgotten):,} of {len(pruned[0]):,} images",
                "the first of them (place in the test set)": ", ".join(map(str, forgotten[:8])) or "none",
                IDS: [r.id for pair in pairs for r in pair],
            }
        )
    if not table:
        return None
    text = (
        "Small MLP, post-training, global, against dense of the same seed. The modal answer is the most frequent one "
        f"over the seeds (Hooker et al. 2019). {_seeds_and_images(source)}."
    )
    return write("disagreement_mlp-small", "Which images pruning forgets", text, table, source.layout)


def _seeds_and_images(source: Source) -> str:
    return seeds_and_images(source.table[source.table.method.isin(["dense", "post-training"])])


def _by_sparsity(source: Source) -> dict[float, Pairs]:
    """Sparsity -> (pruned, dense) of each seed, of finished trials whose answers are known."""
    answered = [r for r in source.records if r.status == "done" and r.predictions]
    dense = {r.id: r for r in answered if r.trial.method == "dense"}
    pairs: dict[float, Pairs] = {}
    for r in sorted(answered, key=lambda r: (r.trial.sparsity, r.trial.seed)):
        if r.trial.method == "post-training" and r.trial.scope == "global" and r.shared_training in dense:
            pairs.setdefault(r.trial.sparsity, []).append((r, dense[r.shared_training]))
    return pairs
