"""What the records say, in sentences: computed, never typed."""

from collections.abc import Sequence
from statistics import median

import pandas as pd

from paperlib.claims.cost_arms import STUDIES, measured_arms, setting_of
from paperlib.claims.cost_evidence import COSTS, CostTable
from paperlib.claims.effects import (
    DRAWN,
    NOT_PUBLISHED,
    PAPER,
    corrected_protocol,
    main_setting_only,
    near_chance,
)
from paperlib.claims.verdict import DECIDED, Verdict
from paperlib.exhibits.captions import energy_sources, provenance
from paperlib.report.cost_findings import SHARES_P, Finding, bought, counted, fastest, pruned_arms


def findings(tidy: pd.DataFrame, costs: CostTable) -> list[Finding]:
    """What the records of trials and of costs say; what they are silent about has no finding.

    The first two are what pruning buys and what it costs in accuracy, the last two name the machine and the images.
    """
    tidy = main_setting_only(tidy)
    measured = list({arm.id: arm for study in STUDIES for arm in measured_arms(costs, study)}.values())
    parts = [
        bought(tidy, costs),
        _accuracy(tidy),
        fastest(tidy, costs, measured),
        counted(costs, measured, "inference_time"),
        counted(costs, measured, "training_time"),
    ]
    parts += [_abstract(tidy, costs), _failures(tidy), _machines(tidy, costs)]
    return [part for part in parts if part] + [Finding("Images", f"{provenance(corrected_protocol(tidy))}.")]


def headlines(tidy: pd.DataFrame, costs: CostTable, decided: Sequence[Verdict]) -> list[Finding]:
    """The three at most that a reader wants first: what pruning buys, what it costs, how the claims fare."""
    tidy = main_setting_only(tidy)
    return [part for part in (bought(tidy, costs), _accuracy(tidy), _fared(decided)) if part]


def _fared(decided: Sequence[Verdict]) -> Finding | None:
    """How the claims fare: none for no verdict."""
    by_word = {word: [v.claim for v in decided if v.base == word] for word in DECIDED}
    supported, against = (len(by_word[word]) for word in ("supported", "contradicted"))
    if not any(by_word.values()):
        return None
    open_ = len(decided) - sum(map(len, by_word.values()))
    others = [f"{len(ids)} {word}" for word, ids in list(by_word.items())[2:] if ids]
    return Finding(
        f"Of the {len(decided)} claims of the two papers these records support {supported} and contradict {against}; "
        f"{open_} stay open",
        f"Contradicted: {', '.join(by_word['contradicted']) or 'none'}. The others: {', '.join(others) or 'none'}. "
        "Open are those that need what was not measured here, such as a GPU, a counter of energy, or more seeds; "
        "`paperlib claims ID` says what each would take.",
    )


def _accuracy(tidy: pd.DataFrame) -> Finding | None:
    pruned = pruned_arms(tidy)
    if not pruned:
        return None
    effects = [effect for _, effect in pruned]
    apart = [e for e in effects if e.low is not None and e.high is not None and not e.low <= 0 <= e.high]
    lower = sum(e.mean < 0 for e in apart)
    means = sorted(100 * e.mean for e in effects)
    of_share = [[100 * e.mean for arm, e in pruned if arm.sparsity == share] for share in SHARES_P]
    by_share = [f"{median(c):+.1f} at {share:.0%}" for share, c in zip(SHARES_P, of_share, strict=True) if c]
    changes = f"The changes run from {means[0]:+.1f} to {means[-1]:+.1f} points, median {median(means):+.1f}"
    changes += f" ({', '.join(by_share)} of the linear layers' weights)." if by_share else "."
    at_chance = near_chance(tidy)
    if near := sum((arm.dataset, arm.model) in at_chance for arm, _ in pruned):
        changes += f" {near} of these arms stand beside a dense network near chance, which has nothing to lose."
    if all(e.n == 1 for e in effects):
        return Finding(f"Accuracy of {len(effects)} pruned arms, one seed each, so without intervals", changes)
    return Finding(
        f"Accuracy is lower in {lower} and higher in {len(apart) - lower} of {len(effects)} pruned arms "
        "(an arm: a network pruned in one way, on one data set)",
        f"That is, with a 95 % interval that excludes zero, as about {0.05 * len(effects):.0f} would by chance; these "
        f"seeds cannot tell the others from dense. {changes}",
    )


def _abstract(tidy: pd.DataFrame, costs: CostTable) -> Finding | None:
    """P's one published set of numbers (claim A1) beside ours."""
    cases = [(arm, change) for arm, change in pruned_arms(tidy) if arm.paper not in {NOT_PUBLISHED, DRAWN}]
    for arm, change in cases:
        if arm.method != "pre-training":
            continue
        parts = [f"test accuracy {change.text(100)} points (paper {arm.paper})"]
        rows = costs.of(setting_of(arm))
        for name in ("inference_time", "inference_energy"):
            if effect := costs.effect(COSTS[name], setting_of(arm)):
                source = ""
                if column := COSTS[name].source:
                    off = rows[column.replace("source", "uncertainty")]
                    source = f", {energy_sources(rows[column], off)}"
                published = PAPER[name, arm.dataset, arm.model, arm.scope, arm.sparsity]
                parts.append(f"{COSTS[name].title.lower()} ×{effect.text(1, 3)}{source} (paper {published})")
        lead = "P's published case, small MLP on MNIST, layer-wise 50 %, pruned before training"
        return Finding(lead, f"Against dense: {'; '.join(parts)}.")
    return None


def _machines(tidy: pd.DataFrame, costs: CostTable) -> Finding | None:
    if tidy.empty:
        return None
    told = {
        column: [*tidy[column].dropna(), *costs.rows.get(column, pd.Series()).dropna()] for column in ("cpu", "gpu")
    }
    cpus = ", ".join(sorted(set(told["cpu"])))
    if told["gpu"]:
        return Finding("Machines", f"{', '.join(sorted(set(told['gpu'])))}; {cpus}.")
    threads = " or ".join(str(n) for n in sorted(set(tidy.threads)))
    text = (
        f"{cpus}, {threads} thread(s) a trial. No trial ran on a GPU, "
        "so what the papers say of one stays open: `make reproduce PROFILE=paper` on one decides it."
    )
    return Finding("Machine", text)


def _failures(tidy: pd.DataFrame) -> Finding | None:
    failed = tidy[tidy.status == "failed"]
    if failed.empty:
        return None
    return Finding(f"{len(failed)} of {len(tidy)} trials failed to train", f"{'; '.join(sorted(set(failed.reason)))}.")
