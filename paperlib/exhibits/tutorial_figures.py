"""Accuracy against compression, what pruning forgets, and where the allocations lie in the space of prunings."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D

from paperlib.claims.effects import corrected_protocol, marked, near_chance, panel_title
from paperlib.claims.stats import SHARE, SHARE_DIFFERENCE, mean_interval, paired_difference
from paperlib.core.paths import Layout
from paperlib.data import DATASETS
from paperlib.exhibits import style
from paperlib.exhibits.captions import provenance, seeds
from paperlib.exhibits.effect_figures import dot, interval_reach, level
from paperlib.exhibits.effect_tables import write
from paperlib.exhibits.manifest import Exhibit
from paperlib.schema.record import Record
from paperlib.trials.predictions import Answers, disagreement, pruning_identified_exemplars, unpack

CURVES = ("post-training", "post-training-random", "iterative")
ALLOCATIONS = {"global": "uniform", "global-threshold": "global threshold", "erdos-renyi": "Erdős–Rényi"}
SPACE = "random-ratios"


def compression(tidy: pd.DataFrame, layout: Layout) -> Exhibit | None:
    """Test accuracy at 2x to 32x fewer weights, a panel per data set, on a logarithmic axis."""
    rows = corrected_protocol(tidy)
    rows = rows[(rows.scope == "global") & rows.method.isin(["dense", *CURVES])]
    pruned = rows[rows.method != "dense"]
    if pruned.empty:
        return None
    datasets = list(dict.fromkeys(pruned.dataset))
    figure, grid = style.panels([panel_title(rows, d, str(pruned.model.iloc[0])) for d in datasets])
    methods = [m for m in CURVES if (pruned.method == m).any()]
    for axes, dataset in zip(grid, datasets, strict=True):
        here = rows[rows.dataset == dataset]
        level(axes, mean_interval(here[here.method == "dense"].test_accuracy, SHARE), 100)
        for i, method in enumerate(methods):
            groups = [group for _, group in here[here.method == method].groupby("sparsity")]
            x = [1 / (1 - float(group.sparsity.iloc[0])) * 1.04 ** (i - 1) for group in groups]
            found = [mean_interval(group.test_accuracy, SHARE) for group in groups]
            axes.plot(x, [e.mean * 100 for e in found if e], color=style.colour(method), linewidth=0.8)
            for at, estimate in zip(x, found, strict=True):
                dot(axes, at, estimate, 100, method)
        axes.axhline(here.test_majority.iloc[0] * 100, color=style.COLOURS["majority"], linestyle=":")
        axes.set_xscale("log", base=2)
        factors = sorted({round(1 / (1 - s)) for s in here.sparsity if s})
        axes.set_xticks(factors, [f"{f}×" for f in factors])
        axes.set_ylim(max(axes.get_ylim()[0], -2), min(axes.get_ylim()[1], 102))
        axes.set_xlabel("compression (weights over weights kept)")
    for axes in grid[:: style.COLUMNS]:
        axes.set_ylabel("test accuracy, %")
    several = rows["seed"].nunique() > 1
    lines = [
        ("dense (95 % interval)" if several else "dense", Line2D([], [], color=style.COLOURS["dense"])),
        ("majority rate", Line2D([], [], color=style.COLOURS["majority"], linestyle=":")),
    ]
    style.legend(figure, methods, lines)
    text = (
        "Small MLP, the same share of every linear layer removed. `iterative` prunes and fine-tunes in rounds within "
        f"the budget of the others; the others cut the trained network once. {seeds(rows)}; "
        f"images: {provenance(rows)}. The paper's values are not published."
    )
    return style.save(figure, "compression_mlp-small", "Accuracy against compression", text, list(rows.id), layout)


def space(tidy: pd.DataFrame, layout: Layout) -> Exhibit | None:
    """Accuracy over random layer ratios at one total sparsity, with the usual allocations marked (one seed)."""
    rows = tidy[(tidy.status == "done") & (tidy.method == "post-training")]
    draws = rows[rows.scope == SPACE]
    if draws.empty:
        return None
    sparsity, dataset, seed = draws.sparsity.iloc[0], draws.dataset.iloc[0], draws.seed.iloc[0]
    same = (rows.sparsity == sparsity) & (rows.dataset == dataset) & (rows.seed == seed) & rows.scope.isin(ALLOCATIONS)
    marked = rows[same]
    figure, (axes,) = style.panels([f"{dataset} ({draws.source.iloc[0]}), {sparsity:.0%} of all weights gone"])
    sns.histplot(x=draws.test_accuracy * 100, bins=10, color=style.NOISE, ax=axes)
    sns.rugplot(x=draws.test_accuracy * 100, color="black", ax=axes)
    handles = []
    for i, (scope, name) in enumerate(ALLOCATIONS.items()):
        for accuracy in marked[marked.scope == scope].test_accuracy:
            better = (draws.test_accuracy > accuracy).mean()
            label = f"{name} ({better:.0%} of draws better)"
            dashes = ("-", "--", ":")[i]
            handles.append(axes.axvline(accuracy * 100, color=style.COLOURS["dense"], linestyle=dashes, label=label))
    axes.set_xlabel("test accuracy, %")
    axes.set_ylabel("draws")
    figure.legend(handles=handles, loc="outside lower center", frameon=False)
    text = (
        f"Small MLP, post-training magnitude pruning without fine-tuning; layer densities in {len(draws)} random "
        f"proportions, all at exactly the same total. n = 1 network (seed {seed}), no interval: the spread is that of "
        f"the allocation. Images: {provenance(draws)}."
    )
    ids = [*draws.id, *marked.id]
    return style.save(figure, "space_mlp-small", "A sample of the pruning space", text, ids, layout)


def recall(records: Sequence[Record], tidy: pd.DataFrame, layout: Layout) -> Exhibit | None:
    """Change of each class's recall against dense of the same seeds, a panel per post-training sparsity."""
    arms = _by_sparsity(records, tidy)
    if not arms:
        return None
    first, idle = next(iter(arms.values()))[0][0], bool(near_chance(tidy))
    figure, grid = style.panels([marked(f"{sparsity:.1%} removed", idle) for sparsity in arms], height=3.2)
    names = _names(first)
    for axes, pairs in zip(grid, arms.values(), strict=True):
        own, dense = (
            np.array([r.test.class_recall for r in side if r.test], float) for side in zip(*pairs, strict=True)
        )
        for place in range(own.shape[1]):
            estimate = paired_difference(own[:, place], dense[:, place], SHARE_DIFFERENCE)
            if estimate is not None:
                reach = interval_reach(estimate, 100)
                axes.errorbar(estimate.mean * 100, place, xerr=reach, color=style.colour("post-training"), marker="s")
        axes.axvline(0, color=style.COLOURS["dense"], linewidth=1)
        axes.set_yticks(range(len(names)), names, fontsize=7)
        axes.set_xlim(-105, 105)
        axes.set_xlabel("recall against dense, points")
    rows = tidy[tidy.method.isin(["dense", "post-training"])]
    text = (
        f"Small MLP, post-training, global. What one accuracy hides: recall of each class, paired by seed. "
        f"{seeds(rows)}; images: {provenance(rows)}."
    )
    ids = [r.id for pairs in arms.values() for pair in pairs for r in pair]
    return style.save(figure, "recall_mlp-small", "Which classes pruning forgets", text, ids, layout)


