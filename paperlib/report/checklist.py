"""How this companion stands to the 15 points of good reporting on pruning, honestly."""

from dataclasses import dataclass
from typing import Literal

State = Literal["met", "in part", "not met"]


@dataclass(frozen=True)
class Point:
    """One point. met: what is there; where: files, notebooks and exhibits that show it; lacking: what is not."""

    number: int
    asks: str
    met: str
    where: tuple[str, ...]
    lacking: str = ""

    @property
    def state(self) -> State:
        """`met` where nothing is lacking, `not met` where nothing is there."""
        return "not met" if not self.met else "in part" if self.lacking else "met"


CHECKLIST = (
    Point(
        1, "Method, scope, granularity, timing, fine-tuning; nominal and achieved sparsity per layer and in all",
        "every record counts removed units of every layer; methods state when and what they remove; tables layers_mlp "
        "(MLPs on MNIST, seed 0) and scenarios_industrial (whole networks); other layers stand in the records",
        ("paperlib/pruners/methods.py", "paperlib/pruners/sparsity_counts.py", "paperlib/exhibits/effect_tables.py", "paperlib/schema/record.py"),
    ),
    Point(
        2, "Both meanings of global, and layer-wise at equal total sparsity",
        "scopes global, global-threshold, layerwise, layerwise-matched and erdos-renyi; laptop adds global-threshold "
        "for the small MLP, paper all of P's scopes for both MLPs",
        ("paperlib/pruners/allocation.py", "paperlib/pruners/layers.py", "paperlib/studies/profiles.py"),
        "the grids of smoke and quick hold global and layerwise only (global-threshold and Erdős–Rényi for one "
        "network, in figure space_mlp-small); layerwise-matched needs the hidden weights of the full medium MLP, so "
        "only paper runs it; no profile runs either on VGG-16 or on F's networks, nor SET under one threshold",
    ),
    Point(
        3, "Baselines: dense, random, magnitude, small-dense, majority, RigL or true Erdős–Rényi",
        "all of them are methods of a trial, SET starts from a true Erdős–Rényi graph, every record holds the majority "
        "rate; small-dense, magnitude-gradual and rigl run on BloodMNIST in smoke and laptop, on all of F's sets in "
        "paper",
        ("paperlib/pruners/baselines.py", "paperlib/pruners/methods.py", "paperlib/studies/profiles.py"),
        "quick runs none of these three; no profile runs them on P's networks; pruned random arms of the grids start "
        "with laptop (smoke: F's networks), below it only post-training-random is there",
    ),
    Point(
        4, "Five compression points (2 to 32 times) up to collapse on three data set-model pairs, with speed-up",
        "figure compression_mlp-small: 2, 4, 8, 16 and 32 times on FashionMNIST, EMNIST and CIFAR-10 from quick on; "
        "table tutorial_gain: size and time beside accuracy; FLOPs and stored sizes are counted for every network",
        ("paperlib/studies/tutorial.py", "paperlib/exhibits/tutorial_figures.py", "paperlib/execution/flops.py"),
        "all three pairs are the small MLP, and CNNs have two or three settings only; the table of speed-ups is of "
        "FashionMNIST alone; smoke runs two points on one set",
    ),
    Point(
        5, "Three real seeds or more; mean, paired intervals, multiplicity; raw data",
        "seeds vary start, mask and order; intervals are paired by seed; claims are Holm-corrected; one JSON per "
        "trial, and every number of a table of the report leads to its own",
        ("paperlib/claims/stats/estimates.py", "paperlib/claims/stats/decisions.py", "paperlib/trials/store.py", "paperlib/exhibits/trial_links.py"),
        "smoke runs one or two seeds, quick one of every CNN; three seeds decide "
        "little at Holm's level, and verdicts then say so",
    ),
    Point(
        6, "Official test sets, no test-time augmentation, leakage test; balanced accuracy, F1, AUC, class recall",
        "corrected protocol: official splits, choices on validation only, augmentation of training images only; all "
        "scores and the answer to each test image are in every record; `paperlib data verify` counts test images among "
        "the training ones; figure recall_mlp-small and table disagreement_mlp-small: which classes "
        "and images pruning forgets",
        ("paperlib/trials/training.py", "paperlib/trials/metrics.py", "paperlib/trials/predictions.py", "paperlib/exhibits/tutorial_figures.py"),
        "stand-ins replace sets that cannot be had; images forgotten are tabled for post-training of the small MLP",
    ),
    Point(
        7, "Same code, budget and tuning for all arms; sensitivity to learning rate; a training-longer control",
        "one loop trains every arm, with the same budget as its dense twin; table sensitivity_mlp: a sweep of "
        "optimiser and learning rate, chosen by validation, dense and SET, in laptop a training three times as long",
        ("paperlib/trials/training.py", "paperlib/studies/profiles.py", "paperlib/studies/sensitivity.py"),
        "the longer training is of the small MLP alone; pruned arms take the dense settings, only SET at 50 % is swept "
        "beside dense, on the MLPs; smoke and quick sweep the small MLP only, laptop the CNNs dense alone",
    ),
    Point(
        8, "Time: warm-up, synchronised, repeated, median and spread, batch sizes, load time apart",
        "interleaved in random order, median, p95, p99, batch 1 and 64, load time of its own, threads noted; figure "
        "edge_roofline: each layer's speed under the measured limits of the machine",
        ("paperlib/meters/paired.py", "paperlib/trials/inference_timing.py", "paperlib/meters/clock.py"),
        "clock frequency is not fixed and not recorded; a timing does not say whether launches, memory or arithmetic "
        "bound it",
    ),
    Point(
        9, "Energy: long whole-loop windows, nothing else inside, idle gross and net, source stated, joules per sample",
        "window per training; inference loops as long as the counter needs; joules per image of inference; a lock on "
        "device and cores; the source is in every word and record",
        ("paperlib/meters/energy.py", "paperlib/meters/window.py", "paperlib/trials/resources.py"),
        "gross only, no idle subtraction and no control of temperature; without a counter energy is modelled from CPU "
        "time",
    ),
    Point(
        10, "A/A controls, a published noise floor, effects called only beyond it",
        "dense measured twice in every trial; random at sparsity 0; post-training where it was trained anew; the floor "
        "stands in the captions",
        ("paperlib/claims/stats/noise.py", "paperlib/claims/builders.py", "docs/measuring.md"),
    ),
    Point(
        11, "Masked sparsity apart from realised: CSR, removed filters and neurons; the break-even",
        "compact, sparse and int8 execution beside masked, checked for equal outputs and timed; table edge_break_even",
        ("paperlib/execution/compact.py", "paperlib/execution/sparse.py", "paperlib/exhibits/cpu_figures.py"),
        "2:4 sparsity of GPUs is not there",
    ),
    Point(
        12, "Memory: peak of training and inference, stored size; CO2 with a stated factor",
        "peaks with their source; stored bytes of dense, CSR, compact, int8; CO2 from a chosen grid",
        ("paperlib/meters/memory.py", "paperlib/meters/carbon.py", "paperlib/execution/flops.py"),
    ),
    Point(
        13, "Versions, hardware, configurations, logs, one command; works on a CPU",
        "environment, curve and command in every record; pinned versions; make reproduce; kept records give every "
        "file again",
        ("requirements.lock", "Makefile", "paperlib/trials/environment.py", "paperlib/report/committed.py"),
    ),
    Point(
        14, "A verdict for each claim with its reason; unknown settings swept",
        "69 verdicts with estimate, interval, n, noise floor, trials and what it would take; optimiser, learning rate "
        "and resolution, which the papers leave open, are swept",
        ("paperlib/claims/ledger.py", "paperlib/studies/sensitivity.py"),
        "schedule, augmentation and batch size are chosen, not swept; resolution is swept for ResNet18 on VisA alone, "
        "from laptop on; no verdict takes the sweep into account",
    ),
    Point(
        15, "Quirks of the authors' code as sensitivity arms, neutrally worded",
        "five arms of SET on the small MLP, each alone and all together, and one of VGG-16 with every method of its "
        "profile, beside the corrected protocol: tables quirks_mlp and published_vgg",
        ("paperlib/schema/trial.py", "paperlib/studies/paper_p.py", "paperlib/exhibits/effect_tables.py"),
        "the five arms are run at one sparsity on MNIST only; double augmentation of test images is not one of them",
    ),
)  # fmt: skip
