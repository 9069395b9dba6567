"""The numbered notebooks, which are the sections of the report, and the trials that each asks for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from paperlib import studies
from paperlib.core import paths
from paperlib.core.paths import Layout
from paperlib.core.registry import unknown
from paperlib.schema.trial import Trial


@dataclass(frozen=True)
class Notebook:
    """A numbered notebook and the trials that it asks for under a profile."""

    name: str
    trials: Callable[[str], list[Trial]]
    measure: Callable[[str, Layout], object] = lambda profile, layout: None

    @property
    def source(self) -> Path:
        return paths.root() / "notebooks" / f"{self.name}.ipynb"


def _edge(profile: str, layout: Layout) -> object:
    from paperlib.costs.cpu_study import edge

    return edge(profile, layout)


NOTEBOOKS = {
    notebook.name[:2]: notebook
    for notebook in (
        Notebook("01_mlp_global_vs_layerwise", lambda profile: studies.study("01", profile)),
        Notebook("02_vgg16_cnn", lambda profile: studies.study("02", profile)),
        Notebook("03_industrial_resnet", lambda profile: studies.study("03", profile)),
        Notebook("04_edge_cpu", lambda profile: [], _edge),
        Notebook("05_collate", lambda profile: []),
    )
}


COLLATION = "05"


def chosen(only: Sequence[str] | None) -> dict[str, Notebook]:
    """The notebooks of these numbers, all for none; PaperlibError for a number that no notebook has."""
    for number in only or ():
        if number not in NOTEBOOKS:
            raise unknown("notebook", number, list(NOTEBOOKS))
    return {n: notebook for n, notebook in NOTEBOOKS.items() if not only or n in only}
