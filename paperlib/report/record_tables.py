"""A record as a table, for the terminal and for a notebook; and what a set of records rests on, in a few lines."""

from collections.abc import Iterable, Sequence
from html import escape

from rich.table import Table

from paperlib.schema.measurement import Timing
from paperlib.schema.record import Environment, Record
from paperlib.schema.trial import again


def record_table(record: Record) -> Table:
    """The main figures of one record, each with its source; what was not measured reads 'not measured'."""
    table = Table(title=_title(record), show_header=False, title_justify="left")
    for name, value in _rows(record):
        table.add_row(name, value)
    return table


def record_html(record: Record) -> str:
    """The same as an HTML table with a caption and row headers."""
    rows = (f'<tr><th scope="row">{escape(n)}</th><td>{escape(v)}</td></tr>' for n, v in _rows(record))
    return f"<table><caption>{escape(_title(record))}</caption>{''.join(rows)}</table>"


def rests_on(records: Sequence[Record]) -> str:
    """Machine, time, energy, n and images of these records, and which dense networks have not learnt."""
    from paperlib.claims.effects import comparable, unlearnt
    from paperlib.exhibits.captions import provenance
    from paperlib.trials.store import tidy

    table = tidy(records)
    trained = [r.training for r in records if r.training and not r.shared_training]
    energy = sorted({r.energy_source or "not measured" for r in trained})
    arms = comparable(table).groupby(["dataset", "model", "method", "scope", "sparsity", "conv_sparsity", "quirks"])
    seeds = sorted(set(arms["seed"].nunique()))
    idle = sorted(f"{dataset} {model}" for dataset, model in unlearnt(comparable(table)))
    lines = [
        machines(r.environment for r in records),
        f"training: {sum(r.time_s for r in trained):.0f} s in all; energy: {', '.join(energy)}",
        f"n: {' to '.join(str(n) for n in dict.fromkeys((seeds[0], seeds[-1])))} seed(s) per arm",
        f"images: {provenance(table)}",
        *([f"dense networks that hardly beat the majority rate: {', '.join(idle)}"] if idle else []),
    ]
    return "\n".join(lines)


def machines(environments: Iterable[Environment]) -> str:
    """Every machine in one line, with its threads and the version of torch."""
    found = {f"{e.gpu or e.cpu}, {e.threads} thread(s), torch {e.torch}" for e in environments}
    return f"machine: {'; '.join(sorted(found))}"


def _title(record: Record) -> str:
    return f"Trial {record.id} ({record.status})"


def _rows(record: Record) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []

    def add(name: str, value: str) -> None:
        rows.append((name, value))

    add(
        "images",
        f"{record.data.name}, {record.data.source}: {record.data.train:,} train, {record.data.test:,} test",
    )
    if record.data.source == "own":
        add("own images", record.data.note)
    if record.network is not None:
        net = record.network
        add("network", f"{net.parameters:,} parameters; {net.zeros:,} of {net.weights:,} weights removed")
        add("sparsity", f"{net.scope_sparsity:.2%} in scope, {net.sparsity:.2%} of the whole network")
    if record.reason:
        add("reason", record.reason)
    if record.test is not None:
        test = record.test
        add(
            "test accuracy",
            f"{test.accuracy:.2%} (balanced {test.balanced_accuracy:.2%}, macro F1 {test.macro_f1:.3f})",
        )
    if record.engine is not None:
        add("trained by", f"{record.engine}, {record.compute.choice if record.compute else 'fp32'}")
    if record.training is not None:
        spent = record.training
        shared = f" (shared with dense trial {record.shared_training})" if record.shared_training else ""
        add("training time", f"{spent.time_s:.2f} s{shared}")
        add("training energy", _with_source(spent.energy_j, "J", spent.energy_source))
        if spent.dram_j is not None:
            add("training energy of memory", _with_source(spent.dram_j, "J", f"{spent.energy_source}, apart"))
        add("training CO2", _with_source(spent.co2_g, "g", spent.grid))
        peak = None if spent.peak_memory_bytes is None else spent.peak_memory_bytes / 2**20
        add("training peak memory", _with_source(peak, "MiB", spent.memory_source))
    for timing in record.inference:
        if timing.variant != "dense":
            add(f"inference, batch {timing.batch_size}", _ratio(timing))
    add("again", again(record.command))
    return rows


def _with_source(value: float | None, unit: str, source: str | None) -> str:
    return "not measured" if value is None else f"{value:.4g} {unit} ({source})"


def _ratio(timing: Timing) -> str:
    interval = f"[{timing.ratio_low:.3f}, {timing.ratio_high:.3f}]"
    engine = f" ({timing.engine})" if timing.engine not in {None, "torch"} else ""
    return f"{timing.variant}{engine}: {timing.median_s * 1e6:.0f} µs, {timing.ratio:.3f} {interval} of dense"
