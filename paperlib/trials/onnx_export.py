"""A trained, pruned network as files that run elsewhere and say how to feed them: safetensors, ONNX and JSON."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from paperlib.core.errors import PaperlibError
from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.data.imageset import ImageSet
from paperlib.execution.compact import to_compact
from paperlib.execution.runtimes import (
    OnnxModel,
    OpenVinoModel,
    RuntimeModel,
    is_installed,
    to_onnx,
    to_runtime_compact,
)
from paperlib.models.graph import followers
from paperlib.schema.record import Record
from paperlib.trials.images import MEAN, STD, DeviceSplit, load_images
from paperlib.trials.runner import build_network
from paperlib.trials.shared_training import PRUNING
from paperlib.trials.store import Store, checkpoint
from paperlib.trials.training import predict

TOLERANCE = 1e-3  # of the largest logit: float32 rounding through sixteen layers stays well below
PRUNING_LENGTH = 400  # characters that the pruning fields of a trial take in the files, whatever they hold


@dataclass(frozen=True)
class Exported:
    """The files (safetensors, ONNX, JSON), and what the runtimes' answers to the `images` test images were.

    dense_bytes: what safetensors and ONNX of the same network take when nothing is cut out. runtimes: those that are
    installed, with versions; refused: why OpenVINO cannot read the file, if so. accuracy: share of right answers
    through the first, onnxruntime; largest_difference: of the logits of any from the original network's.
    """

    files: tuple[Path, Path, Path]
    dense_bytes: tuple[int, int]
    images: int
    runtimes: tuple[str, ...]
    refused: str
    accuracy: float
    largest_difference: float


def export(trial_id: str, layout: Layout, to: Path) -> Exported:
    """Write <id>.safetensors, <id>.onnx and <id>.metadata.json of the trial's compact network into the folder `to`.

    A network that compaction would not make smaller is written as it is, zeros included. Raises PaperlibError if
    there is no such trial, if its weights or its images are not here, or if a runtime's answers differ from the
    original network's.
    """
    record = Store(layout).get(trial_id)
    if record is None:
        raise PaperlibError(f"no trial {trial_id!r} in {layout.trials}: `paperlib run` prints the ids of trials")
    if record.status == "failed" or record.trial.method == "majority":
        raise PaperlibError(f"trial {trial_id} has no network to export: {record.reason or 'it trains nothing'}")
    path = checkpoint(layout, trial_id)
    again = f"run `{record.command} --keep-weights` first"
    if not path.exists():
        raise PaperlibError(f"the weights of trial {trial_id} are not kept: {again}")
    data = load_images(record.trial)
    if data.content_hash != record.data.content_hash:
        raise PaperlibError(f"the images of trial {trial_id} ({record.data.source}) are others by now: {again}")
    model = build_network(record.trial, record.data.shape, record.data.classes).eval()
    model.load_state_dict(load_file(path))
    about = describe(record, data)
    images = DeviceSplit.of(data.test, "cpu")
    some, _ = next(images.batches(min(64, len(images))))
    dense = content = contents(model, model, about, some)
    masks = found_masks(model)
    small = to_compact(model, masks).eval()
    if _shapes(small) != _shapes(model):
        cut = contents(small, to_runtime_compact(model, masks), about, some)
        if all(len(small_file) <= len(full) for small_file, full in zip(cut, dense, strict=True)):
            content = cut
    with torch.inference_mode():
        expected = predict(model, images)
        runtimes, refused = _loaded(content[1])
        answers = [torch.cat([network(pixels) for pixels, _ in images.batches(512)]) for network in runtimes]
    differences = [float((logits - expected).abs().max()) for logits in answers]
    for runtime, apart in zip(runtimes, differences, strict=True):
        if apart > TOLERANCE * float(expected.abs().max()):
            raise PaperlibError(
                f"through {runtime.engine} the ONNX file answers otherwise than trial {trial_id}: "
                f"logits differ by up to {apart:.3g}"
            )
    files = (to / f"{trial_id}.safetensors", to / f"{trial_id}.onnx", to / f"{trial_id}.metadata.json")
    write_atomically(files[0], content[0])
    write_atomically(files[1], content[1])
    metadata = about | {"command": record.command}
    write_atomically(files[2], (json.dumps(metadata, indent=1, ensure_ascii=False) + "\n").encode())
    accuracy = float((answers[0].argmax(1) == images.labels).float().mean())
    engines, sizes = tuple(runtime.engine for runtime in runtimes), (len(dense[0]), len(dense[1]))
    return Exported(files, sizes, len(images), engines, refused, accuracy, max(differences))


def _loaded(file: bytes) -> tuple[list[RuntimeModel], str]:
    """An ONNX file in onnxruntime and, where it is installed, OpenVINO; and why that cannot read it, if so."""
    runtimes: list[RuntimeModel] = [OnnxModel(file)]
    if is_installed(OpenVinoModel.package):
        try:
            runtimes.append(OpenVinoModel(file))
        except PaperlibError as error:
            return runtimes, str(error)
    return runtimes, ""


def describe(record: Record, data: ImageSet) -> dict[str, object]:
    """What a user of the files must know; the keys of their metadata."""
    height, width, channels = data.shape
    settings = record.trial.model_dump(mode="json")
    assert record.test is not None
    return {
        "trial": record.id,
        "settings": {name: value for name, value in settings.items() if name not in PRUNING},
        "pruning": {name: settings[name] for name in PRUNING},
        "dataset": record.data.name,
        "dataset_source": record.data.source,
        "classes": data.classes,
        "input": "images: float32 (batch, channels, height, width)",
        "shape": (channels, height, width),
        "channels": "grey" if channels == 1 else "RGB",
        "resize": f"{height} x {width} pixels, bilinear with antialiasing, aspect not kept",
        "preprocessing": "(pixels / 255 - mean) / std, pixels 0 to 255",
        "mean": [MEAN] * channels,
        "std": [STD] * channels,
        "output": "logits: float32 (batch, classes); the largest is the answer, classes in the order given",
        "test_images": len(data.test),
        "test_accuracy": round(record.test.accuracy, 6),
    }


def contents(
    model: nn.Module, for_runtimes: nn.Module, about: dict[str, object], example: Tensor
) -> tuple[bytes, bytes]:
    """The network as the bytes of a safetensors and (`for_runtimes`) of an ONNX file, `about` in the metadata of both.

    Without what depends on where it was written (the exporter's source lines) and with pruning fields of fixed
    length, so that a file is larger than another only if its network is.
    """
    import onnx

    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in about.items()}
    texts["pruning"] = texts["pruning"].ljust(PRUNING_LENGTH)
    texts["test_accuracy"] = texts["test_accuracy"].ljust(8)
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    network = onnx.load_from_string(to_onnx(for_runtimes, example))
    graph = network.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    graph.ClearField("value_info")
    onnx.helper.set_model_props(network, texts)
    return save(weights, metadata=texts), network.SerializeToString()


def _shapes(model: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in model.state_dict().items()}


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
