"""How this companion stands to the 15 points of good reporting on pruning (PAPERS facts, section 4), honestly."""

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
        "every record counts removed units of every layer; methods state when and what they remove",
        ("paperlib/pruners/methods.py", "paperlib/counting.py", "notebooks/01_mlp_global_vs_layerwise.ipynb"),
    ),
    Point(
        2, "Both meanings of global, and layer-wise at equal total sparsity",
        "scopes global, global-threshold, layerwise, layerwise-matched",
        ("paperlib/pruners/allocation.py", "paperlib/pruners/layers.py"),
        "profile quick runs global and layerwise only; the others need laptop or paper",
    ),
    Point(
        3, "Baselines: dense, random, magnitude, small-dense, majority, RigL or true Erdős–Rényi",
        "all of them are methods of a trial, and SET starts from a true Erdős–Rényi graph",
        ("paperlib/pruners/baselines.py", "paperlib/pruners/methods.py"),
        "small-dense, rigl and magnitude-gradual are not in the papers' grids of profile quick",
    ),
    Point(
        4, "Five compression points (2 to 32 times) up to collapse on three data set-model pairs, with speed-up",
        "FLOPs and stored sizes are counted for every network; any sparsity can be run",
        ("paperlib/execution/costs.py", "notebooks/04_edge_cpu.ipynb"),
        "no default study goes from 2 to 32 times on three pairs",
    ),
    Point(
        5, "Three real seeds or more; mean, paired intervals, multiplicity; raw data",
        "seeds vary start, mask and order; intervals are paired by seed; claims are Holm-corrected; one JSON per trial",
        ("paperlib/stats/estimates.py", "paperlib/stats/decisions.py", "paperlib/store.py"),
        "smoke runs two seeds; three seeds decide little at Holm's level, and verdicts then say so",
    ),
    Point(
        6, "Official test sets, no test-time augmentation, leakage test; balanced accuracy, F1, AUC, class recall",
        "corrected protocol: official splits, choices on validation only; all scores are in every record",
        ("paperlib/data/checks.py", "paperlib/metrics.py", "paperlib/training.py"),
        "stand-ins replace sets that cannot be had; dense-against-pruned disagreement is not recorded per image",
    ),
    Point(
        7, "Same code, budget and tuning for all arms; sensitivity to learning rate; a training-longer control",
        "one loop trains every arm, with the same budget as its dense twin",
        ("paperlib/training.py", "paperlib/studies/budgets.py"),
        "no sweep of learning rates and no training-longer control in the default studies",
    ),
    Point(
        8, "Time: warm-up, synchronised, repeated, median and spread, batch sizes, load time apart",
        "interleaved in random order, median, p95, p99, batch 1 and 64, load time of its own, threads noted",
        ("paperlib/meters/inference.py", "paperlib/inference.py", "paperlib/meters/clock.py"),
        "clock frequency is not fixed and not recorded; regimes (launch- or compute-bound) are not labelled",
    ),
    Point(
        9, "Energy: long whole-loop windows, nothing else inside, idle gross and net, source stated, joules per sample",
        "window per training; inference loops as long as the counter needs; the source is in every word and record",
        ("paperlib/meters/energy.py", "paperlib/meters/window.py"),
        "no idle subtraction and no control of temperature; without a counter energy is modelled from CPU time",
    ),
    Point(
        10, "A/A controls, a published noise floor, effects called only beyond it",
        "dense measured twice in every trial; random at sparsity 0; post-training where it was trained anew",
        ("paperlib/stats/noise.py", "paperlib/claims/builders.py"),
    ),
    Point(
        11, "Masked sparsity apart from realised: CSR, removed filters and neurons; the break-even",
        "compact, sparse and int8 execution beside masked, checked for equal outputs and timed",
        ("paperlib/execution/compact.py", "paperlib/execution/sparse.py", "benchmarks/execution.py"),
        "2:4 sparsity of GPUs is not there",
    ),
    Point(
        12, "Memory: peak of training and inference, stored size; CO2 with a stated factor",
        "peaks with their source; stored bytes of dense, CSR, compact, int8; CO2 from a chosen grid",
        ("paperlib/meters/memory.py", "paperlib/meters/carbon.py", "paperlib/execution/costs.py"),
    ),
    Point(
        13, "Versions, hardware, configurations, logs, one command; works on a CPU",
        "environment and command in every record; pinned versions; make reproduce; kept records give every file again",
        ("requirements.lock", "Makefile", "paperlib/environment.py", "paperlib/kept.py"),
    ),
    Point(
        14, "A verdict for each claim with its reason; unknown settings swept",
        "69 verdicts with estimate, interval, n, noise floor, trials and what it would take",
        ("paperlib/claims/ledger.py",),
        "optimiser, resolution and learning rate that the papers leave open are chosen, not swept",
    ),
    Point(
        15, "Quirks of the authors' code as sensitivity arms, neutrally worded",
        "five arms, each alone and together, beside the corrected protocol",
        ("paperlib/trial.py", "paperlib/tables.py", "notebooks/01_mlp_global_vs_layerwise.ipynb"),
        "arms concern the MLPs and SET; double augmentation of test images is not one of them",
    ),
)  # fmt: skip
