"""``seqsweep ui STUDY`` in a real browser: what its addresses show, and that nothing leaves this machine."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from end_to_end.chromium import chromium
from seqsweep import paths
from seqsweep.tracking import Recorder, Spool, State, StudyRecord

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page, Route

pytestmark = pytest.mark.real

# A new profile has MLflow's assistant open over a quarter of the page.
NO_ASSISTANT = """
    localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true');
    localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false');
"""
SEARCHED = ("model", "model.hidden_size", "optimizer.lr", "data.batch_size")
MODELS = ("rnn", "lstm", "gru")
STATES: dict[int, State] = {3: "pruned", 5: "failed"}


def accuracy(trial: int, epoch: int) -> float:
    """Trial 7 is the best, each one before it a little less good."""
    return 0.6 + 0.05 * trial * (1 - math.exp(-epoch / 3))


def fill(folder: Path) -> None:
    """A study of eight trials, as the driver records it."""
    record = StudyRecord(
        "digits", "uid", metric="best/val/accuracy", direction="maximize", searched=SEARCHED, directory=folder
    )
    with Recorder(paths.tracking_uri(), "seqsweep", paths.artifacts(), record) as recorder:
        for number in range(8):
            directory = folder / str(number)
            given = {
                "model": MODELS[number % 3],
                "model.hidden_size": 32 << number % 3,
                "optimizer.lr": 0.001 * (number + 1),
                "data.batch_size": 16,
            }
            with Spool(directory) as spool:
                spool.log_params({"seed": 0, "trainer.max_epochs": 10})
                for epoch in range(1, 11):
                    values = {"train/loss": 1 / (epoch + number), "val/accuracy": accuracy(number, epoch)}
                    spool.log_metrics(values, 45 * epoch)
                spool.log_metrics({"best/val/accuracy": accuracy(number, 10)}, 450)
                (directory / "config.yaml").write_text("seed: 0\n")
                spool.log_artifact(directory / "config.yaml")
                spool.end(STATES.get(number, "complete"))
            recorder.follow(directory, f"digits/{number}", params=given, trial=number)
        recorder.finish("complete")


@dataclass
class UI:
    """A running ``seqsweep ui`` and the addresses it printed."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    addresses: dict[str, str] = field(default_factory=dict)

    @classmethod
    def start(cls, *arguments: str) -> UI:
        ui = cls(
            subprocess.Popen(
                [sys.executable, "-m", "seqsweep", "ui", *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        assert ui.process.stdout is not None
        for line in ui.process.stdout:
            ui.lines.append(line.strip())
            if found := re.match(r"(.+?)\s+(http://\S+)$", line):
                ui.addresses[found[1]] = found[2]
            if "Ctrl-C" in line:
                return ui
        raise AssertionError("\n".join(ui.lines))

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=200)
        return self.process.returncode


@dataclass
class Browser:
    """Chromium, and every address it wanted that is not this machine's."""

    context: BrowserContext
    outside: list[str] = field(default_factory=list)

    def show(self, address: str, *texts: str) -> Page:
        """Open a page and wait until it shows all of `texts`."""
        page = self.context.new_page()
        page.goto(address)
        for text in texts:
            page.get_by_text(text, exact=True).first.wait_for(state="visible", timeout=60_000)
        return page

    def reads(self, page: Page, *patterns: str) -> str:
        """Wait until the page's text has each of `patterns`; its text then.

        A page fetches its parts one by one: what is on it once another part is there is chance.
        """
        from playwright.sync_api import expect

        body = page.locator("body")
        for pattern in patterns:
            expect(body).to_contain_text(re.compile(pattern), use_inner_text=True, timeout=60_000)
        return body.inner_text()

    def keep(self, page: Page, name: str) -> None:
        """A picture of the page, in the folder that SEQSWEEP_SCREENSHOTS names."""
        if folder := os.environ.get("SEQSWEEP_SCREENSHOTS"):
            page.mouse.move(5, 890)  # off the chart, whose tools would show
            page.wait_for_timeout(1000)  # until the charts have come in
            page.screenshot(path=str(Path(folder) / f"{name}.png"))
            page.set_viewport_size({"width": 1400, "height": 2400})
            page.wait_for_timeout(1000)
            page.screenshot(path=str(Path(folder) / f"{name}-long.png"))


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with chromium(tmp_path) as context:
        found = Browser(context)

        def keep_inside(route: Route) -> None:
            if route.request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
                route.continue_()
            else:
                found.outside.append(route.request.url)
                route.abort()

        context.route("**/*", keep_inside)
        context.add_init_script(NO_ASSISTANT)
        yield found


def test_the_addresses_show_the_study(isolated_home: Path, browser: Browser) -> None:
    fill(paths.study_folder("digits"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ui = UI.start("digits", "--port", str(port))
    try:
        assert ui.lines[0].startswith(f"port {port} is in use; taking ")
        assert list(ui.addresses) == [
            "study digits",
            "its best 5 compared",
            "their val/accuracy",
            "its best run",
        ]
        study_table(browser, ui.addresses["study digits"])
        comparison(browser, ui.addresses["its best 5 compared"])
        curves(browser, ui.addresses["their val/accuracy"])
        best_run(browser, ui.addresses["its best run"])
        assert browser.outside == []
    finally:
        assert ui.stop() == 0
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", int(re.findall(r"taking (\d+)", ui.lines[0])[0])))


def study_table(browser: Browser, address: str) -> None:
    """All trials, best first, with value, searched parameters and state."""
    page = browser.show(
        address,
        "best/val/accuracy",
        *SEARCHED,
        "seqsweep.state",
        "digits/7",
        "digits/0",
        "pruned",
        "failed",
    )
    page.get_by_text("8 matching runs").wait_for()
    names = page.get_by_text(re.compile(r"^digits/\d$"))
    tops = {box["y"]: name.inner_text() for name in names.all() if (box := name.bounding_box())}
    assert [tops[top] for top in sorted(tops)] == [f"digits/{number}" for number in range(7, -1, -1)]
    assert page.get_by_text("Welcome").count() == 0
    browser.keep(page, "study")


def comparison(browser: Browser, address: str) -> None:
    """The five best complete runs: their parameters and values, and a plot of them."""
    page = browser.show(address, "Comparing 5 Runs from 1 Experiment", "Parallel Coordinates Plot")
    page.locator(".parcoords .axis-title").first.wait_for(timeout=60_000)
    titles = page.locator(".parcoords .axis-title").all_text_contents()
    assert {"model", "model.hidden_size"} <= set(titles)
    text = browser.reads(page, *(rf"digits/{number}\b" for number in (7, 6, 4, 2, 1)))
    assert "digits/5" not in text
    assert {"optimizer.lr", "best/val/accuracy"} <= {line.strip() for line in re.split(r"[\n\t]", text)}
    browser.keep(page, "comparison")


def curves(browser: Browser, address: str) -> None:
    """The five learning curves in one chart, over the steps."""
    page = browser.show(address, "digits/7", "Step")
    page.locator(".scatterlayer .trace path.js-line").first.wait_for(timeout=60_000)
    browser.reads(
        page,
        *(rf"digits/{number} \(val/accuracy\)" for number in (7, 6, 4, 2, 1)),
        re.escape(f"{accuracy(7, 10)} (step=450)"),
    )
    assert page.locator(".scatterlayer .trace").count() >= 5
    browser.keep(page, "curves")


def best_run(browser: Browser, address: str) -> None:
    """Its values, parameters, state and parent."""
    page = browser.show(address, "digits/7", "Finished", "model.hidden_size", "best/val/accuracy")
    browser.reads(
        page, re.escape(str(accuracy(7, 10))), r"Parent run\s+digits", r"seqsweep\.state\s*:?\s*complete"
    )
    browser.keep(page, "run")


def test_an_unknown_study_ends_with_those_there_are(isolated_home: Path) -> None:
    fill(paths.study_folder("digits"))
    done = subprocess.run(
        [sys.executable, "-m", "seqsweep", "ui", "digitz", "--port", "5600"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.strip().endswith("did you mean 'digits'? studies there: digits")


def test_a_server_elsewhere_is_only_addressed(isolated_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(paths.study_folder("digits"))
    ui = UI.start()
    try:
        base = ui.addresses["study digits"].split("/#")[0]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", base)
        done = subprocess.run(
            [sys.executable, "-m", "seqsweep", "ui", "digits"], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        compared = re.search(r"compare-runs\?runs=(\S+?)&", done.stdout)
        assert compared is not None
        assert f"{base}/#/experiments/" in done.stdout
        from urllib.parse import unquote

        assert len(json.loads(unquote(compared[1]))) == 5
    finally:
        assert ui.stop() == 0
