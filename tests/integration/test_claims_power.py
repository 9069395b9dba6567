"""What would decide an undecided claim: the number of repeats, by simulation, and `paperlib claims ID --run`."""

import sys
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from paperlib.claims import CLAIMS, Claim, Evidence, Verdict, verdicts
from paperlib.claims.builders import Test, above, below, every, not_below, same
from paperlib.claims.missing import asked_by, missing, refuse
from paperlib.claims.settings import Setting, dense_of, versus
from paperlib.claims.stats.power import MOST
from paperlib.cli import entry
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.costs.forecast import Cost
from paperlib.costs.records import cost_table, read_costs
from paperlib.schema.cost import PROCESSES
from paperlib.trials.runner import run_all
from paperlib.trials.store import Store
from tests import claim_records as made

ARM = Setting("mnist", "mlp-small", "set", 0.0, 0.5, "layerwise")
ARMS = [ARM, dense_of(ARM)]


def accuracies(values: np.ndarray) -> pd.DataFrame:
    """A table in which the arm gains `values` over dense, one per seed."""
    tidy = made.table(arms=ARMS, seeds=len(values), noise=0.0)
    return tidy.assign(test_accuracy=0.9 + np.where(tidy.method == "set", values[tidy.seed], 0.0))


def times(values: np.ndarray) -> pd.DataFrame:
    """Costs of the arm with these log ratios to dense, one per process, and quiet A/A controls."""
    costs = made.costs(arms=[ARM], processes=len(values), noise=0.002)
    return costs.assign(inference_b64_ratio=np.exp(values))


def seen(mean: float, spread: float, n: int) -> np.ndarray:
    """n values of exactly this mean and standard deviation."""
    values = np.linspace(-1, 1, n)
    return mean + spread * values / values.std(ddof=1)


def on_scores(test: Test, values: np.ndarray) -> Verdict:
    return test(Evidence.of(accuracies(values)))


def on_times(test: Test, values: np.ndarray) -> Verdict:
    return test(Evidence.of(pd.DataFrame(), times(values)))


