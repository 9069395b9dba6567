"""Scores against scikit-learn."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from paperlib.data.imageset import ImageSet, Provenance, Split
from paperlib.trials.images import data_provenance
from paperlib.trials.metrics import auc, scores


@given(classes=st.integers(2, 12), n=st.integers(2, 80), seed=st.integers(0, 10_000))
@settings(max_examples=80, deadline=None)
def test_scores_equal_scikit_learn(classes: int, n: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, classes, generator=generator)
    labels = torch.randint(classes, (n,), generator=generator)
    ours = scores(logits, labels, final=True)
    y, guess = labels.numpy(), logits.argmax(1).numpy()
    assert ours.accuracy == pytest.approx(sk.accuracy_score(y, guess))
    seen = np.unique(y)
    assert ours.balanced_accuracy == pytest.approx(
        sk.recall_score(y, guess, labels=seen, average="macro", zero_division=0)
    )
    macro = {"average": "macro", "zero_division": 0}
    assert ours.macro_f1 == pytest.approx(sk.f1_score(y, guess, **macro))
    assert ours.precision == pytest.approx(sk.precision_score(y, guess, **macro))
    assert ours.recall == pytest.approx(sk.recall_score(y, guess, **macro))
    assert ours.loss == pytest.approx(
        sk.log_loss(y, logits.double().softmax(1).numpy(), labels=range(classes)), rel=1e-4
    )
    assert ours.class_recall is not None
    assert [r is None for r in ours.class_recall] == [c not in seen for c in range(classes)]


@given(classes=st.integers(2, 12), n=st.integers(2, 80), ties=st.booleans(), seed=st.integers(0, 10_000))
@settings(max_examples=80, deadline=None)
def test_auc_equals_scikit_learn_and_leaves_out_what_no_label_names(
    classes: int, n: int, ties: bool, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits, labels = torch.randn(n, classes, generator=generator), torch.randint(classes, (n,), generator=generator)
    logits = logits.round() if ties else logits
    probability, truth = logits.softmax(1).numpy(), labels.numpy()
    named = [c for c in range(classes) if 0 < (truth == c).sum() < n]
    expected = np.mean([sk.roc_auc_score(truth == c, probability[:, c]) for c in named]) if named else None
    assert auc(logits, labels) == (expected if expected is None else pytest.approx(expected, abs=1e-12))
    assert auc(logits, torch.zeros(n, dtype=torch.long)) is None


@pytest.mark.parametrize(
    ("counts", "rate", "entropy"),
    [
        ((852, 2181, 1085, 2026, 849, 993, 2330, 1643), 0.195, 2.003),  # official BloodMNIST train counts
        ((9621, 1200), 0.889, 0.348),  # VisA's normal and anomalous images
    ],
)
def test_the_constant_predictor_of_a_record_is_that_of_paper_f(
    counts: tuple[int, ...], rate: float, entropy: float
) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    split = Split(np.zeros((len(labels), 1, 1, 1), np.uint8), labels)
    names = tuple(map(str, range(len(counts))))
    told = data_provenance(ImageSet("set", split, split, split, names, Provenance("official", "", "")))
    assert told.train_majority == told.test_majority == pytest.approx(rate, abs=5e-4)
    assert told.train_entropy == pytest.approx(entropy, abs=5e-4)