def disagreement_of(pairs: Sequence[tuple[Record, Record]]) -> tuple[list[float], int, int]:
    """(share of changed answers by seed, how many images are forgotten over all seeds, images)."""
    own, dense = ([_answers(r) for r in side] for side in zip(*pairs, strict=True))
    return (
        [disagreement(a, b) for a, b in zip(own, dense, strict=True)],
        len(pruning_identified_exemplars(dense, own)),
        len(own[0]),
    )


def disagreements(records: Sequence[Record], tidy: pd.DataFrame, layout: Layout) -> Exhibit | None:
    """How many test images are answered otherwise than by dense, beside how much accuracy changed."""
    arms = _by_sparsity(records, tidy)
    table, behind, idle = [], [], bool(near_chance(tidy))
    for sparsity, pairs in arms.items():
        shares, lost, images = disagreement_of(pairs)
        estimate = mean_interval(shares, SHARE)
        changes = [a.test.accuracy - b.test.accuracy for a, b in pairs if a.test and b.test]
        change = mean_interval(changes, SHARE_DIFFERENCE)
        own, dense = ([_answers(r) for r in side] for side in zip(*pairs, strict=True))
        which = pruning_identified_exemplars(dense, own)[:8]
        behind.append({"removed": [r.id for pair in pairs for r in pair]})
        table.append(
            {
                "removed": marked(f"{sparsity:.1%}", idle), "accuracy, points": change.text(100) if change else "–",
                "answers changed, %": estimate.text(100) if estimate else "–",
                "modal answer changed": f"{lost:,} of {images:,} images",
                "the first of them (place in the test set)": ", ".join(map(str, which)) or "none",
            }
        )  # fmt: skip
    if not table:
        return None
    frame = pd.DataFrame(table)
    rows = tidy[tidy.method.isin(["dense", "post-training"])]
    text = (
        "Small MLP, post-training, global, against dense of the same seed. The modal answer is the most frequent one "
        f"over the seeds (Hooker et al. 2019). {seeds(rows)}; images: {provenance(rows)}."
    )
    return write("disagreement_mlp-small", "Which images pruning forgets", text, frame, frame, behind, layout)


def _answers(record: Record) -> Answers:
    assert record.predictions is not None
    return unpack(record.predictions)


def _names(record: Record) -> tuple[str, ...]:
    known = DATASETS.get(record.trial.dataset)
    return known.classes if known else tuple(map(str, range(record.data.classes)))


def _by_sparsity(records: Sequence[Record], tidy: pd.DataFrame) -> dict[float, list[tuple[Record, Record]]]:
    """Sparsity -> (pruned, dense) of each seed, of finished trials whose answers are known."""
    known = [r for r in records if r.id in set(tidy.id) and r.status == "done" and r.predictions]
    dense = {r.id: r for r in known if r.trial.method == "dense"}
    found: dict[float, list[tuple[Record, Record]]] = {}
    for r in sorted(known, key=lambda r: (r.trial.sparsity, r.trial.seed)):
        if r.trial.method == "post-training" and r.trial.scope == "global" and r.shared_training in dense:
            found.setdefault(r.trial.sparsity, []).append((r, dense[r.shared_training]))
    return found
