"""One question, one answer: widgets that run (or find) trials and draw them beside dense.

The small perceptron answers with a curve over sparsities, any other model with one sparsity.
"""

import base64
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paperlib.claims.cost_evidence import COSTS, networks_of
from paperlib.claims.effects import pruned_text
from paperlib.claims.settings import Setting
from paperlib.claims.stats import Estimate, mean_interval
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.core.progress import between_steps
from paperlib.costs.forecast import costs_of, kind, total
from paperlib.costs.unit_costs import measure
from paperlib.data import DATASETS
from paperlib.exhibits import style
from paperlib.models import MODELS
from paperlib.pruners import METHODS
from paperlib.report import curves
from paperlib.schema.record import Record
from paperlib.schema.trial import SCOPES, Fields, Trial, again, make_trial
from paperlib.trials.images import load_images
from paperlib.trials.runner import dense_baseline, run, run_all
from paperlib.trials.stacks import groups_of
from paperlib.trials.store import Store

# Of the models that answer with one sparsity.
BUDGET: Fields = {"batch_size": 16, "train_images": 6_000, "test_images": 2_000}


class CancelledError(Exception):
    """The reader pressed Cancel; the trials that were running left nothing behind."""


def answer(trials: Sequence[Trial], layout: Layout) -> tuple[list[Record], list[Record]]:
    """Records of the trials and of their dense baselines, run or found. Raises PaperlibError for impossible ones."""
    dense = [run(dense_baseline(trial), layout) for trial in trials]
    return [run(trial, layout) for trial in trials], dense


def picture(pruned: Sequence[Record], dense: Sequence[Record]) -> Figure:
    """Curve, accuracy, costs against dense and sparsity per layer of one arm and its dense baseline (same seeds)."""
    trial, data = pruned[0].trial, pruned[0].data
    figure, (curve, accuracy, cost, layers) = style.panels(
        ["validation accuracy, %", "test accuracy, %", "cost, ratio to dense", "removed per layer, %"], columns=2
    )
    for method, records in (("dense", dense), (trial.method, pruned)):
        values = np.array([[e.val.accuracy * 100 for e in r.curve] for r in records if r.curve])
        if values.size:
            x = np.arange(1, values.shape[1] + 1)
            curve.plot(x, values.mean(0), color=style.colour(method), marker=style.marker(method), markersize=4)
        _bar(accuracy, method, mean_interval([r.test.accuracy * 100 for r in records if r.test]), method)
    curve.set_xlabel("epoch")
    if data.test_majority is not None:
        accuracy.axhline(data.test_majority * 100, color=style.COLOURS["majority"], linestyle=":")
    cost.set_title(f"cost, ratio to dense\n{_costs(cost, pruned)}", loc="left")
    achieved = {layer.name: layer.achieved * 100 for layer in pruned[0].layers}
    layers.bar(list(achieved), list(achieved.values()), color=style.colour(trial.method))
    layers.set_ylim(0, 105)
    layers.tick_params(axis="x", rotation=60 if len(achieved) > 6 else 0)
    style.legend(figure, list(dict.fromkeys(["dense", trial.method])))
    removed = pruned_text(trial.model, trial.scope, trial.conv_sparsity, trial.sparsity)
    title = f"{trial.method}, {removed}, {trial.model} on {trial.dataset} ({data.source})"
    figure.suptitle(f"{title}\nn = {len(pruned)}", fontsize=9, x=0.01, ha="left")
    return figure


def _costs(axes: Axes, pruned: Sequence[Record]) -> str:
    """Training and inference beside dense: measured where a cost record has the arm, else counted; says which."""
    trial, axis = pruned[0].trial, axes.axhline(1, color=style.COLOURS["dense"], linewidth=1)
    setting = Setting(
        trial.dataset, trial.model, trial.method, trial.conv_sparsity, trial.sparsity, trial.scope
    )  # fmt: skip
    axis.set_zorder(3)
    for costs in curves.cost_tables():
        rows = costs.of(setting, trial.width)
        if rows.empty:
            continue
        for name, label in (
            ("training_time", "training"),
            ("inference_time", "batch 64"),
            ("inference_time_b1", "batch 1"),
        ):
            for way in ("masked", "realised"):
                effect = costs.effect(COSTS[name], setting, realised=way == "realised", width=trial.width)
                _bar(axes, f"{label}\n{way}", effect, trial.method)
        style.noise_band(axes, costs.floor(COSTS["inference_time"], networks_of(rows)[0]))
        axes.tick_params(axis="x", labelsize=6)
        return f"(measured, {len(rows)} processes; A/A: grey)"
    if counted := pruned[0].costs:
        flops = {
            "training": counted.training_flops / counted.dense_training_flops,
            "inference": counted.inference_flops / counted.dense_inference_flops,
        }
        for name, ratio in flops.items():
            _bar(axes, name, Estimate(ratio, None, None, 1), trial.method)
    return "(counted FLOPs without removed work)"


