"""Why a pruned network is not faster: each reason from figures of known truth, and one small network measured."""

import sys
from dataclasses import replace

import pytest

from paperlib.cli import main
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.costs.diagnosis import Figures, LayerFigures, describe, explain, measure, reasons
from paperlib.schema.measurement import Timing
from paperlib.schema.trial import make_trial
from paperlib.trials.archive import find_record
from paperlib.trials.images import shape_of
from paperlib.trials.runner import run
from tests.conftest import served, tiny


def timing(variant: str, ratio: float, batch: int, dense_s: float) -> Timing:
    return Timing(
        variant=variant, batch_size=batch, rounds=9, median_s=dense_s * ratio, p95_s=1.0, p99_s=1.0, ratio=ratio,
        ratio_low=ratio * 0.98, ratio_high=ratio * 1.02,
    )  # fmt: skip


def figures(batch: int = 64, **large: float) -> Figures:
    """A network whose pruned form takes 0.2 of dense's 10 ms (1 ms at batch 1), where only masks hold it back."""
    ratios = {"dense": 1.0, "dense-again": 1.0, "masked": 1.0, "way": 0.2} | large
    one = {"dense": 1.0, "dense-again": 1.0, "masked": 1.0, "way": 0.2, "calls": 0.01}
    return Figures(
        title="Trial 0: set mlp-medium",
        way="sparse",
        small=tuple(timing(name, ratio, 1, 1e-3) for name, ratio in (one | large).items()),
        large=tuple(timing(name, ratio, batch, 1e-2) for name, ratio in ratios.items()),
        zeros=0.8,
        arithmetic=0.2,
        layers=(LayerFigures("fc1", (784, 4000), 0.8, ((0.5, 0.7), (0.8, 0.3), (0.95, 0.1))),),
        odd=(),
        weight_bytes=4_000_000,  # at 4 GB/s
        bandwidth=20e9,
    )


def at_batch_1(given: Figures, variant: str, ratio: float) -> Figures:
    small = [t for t in given.small if t.variant != variant]
    return replace(given, small=(*small, timing(variant, ratio, 1, 1e-3)))


TOO_FEW = LayerFigures("fc2", (4000, 1000), 0.3, ((0.3, 1.4), (0.5, 0.9), (0.95, 0.12)))
CASES = {
    "": (figures(), "×0.20 at batch 64"),
    "Too few weights gone": (
        replace(figures(), layers=(TOO_FEW,)), "fc2 (4000→1000) lost 30%; sparse pays from 46% on. At 95%",
    ),
    "Too few weights gone ": (replace(figures(half=0.4), arithmetic=0.98), "does 2% of the arithmetic. With half"),
    "Odd channel counts": (
        replace(figures(rounded=0.15), odd=(13, 27)), "--round-to 8: ×0.15 instead of ×0.20",
    ),
    "Batch too small": (at_batch_1(figures(), "calls", 0.1), "calls alone take 100 µs, 50% of sparse"),
    "Batch too small ": (at_batch_1(figures(), "way", 0.6), "sparse takes ×0.60 at batch 1, ×0.20 at batch 64"),
    "Memory-bound": (replace(figures(), bandwidth=5e9), "batch 1 reads 4.0 GB/s of weights of 5.0"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_reason_is_named_from_figures_of_known_truth_and_no_other(name: str) -> None:
    given, said = CASES[name]
    found = [reason.name for reason in reasons(given)]
    assert found == ["Masked", *([name.strip()] if name else [])]
    text = describe(given)
    assert said in " ".join(text.split())
    assert ("No reason here:" in text) and all(word.lower() not in text.split("No reason here:")[1] for word in found)


def test_what_does_not_pay_says_so_and_all_reasons_fit_25_lines_of_80_columns() -> None:
    lost, gained = (" ".join(describe(figures(way=ratio)).split()) for ratio in (0.99, 0.2))
    assert "no gain beyond the noise" in lost and "no gain" not in gained
    worst = replace(figures(way=1.0, rounded=0.5), layers=(TOO_FEW,), odd=(13, 27, 9), bandwidth=5e9)
    worst = at_batch_1(worst, "calls", 0.5)
    lines = describe(replace(worst, title="Trial 0123456789abcdef: pre-training-coupled " + "long " * 20)).splitlines()
    assert len(reasons(worst)) == 5
    assert len(lines) <= 25 and max(map(len, lines)) <= 80


def test_rounding_that_gains_nothing_is_no_reason() -> None:
    assert [r.name for r in reasons(replace(figures(rounded=0.2), odd=(13,)))] == ["Masked"]


def test_a_small_network_is_measured() -> None:
    trial = make_trial(model="mlp-medium", method="set", sparsity=0.8, width=0.05)
    measured = measure(trial, (28, 28, 1), 10, budget_s=0.05)
    assert {t.variant for t in measured.small} - {t.variant for t in measured.large} == {"calls"}
    assert measured.zeros == pytest.approx(0.8, abs=0.01)
    assert 0.1 < measured.arithmetic < 0.3 and measured.layers[0].shape == (784, 200)
    assert "Masked" in describe(measured)


def test_an_untrained_network_of_options_is_explained_and_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"model": "mlp-medium", "method": "set", "sparsity": "0.8", "width": "0.05", "dataset": "fashionmnist"}
    options = [word for name, value in asked.items() for word in (f"--{name}", value)]
    monkeypatch.setattr(sys, "argv", ["paperlib", "explain", *options])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    said = capsys.readouterr().out
    assert "untrained network of these options" in said and "1. Masked: 80% of the weights are zeros" in said
    assert "\nset mlp-medium on fashionmnist, 80% of linear weights removed\n" in said


def test_shapes_are_told_without_reading_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paperlib.data.select", lambda *_: pytest.fail("read the images"))
    assert shape_of(make_trial()) == ((28, 28, 1), 10)
    assert shape_of(make_trial(dataset="bloodmnist", resolution=64)) == ((64, 64, 3), 8)


def test_trials_without_a_pruned_network_and_unknown_ones_are_one_clear_line(layout: Layout) -> None:
    with served(lambda wanted: tiny()):
        asked = (
            make_trial(model="mlp-small", epochs=1),
            make_trial(model="mlp-small", method="set", sparsity=0.5, epochs=1),
        )
        dense, pruned = (run(trial, layout) for trial in asked)
    with pytest.raises(PaperlibError, match="nothing was removed"):
        explain(dense)
    with pytest.raises(PaperlibError, match="failed, so there is no network to explain: diverged"):
        explain(pruned.model_copy(update={"status": "failed", "reason": "diverged"}))
    assert find_record(pruned.id[:6]) == pruned
    with pytest.raises(PaperlibError, match="2 trials begin with ''"):
        find_record("")
    wrong = pruned.id[:8] + "x"
    with pytest.raises(PaperlibError, match=f"no trial begins with '{wrong}'; near it: .*{pruned.id}"):
        find_record(wrong)
