"""The short answer that opens a notebook: a few sentences with numbers and n, computed from its records."""

from collections.abc import Sequence
from itertools import takewhile
from statistics import median

import pandas as pd

from paperlib.claims import Verdict, tally
from paperlib.claims.cost_arms import CostArm, measured_arms
from paperlib.claims.cost_evidence import COSTS, CostTable, networks_of
from paperlib.claims.effects import Arm, arms, corrected_protocol, is_near_chance, main_setting_only, near_chance
from paperlib.claims.verdict import DECIDED
from paperlib.core.paths import Layout
from paperlib.costs.cpu_study import EdgeRecord, rows
from paperlib.costs.records import cost_table, read_costs
from paperlib.exhibits.cpu_tables import EXACT, fastest
from paperlib.report.committed import reference, reference_bases
from paperlib.schema.record import Record
from paperlib.studies import SCENARIOS
from paperlib.studies.profiles import GRID_METHODS
from paperlib.trials.store import tidy

OPEN = "**The records shown do not decide it.**"
F_SHARE, NETWORK = 0.8, ["model", "scenario", "coupled"]  # of weights, in all scenarios; what names a network
_SCENARIO_OF = {(s.conv, s.linear): name for name, s in SCENARIOS.items()}


def answer(study: str, records: Sequence[Record], layout: Layout) -> str:
    """What these records and the costs in `layout` say of a study's question, as Markdown; study as in `sentences`."""
    parts = sentences(study, tidy(records), CostTable(cost_table(read_costs(layout))))
    return "\n".join(f"- {part}" for part in parts)


def sentences(study: str, table: pd.DataFrame, costs: CostTable) -> list[str]:
    """On accuracy and time, and for `industrial` on networks that collapse; study: that, `mlp` or `vgg`.

    table: of trials, as `tidy` makes it. What these do not decide is said to be open.
    """
    table = main_setting_only(table)
    parts = [_collapse(table)] if study == "industrial" else []
    return [*parts, _accuracy(table, study), _time(measured_arms(costs, study))]


def answer_of_claims(verdicts: Sequence[Verdict], layout: Layout) -> str:
    """How many of the papers' claims the records of `layout` decide, and how many more the committed reference does."""
    decided = [v for v in verdicts if v.base in DECIDED]
    words = "; ".join(f"{n} {word}" for word, n in tally(decided).items())
    parts = [f"Of {len(verdicts)} claims the records in results/{layout.name} decide {len(decided)}: {words or OPEN}."]
    archive = reference()
    if archive is not None and archive.parent.name != layout.name:
        theirs, name = reference_bases(archive), archive.parent.name
        more: dict[str, list[str]] = {}
        for claim in (v.claim for v in verdicts if v.base not in DECIDED and theirs.get(v.claim) in DECIDED):
            more.setdefault(theirs[claim], []).append(claim)
        told = "; ".join(f"{len(ids)} {word} ({', '.join(ids)})" for word, ids in more.items())
        left = len(verdicts) - len(decided) - sum(map(len, more.values()))
        parts.append(f"Of the others the committed reference, results/{name}, decides: {told or 'none'}.")
        parts.append(f"{left} stay open in both.")
    return "\n".join(f"- {part}" for part in parts)


def answer_of_cpu_study(records: Sequence[EdgeRecord]) -> str:
    """When the networks of these records of notebook 04 are faster than dense, as Markdown."""
    inference, steps = (pd.DataFrame(rows(records, steps=of_steps)) for of_steps in (False, True))
    return "\n".join(f"- {part}" for part in cpu_sentences(inference, steps))


