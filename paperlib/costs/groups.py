"""Settings of one network that cost the same, since they remove equally many units in every layer."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

from torch import nn

from paperlib.costs.training_step import make_masks
from paperlib.pruners import METHODS, Masks, apply_masks, layers_of
from paperlib.schema.cost import CostSetting


@dataclass(eq=False)
class Pruned:
    """Settings that remove equally many units in every layer, so cost the same and are measured once.

    masked, realised: endings of the variants that are theirs. `masked` is shared by all that mask the same layers: a
    dense kernel does the same work whichever of their weights are zero.
    """

    settings: list[CostSetting]
    masks: Masks
    masked: str
    realised: str

    def model(self, dense: nn.Module) -> nn.Module:
        """A copy of the dense network with the masks applied, in eval mode."""
        model = deepcopy(dense).eval()
        apply_masks(layers_of(model, self.settings[0].trial()), self.masks)
        return model

    @property
    def trained(self) -> list[CostSetting]:
        """Those that train under these masks: not dense, nor what is pruned after dense's training."""
        return [s for s in self.settings if s.method != "dense" and METHODS[s.method].weights_from != "dense"]

    @property
    def names(self) -> set[str]:
        """Endings of the variants that are theirs, `dense` included."""
        return {"", self.masked, self.realised}


def grouped(settings: Sequence[CostSetting], dense: nn.Module, seed: int) -> list[Pruned]:
    """The groups of these settings of one network; seed: of their masks."""
    groups: dict[tuple[tuple[str, int], ...], Pruned] = {}
    for setting in settings:
        masks = make_masks(setting, layers_of(dense, setting.trial()), seed)
        counts = tuple(sorted((name, int((~mask).sum())) for name, mask in masks.items()))
        if counts in groups:
            groups[counts].settings.append(setting)
        else:
            layers_masked = frozenset(masks)
            masked = next((g.masked for g in groups.values() if frozenset(g.masks) == layers_masked), f"L{len(groups)}")
            groups[counts] = Pruned([setting], masks, masked, str(len(groups)))
    return list(groups.values())
