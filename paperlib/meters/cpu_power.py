"""Watts of one logical CPU, for machines whose CPU has no energy counter that we may read.

The thermal design power comes from codecarbon's table by the CPU's model name, and is spread over all logical
CPUs of the sockets, so that CPU seconds x watts equals design power x time when the whole machine is busy.
"""

import csv
import re
from pathlib import Path

from paperlib.meters.carbon import codecarbon_data

# codecarbon's own fallback for a CPU that its table lacks (`DEFAULT_POWER_PER_CORE` in codecarbon.core.cpu).
DEFAULT_WATTS = 4.0
_NOISE = re.compile(r"\((?:r|tm)\)|\b(?:cpu|processor|\w+-core)\b|@.*|\b\d+th gen (?=intel)|\b(?:with|w/) radeon.*")


def clean(name: str) -> str:
    """A CPU's name as vendors and operating systems write it, reduced to the form of codecarbon's table."""
    return " ".join(_NOISE.sub(" ", name.lower()).split())


def design_power(name: str) -> float | None:
    """Design power of one socket in watts of the model called `name`, None where the table lacks it."""
    path = codecarbon_data() / "hardware" / "cpu_power.csv"
    with path.open(encoding="utf-8", newline="") as file:
        table = {clean(row["Name"]): row["TDP"] for row in csv.DictReader(file)}
    try:
        return float(table[clean(name)])
    except (KeyError, ValueError):  # some rows hold a range such as "27.29.5"
        return None


def watts_per_cpu(name: str, sockets: int, logical: int, virtual: bool) -> tuple[float, str]:
    """Watts of one logical CPU and a sentence that says where the figure comes from.

    A virtual machine shows a part of the host's CPUs, so there the design power cannot be shared out.
    """
    fallback = f"codecarbon's default of {DEFAULT_WATTS:g} W per logical CPU"
    if virtual:
        return DEFAULT_WATTS, f"{fallback}, as a virtual machine hides how many cores share the socket"
    power = design_power(name)
    if power is None:
        return DEFAULT_WATTS, f"{fallback}, as its table lacks {name!r}"
    watts = power * sockets / logical
    return watts, f"{watts:.2f} W per logical CPU: {power:g} W design power of {name} from codecarbon's table"


def cpu_name() -> str:
    """The name of this machine's processor."""
    import torch

    return str(torch.cpu.get_capabilities().get("cpu_name", "unknown CPU"))


def this_cpu() -> tuple[float, str]:
    """`watts_per_cpu` of the machine that this runs on."""
    import torch

    cpu = torch.cpu.get_capabilities()
    info = Path("/proc/cpuinfo")
    virtual = info.is_file() and " hypervisor" in info.read_text(encoding="utf-8", errors="replace")
    return watts_per_cpu(cpu_name(), cpu["num_sockets"], cpu["num_logical_cores"], virtual)
