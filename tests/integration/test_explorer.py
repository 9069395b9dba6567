"""The explorer without a browser: it asks, runs, draws, cancels and says what is wrong."""

import io
import re
from typing import Any

import numpy as np
import pytest
from jupyter_client.manager import start_new_kernel
from PIL import Image

from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.costs.unit_costs import UnitCosts
from paperlib.report.curves import SPARSITIES, curve_trials, draw, sparsity_curve
from paperlib.report.explorer import Explorer, answer, picture
from paperlib.schema.trial import make_trial
from paperlib.trials.runner import run_all
from paperlib.trials.store import Store
from tests import measured_costs
from tests.conftest import ROOT


@pytest.fixture
def explorer(layout: Layout, tiny_images: object) -> Explorer:
    explorer = Explorer(layout)
    explorer.epochs.value, explorer.seeds.value = 2, 2
    return explorer


@pytest.fixture
def single(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> Explorer:
    """The view of one sparsity, on a network that is quick to train."""
    explorer.model.value = "mlp-medium"
    explorer.seeds.value, explorer.sparsity.value, explorer.width.value = 2, 0.5, 0.125
    monkeypatch.setattr("paperlib.report.explorer.BUDGET", {"batch_size": 16})
    return explorer


def levels(records: list[Any], method: str, sparsity: float) -> list[float]:
    return [r.test.accuracy for r in records if r.trial.method == method and r.trial.sparsity == sparsity]


def test_the_small_perceptron_answers_with_a_curve_trained_in_stacks(explorer: Explorer) -> None:
    explorer.start()
    explorer.wait(120)
    records = Store(explorer.layout).records()
    asked = {("dense", 0.0, seed) for seed in range(2)} | {("set", s, seed) for s in SPARSITIES for seed in range(2)}
    assert {(r.trial.method, r.trial.sparsity, r.trial.seed) for r in records} == asked and len(SPARSITIES) == 12
    assert {r.engine for r in records} == {"stacked"} and {r.trial.epochs for r in records} == {2}
    pixels = np.asarray(Image.open(io.BytesIO(explorer.image.value)).convert("RGB"))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 5
    assert explorer.progress.value == explorer.progress.max and not explorer.go.disabled
    bundle = explorer._repr_mimebundle_()
    assert "image/png" in bundle and "application/vnd.jupyter.widget-view+json" in bundle
    call = explorer.said.value.removeprefix("<code>").removesuffix("</code>")
    eval(call, {"sparsity_curve": sparsity_curve})  # what it says it did finds the same trials
    assert len(Store(explorer.layout).records()) == len(records)


def test_a_curve_shows_means_with_intervals_dense_as_a_band_and_counted_costs(explorer: Explorer) -> None:
    measured_costs.write(Layout.of("paper"))
    records = run_all(explorer.trials(), explorer.layout)
    figure = draw(records)
    accuracy, inference, training = figure.axes
    by_hand = [100 * np.mean(levels(records, "set", s)) for s in SPARSITIES]
    curve = next(line for line in accuracy.lines if len(line.get_xdata()) == len(SPARSITIES))
    assert np.asarray(curve.get_xdata()) == pytest.approx(100 * np.array(SPARSITIES))
    assert np.asarray(curve.get_ydata()) == pytest.approx(by_hand)
    dense = 100 * np.mean(levels(records, "dense", 0.0))
    assert any(list(line.get_ydata()) == pytest.approx([dense, dense]) for line in accuracy.lines)
    assert len(accuracy.patches) == 1 and len(accuracy.containers) == len(SPARSITIES)
    counted = next(line for line in inference.lines if len(line.get_xdata()) == len(SPARSITIES))
    half = next(r.costs for r in records if r.trial.sparsity == 0.5)
    assert list(counted.get_ydata())[SPARSITIES.index(0.5)] == pytest.approx(
        half.inference_flops / half.dense_inference_flops, rel=0.05
    )
    assert len(inference.containers) >= 1 and len(training.containers) >= 1, "smoke measures 50 %"
    assert "measured in 2 processes" in figure.get_suptitle()


@pytest.mark.parametrize("method", ["rigl", "post-training", "small-dense"])
def test_every_method_has_a_curve(method: str, layout: Layout, tiny_images: object) -> None:
    trials = curve_trials((0, 0.5, 0.9), method=method, seeds=1, epochs=1)
    assert [t.sparsity for t in trials] == [0, 0.5, 0.9]
    figure = draw(run_all(trials, layout))
    assert "n = 1, 1 epoch; " in figure.get_suptitle() and len(figure.axes) == 3


def test_sparsities_that_a_scope_cannot_hold_are_left_out_or_refused() -> None:
    held = {t.sparsity for t in curve_trials((0.01, 0.5), scope="layerwise-matched", seeds=1)}
    assert held == {0, 0.01}, "half of 12,960 weights is more than the 256 between the hidden layers"
    assert len({t.sparsity for t in curve_trials(np.linspace(0, 0.99, 25), seeds=1)}) == 25
    with pytest.raises(PaperlibError, match="scope 'layerwise-matched'"):
        curve_trials(scope="layerwise-matched")
    with pytest.raises(PaperlibError, match="global"):
        curve_trials(scope="globl")


def test_one_sparsity_of_another_model_is_drawn_beside_dense(single: Explorer) -> None:
    single.start()
    single.wait(120)
    stored = {(r.trial.method, r.trial.sparsity, r.trial.seed) for r in Store(single.layout).records()}
    assert stored == {("dense", 0.0, 0), ("dense", 0.0, 1), ("set", 0.5, 0), ("set", 0.5, 1)}
    assert "paperlib run" in single.said.value and single.progress.value == single.progress.max


def test_convolutional_networks_lose_filters_and_perceptrons_have_none(explorer: Explorer) -> None:
    explorer.model.value, explorer.method.value = "resnet18", "in-training"
    explorer.filters.value, explorer.sparsity.value, explorer.width.value = 0.3, 0.9, 0.25
    asked = {(t.conv_sparsity, t.sparsity, t.width, t.method) for t in explorer.trials()}
    assert asked == {(0.3, 0.9, 0.25, "in-training")}
    explorer.model.value = "mlp-medium"
    assert {t.conv_sparsity for t in explorer.trials()} == {0} and explorer.filters.layout.display == "none"


def test_it_says_how_long_it_will_take_and_that_what_is_there_takes_nothing(
    explorer: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = list[str]()
    explorer.said.observe(lambda change: said.append(change["new"]), "value")
    unit = UnitCosts(1.0, 10.0, 0.0, 0.0, None, None, 0, 4_000)  # a second a step, ten a boundary
    monkeypatch.setattr("paperlib.report.explorer.measure", lambda kinds: [unit] * len(kinds))
    monkeypatch.setattr("paperlib.costs.forecast.split_sizes", lambda *_, **__: (640, 0, 0))
    explorer.start()
    explorer.wait(120)
    explorer.start()
    explorer.wait(120)
    seconds = [float(found[1]) for text in said if (found := re.search(r"about (\d+) s", text))]
    # 26 networks, two epochs of ten steps and two boundaries, as one stack takes a quarter of their time.
    assert seconds == [26 * 0.25 * 2 * (10 + 10), 0]


@pytest.mark.parametrize(("sparsity", "told"), [(0.5, "measured, 2 processes"), (0.3, "counted FLOPs")])
def test_costs_are_measured_where_a_record_has_the_arm_and_counted_elsewhere(
    layout: Layout, tiny_images: object, sparsity: float, told: str
) -> None:
    measured_costs.write(Layout.of("paper"))
    figure = picture(*answer([make_trial(method="set", sparsity=sparsity, epochs=1)], layout))
    assert told in figure.axes[2].get_title("left")
    assert len(figure.axes[2].patches) >= 2


def test_the_impossible_is_said_not_raised(explorer: Explorer) -> None:
    explorer.scope.value = "layerwise-matched"
    explorer.start()
    explorer.wait(120)
    assert "layerwise-matched" in explorer.said.value and not explorer.go.disabled


def test_cancel_keeps_what_is_finished(single: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    def cancelled_in_set() -> None:
        if len(Store(single.layout).records()) == 2:  # both dense trials are done
            single.cancel.click()
        Explorer._between_steps(single)

    monkeypatch.setattr(single, "_between_steps", cancelled_in_set)
    single.start()
    single.wait(120)
    assert "cancelled" in single.said.value
    assert {r.trial.method for r in Store(single.layout).records()} == {"dense"}


def test_cancel_ends_a_stack_and_leaves_nothing(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    explorer.epochs.value = 20
    values = list[int]()

    def cancelled_half_way() -> None:
        values.append(explorer.progress.value)
        if explorer.progress.value > explorer.progress.max / 2 > 1:
            explorer.cancel.click()
        Explorer._between_steps(explorer)

    monkeypatch.setattr(explorer, "_between_steps", cancelled_half_way)
    explorer.start()
    explorer.wait(120)
    assert values == sorted(values) and len(set(values)) > 3, "the bar moves while one stack trains"
    assert explorer.said.value == "cancelled; finished trials are kept" and not Store(explorer.layout).records()


IN_A_KERNEL = """
import sys, time
import paperlib.report.explorer
from paperlib.core.paths import Layout
from tests.conftest import served, tiny

images = tiny(n=200_000)
serving = served(lambda selection: images)
serving.__enter__()
paperlib.report.explorer.BUDGET = {"batch_size": 16}
explorer = paperlib.report.explorer.Explorer(Layout.of("scratch"))
explorer.model.value = "mlp-medium"
"""
UNTIL_IT_TRAINS = """
def running():
    frame, names = sys._current_frames().get(explorer._thread.ident), set()
    while frame:
        names.add(frame.f_code.co_name)
        frame = frame.f_back
    return names

while not {"fit", "epoch"} <= running() or "warm_up" in running():
    assert explorer._thread.is_alive(), explorer.said.value
    time.sleep(0.05)
print(explorer.progress.description)
"""


def test_cancel_ends_an_epoch_of_minutes_and_leaves_the_kernel_free(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a browser does it: a message of the button to a kernel, while the training runs."""
    root = str(ROOT)
    monkeypatch.setenv("PYTHONPATH", root)
    manager, client = start_new_kernel(kernel_name="python3", cwd=root)

    def answers(code: str) -> str:
        found: list[str] = []

        def hook(message: dict[str, Any]) -> None:
            found.extend(message["content"][k] for k in ("text", "evalue") if k in message["content"])

        client.execute_interactive(code, output_hook=hook, timeout=300)
        return "".join(found).strip()

    try:
        assert answers(IN_A_KERNEL) == ""
        button = answers("explorer.start(); print(explorer.cancel.comm.comm_id)")
        assert answers(UNTIL_IT_TRAINS) == "steps"
        click = {"method": "custom", "content": {"event": "click"}}
        client.shell_channel.send(client.session.msg("comm_msg", {"comm_id": button, "data": click}))
        assert answers("explorer.wait(20); print(explorer._thread.is_alive(), explorer.go.disabled)") == "False False"
        assert answers("print(explorer.said.value)") == "cancelled; finished trials are kept"
        assert [p for p in layout.results.rglob("*") if p.is_file()] == []
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_an_interrupt_while_waiting_cancels(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    explorer.start()
    thread = explorer._thread
    assert thread

    def interrupted(timeout_s: float | None = None) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(thread, "join", interrupted)
        explorer.wait()
    explorer.wait(120)
    assert "cancelled" in explorer.said.value and not Store(explorer.layout).records()
