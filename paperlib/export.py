"""A trained, pruned network as files that run elsewhere: compacted, as safetensors and ONNX, checked."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from paperlib.errors import PaperlibError
from paperlib.execution.compact import compact
from paperlib.execution.quantized import OnnxModel, to_onnx
from paperlib.models.graph import followers
from paperlib.paths import Layout
from paperlib.run import checkpoint, network_of, prepare
from paperlib.store import Store, write_atomically
from paperlib.training import Images, predict

TOLERANCE = 1e-3  # of the largest logit: float32 rounding through sixteen layers stays well below


@dataclass(frozen=True)
class Exported:
    """The files, their sizes, and how far onnxruntime's logits are from the original's on `images` test images."""

    files: tuple[Path, ...]
    dense_bytes: int
    images: int
    largest_difference: float


def export(trial_id: str, layout: Layout, to: Path) -> Exported:
    """Write <id>.safetensors and <id>.onnx of the trial's compact network into the folder `to`.

    Raises PaperlibError if there is no such trial, if its weights are not kept, or if onnxruntime's answers
    differ from the original network's.
    """
    record = Store(layout).get(trial_id)
    if record is None:
        raise PaperlibError(f"no trial {trial_id!r} in {layout.trials}: `paperlib run` prints the ids of trials")
    path = checkpoint(layout, trial_id)
    if not path.exists():
        cure = f"run `{record.command} --keep-weights` first"
        raise PaperlibError(f"the weights of trial {trial_id} are not kept: {cure}")
    model = network_of(record.trial, record.data.shape, record.data.classes).eval()
    model.load_state_dict(load_file(path))
    small = compact(model, found_masks(model)).eval()
    images = Images.of(prepare(record.trial).test, "cpu")
    some, _ = next(images.batches(min(64, len(images))))
    about = {"trial": trial_id, "model": record.trial.model, "shape": json.dumps(record.data.shape)}
    weights = {name: tensor.contiguous() for name, tensor in small.state_dict().items()}
    files = to / f"{trial_id}.safetensors", to / f"{trial_id}.onnx"
    write_atomically(files[0], save(weights, metadata=about))
    to_onnx(small, some, files[1])
    with torch.inference_mode():
        expected = predict(model, images)
        found = torch.cat([OnnxModel(files[1])(pixels) for pixels, _ in images.batches(512)])
    apart = float((found - expected).abs().max())
    if apart > TOLERANCE * float(expected.abs().max()):
        raise PaperlibError(f"{files[1]} answers otherwise than trial {trial_id}: logits differ by up to {apart:.3g}")
    return Exported(files, path.stat().st_size, len(images), apart)


def found_masks(model: nn.Module) -> dict[str, Tensor]:
    """The masks that zeros in the weights amount to: filters without any parameter, single linear weights."""
    masks: dict[str, Tensor] = {}
    pairs = followers(model)
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear):
            masks[name] = layer.weight != 0
        elif isinstance(layer, nn.Conv2d):
            owners = [layer, *([model.get_submodule(norm)] if (norm := pairs[name]) else [])]
            alive = [p.detach().flatten(1).any(1) if p.dim() > 1 else p != 0 for m in owners for p in m.parameters()]
            masks[name] = torch.stack(alive).any(0)
    return {name: mask for name, mask in masks.items() if not mask.all()}
