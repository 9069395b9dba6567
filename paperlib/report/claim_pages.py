"""A page for each claim: what was asked of which settings, what they say, and what would change the verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jinja2
from PIL import Image

from paperlib.claims import CLAIMS, Verdict
from paperlib.claims.notes import NOTES
from paperlib.claims.stats import Estimate
from paperlib.claims.verdict import Compared, Family
from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.exhibits import claim_figures

PAPERS = {"P": "https://doi.org/10.1371/journal.pcsy.0000095", "F": "https://doi.org/10.3389/fcomp.2025.1563942"}
SHOWN = 6  # commands that stand on a page; the list of its trials has them all
_ASKED = {
    "lower": "must be lower than {}", "higher": "must be higher than {}",
    "not higher": "must not be higher than {} by as much as the margin",
    "not lower": "must not be lower than {} by as much as the margin",
    "equal": "must equal {} within the margin", "in range": "must lie in the range that is claimed",
}  # fmt: skip
_ONE_SIDED = "is one-sided, so this is a test of non-inferiority. The margin is ours: the papers state none."
_WHY = {
    "not higher": f"“Not more” {_ONE_SIDED}",
    "not lower": f"“No loss” {_ONE_SIDED}",
    "equal": "Two one-sided tests show that things are equal; the lack of a difference would not. The margin is ours: "
    "the papers state none.",
    "in range": "The paper gives a number; the range around it is ours.",
}


@dataclass(frozen=True)
class Part:
    """A family of comparisons as its page shows it: the question, why it is put so, the rows of its table, and the
    names of the settings that have none."""

    title: str
    unit: str
    question: str
    why: str
    rows: tuple[Compared, ...]
    others: tuple[str, ...]

    @classmethod
    def of(cls, family: Family) -> "Part":
        rows = tuple(one for one in family.compared if one.estimate)
        others = (one for one in family.compared if not one.estimate)
        names = (one.label + f" ({one.outcome})" * (one.outcome != "not measured") for one in others)
        return cls(family.title, family.unit, question(family), why(family), rows, tuple(names))


def question(family: Family) -> str:
    """What must hold if the claim does: `Training time must be lower than dense's in each of 18 settings.`"""
    total, is_ratio = len(family.compared), family.unit == "ratio"
    against = "what stands after “against”" if any(" against " in one.label for one in family.compared) else "dense's"
    subject = family.title
    if family.asked == "in range" and not family.level:
        subject += f", as {'ratio' if is_ratio else 'difference'} to {against},"
    asked = _ASKED[family.asked].format("0" if family.level else against)
    count = f"each of {total} settings" if family.needed == total else f"at least {family.needed} of {total} settings"
    where = "in this setting" if total == 1 else f"in {count}"
    beyond = ""
    if family.asked in {"lower", "higher"}:
        beyond = ", beyond the A/A noise floor of its network" if is_ratio else ", beyond what chance explains"
    said = f"{subject} {asked} {where}{beyond}."
    return f"The claim denies this: {said}" if family.denied else said


def why(family: Family) -> str:
    """Why it is asked so."""
    reasons = [_WHY[family.asked]] if family.asked in _WHY else []
    if family.unit == "ratio":
        reasons.append(
            "Costs are ratios within rounds, in fresh processes; two identical networks differ by more than the floor "
            "in one process of twenty."
        )
    elif not family.level:
        reasons.append(
            "Scores are compared in pairs of one seed. Their spread is pooled over the arms of a data set and network, "
            "since that of a few seeds says little."
        )
    if len(family.compared) > 1 and family.needed == len(family.compared):
        reasons.append("One setting on the other side is enough against it, so that side is Holm-corrected.")
    return " ".join(reasons)


def figure_text(estimate: Estimate, unit: str) -> str:
    """An estimate in its family's unit, as verdicts show theirs."""
    return Verdict("supported", estimate=estimate, unit=unit).figure()


def write(
    layout: Layout,
    templates: jinja2.Environment,
    by_margin: Mapping[float, Sequence[Verdict]],
    commands: Mapping[str, str],
) -> None:
    """Write claims/<id>.html, and .png where something was measured, into the report.

    by_margin: the verdicts by the factor on the margins, in the order of the ledger, 1.0 among them. commands: of
    trials, by id.
    """
    template, ids = templates.get_template("claim.html.j2"), [verdict.claim for verdict in by_margin[1.0]]
    for place, verdict in enumerate(by_margin[1.0]):
        picture, claim = claim_figures.forest(verdict.families), CLAIMS[verdict.claim]
        target = layout.report / "claims" / f"{claim.id}.png"
        size = None
        if picture:
            write_atomically(target, picture)
            with Image.open(target) as image:
                size = image.size
        context: dict[str, object] = {
            "root": "../", "v": verdict,
            "claim": claim, "paper": PAPERS.get(claim.section.partition(" ")[0]), "size": size,
            "note": NOTES.get(claim.id, ""), "parts": [Part.of(family) for family in verdict.families],
            "words": {factor: verdicts[place].word for factor, verdicts in by_margin.items() if factor != 1.0},
            "commands": [commands[i] for i in verdict.trials if i in commands][:SHOWN],
            "costs": sum(i not in commands for i in verdict.trials), "text": figure_text,
            "before": ids[place - 1] if place else "", "after": ids[place + 1] if place + 1 < len(ids) else "",
        }  # fmt: skip
        write_atomically(target.with_suffix(".html"), template.render(context).encode())
