"""The tables and figures that the papers and good practice ask for, and what of them a manifest lacks."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from paperlib.core.paths import Layout
from paperlib.exhibits.manifest import Exhibit, input_hash, output_root, read_manifest
from paperlib.studies import SCENARIOS


@dataclass(frozen=True)
class ExpectedExhibit:
    """One table or figure by what asks for it. name: pattern (whole match) of the exhibits that meet it;
    section: the notebook that makes it; absent: the profiles whose study has no trials for it."""

    asked: str
    kind: str
    name: str
    section: str
    absent: tuple[str, ...] = ()

    def met_by(self, exhibits: Sequence[Exhibit]) -> list[Exhibit]:
        """Those of `exhibits` that are what is asked for."""
        return [
            e for e in exhibits if (e.kind, e.section) == (self.kind, self.section) and re.fullmatch(self.name, e.name)
        ]


# Paper F's figures of scenario i; ii and iii have the next two numbers.
F_FIGURES = {"training_accuracy": 3, "training_loss": 6, "training_time": 9, "test_accuracy": 12, "training_energy": 15}


# The tables that every pruning tutorial ends with; inference alone stands in `costs_mlp`.
_TUTORIAL = (
    "before_after", "sizes", "techniques", "gain", "connections", "rounds", "shrink", "times", "thresholds",
)  # fmt: skip
WANTED: tuple[ExpectedExhibit, ...] = (
    ExpectedExhibit("F, table 1", "table", "blood_industrial", "03", absent=("quick",)),
    ExpectedExhibit("F, table 2", "table", "scenarios_industrial", "03"),
    ExpectedExhibit("F, table 3", "table", "settings_industrial", "03"),
    ExpectedExhibit("F, metrics declared and not reported", "table", "quality_industrial", "03"),
    ExpectedExhibit("F, figure 1", "figure", "architectures", "03"),
    ExpectedExhibit("F, figure 2", "figure", "splits", "03"),
    *(
        ExpectedExhibit(f"F, figure {number + place}", "figure", f"{quantity}_{scenario}", "03")
        for quantity, number in F_FIGURES.items()
        for place, scenario in enumerate(SCENARIOS)
    ),
    ExpectedExhibit("F, figures 18 and 19", "figure", "edge_scenarios", "04"),
    ExpectedExhibit("F, figures 18 and 19 as numbers", "table", "edge_latency", "04"),
    *(
        ExpectedExhibit(f"{paper}: {what}", kind, f"{what}_{name}", section)
        for what in ("accuracy", "costs")
        for paper, kind, name, section in (
            ("P, table", "table", "mlp", "01"),
            ("P, figure", "figure", "mlp-.*", "01"),
            ("P, table", "table", "vgg", "02"),
            ("P, figure", "figure", "vgg16", "02"),
            ("F as P, table", "table", "industrial", "03"),
        )
    ),
    ExpectedExhibit("F as P, figure: costs", "figure", "costs_.*_industrial", "03"),
    ExpectedExhibit("P, training curves", "figure", "curve_accuracy_mlp-.*", "01"),
    ExpectedExhibit("P, accuracy against cost", "figure", "pareto_mlp-.*", "01"),
    ExpectedExhibit("sparsity of each layer", "table", "layers_mlp", "01"),
    ExpectedExhibit("quirks of the published code", "table", "quirks_mlp", "01"),
    ExpectedExhibit("optimiser and learning rate", "table", "sensitivity_mlp", "01"),
    ExpectedExhibit("optimiser and learning rate", "figure", "rates_mlp", "01"),
    *(
        ExpectedExhibit("dense accuracies beside published ones", "table", f"world_{study}", section)
        for study, section in (("mlp", "01"), ("vgg", "02"), ("industrial", "03"))
    ),
    ExpectedExhibit("P, VGG-16 as published", "table", "published_vgg", "02", absent=("quick",)),
    *(ExpectedExhibit(f"generic table: {name}", "table", f"tutorial_{name}", "01") for name in _TUTORIAL),
    ExpectedExhibit("compression curve", "figure", "compression_mlp-small", "01"),
    ExpectedExhibit("classes that pruning forgets", "figure", "recall_mlp-small", "01"),
    ExpectedExhibit("images that pruning forgets", "table", "disagreement_mlp-small", "01"),
    ExpectedExhibit("sample of the pruning space", "figure", "space_mlp-small", "01"),
    ExpectedExhibit("where sparse execution pays", "table", "edge_break_even", "04"),
    ExpectedExhibit("training steps by sparsity", "figure", "edge_training", "04"),
    ExpectedExhibit("what the papers' sparsities buy", "table", "edge_papers", "04"),
    ExpectedExhibit("what a runtime gains", "table", "edge_runtime", "04"),
    ExpectedExhibit("stored size", "table", "edge_costs", "04"),
    ExpectedExhibit("all data sets and networks at once", "table", "overall", "05"),
    ExpectedExhibit("all data sets and networks at once", "figure", "profile", "05"),
)


def problems(layout: Layout, shown: str) -> list[str]:
    """What is wrong with a profile's manifest: missing, without its files, older than its trials, or not shown.

    shown: the text of the pages that must refer to every exhibit. Age is told by content: the hash of the records
    that an exhibit was made from against that of the records now.
    """
    exhibits = read_manifest(layout)
    told = [
        f"{w.asked} is missing ({w.kind} {w.name}, section {w.section})"
        for w in WANTED
        if layout.name not in w.absent and not w.met_by(exhibits)
    ]
    for e in exhibits:
        told += [f"{e.name} lacks its file {f}" for f in e.files if not (output_root(layout) / f).is_file()]
        if not e.trials:
            told.append(f"{e.name} names no trials")
        if e.inputs != input_hash(e.trials, layout):
            told.append(f"{e.name} is older than its trials")
        if f'id="{e.name}"' not in shown:
            told.append(f"{e.name} is not in the report")
    return told
