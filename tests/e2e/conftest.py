"""A browser for the tests that need a real one: no Python package, but a program of the machine."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.not_tested import TO_TEST

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
MINUTES = 120_000  # Playwright counts in milliseconds; long, since other work may run beside


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Ask for it first: where there is none, nothing else is made for the test."""
    if CHROMIUM is None:
        pytest.skip(f"no Chromium here{TO_TEST}apt-get install chromium (as root)")
    expect.set_options(timeout=MINUTES)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()
