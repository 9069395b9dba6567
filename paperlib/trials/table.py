"""A record as one row of the tidy table, and what each column of that table means.

`docs/columns.md` is `columns_page()`; imports no torch.
"""

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from paperlib.schema.measurement import Timing
from paperlib.schema.record import Record

# Columns that say how a network was trained: arms are compared within one such setting.
SETTING = ["width", "epochs", "batch_size", "optimizer", "lr", "options", "schedule", "augment", "resolution"]
BATCHES = (1, 64)  # images per inference batch that the columns are described for


class Column(NamedTuple):
    """A column; `source`: where its value stands in a record, a dotted path or `-` where `row` computes it."""

    name: str
    unit: str
    source: str
    meaning: str


COLUMNS = tuple(
    Column(*fields)
    for fields in (
        ("id", "", "id", "16 hex digits that name the trial and its record"),
        ("dataset", "", "trial.dataset", "name of the data set, or folder:PATH"),
        ("model", "", "trial.model", "name of the network"),
        ("width", "factor", "trial.width", "factor on the network's hidden widths"),
        ("method", "", "trial.method", "pruning method"),
        ("scope", "", "trial.scope", "the layers that are pruned, and how removals are shared among them"),
        ("sparsity", "share", "trial.sparsity", "nominal share of linear weights removed in the scope"),
        ("conv_sparsity", "share", "trial.conv_sparsity", "nominal share of filters removed"),
        ("threshold", "", "trial.threshold", "weights below it are removed (method threshold)"),
        ("draw", "", "trial.draw", "number of the random layer ratios (scope random-ratios)"),
        ("swap", "share", "trial.swap", "share of active units exchanged at each epoch boundary"),
        ("seed", "", "trial.seed", "seed of weights, masks and order"),
        ("epochs", "epochs", "trial.epochs", "passes over the training images that the trial asks for"),
        ("batch_size", "images", "trial.batch_size", "images per training step"),
        ("optimizer", "", "trial.optimizer", "torch optimiser"),
        ("lr", "", "trial.lr", "learning rate at the start"),
        ("schedule", "", "trial.schedule", "course of the learning rate: constant or cosine"),
        ("augment", "", "trial.augment", "whether training images are cropped and flipped at random"),
        ("compute", "", "trial.compute", "number format and memory layout that the trial asks for"),
        ("execution", "", "trial.execution", "compact (where it pays) or masked training"),
        ("options", "JSON", "-", "further options of the optimiser"),
        ("resolution", "pixels", "-", "height of the images"),
        ("computed_in", "", "compute.choice", "number format and memory layout that training used"),
        ("protocol", "", "trial.protocol", "corrected, or as-published where there is any quirk"),
        ("quirks", "", "-", "what the authors' code does differently, joined by +"),
        ("source", "", "data.source", "provenance of the images: official, rebuilt, subset, stand-in or own"),
        ("data_hash", "", "data.content_hash", "hash of pixels, labels and split"),
        ("train_images", "images", "data.train", "images trained on"),
        ("test_images", "images", "data.test", "images tested on"),
        ("classes", "classes", "data.classes", "number of classes"),
        ("train_majority", "share", "data.train_majority", "share of the largest class in the training images"),
        ("train_entropy", "nats", "data.train_entropy", "entropy of the class shares of the training images"),
        ("test_majority", "share", "data.test_majority", "test accuracy of always answering that largest class"),
        ("status", "", "status", "done, or failed where training diverged"),
        ("reason", "", "reason", "how a failed training failed"),
        ("parameters", "count", "network.parameters", "parameters of the network, removed ones included"),
        ("zeros", "count", "network.zeros", "weights removed"),
        ("network_sparsity", "share", "network.sparsity", "zeros / weights of all linear and convolution layers"),
        ("scope_sparsity", "share", "network.scope_sparsity", "zeros / weights of the layers in the scope"),
        ("shared_training", "", "shared_training", "id of the dense trial whose training this one reuses"),
        ("test_loss", "nats", "test.loss", "mean cross-entropy on the test images"),
        ("test_accuracy", "share", "test.accuracy", "right answers on the test images"),
        ("test_balanced_accuracy", "share", "test.balanced_accuracy", "mean recall of the classes that occur"),
        ("test_macro_f1", "share", "test.macro_f1", "unweighted mean over classes of F1"),
        ("test_precision", "share", "test.precision", "unweighted mean over classes of precision"),
        ("test_recall", "share", "test.recall", "unweighted mean over classes of recall"),
        ("test_auc", "share", "test.auc", "mean one-vs-rest area under the ROC curve"),
        ("train_time_s", "s", "training.time_s", "epochs with their mask updates, without evaluations"),
        ("train_energy_j", "J", "training.energy_j", "energy of the same"),
        ("train_co2_g", "g", "training.co2_g", "CO2 of that energy"),
        ("train_peak_memory_bytes", "bytes", "training.peak_memory_bytes", "peak above the state at the start"),
        ("val_accuracy", "share", "-", "right answers on the validation images after the last epoch"),
        ("best_train_accuracy", "share", "-", "best training accuracy of any epoch"),
        ("first_train_loss", "nats", "-", "training loss of the first epoch"),
        ("last_train_loss", "nats", "-", "training loss of the last epoch"),
        ("train_loss_falling", "share", "-", "share of epochs whose training loss is below that of the one before"),
        ("energy_source", "", "training.energy_source", "how the training energy was obtained"),
        ("memory_source", "", "training.memory_source", "how the training's peak memory was obtained"),
        ("engine", "", "engine", "what computed the training steps: torch or numpy"),
        ("compact_epochs", "epochs", "compact_epochs", "epochs that ran on the compact network"),
        ("nonzeros", "count", "costs.nonzeros", "parameters that are not zero"),
        ("dense_bytes", "bytes", "costs.dense_bytes", "stored size with every weight"),
        ("csr_bytes", "bytes", "costs.csr_bytes", "stored size with linear layers as CSR"),
        ("compact_bytes", "bytes", "costs.compact_bytes", "stored size with filters and neurons cut out"),
        ("int8_bytes", "bytes", "costs.int8_bytes", "stored size with one byte a weight"),
        ("dense_inference_flops", "FLOPs", "costs.dense_inference_flops", "dense inference, per image"),
        ("dense_training_flops", "FLOPs", "costs.dense_training_flops", "dense training step, per image"),
        ("inference_flops", "FLOPs", "costs.inference_flops", "inference without removed work, per image"),
        ("training_flops", "FLOPs", "costs.training_flops", "training step without removed work, per image"),
        ("inference_energy_source", "", "-", "how the energy of inference was obtained"),
        ("load_s", "s", "load_s", "reading the weights and giving the first answer"),
        ("*", "", "-", ""),  # the columns of inference
        ("device", "", "environment.device", "torch device"),
        ("cpu", "", "environment.cpu", "name of the processor"),
        ("gpu", "", "environment.gpu", "name of the GPU"),
        ("threads", "threads", "environment.threads", "torch's threads"),
        ("others_share", "share", "place.others", "of the cores' time that other processes took during the trial"),
        ("command", "", "command", "shell command that runs the trial or finds its record"),
        ("finished", "ISO 8601", "finished", "when the trial ended, in UTC"),
        ("main_setting", "", "-", "whether most trials of this data set and model share its training setting"),
    )
)
# Name, unit, meaning and field of `Timing`; a column is one of them for one network and one batch size.
ABSOLUTE = (
    ("s", "s", "median time of one batch", "median_s"),
    ("energy_j", "J", "energy of one image", "energy_j_per_image"),
    ("peak_memory_bytes", "bytes", "peak memory of one batch", "peak_memory_bytes"),
)
RATIOS = (
    ("ratio", "ratio", "median over rounds of its time / dense time of the round", "ratio"),
    ("ratio_low", "ratio", "lower end of the 95 % interval of that ratio", "ratio_low"),
    ("ratio_high", "ratio", "upper end of the 95 % interval of that ratio", "ratio_high"),
    ("energy_ratio", "ratio", "its energy / dense energy", ""),
)
# Of one network and batch size; `_again`: of dense, measured a second time as a control (A/A).
GROUPS = ((ABSOLUTE, ""), (RATIOS, ""), (RATIOS, "_again"), (ABSOLUTE[:2], "_again"))
NETWORKS = {"inference": "the masked network", "realised": "the network as its fastest exact variant"}


