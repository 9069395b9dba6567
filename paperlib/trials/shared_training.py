"""What a post-training trial takes from its dense trial: the training, its cost and the trained weights."""

import torch
from safetensors.torch import load_file
from torch import nn

from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.pruners import METHODS, Layer, Pruning
from paperlib.schema.record import Record
from paperlib.schema.trial import Trial, make_trial
from paperlib.trials.store import checkpoint
from paperlib.trials.training import TrainingResult

# Fields of a trial that say what is removed and how.
PRUNING = ("method", "sparsity", "conv_sparsity", "round_to", "scope", "threshold", "draw", "swap", "execution")


def dense_baseline(trial: Trial) -> Trial:
    """The dense trial of the same data, budget and seed, whose network post-training takes."""
    nothing_removed = {name: getattr(make_trial(), name) for name in PRUNING}
    return Trial.model_validate(trial.model_dump() | nothing_removed)


def prune_trained(trial: Trial, layout: Layout, dense: Record, model: nn.Module, layers: list[Layer]) -> TrainingResult:
    """Load the dense trial's weights into `model` and return its curve with the trial's masks.

    A failed dense trial gives a failed result. Raises PaperlibError for a damaged checkpoint.
    """
    if dense.status == "failed":
        why = f"its dense trial {dense.id} {dense.reason}"
        return TrainingResult(dense.curve, dense.train_s or 0.0, {}, why, engine=dense.engine)
    path = checkpoint(layout, dense.id)
    try:
        model.load_state_dict(load_file(path))
    except Exception as error:  # safetensors and torch raise several unrelated kinds
        first = str(error).splitlines()[0]
        raise PaperlibError(f"damaged checkpoint {path} ({first}); delete it, and its trial trains again") from None
    pruning = Pruning(trial, layers, torch.Generator().manual_seed(trial.seed + 1))
    masks = METHODS[trial.method]().final_masks(pruning, {})
    return TrainingResult(dense.curve, dense.train_s or 0.0, masks, engine=dense.engine)
