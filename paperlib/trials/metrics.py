"""Quality of predictions, all from one confusion matrix (and the logits for loss and AUC)."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from paperlib.schema.record import Scores


def scores(logits: Tensor, labels: Tensor, *, final: bool = False) -> Scores:
    """Scores of logits (N, classes), any floating dtype, against labels (N,) of int64, on one device.

    All but the loss (nats) lie in [0, 1]; they equal scikit-learn's. Macro averages run over the classes that occur
    in labels or predictions, balanced accuracy over those in the labels. `final` adds the one-vs-rest AUC (mean over
    the classes that occur) and the recall of each class, None for a class without images.
    """
    columns = logits.float().t().contiguous()  # along which torch reduces up to ten times as fast as along short rows
    classes = len(columns)
    pairs = labels * classes + columns.max(0).indices
    counts = torch.bincount(pairs, minlength=classes * classes).cpu().numpy()
    matrix = counts.reshape(classes, classes).astype(float)  # (true class, predicted class)
    hit, true, guessed = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    seen = true > 0
    occurs = seen | (guessed > 0)
    recall = np.divide(hit, true, out=np.zeros(classes), where=seen)
    precision = np.divide(hit, guessed, out=np.zeros(classes), where=guessed > 0)
    f1 = np.divide(2 * hit, true + guessed, out=np.zeros(classes), where=occurs)
    return Scores(
        loss=float(F.cross_entropy(columns[None], labels[None])),
        accuracy=float(hit.sum() / matrix.sum()),
        balanced_accuracy=float(recall[seen].mean()),
        macro_f1=float(f1[occurs].mean()),
        precision=float(precision[occurs].mean()),
        recall=float(recall[occurs].mean()),
        auc=auc(columns.t(), labels) if final else None,
        class_recall=tuple(float(r) if s else None for r, s in zip(recall, seen, strict=True)) if final else None,
    )


def auc(logits: Tensor, labels: Tensor) -> float | None:
    """Mean one-vs-rest area under the ROC curve of logits (N, classes), over the classes that some but not all of the
    labels (N,) name; None if there are none. Each area is scikit-learn's `roc_auc_score`, ties counting half."""
    probability, truth = logits.softmax(1).T.contiguous().cpu().numpy(), labels.cpu().numpy()
    areas = []
    for number, column in enumerate(probability):
        of_class = truth == number
        positive, negative = np.sort(column[of_class]), np.sort(column[~of_class])
        if len(positive) and len(negative):
            below, not_above = (int(np.searchsorted(negative, positive, side).sum()) for side in ("left", "right"))
            areas.append((below + not_above) / (2 * len(positive) * len(negative)))
    return float(np.mean(areas)) if areas else None