def row(record: Record) -> dict[str, Any]:
    """The record as one row of the tidy table: name of the column to value.

    What a record does not have is None, or has no entry where a whole group of columns is missing (the counted costs,
    a batch size, the ratios of dense itself).
    """
    computed = _computed(record)
    values: dict[str, Any] = {}
    for name, _, source, _ in COLUMNS:
        if name == "*":
            for size in sorted({timing.batch_size for timing in record.inference}):
                values |= _inference({t.variant: t for t in record.inference if t.batch_size == size}, size)
        elif source == "-":
            values |= {name: computed[name]} if name in computed else {}
        elif record.costs is not None or not source.startswith("costs."):
            values[name] = _at(record, source)
    return values


def _at(record: Record, source: str) -> Any:
    value: Any = record
    for field in source.split("."):
        value = None if value is None else getattr(value, field)
    return value


def _computed(record: Record) -> dict[str, Any]:
    losses = [epoch.train.loss for epoch in record.curve]
    falls = [b < a for a, b in pairwise(losses)]
    return {
        "options": json.dumps(record.trial.options, sort_keys=True),
        "resolution": record.data.shape[0],
        "quirks": "+".join(record.trial.quirks),
        "val_accuracy": record.curve[-1].val.accuracy if record.curve else None,
        "best_train_accuracy": max((epoch.train.accuracy for epoch in record.curve), default=None),
        "first_train_loss": losses[0] if losses else None,
        "last_train_loss": losses[-1] if losses else None,
        "train_loss_falling": sum(falls) / len(falls) if falls else None,
        "inference_energy_source": next((t.energy_source for t in record.inference if t.energy_source), None),
    }


