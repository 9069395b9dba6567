"""Sanity against the world: dense accuracies beside published ones, and why ours are lower where they are."""

from dataclasses import dataclass, replace

import pandas as pd

from paperlib.claims.effects import DRAWN, corrected_protocol, drawn, marked, near_chance
from paperlib.claims.stats import SHARE, Estimate, mean_interval
from paperlib.data.registry import DATASETS, DOERRICH
from paperlib.exhibits.captions import seeds_and_images
from paperlib.exhibits.manifest import Exhibit
from paperlib.exhibits.results import Source
from paperlib.exhibits.tables import IDS, estimate_text
from paperlib.exhibits.tables import write as write_table

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
_VGG, _RESNET = (DOERRICH["bloodmnist", model][28][0] for model in ("vgg16", "resnet18"))
_BLOOD_VGG = Published(_VGG, "Doerrich et al.", "VGG16", 134_300_000, 100, early=True, pixels=28, pretrained=True)
_ELPV = Published(
    88.42, "Deitsch et al. 2019 (https://doi.org/10.1016/j.solener.2019.02.067)", "a CNN (their SVM: 82.44)", pixels=300
)
_BLOOD_RESNET = replace(_BLOOD_VGG, accuracy=_RESNET, network="ResNet18", parameters=11_181_000)
KNOWN = {
    **dict.fromkeys([("fashionmnist", "mlp-small"), ("fashionmnist", "mlp-medium")], _ZALANDO),
    **dict.fromkeys([("emnist", "mlp-small"), ("emnist", "mlp-medium")], _EMNIST),
    **dict.fromkeys([("cifar10", "mlp-small"), ("cifar10", "mlp-medium")], _SET),
    ("cifar10", "vgg16"): _CIFAR_VGG,
    ("octmnist", "vgg16"): replace(_BLOOD_VGG, accuracy=DOERRICH["octmnist", "vgg16"][28][0]),
    ("bloodmnist", "vgg16"): _BLOOD_VGG,
    ("bloodmnist", "resnet18"): _BLOOD_RESNET,
    **dict.fromkeys([("elpv", "vgg16"), ("elpv", "resnet18")], _ELPV),
}


def write(source: Source, study: str) -> Exhibit | None:
    """One row per data set and model: our dense accuracy, the published one, and the reasons for a lower one.

    Beside results on drawn images nothing published stands.
    """
    rows = corrected_protocol(source.table)
    dense = rows[rows.method == "dense"]
    if dense.empty:
        return None
    table, untrained = [], near_chance(rows)
    for (dataset, model), group in dense.groupby(["dataset", "model"], sort=False):
        ours, published = mean_interval(group.test_accuracy, SHARE), KNOWN.get((str(dataset), str(model)))
        missing, published = (DRAWN, None) if published and drawn(group.source) else ("none known", published)
        both = (ours, published) if ours and published else None
        table.append(
            {
                "data set": dataset, "model": marked(str(model), (dataset, model) in untrained),
                "ours, %": estimate_text(ours, missing="not measured"),
                "published, %": f"{published.accuracy:.2f}" if published else missing,
                "by": f"{published.by}: {published.network}" if published else "–",
                "difference, points": f"{100 * both[0].mean - both[1].accuracy:+.2f}" if both else "–",
                "where ours is more than 1.5 points below": _reasons(group, *both) if both else "–",
                IDS: {"ours, %": tuple(group.id)},
            }
        )  # fmt: skip
    text = (
        "Test accuracy of dense networks. What differs is counted from the records and from what the source states; "
        f"nothing published was run here. {seeds_and_images(dense)}."
    )
    title = "Dense accuracies beside published ones"
    return write_table(f"world_{study}", title, text, table, source.layout, groups=())


def _reasons(group: pd.DataFrame, ours: Estimate, published: Published) -> str:
    if 100 * ours.mean >= published.accuracy - CLOSE:
        return "–"
    first = group.iloc[0]
    full = DATASETS[str(first.dataset)].counts[0] if first.dataset in DATASETS else None
    reasons = [f"{first.source} images"] if first.source != "official" else []
    for name, our_count, their_count in (
        ("parameters", int(first.parameters), published.parameters),
        ("epochs at most" if published.early else "epochs", int(first.epochs), published.epochs),
        ("training images", int(first.train_images), full),
        ("pixels", int(first.resolution), published.pixels),
    ):
        if their_count and our_count < 0.9 * their_count:
            reasons.append(f"{our_count:,} of {their_count:,} {name}")
    if published.pretrained:
        reasons.append("random weights instead of ImageNet's at the start")
    return "; ".join(reasons) or "not explained"
