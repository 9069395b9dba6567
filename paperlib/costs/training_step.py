"""Training steps and epoch boundaries as calls to be timed: dense, masked as in the papers, compact and sparse."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

import torch
from torch import Tensor, nn

from paperlib.costs.paired import MIN_ROUNDS, compare
from paperlib.execution.sparse_training import SparseTraining
from paperlib.execution.steps import Realised, TorchSteps, realised_training
from paperlib.meters import Meters
from paperlib.models import build
from paperlib.pruners import METHODS, Layer, MaskEnforcer, Masks, Method, Pruning, layers_of
from paperlib.schema.cost import CostSetting, WholeTraining
from paperlib.trials.optimizers import loss_of, make_optimizer

Batch = tuple[Tensor, Tensor]
"""Images, float (N, C, H, W), and labels, int64 (N,)."""
BOUNDARIES = 3  # epoch boundaries before a whole training that are timed, of which the median counts
EPOCHS = 3  # of a whole training
TRAININGS = 3  # whole ones


@dataclass(eq=False)
class TrainableNetwork:
    """A network with its optimiser, and the steps that train it on `batch`.

    Several settings share one: a dense kernel takes as long whichever weights are zero. Each setting has masks of its
    own in an enforcer of its own.
    """

    setting: CostSetting
    model: nn.Module
    batch: Batch
    optimizer: torch.optim.Optimizer = field(init=False)

    def __post_init__(self) -> None:
        self.model.train()
        self.optimizer = make_optimizer(self.setting.trial(), self.model)

    def step(self, enforcer: MaskEnforcer | None = None, count: int = 1) -> Callable[[], object]:
        """`count` training steps: forward, loss, backward, optimiser, and the masks of `enforcer`."""
        return self._steps(self.model, self.optimizer, enforcer or MaskEnforcer([], self.optimizer), count)

    def realised_step(self, training: Realised, count: int = 1) -> Callable[[], object]:
        """The same steps on the compact or sparse network."""
        return self._steps(training.model, training.optimizer, MaskEnforcer([], training.optimizer), count)

    def _steps(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, enforcer: MaskEnforcer, count: int
    ) -> Callable[[], object]:
        steps = TorchSteps(model, optimizer, enforcer, loss_of(self.setting.trial()), self.setting.compute == "bf16")
        return lambda: steps.epoch([self.batch] * count)

    def gradients(self, enforcer: MaskEnforcer) -> dict[str, Tensor]:
        """Dense gradients of the layers on the batch, as RigL asks for them."""
        with enforcer.filters_restored():
            loss_of(self.setting.trial())(self.model(self.batch[0]), self.batch[1]).backward()
        dense = {x.name: x.module.weight.grad.clone() for x in enforcer.layers if x.module.weight.grad is not None}
        self.optimizer.zero_grad()
        return dense

    def seconds_of(self, work: Callable[[], object]) -> float:
        """Seconds that `work` takes, the device synchronised at both ends."""
        start = self._now()
        work()
        return self._now() - start

    def _now(self) -> float:
        if self.batch[0].is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter()


def build_network(setting: CostSetting) -> nn.Module:
    """The dense network of a setting, untrained."""
    return build(setting.model, setting.shape, setting.classes, setting.width)


def make_masks(setting: CostSetting, layers: list[Layer], seed: int) -> Masks:
    """The masks that the setting's method starts with, or ends with where it prunes after training."""
    method, pruning = METHODS[setting.method](), Pruning(setting.trial(), layers, torch.Generator().manual_seed(seed))
    masks = method.initial_masks(pruning)
    return method.final_masks(pruning, masks) if method.weights_from == "dense" else masks


