"""The ledger of claims: each is declared once, beside its test, in accuracy.py, costs.py or facts.py.

P: Inference and training efficiency in pruned multilayer perceptron networks (2026), claims A1 to A6.
F: A comparative study of neural network pruning strategies for industrial applications (2025), C1 to C63.
Scenarios of F: i prunes 80 % of filters and linear weights, ii 50 % and 80 %, iii linear weights only.
"""

from collections.abc import Callable
from dataclasses import dataclass

from paperlib.claims.builders import Test, every
from paperlib.claims.verdict import Kind


@dataclass(frozen=True)
class Claim:
    """One sentence of a paper that can be true or false, in our words. section: the paper and where it says so."""

    id: str
    section: str
    kind: Kind
    text: str
    test: Test


CLAIMS: dict[str, Claim] = {}  # A1 to A6, C1 to C63, then those of others


def claim(id: str, section: str, kind: Kind, text: str) -> Callable[..., Test]:
    """Declare a claim; what it returns takes the tests, as a decorator of one function or a call on ready-made ones.

    A test gets Evidence (which may hold no trial) and returns a Verdict, whose `needs` is never empty; it changes
    nothing. Of several tests every one must hold. Ready-made ones are in `paperlib.claims.builders`, the papers'
    settings in `paperlib.claims.settings`.

        claim("C46", "F 4.6", "energy", "SET needs less energy than dense.")(below("training_energy", grid_f(("set",))))
    """

    def declare(*tests: Test) -> Test:
        CLAIMS[id] = Claim(id, section, kind, text, every(*tests))
        return CLAIMS[id].test

    return declare
