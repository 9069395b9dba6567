"""Training steps and epoch boundaries as calls to be timed: dense, masked as in the papers, and compact."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

import torch
from torch import Tensor, nn

from paperlib.core.errors import PaperlibError
from paperlib.execution.compact import is_worth_compacting
from paperlib.execution.compact_training import CompactTraining
from paperlib.execution.steps import TorchSteps
from paperlib.pruners import METHODS, Layer, MaskEnforcer, Masks, Method, Pruning, layers_of
from paperlib.schema.cost import CostSetting
from paperlib.trials.optimizers import loss_of, make_optimizer

Batch = tuple[Tensor, Tensor]
"""Images, float (N, C, H, W), and labels, int64 (N,)."""
BOUNDARIES = 3  # epoch boundaries timed, of which the median counts
EPOCHS = 3  # of a whole training


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

    def compact_step(self, compact: CompactTraining, count: int = 1) -> Callable[[], object]:
        """The same steps on the compact network."""
        return self._steps(compact.model, compact.optimizer, MaskEnforcer([], compact.optimizer), count)

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


def make_masks(setting: CostSetting, layers: list[Layer], seed: int) -> Masks:
    """The masks that the setting's method starts with, or ends with where it prunes after training."""
    method, pruning = METHODS[setting.method](), Pruning(setting.trial(), layers, torch.Generator().manual_seed(seed))
    masks = method.initial_masks(pruning)
    return method.final_masks(pruning, masks) if method.weights_from == "dense" else masks


@dataclass(eq=False)
class MaskedTraining:
    """A setting's masks in force in a network, the compact network under them, and its epoch boundary.

    compact: None where it pays nothing or cannot be followed.
    """

    setting: CostSetting
    network: TrainableNetwork
    enforcer: MaskEnforcer
    compact: CompactTraining | None
    pruning: Pruning

    @classmethod
    def of(cls, setting: CostSetting, network: TrainableNetwork, masks: Masks, seed: int) -> "MaskedTraining":
        """Applies the masks to the network."""
        layers = layers_of(network.model, setting.trial())
        enforcer = MaskEnforcer(layers, network.optimizer)
        enforcer.set(masks)
        generator = torch.Generator().manual_seed(seed)
        pruning = Pruning(setting.trial(), layers, generator, lambda: network.gradients(enforcer))
        return cls(setting, network, enforcer, _compact(network, enforcer), pruning)

    def boundary_seconds(self) -> dict[str, float]:
        """Seconds of an epoch boundary, for `masked` and `compact`: new masks made and put in force, median of three.

        0 where masks stay, but a compact network is scattered back into the full one and cut out again in any case.
        """
        method, seconds = METHODS[self.setting.method](), dict[str, list[float]]()
        for epoch in range(1, BOUNDARIES + 1):
            before = self.enforcer.masks
            updated = self.network.seconds_of(lambda epoch=epoch: self._update(method, epoch))  # type: ignore[misc]
            seconds.setdefault("masked", []).append(updated if self.enforcer.masks is not before else 0.0)
            if self.compact is not None:
                rebuilt = self.network.seconds_of(self._rebuild)
                seconds.setdefault("compact", []).append(seconds["masked"][-1] + rebuilt)
        return {variant: median(values) for variant, values in seconds.items()}

    def train_whole(self, variant: str, steps: int) -> float:
        """Seconds of EPOCHS epochs of so many steps, with new masks between them; variant: `masked` or `compact`."""
        method = METHODS[self.setting.method]()

        def train() -> None:
            for epoch in range(EPOCHS):
                if epoch:
                    self._update(method, epoch)
                if variant == "compact" and epoch:
                    self._rebuild()
                if variant == "compact" and self.compact is not None:
                    self.network.compact_step(self.compact, steps)()
                else:
                    self.network.step(self.enforcer, steps)()

        return self.network.seconds_of(train)

    def _update(self, method: Method, epoch: int) -> None:
        masks = method.update_masks(self.pruning, self.enforcer.masks, epoch)
        if masks is not self.enforcer.masks:
            self.enforcer.set(masks)
            self.enforcer.after_step()  # the first step under new masks gathers their factors

    def _rebuild(self) -> None:
        assert self.compact is not None
        self.compact.scatter_back()
        self.compact = _compact(self.network, self.enforcer) or self.compact


def _compact(network: TrainableNetwork, enforcer: MaskEnforcer) -> CompactTraining | None:
    try:
        compact = CompactTraining(network.model, enforcer.layers, enforcer.masks, network.optimizer)
    except PaperlibError:
        return None
    return compact if is_worth_compacting(compact.model, network.model) else None
