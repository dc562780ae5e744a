"""The report's page in a real browser: drawn, quiet, harmless, legible on a telephone and on paper."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
import pytest

from end_to_end.chromium import chromium
from end_to_end.driving import run
from reporting.report_studies import HOSTILE_NAME, bowl, hostile, several
from seqsweep.reporting.report import gather
from seqsweep.reporting.report.page import write_page

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Dialog, Page

pytestmark = pytest.mark.real

WIDE, NARROW = {"width": 1400, "height": 900}, {"width": 390, "height": 844}


@dataclass
class Browser:
    """Chromium, and all that a page did besides being shown."""

    context: BrowserContext
    said: list[str] = field(default_factory=list)
    wanted: list[str] = field(default_factory=list)

    def show(self, file: Path, size: dict[str, int] = WIDE) -> Page:
        """Open a page and wait until its figures are drawn."""

        def dismiss(dialog: Dialog) -> None:
            self.said.append(f"dialog: {dialog.message}")
            dialog.dismiss()

        page = self.context.new_page()
        page.set_viewport_size(size)  # type: ignore[arg-type]
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        page.on("dialog", dismiss)
        page.on("request", lambda request: self.wanted.append(request.url))
        page.goto(file.as_uri())
        page.wait_for_selector("body[data-ready=yes]", timeout=60_000)
        if folder := os.environ.get("SEQSWEEP_SCREENSHOTS"):
            height = page.evaluate("document.documentElement.scrollHeight")
            page.set_viewport_size({"width": size["width"], "height": height})
            page.wait_for_timeout(1000)  # until the figures have taken the new size
            page.screenshot(path=Path(folder) / f"report-{len(self.wanted)}-{size['width']}.png")
        return page


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with chromium(tmp_path) as context:
        yield Browser(context)


DRAWN = "[...document.querySelectorAll('.plot')].map(plot => plot.querySelectorAll('.trace, .point, .bars').length)"
CUT = """
    [...document.querySelectorAll('.plot')].filter(plot => !plot.closest('.wide')).filter(plot =>
        plot.querySelector('.main-svg').getBoundingClientRect().right > document.documentElement.clientWidth + 1
    ).length
"""


@pytest.mark.parametrize("make", [bowl, several, hostile])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_everything_is_drawn_quietly(
    make: Callable[[], optuna.Study], size: dict[str, int], browser: Browser, tmp_path: Path
) -> None:
    file = write_page(gather(make()), tmp_path)
    page = browser.show(file, size)
    counts = page.evaluate(DRAWN)
    assert len(counts) > 5
    assert all(counts), counts
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert page.evaluate(CUT) == 0
    assert browser.said == []
    assert browser.wanted == [file.as_uri()]


def test_a_study_ends_with_its_report(browser: Browser, tmp_path: Path) -> None:
    short = ("hydra.sweeper.n_trials=3", "trainer.max_epochs=1", "hydra.launcher.workers=2")
    done = run(tmp_path, "sweep", "digits", *short)
    assert done.returncode == 0, done.stderr
    file = tmp_path / "multirun" / "digits" / "report.html"
    assert done.stdout.rstrip().endswith(f"report: {file}")
    (kept,) = (tmp_path / "mlartifacts").rglob("report.html")
    assert kept.read_bytes() == file.read_bytes()
    page = browser.show(file)
    assert page.locator("#timeline .plot").get_by_text("slot 1").count() == 1
    assert browser.said == []


def test_data_runs_nothing(browser: Browser, tmp_path: Path) -> None:
    page = browser.show(write_page(gather(hostile()), tmp_path))
    assert page.locator("h1").inner_text() == HOSTILE_NAME
    assert page.evaluate("document.querySelectorAll('img, iframe, object, embed, form').length") == 0
    assert page.evaluate("document.querySelectorAll('script').length") == 3
    assert page.evaluate("document.querySelectorAll('.plot a, .plot svg image').length") == 0
    page.get_by_text("<b>bold</b>").first.wait_for()  # as it is, not in bold
    page.locator("summary").first.click()
    for point in page.locator(".plot .point").all()[:5]:
        point.hover(force=True)
    assert browser.said == []


def test_the_policy_holds_what_escaping_might_not(browser: Browser, tmp_path: Path) -> None:
    file = write_page(gather(several()), tmp_path)
    evil = "<img src=x onerror=alert(3)><script>alert(4)</script><h1"
    file.write_text(file.read_text().replace("<h1", evil, 1))
    browser.show(file)
    assert not [said for said in browser.said if said.startswith("dialog")]
    assert [said for said in browser.said if "Content Security Policy" in said]


def test_a_table_that_is_sorted(browser: Browser, tmp_path: Path) -> None:
    page = browser.show(write_page(gather(bowl()), tmp_path))
    assert page.locator("tbody tr:visible").count() == 25
    page.get_by_role("button", name="Show all 30").click()
    assert page.locator("tbody tr:visible").count() == 30
    for expected in (sorted, lambda numbers: sorted(numbers, reverse=True)):
        page.get_by_role("button", name="trial", exact=True).click()
        numbers = [int(text) for text in page.locator("tbody td:first-child").all_inner_texts()]
        assert numbers == expected(numbers)


def test_on_paper_nothing_is_cut(browser: Browser, tmp_path: Path) -> None:
    page = browser.show(write_page(gather(bowl()), tmp_path))
    page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)  # tells the page that it is printed
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    widths = page.evaluate("[...document.querySelectorAll('.plot .main-svg')].map(svg => svg.clientWidth)")
    assert max(widths) <= 690  # of the 182 mm between a sheet's margins
    assert (tmp_path / "report.pdf").stat().st_size > 20_000
