"""A real browser for a test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium(folder: Path) -> Iterator[BrowserContext]:
    """Chromium with a new profile in `folder`; without one the test skips, or fails where it must not."""
    program = shutil.which("chromium")
    if program is None:
        if os.environ.get("SEQSWEEP_REQUIRE_REAL") == "1":
            pytest.fail("SEQSWEEP_REQUIRE_REAL=1, but there is no chromium")
        pytest.skip("there is no chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            folder / "profile",
            executable_path=program,
            headless=False,  # the flag asks for the new headless mode
            args=FLAGS,
            viewport={"width": 1400, "height": 900},
        )
        yield context
        context.close()
