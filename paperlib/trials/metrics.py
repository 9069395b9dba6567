"""Quality of predictions, all from one confusion matrix (and the logits for loss and AUC)."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from paperlib.schema.record import Scores


def confusion_matrix(labels: Tensor, predicted: Tensor, classes: int) -> NDArray[np.int64]:
    """Counts (true class, predicted class), shape (classes, classes)."""
    pairs = labels * classes + predicted
    return torch.bincount(pairs, minlength=classes * classes).reshape(classes, classes).cpu().numpy()


def scores(logits: Tensor, labels: Tensor, *, final: bool = False) -> Scores:
    """Scores of logits (N, classes) against labels (N,).

    Macro averages run over the classes that occur in labels or predictions, as scikit-learn's do; balanced
    accuracy over those in the labels. `final` adds the one-vs-rest AUC (mean over the classes that occur)
    and the recall of each class, None for a class without images.
    """
    logits = logits.float()
    classes = logits.shape[1]
    matrix = confusion_matrix(labels, logits.argmax(1), classes).astype(float)
    hit, true, guessed = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    seen = true > 0
    known = seen | (guessed > 0)
    recall = np.divide(hit, true, out=np.zeros(classes), where=seen)
    precision = np.divide(hit, guessed, out=np.zeros(classes), where=guessed > 0)
    f1 = np.divide(2 * hit, true + guessed, out=np.zeros(classes), where=known)
    return Scores(
        loss=float(F.cross_entropy(logits, labels)),
        accuracy=float(hit.sum() / matrix.sum()),
        balanced_accuracy=float(recall[seen].mean()),
        macro_f1=float(f1[known].mean()),
        precision=float(precision[known].mean()),
        recall=float(recall[known].mean()),
        auc=auc(logits, labels) if final else None,
        class_recall=tuple(float(r) if s else None for r, s in zip(recall, seen, strict=True)) if final else None,
    )


def auc(logits: Tensor, labels: Tensor) -> float | None:
    """Mean one-vs-rest area under the ROC curve over classes with and without images, None if there are none."""
    from sklearn.metrics import roc_auc_score

    probability = logits.softmax(1).cpu().numpy()
    truth = labels.cpu().numpy()
    present = [c for c in range(logits.shape[1]) if 0 < np.count_nonzero(truth == c) < len(truth)]
    if not present:
        return None
    return float(np.mean([roc_auc_score(truth == c, probability[:, c]) for c in present]))


def majority(labels: NDArray[np.int64]) -> tuple[float, float]:
    """(accuracy, cross-entropy) of the best constant predictor: the rate of the largest class and the entropy
    of the class frequencies in nats (F's collapsed runs equal these to the stated digits)."""
    share = np.bincount(labels) / len(labels)
    share = share[share > 0]
    return float(share.max()), float(-(share * np.log(share)).sum())
