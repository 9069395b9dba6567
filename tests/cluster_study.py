"""`python -m tests.cluster_study …` is `paperlib …` with two small notebooks and the costs of one network: what goes
through snakemake in tests."""

import os
from dataclasses import replace
from pathlib import Path

import nbformat

from paperlib.cli import main
from paperlib.exhibits import expected
from paperlib.schema.trial import Trial, make_trial
from paperlib.studies import costs, sections
from paperlib.studies.sections import Notebook

SMALL = {"epochs": 8, "train_images": 2_000, "test_images": 100}
PRUNED = ("pre-training", "in-training", "post-training", "set")
# Each seed has a batch size of its own: its trials train as one stack of a second or two, apart from the others', so
# that a fault can strike between two of them on a fast machine, too.
TRIALS: list[Trial] = [
    make_trial(**SMALL, method=method, sparsity=0.0 if method == "dense" else 0.5, seed=seed, batch_size=16 + seed)
    for seed in range(4)
    for method in ("dense", *PRUNED)
]
NOTEBOOKS = {"01": Notebook("01_small", lambda profile: TRIALS), "05": Notebook("05_collate", lambda profile: [])}


def write_notebooks(folder: Path) -> None:
    """The notebooks of this study, for a run with PAPERLIB_ROOT=`folder`: each counts the records that it finds."""
    v4 = nbformat.v4
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    count = (
        "from paperlib.core.paths import Layout\n"
        "from paperlib.trials.store import Store\nlen(Store(Layout.of(profile)).records())"
    )
    cells = [v4.new_code_cell("profile = 'smoke'", metadata={"tags": ["parameters"]}), v4.new_code_cell(count)]
    for notebook in NOTEBOOKS.values():
        target = folder / "notebooks" / f"{notebook.name}.ipynb"
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(v4.new_notebook(metadata=kernel, cells=cells), target)


if __name__ == "__main__":
    os.environ.setdefault("PAPERLIB_DEVICE", "cpu")
    sections.NOTEBOOKS.clear()
    sections.NOTEBOOKS.update(NOTEBOOKS)
    few = {"mlp-small": ("mnist",), "mlp-medium": ()}
    costs.BUDGETS["smoke"] = replace(costs.BUDGETS["smoke"], datasets=few, scopes=("global",))
    expected.WANTED = ()  # its notebooks draw nothing
    main()
