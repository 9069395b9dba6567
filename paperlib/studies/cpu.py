"""The CPU study: the networks that each profile measures, and their measurement."""

from dataclasses import dataclass

from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.core.progress import progress
from paperlib.core.registry import unknown
from paperlib.costs.cpu_layers import measure_machine
from paperlib.costs.cpu_study import CONV_PER_LINEAR, CpuSetting, EdgeRecord, dense_and_compact, measure, stored

TIED = ("resnet18",)  # VGG16 has no residual sums: both ways remove the same filters
SPARSITIES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99)
THROUGH_RUNTIMES = (0.5, 0.8)  # paper F's shares of filters, of networks that lose some


@dataclass(frozen=True)
class CpuBudget:
    """widths: models with their width factor; full: sparsities of scenario i, few: of the others, of bf16 and int8;
    coupled: of filters that go whole channels at a time, in networks whose residual sums tie them (`TIED`);
    trained: those at which a training step is measured, too, of networks with filters;
    budget_s: seconds for the comparison of one network at one batch size and number of threads."""

    widths: dict[str, float]
    full: tuple[float, ...]
    few: tuple[float, ...]
    coupled: tuple[float, ...]
    trained: tuple[float, ...]
    scenarios: tuple[str, ...]
    budget_s: float


_FULL = dict.fromkeys(("mlp-medium", "vgg16", "resnet18"), 1.0)
_QUICK = {"mlp-medium": 1.0, "vgg16": 0.25, "resnet18": 0.25}  # P's at its own size
_LAPTOP = CpuBudget(_FULL, SPARSITIES, SPARSITIES, (0.5, 0.8), (0.0, 0.5, 0.8), tuple(CONV_PER_LINEAR), 1.5)
BUDGETS = {
    "smoke": CpuBudget({"mlp-medium": 0.1, "resnet18": 0.125}, (0.0, 0.8), (0.8,), (0.8,), SPARSITIES, ("i",), 0.05),
    "quick": CpuBudget(_QUICK, SPARSITIES, (0.8,), (0.5, 0.8, 0.95), (0.0, 0.5, 0.8), tuple(CONV_PER_LINEAR), 0.1),
    **dict.fromkeys(("laptop", "station", "paper"), _LAPTOP),
}


def settings(profile: str) -> list[CpuSetting]:
    """The networks of a profile; PaperlibError for an unknown one."""
    if profile not in BUDGETS:
        raise unknown("profile", profile, list(BUDGETS))
    budget, networks = BUDGETS[profile], list[CpuSetting]()
    for model, width in budget.widths.items():
        is_mlp = model.startswith("mlp")
        for scenario in ("iii",) if is_mlp else budget.scenarios:
            is_full = is_mlp or scenario == "i"
            setting = CpuSetting(
                model=model, width=width, scenario=scenario, sparsity=0.0, quantised=False, budget_s=budget.budget_s,
            )  # fmt: skip
            for sparsity in budget.full if is_full else budget.few:
                quantised = is_full and sparsity in budget.few
                runtimes = not is_mlp and scenario == "i" and sparsity in THROUGH_RUNTIMES
                trains = is_full and (is_mlp or sparsity in budget.trained)
                changed = {"sparsity": sparsity, "quantised": quantised, "runtimes": runtimes, "trains": trains}
                networks.append(setting.model_copy(update=changed))
            for sparsity in budget.coupled if scenario == "i" and model in TIED else ():
                trains = sparsity in budget.trained
                networks.append(setting.model_copy(update={"sparsity": sparsity, "coupled": True, "trains": trains}))
    return networks


def run_cpu_study(profile: str, layout: Layout) -> list[EdgeRecord]:
    """Every network of a profile, measured or found under results/<profile>/edge/; the machine's limits beside.

    Raises PaperlibError for an unknown profile.
    """
    todo, records = settings(profile), []
    with progress("timing networks on this CPU", len(todo)) as step:
        for setting in todo:
            step.describe(f"{setting.model} {setting.scenario} {setting.sparsity:g}{' coupled' * setting.coupled}")
            path = layout.edge / f"{setting.id}.json"
            if not path.exists():
                write_atomically(path, (measure(setting).model_dump_json(indent=1) + "\n").encode())
            records.append(EdgeRecord.model_validate_json(path.read_bytes()))
            step.advance()
    known = stored(layout)[1]
    if known is None or not known.channels:  # one from before these were measured
        path = layout.edge / "machine.json"
        machine = measure_machine(dense_and_compact(BUDGETS[profile].widths), SPARSITIES[1:])
        write_atomically(path, (machine.model_dump_json(indent=1) + "\n").encode())
    return records