def cpu_sentences(inference: pd.DataFrame, steps: pd.DataFrame) -> list[str]:
    """Masked and the fastest exact way at F's 80 %, then from which share on each network is faster, and the noise.

    inference, steps: as `cpu_study.rows` makes them; of them those on all threads count.
    """
    inference, steps = (table[table.threads == table.threads.max()] for table in (inference, steps))
    one, many = (inference[inference.batch_size == size] for size in (1, 64))
    parts = []
    for what, table in {"Inference, batch 64": many, "Inference, batch 1": one, "A training step": steps}.items():
        masked, exact = (_of_networks(table[table.sparsity == F_SHARE], ways) for ways in (EXACT[:1], EXACT))
        parts.append(
            f"{what}, {F_SHARE:.0%} removed (dense = 1): masked, as in the papers, {masked} networks; in the fastest "
            f"way with the same answers {exact}."
        )
    by_share: dict[float, list[str]] = {}
    for _, of in many[many.sparsity > 0].groupby(NETWORK, sort=False):
        model, scenario, coupled = of[NETWORK].iloc[0]
        name = model if model.startswith("mlp") else f"{model} {scenario}{' coupled' if coupled else ''}"
        by_share.setdefault(_pays_from(of), []).append(name)
    told = [f"{f'from {s:.0%} on' if s < 1 else 'at none'} in {', '.join(n)}" for s, n in sorted(by_share.items())]
    parts.append(f"Of the shares tried, inference at batch 64 is faster beyond the noise {'; '.join(told)}.")
    again = many[many.variant == "dense-again"]
    parts.append(
        f"Noise: dense again takes ×{again.ratio.min():.2f} to ×{again.ratio.max():.2f} of dense's time, its intervals "
        f"reach down to ×{again.ratio_low.min():.2f}; n = 1 network per point, at least {again.rounds.min()} rounds. "
        "What is not faster beyond it stays open."
    )
    return parts


def collapsed_runs(table: pd.DataFrame) -> pd.DataFrame:
    """How many runs of each model and scenario of paper F hardly beat the majority rate, beside dense; one row each."""
    rows = corrected_protocol(table)
    pruned = rows.method.isin(GRID_METHODS) & ((rows.sparsity > 0) | (rows.conv_sparsity > 0))
    rows = rows[(rows.method == "dense") | pruned]
    lost = [is_near_chance(a, m) for a, m in zip(rows.test_accuracy, rows.test_majority, strict=True)]
    named = rows.assign(
        collapsed=pd.Series(lost, rows.index, dtype=bool),
        scenario=["dense" if m == "dense" else _share("industrial", "global", c, s)
                  for m, c, s in zip(rows.method, rows.conv_sparsity, rows.sparsity, strict=True)],
    )  # fmt: skip
    counts = named.groupby(["model", "scenario"]).collapsed.agg(["sum", "size"]).reset_index()
    return counts.rename(columns={"sum": "near chance", "size": "of runs"})


def _collapse(table: pd.DataFrame) -> str:
    counts = collapsed_runs(table).groupby("scenario")[["near chance", "of runs"]].sum()
    if len(counts) < 2:
        return f"Collapse to chance: {OPEN} There is no pruned run beside dense ones."
    near, of = (counts[column].astype(int).to_dict() for column in counts)
    told = [f"{near[name]} of {of[name]} runs {'of' if name == 'dense' else 'in'} {name}" for name in near]
    text = f"Near chance, that is less than a tenth of the way from the majority rate to perfect: {', '.join(told)}."
    if "dense" not in near or 2 * near["dense"] >= of["dense"]:
        text += f" Half of the dense runs or more have not learnt, so what pruning ruins is open. {OPEN}"
    return text


def _share(study: str, scope: str, conv: float, linear: float) -> str:
    """What an arm removes, as the sentence names it; scenario of F, or scope and share of P."""
    if study == "industrial":
        return f"scenario {_SCENARIO_OF.get((conv, linear), f'{conv:g}-{linear:g}')}"
    return f"{scope} {linear:.0%}"