def _inference(timed: dict[str, Timing], size: int) -> dict[str, Any]:
    """Columns of one batch size: the masked network, its fastest exact variant and the A/A control `dense-again`.

    A record without an exact variant that is faster has the masked network's figures there, too.
    """
    dense = timed["dense"]
    masked, again = timed.get("masked", dense), timed.get("dense-again")
    exact = [name for name in timed if name not in {"dense", "dense-again", "masked"}]
    fastest = timed[exact[0]] if exact else masked
    values: dict[str, Any] = {f"realised_way_b{size}": fastest.variant}
    for prefix, timing in (("inference", masked), ("realised", fastest)):
        for measures, suffix in GROUPS:
            measured = again if suffix else timing
            if measured is None or (measures is RATIOS and measured is dense):
                continue
            for name, _, _, field in measures:
                value = getattr(measured, field) if field else _energy_ratio(measured, dense)
                values[f"{prefix}_{name}_b{size}{suffix}"] = value
    return values


def _energy_ratio(timing: Timing, dense: Timing) -> float | None:
    energy, base = timing.energy_j_per_image, dense.energy_j_per_image
    return energy / base if energy and base else None


def described() -> Iterator[tuple[str, str, str]]:
    """Name, unit and meaning of every column that a table can have, in its order."""
    for column in COLUMNS:
        if column.name != "*":
            yield column.name, column.unit, column.meaning
            continue
        for size in BATCHES:
            yield f"realised_way_b{size}", "", f"which variant `realised_…_b{size}` is; masked where none is faster"
            for prefix, network in NETWORKS.items():
                for measures, suffix in GROUPS:
                    who = "dense measured again (A/A)" if suffix else network
                    for name, unit, meaning, _ in measures:
                        yield f"{prefix}_{name}_b{size}{suffix}", unit, f"{who}, batch {size}: {meaning}"


def columns_page() -> str:
    """The text of docs/columns.md."""
    lines = [
        "# Columns of the tidy table",
        "",
        "`tidy.csv` and `tidy.parquet` of a results folder, and `paperlib.load_results`, have one row per trial.",
        "What was not measured or does not apply is missing, never 0.",
        "This page is written by `columns_page` in `paperlib/trials/table.py`.",
        "",
        "| column | unit | meaning |",
        "|---|---|---|",
        *(f"| `{name}` | {unit} | {meaning} |" for name, unit, meaning in described()),
    ]
    return "\n".join(lines) + "\n"
