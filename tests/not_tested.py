"""What a run of the tests did not test, in its last lines; conftest.py takes the hook from here."""

from collections import Counter
from collections.abc import Generator, Iterable

import pytest

# A reason to skip reads "WHY" + TO_TEST + "COMMAND".
TO_TEST = "; to have it tested: "


def not_tested(skipped: Iterable[pytest.TestReport]) -> list[str]:
    """One line for each file and reason: how many tests, why, and the command that would have them tested."""
    counts = Counter[tuple[str, str]]()
    for report in skipped:
        assert isinstance(report.longrepr, tuple)
        counts[report.nodeid.partition("::")[0], report.longrepr[2].removeprefix("Skipped: ")] += 1
    return [f"NOT TESTED: {n} test{'s' * (n > 1)} of {file}: {reason}" for (file, reason), n in sorted(counts.items())]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Generator[None, None, None]:
    """After all other lines, what was not tested; pytest's own count stays the last line."""
    yield
    lines = not_tested(terminalreporter.stats.get("skipped", []))
    chosen = config.option.keyword or config.option.markexpr or config.option.maxfail
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS or chosen:
        lines.append("Only a part of the tests was asked for; make test runs all.")
    for line in lines or ["Everything was tested: no test was skipped."]:
        terminalreporter.write_line(line)
