"""A record as one row of the tidy table, and what each column of that table means; imports no torch."""

import json
from itertools import pairwise
from typing import Any, NamedTuple

from paperlib.schema.record import Record

# Columns that say how a network was trained: arms are compared within one such setting.
SETTING = ["width", "epochs", "batch_size", "optimizer", "lr", "options", "schedule", "augment", "resolution"]


class Column(NamedTuple):
    """A column; `source`: where its value stands in a record, a dotted path, or empty where it is computed."""

    name: str
    unit: str
    source: str
    meaning: str


_COLUMNS = (
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
    ("options", "JSON", "", "further options of the optimiser"),
    ("resolution", "pixels", "", "height of the images"),
    ("computed_in", "", "compute.choice", "number format and memory layout that training used"),
    ("protocol", "", "trial.protocol", "corrected, or as-published where there is any quirk"),
    ("quirks", "", "", "what the authors' code does differently, joined by +"),
    ("source", "", "data.source", "provenance of the images: official, rebuilt, subset, stand-in or own"),
    ("data_hash", "", "data.content_hash", "hash of pixels, labels and split"),
    ("train_images", "images", "data.train", "images trained on"),
    ("val_images", "images", "data.val", "images validated on"),
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
    ("train_time_s", "s", "train_s", "wall time of the epochs, a remark: costs are in costs.csv"),
    ("val_accuracy", "share", "", "right answers on the validation images after the last epoch"),
    (
        "val_gain",
        "share",
        "",
        "what val_accuracy gained over the last third of the epochs: below 0.005 means converged",
    ),
    ("best_train_accuracy", "share", "", "best training accuracy of any epoch"),
    ("first_train_loss", "nats", "", "training loss of the first epoch"),
    ("last_train_loss", "nats", "", "training loss of the last epoch"),
    ("train_loss_falling", "share", "", "share of epochs whose training loss is below that of the one before"),
    (
        "engine",
        "",
        "engine",
        "what computed the training steps: torch, sparse, stacked (perceptrons) or numpy (older records)",
    ),
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
    ("device", "", "environment.device", "torch device"),
    ("cpu", "", "environment.cpu", "name of the processor"),
    ("gpu", "", "environment.gpu", "name of the GPU"),
    ("threads", "threads", "environment.threads", "torch's threads"),
    ("command", "", "command", "shell command that runs the trial or finds its record"),
    ("finished", "ISO 8601", "finished", "when the trial ended, in UTC"),
    ("main_setting", "", "", "whether most trials of this data set and model share its training setting"),
)
# Every column that a table can have, in its order.
COLUMNS = tuple(Column(*fields) for fields in _COLUMNS)


def row(record: Record) -> dict[str, Any]:
    """The record as one row of the tidy table: name of the column to value.

    What a record does not have is None, or has no entry where the counted costs are missing.
    """
    values = _computed(record)
    for name, _, source, _ in COLUMNS:
        if source and (record.costs is not None or not source.startswith("costs.")):
            values[name] = _at(record, source)
    return {column.name: values[column.name] for column in COLUMNS if column.name in values}


def _at(record: Record, source: str) -> Any:
    value: Any = record
    for field in source.split("."):
        value = None if value is None else getattr(value, field)
    return value


def _computed(record: Record) -> dict[str, Any]:
    losses = [epoch.train.loss for epoch in record.curve]
    falls = [b < a for a, b in pairwise(losses)]
    val = [epoch.val.accuracy for epoch in record.curve]
    third = len(val) // 3
    return {
        "options": json.dumps(record.trial.options, sort_keys=True),
        "resolution": record.data.shape[0],
        "quirks": "+".join(record.trial.quirks),
        "val_accuracy": val[-1] if val else None,
        "val_gain": val[-1] - val[-1 - third] if third else None,
        "best_train_accuracy": max((epoch.train.accuracy for epoch in record.curve), default=None),
        "first_train_loss": losses[0] if losses else None,
        "last_train_loss": losses[-1] if losses else None,
        "train_loss_falling": sum(falls) / len(falls) if falls else None,
    }
