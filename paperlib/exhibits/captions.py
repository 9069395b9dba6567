"""Words of titles and captions: data sets with the source of their images, seeds, processes, machines."""

from collections.abc import Iterable, Sequence

import pandas as pd

from paperlib.claims.effects import NEAR_CHANCE, main_setting_only, near_chance
from paperlib.schema.record import Environment, Record
from paperlib.trials.store import tidy


def with_source(dataset: str, sources: Iterable[str]) -> str:
    """`mnist (official)`: a data set in a title, with the source of its images (`stand-in` for drawn ones, …)."""
    return f"{dataset} ({'/'.join(sorted(set(sources)))})"


def panel_title(rows: pd.DataFrame, dataset: str, model: str, with_model: bool = False) -> str:
    """A panel's title: data set and source, and on a second line whether its dense network is near chance.

    with_model: the model, too, for figures that hold several.
    """
    name = with_source(dataset, rows[rows.dataset == dataset].source)
    if with_model:
        name += f", {model}"
    return f"{name}\n{NEAR_CHANCE}" if (dataset, model) in near_chance(rows) else name


def provenance(rows: pd.DataFrame) -> str:
    """`mnist: official; octmnist: stand-in`: the source of the images of every data set in these rows."""
    words = rows.groupby("dataset", sort=False)["source"].agg(lambda s: "/".join(sorted(set(s))))
    return "; ".join(f"{name}: {word}" for name, word in words.items())


def seeds(rows: pd.DataFrame) -> str:
    """`n = 3 seeds`, or the range where arms differ."""
    counts = rows.groupby(["dataset", "model", "method", "scope", "sparsity"])["seed"].nunique()
    low, high = counts.min(), counts.max()
    word = "seed" if high == 1 else "seeds"
    interval = ", no interval" if high == 1 else ", bars and brackets 95 % intervals over seeds (Student's t)"
    if low == 1 < high:
        interval += ", none at n = 1"
    return f"n = {low} {word}{interval}" if low == high else f"n = {low} to {high} {word}{interval}"


def seeds_and_images(rows: pd.DataFrame) -> str:
    """The end of most captions: n with the kind of interval, then the source of the images."""
    return f"{seeds(rows)}; images: {provenance(rows)}"


def processes(rows: pd.DataFrame) -> str:
    """How cost records were measured: n, rounds, machine, width if not 1, source of energies; rows of `cost_table`."""
    counts, rounds = rows.groupby("id").process.nunique(), sorted({rows.rounds.min(), rows.rounds.max()})
    n, several = " to ".join(map(str, sorted({counts.min(), counts.max()}))), counts.max() > 1
    interval = ", bars and brackets 95 % intervals over processes (Student's t)" if several else ", no interval"
    names = rows[["gpu", "cpu", "threads"]].astype(object).fillna("")
    machines = sorted({f"{gpu or cpu}, {threads} thread(s)" for gpu, cpu, threads in names.itertuples(index=False)})
    widths = sorted(set(rows.width) - {1.0})
    parts = [
        f"n = {n} fresh {'processes' if several else 'process'} of {' to '.join(map(str, rounds))} rounds{interval}",
        f"machine: {'; '.join(machines)}",
        *([f"width factor {', '.join(f'{w:g}' for w in widths)}"] if widths else []),
        f"energy: {energy_sources(rows.step_energy_source, rows.step_energy_uncertainty)}",
    ]
    return "; ".join(parts)


def energy_sources(sources: Iterable[str | None], uncertainties: Iterable[float | None]) -> str:
    """`rapl`, `modelled (±40 %)`, `not measured`: where energies come from, and how far off what is modelled may be."""
    words = {
        f"{source} (±{off:.0%})" if pd.notna(off) else source if isinstance(source, str) else "not measured"
        for source, off in zip(sources, uncertainties, strict=True)
    }
    return "/".join(sorted(words))


def describe_evidence(records: Sequence[Record]) -> str:
    """Machine, wall time, n and images of these records, and which dense networks have not learnt."""
    table = tidy(records)
    main = main_setting_only(table)
    counts = main.groupby(["dataset", "model", "method", "scope", "sparsity", "conv_sparsity", "quirks"])["seed"]
    n = sorted(set(counts.nunique()))
    untrained = sorted(f"{dataset} {model}" for dataset, model in near_chance(main))
    lines = [
        describe_machines(r.environment for r in records),
        f"training: {sum(r.train_s or 0 for r in records if not r.shared_training):.0f} s of wall time in all",
        f"n: {' to '.join(str(n) for n in dict.fromkeys((n[0], n[-1])))} seed(s) per arm",
        f"images: {provenance(table)}",
        *([f"dense networks that hardly beat the majority rate: {', '.join(untrained)}"] if untrained else []),
    ]
    return "\n".join(lines)


def describe_machines(environments: Iterable[Environment]) -> str:
    """Every machine in one line, with its threads and the version of torch."""
    machines = {f"{e.gpu or e.cpu}, {e.threads} thread(s), torch {e.torch}" for e in environments}
    return f"machine: {'; '.join(sorted(machines))}"
