"""The page of training, on a store with runs of every state: usable by all, and its curves are drawn."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from steersman.app.tracking import runs_of
from steersman.core.tracking import Begun, Ended, KeptRuns, begin, logged

if TYPE_CHECKING:
    from playwright.sync_api import ViewportSize

    from tests.browser.conftest import Server, Visitor

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text(encoding="utf-8")
Visit = Callable[..., "Visitor"]


def train(store: Path, fill: Callable[[Path], None]) -> dict[str, Begun]:
    """Tell of three runs of an agent that was released and rolled back; one goes on, one is done and one failed."""
    fill(store)
    runs, rng, now = runs_of(store), np.random.default_rng(5), time.time()
    made = {}
    for name in ("failed", "done", "running"):
        begun = begin(f"dueling DQN, {name}", agent="lab/factored", at=now - 900, params={"gamma": 0.99, "batch": 256})
        runs.begin(begun)
        for step in range(500, 500_001 if name == "done" else 40_001, 500):
            share = step / 200_000
            reward = 1.0 - 0.9 * math.exp(-3 * share) + float(rng.normal(0, 0.05))
            loss, q = 0.4 * math.exp(-2 * share) + float(rng.exponential(0.02)), 8.0 * (1 - math.exp(-2 * share))
            metrics = {"reward": reward, "loss": loss, "q": q, "epsilon": max(0.05, 1 - share)}
            runs.log(begun.id, logged(step, metrics, at=now - 10))
        made[name] = begun
    runs.log(made["failed"].id, logged(40_500, {"loss": math.nan}, at=now - 10))
    runs.end(made["failed"].id, Ended(at=now - 5, reason="the loss was nan at update 40,500; the last good network is kept"))
    runs.artefact(made["done"].id, "policy.safetensors", b"x")
    runs.alias(made["done"].id, "champion")
    runs.end(made["done"].id, Ended(at=now - 5))
    return made


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A service on a store with runs, the runs, and where they are told."""

    server: Server
    made: dict[str, Begun]
    runs: KeptRuns


@pytest.fixture(scope="module")
def trained(serve: Callable[..., Server], filled: Callable[[Path], None]) -> Trained:
    made: dict[str, Begun] = {}
    stores: list[Path] = []

    def begin_with(store: Path) -> None:
        stores.append(store)
        made.update(train(store, filled))

    server = serve(begin_with)
    return Trained(server=server, made=made, runs=runs_of(stores[0]))


def test_the_page_is_usable_by_everybody_in_both_themes_and_on_a_phone(
    visit: Visit, trained: Trained, phone: ViewportSize
) -> None:
    server, made = trained.server, trained.made
    visitor = visit(server)
    for name in ("done", "failed"):
        page = visitor.go(f"/training?run={made[name].id}")
        assert page.locator('nav a[aria-current="page"]').inner_text() == "Training"
        page.evaluate(AXE)
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            visitor.keep(f"training-{name}-{theme}")
            found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
            assert [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found] == [], theme
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(phone)
    page.wait_for_function("innerWidth === 390")
    visitor.keep("training-phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_it_shows_the_curves_of_a_run_and_what_became_of_its_agent(visit: Visit, trained: Trained) -> None:
    server, made = trained.server, trained.made
    page = visit(server).go(f"/training?run={made['done'].id}")
    assert page.locator("figure canvas").count() == 4
    assert page.locator("figure").first.get_attribute("data-up") == "mean reward"
    assert page.locator(".u-legend .u-value").first.inner_text() == "500,000"
    told = " ".join(page.locator("ol.timeline").all_text_contents())
    for word in ("trained", "failed", "judged", "started", "rolled back", "quarantined", "reward shift"):
        assert word in told


def test_a_run_that_goes_on_is_seen_to_go_on(visit: Visit, trained: Trained) -> None:
    page = visit(trained.server).go(f"/training?run={trained.made['running'].id}")
    rows = page.locator("figure").first.locator("table.data tbody tr")
    assert rows.count() == 80
    trained.runs.log(trained.made["running"].id, logged(41_000, {"reward": 0.75}, at=time.time()))
    rows.nth(80).wait_for(state="attached")
    assert page.locator(".u-legend .u-value").first.inner_text() == "41,000"
