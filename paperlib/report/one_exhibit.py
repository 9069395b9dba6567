"""One table or figure by its name: what it lacks in a profile, and how it is made from what is there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from paperlib.claims.missing import Missing
from paperlib.core import paths
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.core.registry import unknown
from paperlib.costs.records import is_complete
from paperlib.exhibits.manifest import Exhibit, output_root, read_manifest
from paperlib.report.committed import reference, reference_tables
from paperlib.studies.costs import effort_of, settings
from paperlib.studies.sections import COLLATION, CPU_STUDY, NOTEBOOKS, all_trials
from paperlib.trials.store import Store

Kind = Literal["table", "figure"]
_FIELDS = ["model", "method", "scope"]


def known() -> dict[str, Exhibit]:
    """Every table and figure by its name: those of the reference, then those of own results alone."""
    archive = reference()
    own = sorted(Layout.of("quick").results.parent.glob("*/manifest.json"))
    folders = [*([archive.parent] if archive else []), *(path.parent for path in own)]
    exhibits: dict[str, Exhibit] = {}
    for folder in folders:
        for exhibit in read_manifest(Layout(folder, folder.parents[1] / "figures" / folder.name)):
            exhibits.setdefault(exhibit.name, exhibit)
    return exhibits


def find(kind: Kind, name: str) -> Exhibit:
    """The exhibit of this kind and name; PaperlibError with the nearest one, or with the command for the other kind."""
    exhibits = known()
    if name in exhibits and exhibits[name].kind != kind:
        other = exhibits[name].kind
        raise PaperlibError(f"{name} is a {other}: `paperlib {other} {name}`")
    if name not in exhibits:
        error = unknown(kind, name, [e.name for e in exhibits.values() if e.kind == kind])
        raise PaperlibError(f"{str(error).partition(' (known')[0]} (`paperlib list` names all)")
    return exhibits[name]


@dataclass(frozen=True)
class Request:
    """An exhibit asked of a profile. lacking: trials and costs without a record that it shows there; has_cpu_study:
    whether it also shows the networks timed on this CPU."""

    exhibit: Exhibit
    profile: str
    lacking: Missing

    @property
    def has_cpu_study(self) -> bool:
        return self.exhibit.section == CPU_STUDY

    def make(self, layout: Layout) -> Exhibit | None:
        """Run what is missing and write the section; None where this profile has nothing to show for it."""
        from paperlib.costs.measurement import run_costs
        from paperlib.exhibits import collation
        from paperlib.trials.subprocess_runner import run_in_subprocess

        number = self.exhibit.section
        run_in_subprocess(self.lacking.trials, layout)
        for effort in dict.fromkeys(self.lacking.costs.values()):
            run_costs([s for s, e in self.lacking.costs.items() if e == effort], layout, effort)
        if self.has_cpu_study:
            NOTEBOOKS[number].measure(self.profile, layout)
        written = collation.write(number, layout, profile=self.profile)
        return next((e for e in written if e.name == self.exhibit.name), None)


def request(exhibit: Exhibit, profile: str, layout: Layout) -> Request:
    """What of a profile's study an exhibit shows: networks, methods and scopes that it shows in the reference.

    All of its section where no reference tells.
    """
    number, tables = exhibit.section, reference_tables()
    trials = all_trials(profile) if number == COLLATION else NOTEBOOKS[number].trials(profile)
    measured = settings(profile) if number == COLLATION else settings(profile, number) if number != CPU_STUDY else []
    if tables is not None:
        shown = tables.trials[tables.trials.id.isin(exhibit.trials)]
        fields = set(shown[_FIELDS].itertuples(index=False, name=None))
        trials = [t for t in trials if (t.model, t.method, t.scope) in fields]
        timed = tables.costs[tables.costs.id.isin(exhibit.trials)]
        measured = [s for s in measured if s.model in set(timed.model)]
    done = Store(layout).find(trials)
    costs = {s: effort_of(profile, s) for s in measured if not is_complete(s, layout)}
    return Request(exhibit, profile, Missing(tuple(t for t in dict.fromkeys(trials) if t not in done), costs))


def files(exhibit: Exhibit, layout: Layout) -> list[Path]:
    """Its files, from the folder in which they were written."""
    return [output_root(layout) / name for name in exhibit.files]


def reference_files(exhibit: Exhibit) -> list[Path]:
    """Its committed files; none where the reference has not got it."""
    return [path for name in exhibit.files if (path := paths.root() / name).exists()]
