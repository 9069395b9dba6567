"""One epoch of mlp-small: paperlib's loop beside the loop that a user would write by hand, in one run.

By hand: a torchvision-style Dataset with PIL transforms, a DataLoader with 2 workers, torch.nn.utils.prune,
scikit-learn metrics each epoch and a FLOP profile each batch (what the authors' code does). Also: what a
mask update of in-training and set costs beside an epoch of mlp-medium. About 3 minutes on 2 cores.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from report import finish
from sklearn import metrics as sk
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from paperlib.data.imageset import Split
from paperlib.meters import Meters
from paperlib.models import build
from paperlib.models.torchvision_shim import torchvision
from paperlib.pruners import METHODS, Pruning, layers_of
from paperlib.schema.trial import Trial
from paperlib.trials.runner import threads_for
from paperlib.trials.training import DeviceSplit, fit

SHAPE, CLASSES = (28, 28, 1), 10
IMAGES = {64: 30_000, 4: 2_000}  # fewer at batch 4: by hand a full epoch takes minutes
MEDIUM_IMAGES = 60_000


def random_split(n: int) -> Split:
    """Random pixels: the cost of a step does not depend on what the images show."""
    rng = np.random.default_rng(0)
    return Split(rng.integers(0, 256, (n, *SHAPE), dtype=np.uint8), rng.integers(0, CLASSES, n))


class ByHand(Dataset[tuple[Tensor, int]]):
    """MNIST as torchvision serves it: an array to a PIL image, then ToTensor and Normalize."""

    def __init__(self, split: Split) -> None:
        self.split = split
        transforms = torchvision.transforms
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        image = Image.fromarray(self.split.images[i, :, :, 0])
        return self.transform(image), int(self.split.labels[i])


def epoch_by_hand(split: Split, batch: int) -> float:
    """Seconds of one epoch, written as the papers' field writes it."""
    model = build("mlp-small", SHAPE, CLASSES)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            prune.random_unstructured(module, "weight", amount=0.5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    loader = DataLoader(ByHand(split), batch_size=batch, shuffle=True, num_workers=2)
    start = time.perf_counter()
    predicted: list[int] = []
    true: list[int] = []
    for pixels, labels in loader:
        with FlopCounterMode(display=False):
            model(pixels)
        optimizer.zero_grad()
        output = model(pixels)
        loss = nn.functional.cross_entropy(output, labels)
        loss.backward()
        optimizer.step()
        loss.item()
        predicted += output.argmax(1).tolist()
        true += labels.tolist()
    sk.accuracy_score(true, predicted)
    for score in (sk.f1_score, sk.precision_score, sk.recall_score):
        score(true, predicted, average="macro", zero_division=0)
    return time.perf_counter() - start


def epoch_of_paperlib(split: Split, batch: int) -> float:
    """Seconds of one epoch with the same mask, scores included."""
    trial = Trial(method="random", sparsity=0.5, epochs=1, batch_size=batch, lr=0.01, options={"momentum": 0.9})
    model = build("mlp-small", SHAPE, CLASSES)
    with threads_for(model):
        images = DeviceSplit.of(split, "cpu")
        nothing = DeviceSplit(images.pixels[:1], images.labels[:1])
        start = time.perf_counter()
        fit(trial, model, layers_of(model, trial), images, nothing, Meters.time_only("cpu"))
        return time.perf_counter() - start


def median_of(times: int, work: Callable[[], float]) -> float:
    return statistics.median(work() for _ in range(times))


def mask_update(method: str) -> tuple[float, float]:
    """Seconds of one mask update of mlp-medium, and of one epoch at batch 64 (from 30 of its steps)."""
    model = build("mlp-medium", SHAPE, CLASSES)
    trial = Trial(model="mlp-medium", method=method, sparsity=0.8, epochs=1, lr=0.01)
    pruning = Pruning(trial, layers_of(model, trial), torch.Generator().manual_seed(0))
    masks = METHODS[method]().initial_masks(pruning)

    def update() -> float:
        start = time.perf_counter()
        METHODS[method]().update_masks(pruning, masks, 1)
        return time.perf_counter() - start

    images = DeviceSplit.of(random_split(30 * 64), "cpu")
    nothing = DeviceSplit(images.pixels[:1], images.labels[:1])
    dense = Trial(model="mlp-medium", epochs=2, lr=0.01)
    curve = fit(dense, model, layers_of(model, dense), images, nothing, Meters.time_only("cpu")).curve
    return median_of(5, update), curve[1].time_s * MEDIUM_IMAGES / len(images)


def main() -> None:
    figures = []
    for batch, n in IMAGES.items():
        split = random_split(n)
        epoch_of_paperlib(split, batch)  # warm-up
        ours = median_of(5, lambda split=split, batch=batch: epoch_of_paperlib(split, batch))  # type: ignore[misc]
        theirs = epoch_by_hand(split, batch)
        print(f"batch {batch}, {n:,} images: by hand {theirs:.2f} s, paperlib {ours * 1e3:.0f} ms")
        figures.append((f"epoch of mlp-small, batch {batch}", theirs / ours, 50.0, True))
    for method in ("in-training", "set"):
        update, epoch = mask_update(method)
        print(f"{method}: mask update {update * 1e3:.0f} ms, epoch of mlp-medium {epoch:.1f} s")
        figures.append((f"{method} mask update, share of an epoch", update / epoch, 0.02, False))
    finish(figures)


if __name__ == "__main__":
    main()
