"""The visual tester looks at real pages in a real browser, and is paid for what broke and not for noise."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest

from steersman.core.errors import DeadlineExceeded, InvalidInput, NotPermitted
from steersman.core.ports import Progress
from steersman.packs.qe.agents import visual_tester
from steersman.packs.qe.agents.visual_tester import VisualTester, agent
from steersman.packs.qe.fleet.site import Site, open_site
from steersman.packs.qe.plants.visual_changes import BLOCK, NOISE, REGRESSIONS, Changes, Variant, plant_changes, with_block
from steersman.packs.qe.project.discovery import discover
from steersman.packs.qe.tools.comparison import compare
from steersman.packs.qe.tools.screenshots import DESK, Shot, browser, look_at, pages
from steersman.testing.pack_checker import check_agent
from tests.unit.packs.qe.agents.conftest import Work

PAGE = (
    '<!doctype html>\n<html lang="en"><head><title>Shop</title><style>body { font: 15px serif; }</style></head>'
    "<body>\n<h1>Shop</h1>\n"
    + "<p>What is sold here, and what it costs today, in all of our places.</p>\n" * 8
    + "</body></html>\n"
)
HEARD = ("no text for a picture", "no label", "too faint")
needs_browser = pytest.mark.skipif(not browser(), reason="NOT run: no chromium, and STEERSMAN_CHROMIUM names none")


@pytest.fixture
def web_project(shop_project: Path, make: Callable[[Path, Mapping[str, str]], Path]) -> Path:
    """The small project with one page, a template and a part of a page."""
    return make(
        shop_project,
        {"web/index.html": PAGE, "web/order.html": "<body>{{ order }}</body>", "web/part.html": "<p>a part</p>"},
    )


def all_changes(kinds: Iterable[str]) -> Changes:
    """Return one variant of each kind."""
    rng, made = np.random.default_rng(1), []
    for number, kind in enumerate(kinds):
        block = {**REGRESSIONS, **NOISE}[kind](BLOCK, rng)
        file, text = f"web/planted_{number}.html", with_block(PAGE, block)
        made.append(Variant(kind=kind, page="web/index.html", file=file, text=text, regression=kind in REGRESSIONS))
    before = {"web/index.html": ("web/planted_before.html", with_block(PAGE, BLOCK))}
    return Changes(before=before, variants=tuple(made))


def shown(site: Site, means: str, *kinds: str) -> set[str]:
    changes = all_changes(kinds)
    with site.changed(changes.texts):
        found = compare(changes, means, site.sandbox, 60.0).shown
    return {each.kind for each in changes.variants if each.file in found}


@needs_browser
def test_each_means_shows_what_it_can_see_and_only_pixels_mind_a_shift(web_project: Path, progress: Progress) -> None:
    with open_site(discover(web_project), seed=0, timeout_s=60.0, progress=progress) as site:
        kinds = ("moved", "hidden", "recoloured", "overflowing", "no label", *NOISE)
        assert shown(site, "pixel", *kinds) == {"moved", "hidden", "recoloured", "one pixel"}
        assert shown(site, "ssim", *kinds) == {"moved", "hidden"}
        assert shown(site, "accessibility", *REGRESSIONS, *NOISE) == {*HEARD}
        narrow = ("overflowing", "no label", "another date")
        assert shown(site, "full", *narrow) == {"overflowing", "no label"}, "it overflows on a narrow screen only"
        assert [each.name for each in (site.sandbox.root / "web").iterdir() if "planted" in each.name] == []


@needs_browser
def test_what_is_shown_is_paid_for_and_noise_that_is_shown_costs(
    web_project: Path, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visual_tester, "_planted", lambda site, found: all_changes(["hidden", "no label", "one pixel"]))
    monkeypatch.setattr(visual_tester, "_lacking", lambda site, files: [])
    tester, scores = VisualTester(), {}
    with open_site(discover(web_project), seed=0, timeout_s=60.0, progress=progress) as site:
        for means in ("pixel", "ssim"):
            state = tester.look(site)
            done = tester.work(site, {"action": means}).measurements or {}
            scores[means] = agent.reward.score(agent.reward.check(done)).components
    assert (state["change_size"], state["style_changes"], state["markup_changes"]) == (3.0, 2.0, 1.0)
    assert state["false_positive_rate"] == 1.0, "what was taken for broken before is known at the next look"
    assert (scores["pixel"]["found"], scores["pixel"]["false_positives"]) == (50.0, -20.0)
    assert (scores["ssim"]["found"], scores["ssim"]["false_positives"]) == (50.0, 0.0)


@needs_browser
def test_what_the_pages_themselves_lack_is_reported_and_the_tree_is_untouched(work: Work, web_project: Path) -> None:
    lacking = PAGE.replace(' lang="en"', "").replace("<h1>", '<img src="a.png"><h1 style="color: #eee">')
    (web_project / "web" / "index.html").write_text(lacking)
    before = {file: file.read_bytes() for file in web_project.rglob("*") if file.is_file()}
    report = work(agent, VisualTester(), web_project)
    assert {each.rule for each in report.findings} == {"no-language", "no-text-for-picture", "low-contrast"}
    assert all(each.confirmed and each.file == "web/index.html" for each in report.findings)
    assert {file: file.read_bytes() for file in web_project.rglob("*") if file.is_file()} == before


def test_without_a_browser_nothing_is_looked_at_and_the_way_out_is_named(
    work: Work, web_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visual_tester, "browser", lambda: "")
    with pytest.raises(NotPermitted, match="install chromium, or name one by STEERSMAN_CHROMIUM"):
        work(agent, VisualTester(), web_project)


def test_without_a_page_nothing_is_looked_at(work: Work, shop_project: Path) -> None:
    with pytest.raises(NotPermitted, match="no HTML page"):
        work(agent, VisualTester(), shop_project)


def test_without_pillow_only_accessibility_is_left() -> None:
    state = {each.name: 1.0 for each in agent.state.fields} | {"has_pillow": 0.0}
    refused = [each.where.get("action") for guard in agent.guards for each in guard.refuse(state)]
    assert refused == ["pixel", "ssim", "full"]
    assert agent.baseline(state) == "accessibility"


def test_templates_and_parts_of_pages_are_no_pages(web_project: Path) -> None:
    assert [*pages(web_project)] == ["web/index.html"]


@needs_browser
def test_a_browser_that_does_not_end_is_killed_and_one_that_does_not_work_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shot = Shot(file=tmp_path / "a.html", size=DESK, picture=tmp_path / "a.png")
    shot.file.write_text("<body><script>while (true) {}</script></body>")
    with pytest.raises(DeadlineExceeded, match="killed"):
        look_at([shot], root=tmp_path, scratch=tmp_path, timeout_s=2.0, pictures=True, checks=True)
    monkeypatch.setenv("STEERSMAN_CHROMIUM", "/bin/true")
    with pytest.raises(InvalidInput, match="/bin/true"):
        look_at([shot], root=tmp_path, scratch=tmp_path, timeout_s=30.0, pictures=True, checks=True)


def test_one_seed_plants_the_same_beside_the_pages() -> None:
    first, second = (plant_changes({"a/b.html": PAGE}, np.random.default_rng(2), regressions=2, noise=2) for _ in range(2))
    assert first == second
    assert all(file.startswith("a/planted_") for file in first.texts)
    assert [each.regression for each in first.variants] == [True, True, False, False]
    assert len(set(first.texts.values())) > 2


def test_the_agent_passes_the_pack_checker() -> None:
    assert not [each for each in check_agent(agent) if each.problem]
