"""`run_all` trains small perceptrons together, with the same records as one by one; the rest trains alone."""

from collections.abc import Iterator

import pytest
import torch
from safetensors.torch import load_file

from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.core.progress import Step, between_steps
from paperlib.execution.steps import TorchSteps
from paperlib.pruners import METHODS
from paperlib.schema.record import Record
from paperlib.schema.trial import Fields, Trial, make_trial
from paperlib.trials import runner, stacks, training
from paperlib.trials.runner import checkpoint, run, run_all
from paperlib.trials.store import Store

BUDGET: Fields = {"epochs": 3, "batch_size": 16, "lr": 0.05}
MEASURED = {"train_s": True, "environment": True, "place": True, "finished": True, "command": True, "engine": True}


@pytest.fixture
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def numbers(record: Record) -> list[tuple[str, object]]:
    """All fields but what is measured, flat."""
    flat: list[tuple[str, object]] = []

    def add(name: str, value: object) -> None:
        if isinstance(value, dict | list | tuple):
            for key, part in value.items() if isinstance(value, dict) else enumerate(value):
                if key != "time_s":
                    add(f"{name}.{key}", part)
        else:
            flat.append((name, pytest.approx(value, rel=1e-5) if isinstance(value, float) else value))

    add("", record.model_dump(exclude=MEASURED))  # type: ignore[arg-type]
    return flat


def one_of_each() -> list[Trial]:
    trials = [make_trial(BUDGET, method=name) for name in ("dense", "majority")]
    trials += [make_trial(BUDGET, method="threshold", threshold=0.05)]
    others = [name for name in METHODS if name not in {"dense", "majority", "threshold"}]
    return [*trials, *(make_trial(BUDGET, method=name, sparsity=0.5, seed=seed) for name in others for seed in (0, 1))]


@pytest.mark.usefixtures("tiny_images", "double")
def test_every_method_leaves_the_record_that_it_leaves_alone(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = one_of_each()
    records = run_all(trials, layout)
    monkeypatch.setattr(training, "steps_for", TorchSteps)
    alone = Layout.of("alone")
    for trial, record in zip(trials, records, strict=True):
        assert numbers(record) == numbers(run(trial, alone))
        assert record.engine == (None if trial.method == "majority" else "stacked")
        assert Store(layout).get(trial.id) == record
    dense = trials[0].id
    torch.testing.assert_close(load_file(checkpoint(layout, dense)), load_file(checkpoint(alone, dense)))
    assert run_all(trials, layout) == records, "found again"


@pytest.mark.usefixtures("tiny_images")
def test_trials_that_are_there_are_left_out_and_the_rest_is_cut_into_stacks(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = [make_trial(BUDGET, method="random", sparsity=0.1 * n) for n in range(7)]
    first = run_all(trials[:2], layout)
    sizes = list[int]()
    fit_stack = runner.fit_stack
    monkeypatch.setattr(
        runner, "fit_stack", lambda networks, *on: sizes.append(len(networks)) or fit_stack(networks, *on)
    )
    monkeypatch.setattr(runner, "stack_size", lambda *_: 3)
    records = run_all(trials, layout)
    assert records[:2] == first and sizes == [3, 2]
    assert [r.trial for r in records] == trials


@pytest.mark.usefixtures("tiny_images")
def test_a_failed_network_and_an_impossible_one_leave_the_others_alone(layout: Layout) -> None:
    good = [make_trial(BUDGET, method="in-training", sparsity=0.5, seed=seed) for seed in range(3)]
    bad = make_trial(BUDGET, method="in-training", sparsity=0.5, seed=1)
    bad = bad.model_copy(update={"lr": 1e20})
    records = run_all([*good, bad], layout)
    assert [r.status for r in records] == ["done", "done", "done", "failed"]
    assert "diverged" in str(records[-1].reason) and records[-1].engine == "stacked"
    others = [make_trial(BUDGET, method="set", sparsity=0.5, seed=seed) for seed in range(2)]
    impossible = make_trial(BUDGET, method="random", sparsity=0.999999)
    with pytest.raises(PaperlibError, match="empty"):
        run_all([impossible, *others], layout)
    assert all(Store(layout).get(trial.id) for trial in others), "what can be trained is stored first"


@pytest.mark.usefixtures("tiny_images")
def test_large_perceptrons_and_other_networks_train_alone(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacks, "LARGEST", 800)
    monkeypatch.setattr(runner, "fit_stack", lambda *_: pytest.fail("none is to train together"))
    trials = [make_trial(BUDGET, method=m, sparsity=0.5) for m in ("random", "set")]
    assert [r.trial for r in run_all(trials, layout)] == trials
    other = [t.model_copy(update={"optimizer": "RMSprop", "lr": 1e-3}) for t in trials]
    assert stacks.groups_of(other) == []
    convolutional = [t.model_copy(update={"model": "vgg16"}) for t in trials]
    assert stacks.groups_of(convolutional) == []
    unequal = [t.model_copy(update={"epochs": n}) for n, t in enumerate(trials, 1)]
    assert stacks.groups_of(unequal) == []


@pytest.mark.usefixtures("tiny_images")
def test_a_stack_that_is_killed_leaves_no_record_and_one_killed_while_it_stores_leaves_whole_ones(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = [make_trial(BUDGET, method="random", sparsity=0.1 * n) for n in range(6)]
    steps = iter([None] * 20)

    def interrupt() -> None:
        if next(steps, KeyboardInterrupt) is KeyboardInterrupt:
            raise KeyboardInterrupt

    token = between_steps.set(interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_all(trials, layout)
    between_steps.reset(token)
    assert not any(layout.trials.iterdir())
    stored, put = list[Record](), Store.put

    def put_three(store: Store, record: Record) -> None:
        if len(stored) == 3:
            raise KeyboardInterrupt
        put(store, record)
        stored.append(record)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Store, "put", put_three)
        run_all(trials, layout)
    assert Store(layout).records() == sorted(stored, key=lambda r: r.id) and len(list(layout.trials.iterdir())) == 3
    again = run_all(trials, layout)
    assert [r.trial for r in again] == trials and all(record in again for record in stored)


@pytest.mark.usefixtures("tiny_images")
def test_progress_counts_networks_and_a_dense_one_that_nobody_asked_for_is_none(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = list[str]()
    monkeypatch.setattr(Step, "describe", lambda step, text: told.append(f"{step.done}/{step.total} {text}"))
    trials = [make_trial(BUDGET, method=m, sparsity=0.5) for m in ("random", "set", "pre-training", "post-training")]
    run_all([*trials, make_trial(BUDGET, method="random", model="mlp-medium", width=0.005)], layout)
    assert told[0].startswith("0/5 mnist mlp-medium random")
    assert told[1] == "1/5 mnist mlp-small, 4 networks in one training"
    assert told[2].startswith("4/5 mnist mlp-small post-training") and len(told) == 3


@pytest.mark.usefixtures("tiny_images")
def test_a_run_repeated_from_nothing_gives_the_same_digits(layout: Layout) -> None:
    trials = [make_trial(BUDGET, method=m, sparsity=0.5, seed=s) for m in ("rigl", "set", "random") for s in range(3)]
    first, second = run_all(trials, layout), run_all(trials[::-1], Layout.of("again"))[::-1]
    for one, other in zip(first, second, strict=True):
        assert one.model_dump(exclude={*MEASURED, "curve"}) == other.model_dump(exclude={*MEASURED, "curve"})
        assert [e.train for e in one.curve] == [e.train for e in other.curve]
