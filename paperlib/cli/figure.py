"""Draw one figure: say what it takes, run what is missing of it, name its files."""

from collections.abc import Callable
from typing import Annotated

import typer

from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout, ProfileName
from paperlib.report.one_exhibit import Kind

Profile = Annotated[ProfileName, typer.Option(help="Whose study; quick takes minutes, laptop hours.")]


def names(kind: Kind, incomplete: str) -> list[str]:
    """Of this kind, as Tab completes them."""
    from paperlib.report.one_exhibit import known

    return [e.name for e in known().values() if e.kind == kind and e.name.startswith(incomplete)]


def making(kind: Kind, help_text: str | None) -> Callable[[str, ProfileName], None]:
    """The command that makes one exhibit of this kind and says where it lies. PaperlibError for an unknown name."""

    def command(
        name: Annotated[
            str,
            typer.Argument(help="As `paperlib list` says.", autocompletion=lambda incomplete: names(kind, incomplete)),
        ],
        profile: Profile = "quick",
    ) -> None:
        from paperlib.cli.plan import forecast
        from paperlib.report import one_exhibit

        layout, exhibit = Layout.of(profile), one_exhibit.find(kind, name)
        asked = one_exhibit.request(exhibit, profile, layout)
        if asked.lacking:
            said = f"{name} lacks {asked.lacking} of profile {profile}: {forecast(asked.lacking, layout)}"
            typer.echo(f"paperlib: {said}; Ctrl-C stops, and what is done is kept", err=True)
        made = asked.make(layout)
        if made is None:
            committed = ", ".join(map(str, one_exhibit.reference_files(exhibit))) or "it has none either"
            raise PaperlibError(f"profile {profile} has nothing to show in {name}; the reference: {committed}")
        typer.echo(f"{made.title}. {made.caption}")
        for path in one_exhibit.files(made, layout):
            typer.echo(path)

    command.__doc__ = help_text
    return command


command = making("figure", __doc__)