def _accuracy(table: pd.DataFrame, study: str) -> str:
    """Change against dense by what is removed, of networks that have learnt."""
    unlearnt = near_chance(table)
    pruned = [a for a in arms(table) if a.effect and a.method in GRID_METHODS and a.scope in {"global", "layerwise"}]
    pruned = [a for a in pruned if a.sparsity or a.conv_sparsity]
    learnt = [a for a in pruned if (a.dataset, a.model) not in unlearnt]
    if not learnt:
        why = "no dense network has learnt" if pruned else "there is no pruned arm beside dense"
        return f"Accuracy: {OPEN} In them {why}."
    by_share: dict[str, list[Arm]] = {}
    for arm in sorted(learnt, key=lambda a: (a.scope, a.sparsity, -a.conv_sparsity)):
        by_share.setdefault(_share(study, arm.scope, arm.conv_sparsity, arm.sparsity), []).append(arm)
    most = max(len({a.method for a in of}) for of in by_share.values())  # a curve of one method is no comparison
    by_share = {share: of for share, of in by_share.items() if len({a.method for a in of}) == most}
    learnt = [arm for of in by_share.values() for arm in of]
    told = [f"{median(100 * a.effect.mean for a in of if a.effect):+.1f} ({share})" for share, of in by_share.items()]
    n = sorted({a.effect.n for a in learnt if a.effect})
    seeds = f"n = {' to '.join(map(str, dict.fromkeys((n[0], n[-1]))))} seed{'s' * (n[-1] > 1)}"
    text = f"Test accuracy against dense, median of the methods and data sets, in points: {', '.join(told)}; {seeds}. "
    if n[-1] == 1:
        text += f"One seed has no interval. {OPEN}"
    else:
        bounded = [a.effect for a in learnt if a.effect and a.effect.low is not None and a.effect.high is not None]
        lower, higher = sum(e.high < 0 for e in bounded), sum(e.low > 0 for e in bounded)  # type: ignore[operator]
        open_ones = len(learnt) - lower - higher
        text += (
            f"Of {len(learnt)} pruned arms {lower} are below dense and {higher} above it with their whole 95 % "
            f"intervals, where chance alone would put about {0.05 * len(learnt):.0f}; {open_ones} stay open."
        )
    if unlearnt:
        names = ", ".join(f"{model} on {dataset}" for dataset, model in sorted(unlearnt))
        text += f" Left out, since dense hardly beats the majority rate: {names}."
    return text


def _time(measured: Sequence[CostArm]) -> str:
    """Inference beside dense, masked and with removed work left out."""
    masked, realised = (_ratios(measured, realised) for realised in (False, True))
    if not masked or not realised:
        return f"Time: {OPEN} No pruned network of this study was timed here."
    n = min(arm.rows.process.nunique() for arm in measured)
    return (
        f"Time of inference (batch 64; dense = 1): masked, as in the papers, {_median(masked)}; with the removed work "
        f"really left out {_median(realised)}; n = {n} fresh process{'es' * (n > 1)} each."
    )


def _ratios(measured: Sequence[CostArm], realised: bool) -> list[tuple[float, bool]]:
    """Each arm's ratio to dense, and whether all of its interval lies below the A/A noise."""
    metric, found = COSTS["inference_time"], list[tuple[float, bool]]()
    for arm in measured:
        if effect := arm.effect(metric, realised=realised):
            floor = arm.costs.floor(metric, networks_of(arm.rows)[0])
            faster = effect.high is not None and floor is not None and effect.high < 1 / (1 + floor.mean)
            found.append((effect.mean, faster))
    return found


def _pays_from(of: pd.DataFrame) -> float:
    """The share from which on, of those tried, the fastest exact way is faster; 1 for none."""
    tried = sorted(set(of.sparsity), reverse=True)
    return min(takewhile(lambda share: fastest(of[of.sparsity == share], EXACT)[1], tried), default=1.0)


def _of_networks(table: pd.DataFrame, ways: Sequence[str]) -> str:
    found = [fastest(of, ways) for _, of in table.groupby(NETWORK)]
    return _median([(best.ratio, is_faster) for best, is_faster in found])


def _median(ratios: Sequence[tuple[float, bool]]) -> str:
    faster = sum(is_faster for _, is_faster in ratios)
    return f"×{median(r for r, _ in ratios):.2f} at the median and faster beyond the noise in {faster} of {len(ratios)}"
