"""Sanity against the world: dense accuracies beside published ones, and why ours are lower where they are."""

from dataclasses import dataclass, replace

import pandas as pd

from paperlib.claims.effects import DRAWN, corrected_protocol, drawn, marked, near_chance
from paperlib.claims.stats import SHARE, Estimate, mean_interval
from paperlib.core.paths import Layout
from paperlib.data.registry import DATASETS, DOERRICH
from paperlib.exhibits.captions import provenance, seeds
from paperlib.exhibits.effect_tables import write as write_table
from paperlib.exhibits.manifest import Exhibit

CLOSE = 1.5  # points below the published accuracy that need no explanation


@dataclass(frozen=True)
class Published:
    """A dense test accuracy in per cent and what is known of the training behind it; None where it is not stated.

    epochs: at most so many if `early`, that is, if training stopped early.
    """

    accuracy: float
    by: str
    network: str
    parameters: int | None = None
    epochs: int | None = None
    early: bool = False
    pixels: int | None = None
    pretrained: bool = False


# Accuracies and epochs are read from the named sources, none is from memory.
# Parameters are counted from the network that the source names.
_ZALANDO = Published(88.33, "FashionMNIST's own README", "MLP 256-128-100", parameters=247_766)
_EMNIST = Published(84.83, "arXiv 2107.01782, its best MLP", "an MLP")
_SET = Published(70.25, "SET's authors, stored curve", "MLP 4000-1000-4000, SReLU", 20_330_000, epochs=1000)
_CIFAR_VGG = Published(92.64, "pytorch-cifar's README", "VGG16 with batch norm", parameters=14_728_266)
_DOERRICH_28 = {names: by_size[28][0] for names, by_size in DOERRICH.items()}
_BLOOD_VGG = Published(
    _DOERRICH_28["bloodmnist", "vgg16"], "Doerrich et al.", "VGG16", parameters=134_300_000, epochs=100, early=True,
    pixels=28, pretrained=True,
)  # fmt: skip
_BLOOD_RESNET = replace(
    _BLOOD_VGG, accuracy=_DOERRICH_28["bloodmnist", "resnet18"], network="ResNet18", parameters=11_181_000
)
_OCT_VGG = replace(_BLOOD_VGG, accuracy=_DOERRICH_28["octmnist", "vgg16"])
KNOWN = {
    ("fashionmnist", "mlp-small"): _ZALANDO,
    ("fashionmnist", "mlp-medium"): _ZALANDO,
    ("emnist", "mlp-small"): _EMNIST,
    ("emnist", "mlp-medium"): _EMNIST,
    ("cifar10", "mlp-small"): _SET,
    ("cifar10", "mlp-medium"): _SET,
    ("cifar10", "vgg16"): _CIFAR_VGG,
    ("octmnist", "vgg16"): _OCT_VGG,
    ("bloodmnist", "vgg16"): _BLOOD_VGG,
    ("bloodmnist", "resnet18"): _BLOOD_RESNET,
}


def write(tidy: pd.DataFrame, study: str, layout: Layout) -> Exhibit | None:
    """One row per data set and model: our dense accuracy, the published one, and the reasons for a lower one.

    Beside results on drawn images nothing published stands.
    """
    rows = corrected_protocol(tidy)
    dense = rows[rows.method == "dense"]
    if dense.empty:
        return None
    table, behind, idle = [], [], near_chance(rows)
    for (dataset, model), group in dense.groupby(["dataset", "model"], sort=False):
        own, known = mean_interval(group.test_accuracy, SHARE), KNOWN.get((str(dataset), str(model)))
        nothing, known = (DRAWN, None) if known and drawn(group.source) else ("none known", known)
        behind.append({"ours, %": tuple(group.id)})
        table.append(
            {
                "data set": dataset, "model": marked(str(model), (dataset, model) in idle),
                "ours, %": own.text(100) if own else "not measured",
                "published, %": f"{known.accuracy:.2f}" if known else nothing,
                "by": f"{known.by}: {known.network}" if known else "–",
                "difference, points": f"{100 * own.mean - known.accuracy:+.2f}" if own and known else "–",
                "where ours is more than 1.5 points below": _why(group, own, known) if own and known else "–",
            }
        )  # fmt: skip
    frame = pd.DataFrame(table)
    text = (
        "Test accuracy of dense networks. What differs is counted from the records and from what the source states; "
        f"nothing published was run here. {seeds(dense)}; images: {provenance(dense)}."
    )
    title = "Dense accuracies beside published ones"
    return write_table(f"world_{study}", title, text, frame, frame, behind, layout, groups=())


def _why(group: pd.DataFrame, own: Estimate, known: Published) -> str:
    if 100 * own.mean >= known.accuracy - CLOSE:
        return "–"
    first = group.iloc[0]
    full = DATASETS[str(first.dataset)].counts[0] if first.dataset in DATASETS else None
    reasons = [f"{first.source} images"] if first.source != "official" else []
    for name, ours, theirs in (
        ("parameters", int(first.parameters), known.parameters),
        ("epochs at most" if known.early else "epochs", int(first.epochs), known.epochs),
        ("training images", int(first.train_images), full),
        ("pixels", int(first.resolution), known.pixels),
    ):
        if theirs and ours < 0.9 * theirs:
            reasons.append(f"{ours:,} of {theirs:,} {name}")
    if known.pretrained:
        reasons.append("random weights instead of ImageNet's at the start")
    return "; ".join(reasons) or "not explained"
