"""One question, one answer: widgets that run (or find) a trial and draw it beside its dense baseline."""

import base64
import io
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ipywidgets as widgets
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paperlib.claims.cost_evidence import COSTS, CostTable, networks_of
from paperlib.claims.settings import Setting
from paperlib.claims.stats import Estimate, mean_interval
from paperlib.core import paths
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.core.progress import between_steps
from paperlib.costs.records import cost_table, read_costs
from paperlib.data import DATASETS
from paperlib.exhibits import style
from paperlib.models import MODELS
from paperlib.pruners import METHODS
from paperlib.schema.record import Epoch, Record
from paperlib.schema.trial import SCOPES, Fields, Trial, again, make_trial
from paperlib.trials.archive import ORDER, archives
from paperlib.trials.runner import dense_baseline, run

# Small enough that mlp-small answers within seconds on two cores.
BUDGET: Fields = {"batch_size": 16, "train_images": 6_000, "test_images": 2_000}


class CancelledError(Exception):
    """The reader pressed Cancel; the trial that was running left nothing behind."""


def answer(
    trials: Sequence[Trial], layout: Layout, on_epoch: Callable[[Epoch], None] = lambda epoch: None
) -> tuple[list[Record], list[Record]]:
    """Records of the trials and of their dense baselines, run or found. Raises PaperlibError for impossible ones."""
    dense = [run(dense_baseline(trial), layout, on_epoch) for trial in trials]
    return [run(trial, layout, on_epoch) for trial in trials], dense


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
    title = f"{trial.method}, {trial.scope} {trial.sparsity:.0%}, {trial.model} on {trial.dataset} ({data.source})"
    figure.suptitle(f"{title}\nn = {len(pruned)}", fontsize=9, x=0.01, ha="left")
    return figure


def _costs(axes: Axes, pruned: Sequence[Record]) -> str:
    """Training and inference beside dense: measured where a cost record has the arm, else counted; says which."""
    trial, axis = pruned[0].trial, axes.axhline(1, color=style.COLOURS["dense"], linewidth=1)
    setting = Setting(
        trial.dataset, trial.model, trial.method, trial.conv_sparsity, trial.sparsity, trial.scope
    )  # fmt: skip
    axis.set_zorder(3)
    for costs in _cost_tables():
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


def _cost_tables() -> Iterator[CostTable]:
    """Cost records of one's own, largest profile first, then the committed ones."""
    for name in ORDER:
        yield CostTable(cost_table(read_costs(Layout.of(name))))
    for archive in archives() if paths.project() else []:
        if (table := archive.with_name("costs.parquet")).exists():
            yield CostTable(pd.read_parquet(table))


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
        methods = [m for m in METHODS if m not in {"dense", "majority"}]
        self.method = widgets.Dropdown(options=methods, value="set", description="method")
        self.scope = widgets.Dropdown(options=list(SCOPES), value="global", description="scope")
        self.sparsity = widgets.FloatSlider(
            0.8, min=0, max=0.98, step=0.02, description="sparsity", readout_format=".0%"
        )
        self.epochs = widgets.IntSlider(5, min=1, max=20, description="epochs")
        self.seeds = widgets.IntSlider(1, min=1, max=5, description="seeds")
        self.go = widgets.Button(description="Run", button_style="primary", tooltip="Run or find these trials")
        self.cancel = widgets.Button(description="Cancel", disabled=True, tooltip="Stop at the next training step")
        self.progress = widgets.IntProgress(0, 0, 1, description="epochs")
        self.said = widgets.HTML()
        self.image = widgets.Image(format="png", layout=widgets.Layout(max_width="100%"))
        self.png: bytes | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.go.on_click(lambda _: self.start())
        self.cancel.on_click(lambda _: self._cancel())
        inputs = [self.dataset, self.model, self.method, self.scope, self.sparsity, self.epochs, self.seeds]
        self.box = widgets.VBox([*inputs, widgets.HBox([self.go, self.cancel, self.progress]), self.said, self.image])

    def trials(self) -> list[Trial]:
        """The trials that the widgets ask for, one per seed. Raises PaperlibError for impossible ones."""
        return [
            make_trial(
                BUDGET,
                dataset=self.dataset.value, model=self.model.value, method=self.method.value, scope=self.scope.value,
                sparsity=round(self.sparsity.value, 2), epochs=self.epochs.value, seed=seed,
            )
            for seed in range(self.seeds.value)
        ]  # fmt: skip

    def start(self) -> None:
        """Run in the background, so that Cancel and the rest of the notebook stay alive."""
        if self._thread and self._thread.is_alive():
            return
        self._stop.clear()
        self.go.disabled, self.cancel.disabled = True, False
        self.progress.value, self.progress.max = 0, 2 * self.epochs.value * self.seeds.value
        self.said.value = "running …"
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
        between_steps.set(self._check)  # of this thread alone
        try:
            pruned, dense = answer(self.trials(), self.layout, self._epoch)
            failed = [r.reason for r in pruned if r.status == "failed"]
            buffer = io.BytesIO()
            picture(pruned, dense).savefig(buffer, format="png", dpi=110)
            self.png = self.image.value = buffer.getvalue()
            self.said.value = f"training failed: {failed[0]}" if failed else f"<code>{again(pruned[0].command)}</code>"
        except CancelledError:
            self.said.value = "cancelled; finished trials are kept"
        except PaperlibError as error:
            self.said.value = str(error)
        finally:
            self.progress.value = self.progress.max
            self.go.disabled, self.cancel.disabled = False, True

    def _epoch(self, _: Epoch) -> None:
        self.progress.value += 1
        self._check()

    def _check(self) -> None:
        if self._stop.is_set():
            raise CancelledError

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = self.box._repr_mimebundle_(**kwargs)
        if self.png is not None:
            bundle["image/png"] = base64.b64encode(self.png).decode()
        return dict(bundle)