# Test, mean and spread that were seen, and the word that so many seeds give in four of five cases.
@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("test", "mean", "spread", "word"),
    [
        (above("accuracy", [ARM]), 0.02, 0.02, "supported"),
        (below("accuracy", [ARM]), 0.02, 0.02, "contradicted"),
        (not_below("accuracy", [ARM]), 0.0, 0.012, "supported"),
        (same("accuracy", [ARM]), 0.002, 0.012, "supported"),
        (above("accuracy", [ARM]), 0.0, 0.01, "no effect"),
    ],
    ids=["above", "wrong side", "non-inferior", "equal", "no effect"],
)
def test_so_many_seeds_decide_it_in_four_of_five_cases(test: Test, mean: float, spread: float, word: str) -> None:
    undecided = on_scores(test, seen(mean, spread, 3))
    assert undecided.base in {"too noisy to tell", "inconclusive"} and undecided.processes is None
    n = undecided.seeds
    assert n is not None and 3 < n <= MOST and f"{n} seeds for 80 % power" in undecided.needs
    rng = np.random.default_rng(1)
    bases = [on_scores(test, rng.normal(mean, spread, n)).base for _ in range(150)]
    assert 0.73 <= bases.count(word) / len(bases) <= 0.92
    fewer = [on_scores(test, rng.normal(mean, spread, max(2, n // 2))).base for _ in range(100)]
    assert fewer.count(word) / len(fewer) < 0.7


@pytest.mark.no_cover
def test_so_many_processes_decide_a_cost() -> None:
    test = below("inference_time", [ARM])
    undecided = on_times(test, seen(-0.05, 0.04, 3))
    n = undecided.processes
    assert n is not None and 3 < n < 30 and undecided.seeds is None and f"{n} processes for 80 %" in undecided.needs
    rng = np.random.default_rng(2)
    bases = [on_times(test, rng.normal(-0.05, 0.04, n)).base for _ in range(120)]
    assert 0.73 <= bases.count("supported") / len(bases) <= 0.92


def test_what_no_number_decides_says_so() -> None:
    near = on_scores(above("accuracy", [ARM]), seen(0.0099, 0.1, 3))
    assert near.seeds is not None and near.seeds <= MOST  # it is above 0, if not by a point
    edge = on_scores(not_below("accuracy", [ARM]), seen(-0.0099, 0.1, 3))
    assert edge.seeds == MOST + 1 and "more than 1,000 seeds" in edge.needs
    (alone,) = [on_scores(above("accuracy", [ARM]), np.array([0.02]))]
    assert alone.seeds is None and "2 seeds of each" in alone.needs
    # Lower in one setting, surely equal in another: supported is out of reach, and so is all else.
    other = ARM._replace(dataset="fashionmnist")
    truth = {ARM: 0.8, other: 0.9}
    tidy = made.table(lambda s: {"accuracy": truth.get(s, 0.9)}, arms=[*truth, *map(dense_of, truth)], noise=0.001)
    mixed = below("accuracy", [ARM, other])(Evidence.of(tidy))
    assert mixed.base == "inconclusive" and mixed.seeds is None and "settings differ" in mixed.needs
    decided = on_scores(above("accuracy", [ARM]), seen(0.05, 0.001, 3))
    assert decided.base == "supported" and decided.seeds is None and "power" not in decided.needs


def test_every_undecided_verdict_says_what_it_takes() -> None:
    noisy = made.table(seeds=3, noise=0.3), made.costs(noise=0.2)
    found = verdicts(noisy[0], measured=noisy[1])
    undecided = [v for v in found if v.base == "too noisy to tell"]
    assert len(undecided) > 10
    for v in undecided:
        assert v.seeds or v.processes or "settings differ" in v.needs, v.claim
        assert "power" in v.needs or "settings differ" in v.needs


def own_tables(name: str) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """The tables of one's own records, though there be none."""
    layout = Layout.of(name)
    return Store(layout).table(), cost_table(read_costs(layout)), name


@pytest.fixture
def claim(monkeypatch: pytest.MonkeyPatch) -> Iterator[Claim]:
    """A claim of two parts that `smoke` can afford; its trials run here, on tiny images."""
    test = every(below("inference_time", [ARM]), above("accuracy", [ARM], versus(method="pre-training")))
    claim = Claim("C999", "nowhere", "time", "SET infers faster and is better than Pre-Training.", test)
    monkeypatch.setitem(CLAIMS, claim.id, claim)
    monkeypatch.setattr("paperlib.costs.forecast.cost_of", lambda *work: Cost(90.0, 7200.0))
    monkeypatch.setattr("paperlib.trials.subprocess_runner.run_in_subprocess", run_all)
    monkeypatch.setattr("paperlib.cli.claims.tables_of", own_tables)
    yield claim


def screen(*words: str) -> str:
    """All that the command line says."""
    done = CliRunner().invoke(entry.app, ["claims", *words])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


@pytest.mark.usefixtures("tiny_images")
def test_run_does_what_it_said_and_nothing_else(claim: Claim, layout: Layout) -> None:
    layout = Layout.of("smoke")
    said = screen(claim.id, "--profile", "smoke")
    assert "to run" in said and f"paperlib claims {claim.id} --profile smoke --run" in said
    assert not list(layout.results.glob("**/*.json")), "asking runs nothing"
    said = screen(claim.id, "--profile", "smoke", "--run", "--yes")
    assert "lacks 4 trials and 1 costs, in 3 processes of profile smoke: about 1.5 min" in said
    ran = {(r.trial.method, r.trial.scope, r.trial.seed) for r in Store(layout).records()}
    assert ran == {(method, "layerwise", seed) for method in ("set", "pre-training") for seed in (0, 1)}
    (record,) = read_costs(layout)
    assert (record.setting.method, record.setting.scope, len(record.runs)) == ("set", "layerwise", PROCESSES)
    (verdict,) = verdicts(Store(layout).table(), [claim])
    assert verdict.estimate is None or verdict.n == 2
    asked = missing(claim, Verdict("inconclusive", needs="x", seeds=3, processes=4), "smoke", layout)
    assert {t.seed for t in asked.trials} == {2} and len(asked.trials) == 2, "one more seed of both arms"
    assert asked.processes == 4 and asked.fresh == 1 and len(asked.costs) == 1


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The last line on standard error of a command that ends with exit code 2."""
    with pytest.raises(SystemExit) as end, entry._one_line_errors():
        entry.app(["claims", *words], standalone_mode=False)
    out, err = capsys.readouterr()
    assert end.value.code == 2 and not out
    return err.splitlines()[-1]


def test_bad_input_is_one_clear_line(
    claim: Claim, layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    smoke = "--profile", "smoke", "--run"
    assert "takes the ID of one claim" in refusal(capsys, "--run") and "goes with --run" in refusal(
        capsys, "C46", "--yes"
    )
    assert "unknown claim 'C998'" in refusal(capsys, "C998", *smoke)
    assert "unknown profile" in refusal(capsys, "C46", "--run", "--profile", "smokey")
    assert "no trial or cost of this profile decides C11" in refusal(capsys, "C11", *smoke)
    assert "C45 takes costs on a GPU," in refusal(capsys, "C45", *smoke)
    assert "C43 takes costs on a GPU of type A100," in refusal(capsys, "C43", *smoke)
    monkeypatch.setattr("paperlib.claims.missing._has_counter", lambda: False)
    assert "C46 is about energy, which no counter measures here" in refusal(capsys, "C46", *smoke)
    assert "nothing to run: profile smoke has all" in refusal(capsys, "C23", *smoke), "no VisA in smoke"
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    assert "nobody is here to be asked" in refusal(capsys, claim.id, *smoke)
    lacking = missing(claim, Verdict("inconclusive", needs="x"), "smoke", layout)
    with pytest.raises(PaperlibError, match="would take more than 1,000 repeats"):
        refuse(claim, Verdict("inconclusive", needs="x", seeds=MOST + 1), "smoke", lacking)


def test_a_claim_tells_which_arms_it_rests_on() -> None:
    asked = asked_by(CLAIMS["C52"])
    assert {s.conv for s in asked.costs} == {0.8, 0.5, 0.0} and not asked.trials and asked.machines == {"cpu"}
    asked = asked_by(CLAIMS["C1"])
    assert {s.method for s in asked.trials} == {"set", "dense"} and {s.method for s in asked.costs} == {"set"}
