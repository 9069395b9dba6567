"""`paperlib site`."""

import typer


def command() -> None:
    """Build the site: the report of the committed results and the documentation as HTML, in one folder to host."""
    from paperlib.cli import reference
    from paperlib.report import site

    report = reference.built(None)
    typer.echo(f"Site: {site.write(report, report.with_name('site'))}")
