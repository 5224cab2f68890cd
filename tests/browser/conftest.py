"""A real browser against a real `steersman up`. Without a browser the tests are skipped, and say so."""

import json
import os
import runpy
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect, sync_playwright

from steersman.app import Steersman
from steersman.core.catalog import load_file
from steersman.stages.decide.offers import Offer, Request

HERE = Path(__file__).parent
AGENTS = HERE / "agents.py"
PAST = runpy.run_path(str(HERE / "past.py"))
SCREENSHOTS = HERE.parents[1] / ".artifacts" / "screenshots"
PHONE = ViewportSize(width=390, height=844)
DESK = ViewportSize(width=1280, height=800)
DECISIONS = 500
PATIENCE_MS = 20_000
"""How long a page is waited for on a machine that is busy; only what must be quick is timed, by its own test."""
_DAY_S = 86_400.0
_WATCH = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) => violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""


def executable() -> str | None:
    """Return the browser to drive: what STEERSMAN_CHROMIUM names, else chromium or google-chrome from the path."""
    names = (os.environ.get("STEERSMAN_CHROMIUM"), "chromium", "google-chrome")
    return next((found for name in names if name and (found := shutil.which(name))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the tests of a file: while one is driven an event loop runs here, and other tests need their own."""
    found = executable()
    if found is None:
        pytest.skip(
            "the browser tests were NOT run: no chromium and no google-chrome here, and STEERSMAN_CHROMIUM names none"
        )
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield launched
        launched.close()


@dataclass
class Server:
    """A service that runs. `key` is sent with what a test asks of it apart from the browser."""

    address: str
    process: "subprocess.Popen[str]"
    key: str = ""

    def ask(self, method: str, path: str, body: object = None) -> Any:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        answer = httpx.request(method, self.address + path, json=body, headers=headers, timeout=10.0)
        answer.raise_for_status()
        return answer.json()

    def decide_and_report(self, agent: str = "lab/small", score: float = 0.5, **state: Any) -> str:
        """Post a decision and its outcome, and return the decision's id."""
        decision = self.ask("POST", "/v1/decisions", {"agent": agent, "state": state or {"load": 20.0, "weekend": False}})
        self.ask("POST", "/v1/outcomes", {"decision_id": decision["id"], "measurements": {"score": score}})
        return str(decision["id"])

    def decide_and_report_many(self, times: int) -> None:
        """Do so many times, with two requests."""
        asked = [{"agent": "lab/small", "state": {"load": 20.0, "weekend": False}}] * times
        made = self.ask("POST", "/v1/decisions/batch", {"decisions": asked})["results"]
        told = [{"decision_id": each["id"], "measurements": {"score": 0.5}} for each in made]
        self.ask("POST", "/v1/outcomes/batch", {"outcomes": told})

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture(scope="package")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Start services, each on a store and a free port of its own, and end them with the last test of a page."""
    running: list[Server] = []

    def start(fill: Callable[[Path], None] | None = None) -> Server:
        folder = tmp_path_factory.mktemp("served")
        (folder / "steersman.toml").write_text(f"agent_files = [{str(AGENTS)!r}]\n", encoding="utf-8")
        if fill is not None:
            fill(folder / "log.db")
        env = {name: value for name, value in os.environ.items() if not name.startswith("STEERSMAN_")}
        command = [sys.executable, "-m", "steersman", "up", "--port", "0", "--json", "--store", "log.db"]
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        running.append(Server(address=said["address"], process=process))
        return running[-1]

    yield start
    for each in running:
        if each.process.poll() is None:
            each.stop()
        if each.process.stdout is not None:
            each.process.stdout.close()


def fill(store: Path) -> None:
    """Let the agents learn for two days, in a few seconds."""
    now, rng = time.time(), np.random.default_rng(7)
    at = [now]
    agents, ids = load_file(AGENTS), PAST["same_ids"]()
    with Steersman.open(store, agents=agents, settings={}, clock=lambda: at[0], ids=ids, learn=False) as steersman:
        agent = steersman.agent("lab/small")
        for step in range(DECISIONS):
            at[0] = now - 2.0 * _DAY_S * (1.0 - step / DECISIONS)
            decision = agent.decide({"load": float(rng.uniform(0, 100)), "weekend": bool(rng.random() < 0.3)})
            score = 0.5 * (decision.choice == "heavy") - 0.2 + rng.normal(0, 0.1)
            agent.report(decision, {"score": float(np.clip(score, -1, 1)), "cost": float(rng.uniform(1, 2))})
        PAST["live"](steersman, at, now)
        offers = [Offer(id="pasta", features=[{"taste": "salty", "note": "x" * 9_000}])]
        steersman.ranker().rank(Request(offers=offers, context=[{"time": "morning"}], event="event 1")).receipt.wait()


@pytest.fixture(scope="session")
def filled() -> Callable[[Path], None]:
    return fill


@pytest.fixture(scope="session")
def phone() -> ViewportSize:
    return PHONE


@pytest.fixture(scope="package")
def server(serve: Callable[..., Server]) -> Server:
    return serve(fill)


@dataclass
class Visitor:
    """A page with what it asked for and what it complained about."""

    page: Page
    server: Server
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.add_init_script(_WATCH)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog {dialog.message}"))

    def go(self, path: str) -> Page:
        """Open a page and wait until it is live and its figures are there."""
        self.page.goto(self.server.address + path)
        if self.page.locator("#live").count():
            self.page.locator('#live[data-state="live"]').wait_for()
        self.page.wait_for_function("!document.querySelector('[data-wait]')")
        return self.page

    def keep(self, name: str) -> None:
        """Keep a picture of the page among the run's artefacts."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    def check(self) -> None:
        """Nothing left loopback, the policy was not violated, and nothing went wrong in the console."""
        assert {urlsplit(each).hostname for each in self.requests if not each.startswith("data:")} <= {"127.0.0.1"}
        assert self.page.evaluate("window.violations") == []
        assert self.complaints == []


@pytest.fixture(scope="session")
def hostile() -> tuple[str, ...]:
    found: tuple[str, ...] = runpy.run_path(str(HERE / "hostile.py"))["HOSTILE"]
    return found


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Callable[..., Visitor]]:
    """Make visitors; what they saw is checked at the end."""
    contexts: list[BrowserContext] = []
    made: list[Visitor] = []

    def make(where: Server = server, *, phone: bool = False, dark: bool = False, check: bool = True, **more: Any) -> Visitor:
        context = browser.new_context(
            viewport=PHONE if phone else DESK, color_scheme="dark" if dark else "light", reduced_motion="reduce", **more
        )
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        visitor = Visitor(context.new_page(), where)
        visitor.watch()
        if check:
            made.append(visitor)
        return visitor

    yield make
    for each in made:
        each.check()
    for context in contexts:
        context.close()