def _bar(axes: Axes, name: str, estimate: Estimate | None, method: str) -> None:
    """The mean with its 95 % interval, where there is one."""
    if estimate is None:
        return
    reach = None
    if estimate.low is not None and estimate.high is not None:
        reach = [[estimate.mean - estimate.low], [estimate.high - estimate.mean]]
    axes.bar(name, estimate.mean, yerr=reach, color=style.colour(method), width=0.6)


class Explorer:
    """The widgets. Last in a cell it shows them; where none can run, its last picture stands there instead."""

    def __init__(self, layout: Layout | None = None) -> None:
        self.layout = layout or Layout.of("scratch")
        self.dataset = widgets.Dropdown(options=list(DATASETS), value="mnist", description="data set")
        self.model = widgets.Dropdown(options=list(MODELS), value="mlp-small", description="model")
        methods = [m for m in METHODS if m not in {"dense", "majority", "threshold"}]  # they take no sparsity
        self.method = widgets.Dropdown(options=methods, value="set", description="method")
        self.scope = widgets.Dropdown(options=list(SCOPES), value="global", description="scope")
        self.sparsity = widgets.FloatSlider(
            0.8, min=0, max=0.98, step=0.02, description="weights", readout_format=".0%"
        )
        self.filters = widgets.FloatSlider(0.5, min=0, max=0.95, step=0.05, description="filters", readout_format=".0%")
        self.width = widgets.FloatSlider(1, min=0.125, max=1, step=0.125, description="width")
        self.epochs = widgets.IntSlider(curves.EPOCHS, min=1, max=20, description="epochs")
        self.seeds = widgets.IntSlider(curves.SEEDS, min=1, max=5, description="seeds")
        self.go = widgets.Button(description="Run", button_style="primary", tooltip="Run or find these trials")
        self.cancel = widgets.Button(description="Cancel", disabled=True, tooltip="Stop at the next training step")
        self.progress = widgets.IntProgress(0, 0, 1, description="steps")
        self.said = widgets.HTML()
        self.image = widgets.Image(format="png", layout=widgets.Layout(max_width="100%"))
        self.png: bytes | None = None
        self._stop, self._steps = threading.Event(), Counter[int]()
        self._thread: threading.Thread | None = None
        self.model.observe(lambda _: self._fit_to_model(), "value")
        self._fit_to_model()
        self.go.on_click(lambda _: self.start())
        self.cancel.on_click(lambda _: self._cancel())
        inputs = [self.dataset, self.model, self.width, self.method, self.scope, self.sparsity, self.filters]
        inputs += [self.epochs, self.seeds]
        self.box = widgets.VBox([*inputs, widgets.HBox([self.go, self.cancel, self.progress]), self.said, self.image])

    @property
    def is_curve(self) -> bool:
        """Whether the answer is a curve over sparsities."""
        return bool(self.model.value == curves.MODEL)

    @property
    def has_filters(self) -> bool:
        """Whether the model has convolutions."""
        return not str(self.model.value).startswith("mlp")

    def _fit_to_model(self) -> None:
        self.sparsity.layout.display = self.width.layout.display = "none" if self.is_curve else None
        self.filters.layout.display = None if self.has_filters else "none"
        self.width.value = 0.125 if self.has_filters else 1  # the whole of them takes minutes
        self.seeds.value = curves.SEEDS if self.is_curve else 1

    def trials(self) -> list[Trial]:
        """The trials that the widgets ask for, dense with those of a curve. PaperlibError for impossible ones."""
        if self.is_curve:
            return curves.curve_trials(**self._curve())
        return [
            make_trial(
                BUDGET,
                dataset=self.dataset.value, model=self.model.value, method=self.method.value, scope=self.scope.value,
                sparsity=round(self.sparsity.value, 2), epochs=self.epochs.value, seed=seed, width=self.width.value,
                conv_sparsity=round(self.filters.value, 2) if self.has_filters else 0.0,
            )
            for seed in range(self.seeds.value)
        ]  # fmt: skip

    def _curve(self) -> dict[str, Any]:
        names = ("dataset", "method", "scope", "seeds", "epochs")
        return {name: getattr(self, name).value for name in names}

    def start(self) -> None:
        """Run in the background, so that Cancel and the rest of the notebook stay alive."""
        if self._thread and self._thread.is_alive():
            return
        self._stop.clear()
        self.go.disabled, self.cancel.disabled = True, False
        self.progress.value = 0
        self.said.value = "measuring how long it will take …"
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float | None = None) -> None:
        """Until the background work ends. An interrupt of the kernel (the stop button) cancels it, too."""
        try:
            if self._thread:
                self._thread.join(timeout_s)
        except KeyboardInterrupt:
            self._cancel()
            raise

    def _cancel(self) -> None:
        if self._thread and self._thread.is_alive():
            self.cancel.disabled, self.said.value = True, "cancelling …"
            self._stop.set()

    def _work(self) -> None:
        between_steps.set(self._between_steps)  # of this thread, and of those that train for it
        try:
            trials = self.trials()
            self.said.value = f"running, about {self._forecast_s(trials):.0f} s …"
            self.progress.max, self._steps = self._steps_of(trials), Counter()
            if self.is_curve:
                records = run_all(trials, self.layout)
                self._show(records, curves.draw(records))
            else:
                pruned, dense = answer(trials, self.layout)
                self._show(pruned, picture(pruned, dense))
        except CancelledError:
            self.said.value = "cancelled; finished trials are kept"
        except PaperlibError as error:
            self.said.value = str(error)
        finally:
            self.progress.value = self.progress.max
            self.go.disabled, self.cancel.disabled = False, True

    def _show(self, records: Sequence[Record], figure: Figure) -> None:
        self.png = self.image.value = curves.png(figure)
        failed = [r.reason for r in records if r.status == "failed"]
        call = f"sparsity_curve({', '.join(f'{name}={value!r}' for name, value in self._curve().items())})"
        command = call if self.is_curve else again(records[0].command)
        self.said.value = f"training failed: {failed[0]}" if failed else f"<code>{command}</code>"

    def _forecast_s(self, trials: Sequence[Trial]) -> float:
        """Seconds that those without a record will take, from a few steps of each kind of training."""
        every = self._with_dense(trials)
        found = Store(self.layout).find(every)
        kinds = {trial: kind(trial) for trial in every if trial not in found}
        units = dict(zip(dict.fromkeys(kinds.values()), measure(list(dict.fromkeys(kinds.values()))), strict=True))
        return total(costs_of(kinds, {trial: units[of] for trial, of in kinds.items()}).values()).time_s

    def _with_dense(self, trials: Sequence[Trial]) -> list[Trial]:
        return list(dict.fromkeys(trials if self.is_curve else [*map(dense_baseline, trials), *trials]))

    def _steps_of(self, trials: Sequence[Trial]) -> int:
        """How many steps one thread takes for all that trains: a stack takes those of one network."""
        alone = [trial for trial in self._with_dense(trials) if METHODS[trial.method].weights_from == "itself"]
        stacks = groups_of(alone) if self.is_curve else []
        count = len(alone) - sum(map(len, stacks)) + len(stacks)
        return max(1, count) * trials[0].epochs * -(-len(load_images(trials[0]).train) // trials[0].batch_size)

    def _between_steps(self) -> None:
        """Ends a cancelled training; the bar shows the steps of the thread that is furthest."""
        if self._stop.is_set():
            raise CancelledError
        self._steps[threading.get_ident()] += 1
        done = max(self._steps.copy().values())
        if done >= self.progress.value + self.progress.max / 50:
            self.progress.value = done

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = self.box._repr_mimebundle_(**kwargs)
        if self.png is not None:
            bundle["image/png"] = base64.b64encode(self.png).decode()
        return dict(bundle)
