"""Cost records of the small perceptron, really measured, as briefly as can be."""

from functools import cache

from paperlib.core.paths import Layout
from paperlib.costs.measurement import measure
from paperlib.costs.records import write_costs
from paperlib.schema.cost import CostRecord, Effort
from paperlib.studies.costs import settings

RUNS = 2


@cache
def perceptron() -> tuple[CostRecord, ...]:
    """What `smoke` measures of mlp-small, RUNS times in this process."""
    asked = [setting for setting in settings("smoke", "01") if setting.model == "mlp-small"]
    one, *others = [measure(asked, Effort(5, 0.01, 0.02), process) for process in range(RUNS)]
    runs = {r.id: r.runs for r in one}
    for record in (r for run in others for r in run):
        runs[record.id] += record.runs
    return tuple(r.model_copy(update={"runs": runs[r.id]}) for r in one)


def write(layout: Layout) -> None:
    """Put the records under results/<profile>/costs."""
    for record in perceptron():
        write_costs(record, layout)
