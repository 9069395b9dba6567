"""Simulated ledgers with known truth: every word that a claim can get is reached, and wrong words are rare."""

import pytest

from paperlib.claims import CLAIMS, verdicts
from paperlib.claims.verdict import Base
from tests.simulated_ledgers import Truth, by, pruned, scenario, world, worlds

DIRECTION: set[Base] = {"supported", "contradicted", "no effect", "too noisy to tell", "inconclusive"}
# Of a range, of equality and of non-inferiority "no effect" is no other word than "supported" or "contradicted".
NO_NULL = DIRECTION - {"no effect"}
RANGES = {
    "A1", "A6", "C3", "C5", "C14", "C16", "C19", "C20", "C22", "C23", "C24", "C25", "C26", "C27", "C37", "C38", "C39",
    "C41", "C43", "C45", "C48", "C49", "C57", "C58",
}  # fmt: skip
# Claims that cannot get every word, which ones they get, and why.
EXCEPTIONS: dict[str, tuple[set[Base], str]] = {
    "C4": ({"compares unlike quantities"}, "an accuracy beside an F1, whatever is measured"),
    "C10": ({"by definition"}, "tried out on the code of both methods; another test breaks it"),
    "C11": ({"supported"}, "counted"),
    "C12": ({"internally inconsistent"}, "the paper's own text"),
    "C13": ({"contradicted"}, "tried out"),
    "C15": ({"supported", "contradicted", "inconclusive"}, "a share of trials that fail, without an interval"),
    "C17": ({"supported", "contradicted", "inconclusive"}, "a claim about the noise itself"),
    "C18": ({"untestable here"}, "the meters leave partitions of a GPU out"),
    "C29": ({"by definition", "contradicted", "inconclusive"}, "the training is shared, or it is not"),
    "C30": ({"internally inconsistent"}, "the paper's own text"),
    "C34": (DIRECTION - {"supported"}, "a network's costs hardly depend on the images, so two sets cannot differ"),
    "C44": ({"internally inconsistent"}, "the paper's own text"),
    "C56": ({"internally inconsistent"}, "the paper's own text"),
    "C61": (DIRECTION - {"no effect"}, "that more sparsity does not cut energy is what no effect supports"),
    "C59": ({"supported", "contradicted", "inconclusive"}, "a correlation over settings, which has no margin"),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_every_word_of_every_claim_is_reached(claim: str) -> None:
    expected = EXCEPTIONS[claim][0] if claim in EXCEPTIONS else NO_NULL if claim in RANGES else DIRECTION
    reached = set[Base]()
    for w in worlds(claim):
        (verdict,) = verdicts(w.tidy, [CLAIMS[claim]], w.costs)
        assert verdict.base in expected | {"untestable here"}, verdict.detail
        reached.add(verdict.base)
        if reached >= expected:
            return
    assert reached >= expected


def test_what_is_excepted_says_why() -> None:
    assert set(EXCEPTIONS) | RANGES <= set(CLAIMS) and not set(EXCEPTIONS) & RANGES
    assert all(reason for _, reason in EXCEPTIONS.values())


def simulate(claim: str, truth: Truth, noise: float, rounds: int) -> list[Base]:
    """The words on so many ledgers of one truth."""
    tables = (world(claim, truth, noise=noise, seed=1_000 + number) for number in range(rounds))
    return [verdicts(w.tidy, [CLAIMS[claim]], w.costs)[0].base for w in tables]


# An effect that is as small as it can be for the claim to be true; noise: of an accuracy a tenth, of a cost its log.
TRUE_BY_A_HAIR: dict[str, tuple[Truth, float]] = {
    "C36": (lambda s: {}, 0.1),  # ii is not below i
    "C9": (lambda s: {}, 0.1),
    "C58": (by(scenario, accuracy={"iii": 0.89}), 0.1),  # a loss of the margin
    "C27": (by(scenario, last_train_loss={"iii": 0.3}), 0.05),
    "C33": (lambda s: {}, 0.02),
}


@pytest.mark.parametrize("claim", TRUE_BY_A_HAIR)
def test_contradictions_are_wrong_in_one_case_of_twenty_at_most(claim: str) -> None:
    truth, noise = TRUE_BY_A_HAIR[claim]
    words = simulate(claim, truth, noise, 60)
    assert words.count("contradicted") <= 0.05 * len(words)


TWICE: dict[str, tuple[Truth, float]] = {
    "C36": (by(scenario, accuracy={"i": 0.88}), 0.15),  # twice the margin
    "C6": (by(scenario, accuracy={"ii": 0.92}), 0.15),
    "C33": (pruned(1 / 1.1), 0.05),
}


@pytest.mark.parametrize("claim", TWICE)
def test_a_true_effect_is_neither_contradicted_nor_none(claim: str) -> None:
    truth, noise = TWICE[claim]
    words = simulate(claim, truth, noise, 60)
    assert words.count("contradicted") + words.count("no effect") <= 0.05 * len(words)


AT_THE_MARGIN: dict[str, tuple[Truth, float]] = {
    "C36": (by(scenario, accuracy={"i": 0.89}), 0.05),
    "C6": (by(scenario, accuracy={"ii": 0.91}), 0.05),
    "C33": (pruned(1 / 1.05), 0.01),
}


@pytest.mark.parametrize("claim", AT_THE_MARGIN)
def test_an_effect_of_the_margin_is_called_none_in_one_case_of_twenty_at_most(claim: str) -> None:
    truth, noise = AT_THE_MARGIN[claim]
    words = simulate(claim, truth, noise, 60)
    assert words.count("no effect") <= 0.05 * len(words)


# Truth, noise, and the effect that the interval should hold.
COVERED: dict[str, tuple[Truth, float, float]] = {
    "C36": (by(scenario, accuracy={"i": 0.87}), 0.2, 3.0),
    "C33": (pruned(0.9), 0.05, 0.9),
    "C25": (lambda s: {"last_train_loss": 0.35}, 0.05, 0.35),
}


@pytest.mark.parametrize("claim", COVERED)
def test_intervals_cover_what_they_promise(claim: str) -> None:
    truth, noise, effect = COVERED[claim]
    hits, rounds = 0, 400
    for number in range(rounds):
        w = world(claim, truth, noise=noise, seed=5_000 + number)
        e = verdicts(w.tidy, [CLAIMS[claim]], w.costs)[0].estimate
        assert e and e.low is not None and e.high is not None
        hits += e.low <= effect <= e.high
    assert hits / rounds == pytest.approx(0.95, abs=0.02)