@dataclass(eq=False)
class MaskedTraining:
    """A setting's masks in force in a network, the compact or sparse network under them, and its epoch boundary.

    realised: that network; None where neither may pay or can be followed.
    """

    setting: CostSetting
    network: TrainableNetwork
    enforcer: MaskEnforcer
    realised: Realised | None
    pruning: Pruning

    @classmethod
    def of(
        cls,
        setting: CostSetting,
        network: TrainableNetwork,
        masks: Masks,
        seed: int,
        alike: "MaskedTraining | None" = None,
    ) -> "MaskedTraining":
        """Applies the masks to the network. alike: a training under the same masks, whose realised network serves."""
        layers = layers_of(network.model, setting.trial())
        enforcer = MaskEnforcer(layers, network.optimizer)
        enforcer.set(masks)
        generator = torch.Generator().manual_seed(seed)
        pruning = Pruning(setting.trial(), layers, generator, lambda: network.gradients(enforcer))
        return cls(setting, network, enforcer, alike.realised if alike else _realised(network, enforcer), pruning)

    def update_seconds(self, count: int = 1) -> float:
        """Seconds of new masks made and put in force at an epoch boundary, median of `count`; 0 where masks stay."""
        method, seconds = METHODS[self.setting.method](), list[float]()
        for epoch in range(1, count + 1):
            before = self.enforcer.masks
            updated = self.network.seconds_of(lambda epoch=epoch: self._update(method, epoch))  # type: ignore[misc]
            seconds.append(updated if self.enforcer.masks is not before else 0.0)
        return median(seconds)

    def rebuild_seconds(self, count: int = 1) -> float:
        """Seconds in which a realised network that has trained is scattered back into the full one and made again.

        With what its first step takes beyond the next one; median of `count`. 0 without one.
        """
        seconds = [0.0] if self.realised is None else []
        while self.realised is not None and len(seconds) < count:
            if not self.realised.optimizer.state:  # an optimiser without a step has no state to scatter
                self.network.realised_step(self.realised)()
            rebuilt = self.network.seconds_of(self._rebuild)
            first, second = (self.network.seconds_of(self.network.realised_step(self.realised)) for _ in range(2))
            seconds.append(rebuilt + max(0.0, first - second))
        return median(seconds)

    def train_whole(self, variant: str, steps: int) -> float:
        """Seconds of EPOCHS epochs of so many steps, with new masks between them; variant: `masked` or another."""
        method = METHODS[self.setting.method]()

        def train() -> None:
            for epoch in range(EPOCHS):
                if epoch:
                    self._update(method, epoch)
                if variant != "masked" and epoch:
                    self._rebuild()
                if variant != "masked" and self.realised is not None:
                    self.network.realised_step(self.realised, steps)()
                else:
                    self.network.step(self.enforcer, steps)()

        return self.network.seconds_of(train)

    def _update(self, method: Method, epoch: int) -> None:
        masks = method.update_masks(self.pruning, self.enforcer.masks, epoch)
        if masks is not self.enforcer.masks:
            self.enforcer.set(masks)
            self.enforcer.after_step()  # the first step under new masks gathers their factors

    def _rebuild(self) -> None:
        assert self.realised is not None
        self.realised.scatter_back()
        self.realised = _realised(self.network, self.enforcer) or self.realised


def _realised(network: TrainableNetwork, enforcer: MaskEnforcer) -> Realised | None:
    realised = realised_training(network.model, enforcer.layers, enforcer.masks, network.optimizer)
    return None if isinstance(realised, SparseTraining) and network.setting.compute != "fp32" else realised


def whole_trainings(
    dense: TrainableNetwork, pruned: MaskedTraining, meters: Meters, seconds: float
) -> tuple[WholeTraining, ...]:
    """TRAININGS trainings of so many seconds in all: of the dense network, and of the pruned one in each way."""
    updated, rebuilt = pruned.update_seconds(BOUNDARIES), pruned.rebuild_seconds(BOUNDARIES)
    boundaries_s = {"dense": 0.0, "masked": updated}
    calls = {"dense": dense.step(), "masked": pruned.network.step(pruned.enforcer)}
    if pruned.realised is not None:
        calls[pruned.realised.way] = pruned.network.realised_step(pruned.realised)
        boundaries_s[pruned.realised.way] = updated + rebuilt
    setting, parts = dense.setting, list[WholeTraining]()
    for _ in range(TRAININGS):  # in turn, so that a drift of the machine meets all
        timed = compare(
            calls, batch_size=setting.batch_size, meters=meters, min_rounds=MIN_ROUNDS,
            budget_s=seconds / TRAININGS, seed=0,
        )  # fmt: skip
        for timing in timed:
            way, step_s = timing.variant, timed[0].median_s * timing.ratio
            steps = max(1, round(seconds / TRAININGS / EPOCHS / step_s))
            is_dense = way == "dense"
            time_s = dense.seconds_of(dense.step(count=EPOCHS * steps)) if is_dense else pruned.train_whole(way, steps)
            product_s = EPOCHS * steps * step_s + (EPOCHS - 1) * boundaries_s[way]
            parts.append(WholeTraining(variant=way, steps=EPOCHS * steps, time_s=time_s, product_s=product_s))
    return tuple(
        WholeTraining(
            variant=way,
            steps=sum(part.steps for part in parts if part.variant == way),
            time_s=sum(part.time_s for part in parts if part.variant == way),
            product_s=sum(part.product_s for part in parts if part.variant == way),
        )
        for way in calls
    )
