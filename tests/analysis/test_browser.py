"""Both reports in a real browser: charts are drawn, no network is asked, nothing is complained about.

Chromium is spoken to through its debugging pipe: JSON messages that end in a zero byte.
"""

import fcntl
import json
import os
import select
import shutil
import subprocess
import time

import pytest

from analysis.report.report import build_report, write_report
from analysis.report.table_findings import TableRequest
from analysis.report.table_report import build_table_report, write_table_report
from analysis.tables.run_table import read_runs

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE_S = 60.0
LIVE = "document.querySelectorAll('figure.chart.live .main-svg').length > 0 && \
document.querySelectorAll('figure.chart').length === document.querySelectorAll('figure.live').length"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


class Browser:
    """One headless page, and what happened in it."""

    def __init__(self, profile):
        read_commands, self._commands = os.pipe()
        self._answers, write_answers = os.pipe()
        # Chromium reads at descriptor 3 and writes at 4; copies far above cannot collide with them.
        theirs = [fcntl.fcntl(end, fcntl.F_DUPFD, 100) for end in (read_commands, write_answers)]

        def place():
            os.dup2(theirs[0], 3)
            os.dup2(theirs[1], 4)

        self._process = subprocess.Popen(
            [
                *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"),
                *("--no-first-run", "--disable-background-networking", f"--user-data-dir={profile}"),
            ],
            preexec_fn=place,
            pass_fds=(3, 4),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (read_commands, write_answers, *theirs):
            os.close(end)
        self._number, self._buffer, self._session, self.events = 0, b"", None, []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Runtime", "Log", "Network", "Page"):
            self.ask(f"{domain}.enable")

    def ask(self, method, **params):
        """The result of a command; events that come before it are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _read(self):
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], PATIENCE_S)
            assert ready, "Chromium does not answer"
            piece = os.read(self._answers, 1 << 16)
            assert piece, "Chromium has ended"
            self._buffer += piece
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def evaluate(self, expression):
        """The value of a JavaScript expression."""
        return self.ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"]["value"]

    def open(self, path, width=1100):
        """Open a page and wait until its charts are drawn."""
        self.events.clear()
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        self.ask("Page.navigate", url=path.as_uri())
        end = time.monotonic() + PATIENCE_S
        while not (self.evaluate("document.readyState") == "complete" and self.evaluate(LIVE)):
            assert time.monotonic() < end, self.complaints
            time.sleep(0.1)

    @property
    def complaints(self):
        """Messages, exceptions and refusals of the page's policy."""
        named = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [event["params"] for event in self.events if event.get("method") in named]

    @property
    def requests(self):
        """Addresses asked for, but for the page itself and what it holds."""
        urls = [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]
        assert any(url.startswith("file:") for url in urls)
        return [url for url in urls if not url.startswith(("file:", "data:"))]

    def close(self):
        self._process.kill()
        self._process.wait()
        for end in (self._commands, self._answers):
            os.close(end)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def pages(study, private_study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    table = folder / "runs.csv"
    read_runs(study).rows.select("arm", "N", "D", "L", "seed").write_csv(table)
    asked = TableRequest(laws=["power"], group="arm", replicates=100)
    return {
        "study": write_report(build_report(study, replicates=100), folder / "study"),
        "private": write_report(build_report(private_study, replicates=100), folder / "private"),
        "table": write_table_report(build_table_report(read_runs(table), asked), folder / "table"),
    }


def test_a_page_that_asks_and_complains_is_caught(browser, tmp_path):
    page = tmp_path / "page.html"
    chart = '<figure class="chart live"><svg class="main-svg"></svg></figure>'
    page.write_text(f'{chart}<img src="http://127.0.0.1:9/x.png"><script>console.error("no")</script>')
    browser.open(page)
    assert browser.requests == ["http://127.0.0.1:9/x.png"]
    assert browser.complaints


@pytest.mark.parametrize("kind", ["study", "private", "table"])
def test_charts_are_drawn_without_a_request_or_a_complaint(browser, pages, kind):
    browser.open(pages[kind])
    assert browser.evaluate("document.querySelectorAll('.interactive .scatterlayer .trace').length") > 8
    assert browser.requests == []
    assert browser.complaints == []
    shown = "getComputedStyle(document.querySelector('figure .{}')).display"
    assert browser.evaluate(shown.format("static")) == "none"
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_no_button_sends_a_chart_anywhere(browser, pages):
    """Plotly's default buttons include one that posts the data to its makers' servers."""
    browser.open(pages["study"])
    titles = "[...new Set([...document.querySelectorAll('.modebar-btn')].map(b => b.dataset.title))].join()"
    found = set(browser.evaluate(titles).split(","))
    assert found == {"Zoom", "Pan", "Zoom in", "Zoom out", "Reset axes"}


def test_on_paper_the_static_figure_stands(browser, pages):
    browser.open(pages["study"])
    browser.ask("Emulation.setEmulatedMedia", media="print")
    shown = "getComputedStyle(document.querySelector('figure .{}')).display"
    assert browser.evaluate(shown.format("static")) == "block"
    assert browser.evaluate(shown.format("interactive")) == "none"
    browser.ask("Emulation.setEmulatedMedia", media="")


def test_the_interactive_chart_follows_the_page_into_the_dark(browser, pages):
    colour = "getComputedStyle(document.querySelector('.interactive .xtick text')).fill"
    browser.open(pages["study"])
    assert browser.evaluate(colour) == "rgb(16, 24, 32)"
    scheme = {"name": "prefers-color-scheme", "value": "dark"}
    browser.ask("Emulation.setEmulatedMedia", features=[scheme])
    end = time.monotonic() + PATIENCE_S
    while browser.evaluate(colour) != "rgb(232, 234, 237)":
        assert time.monotonic() < end
        time.sleep(0.1)
    browser.ask("Emulation.setEmulatedMedia", features=[])


def test_on_a_telephone_nothing_is_wider_than_the_page(browser, pages):
    browser.open(pages["study"], width=390)
    assert browser.evaluate("document.documentElement.scrollWidth") <= 390
    widths = browser.evaluate("[...document.querySelectorAll('.main-svg')].map(one => one.clientWidth)")
    assert max(widths) <= 390
