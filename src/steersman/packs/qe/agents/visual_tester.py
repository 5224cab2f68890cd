"""qe/visual-tester: how closely are the pages of this project worth looking at?

It is measured by changes that are planted into copies of the project's own HTML pages: some that a person would call
broken, and noise that nobody would notice. What is paid is the broken ones that a comparison shows, less the noise that it
shows too, and its minutes. What the pages themselves lack in accessibility is reported, as seen in the browser.
"""

from collections.abc import Iterable

from steersman.core.actions import Action, ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.guards import Refusal
from steersman.core.kinship import Kinship
from steersman.core.reward import Component, Measurement, Measurements, Reward
from steersman.core.state import Number, StateSchema, StateValues
from steersman.packs.qe.fleet.findings import Finding, Severity
from steersman.packs.qe.fleet.learning import lowest, rule, single_step
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.fleet.skill import Worked
from steersman.packs.qe.plants.visual_changes import Changes, Variant, plant_changes
from steersman.packs.qe.tools.comparison import MEANS, Compared, compare
from steersman.packs.qe.tools.run import has
from steersman.packs.qe.tools.screenshots import DESK, Shot, browser, look_at, pages

MOST_CHANGES = 6
_SEVERITY: dict[str, Severity] = {"no-label": "high", "no-text-for-picture": "medium", "low-contrast": "medium"}

STATE = StateSchema(
    name="visual-tester",
    fields=(
        Number(name="pages", low=0, high=1000, edges=(3,)),
        Number(name="browsers", low=0, high=10),
        Number(name="change_size", low=0, high=1000, edges=(5,), unit="pages that have changed"),
        Number(name="style_changes", low=0, high=1000, edges=(1, 3), unit="pages whose style has changed"),
        Number(name="markup_changes", low=0, high=1000, edges=(1,), unit="pages that have lost markup"),
        Number(name="media_changes", low=0, high=1000, edges=(1,), unit="pages with a change for some screens only"),
        Number(name="false_positive_rate", low=0, high=1, edges=(0.2,), unit="share of noise reported by this comparison"),
        Number(name="has_playwright", low=0, high=1),
        Number(name="has_pillow", low=0, high=1),
    ),
)
ACTIONS = ActionSpace.flat(*MEANS)


def baseline(state: StateValues) -> str:
    """Compare by pixels, as most tools do; check accessibility where pictures cannot be read."""
    return "pixel" if state["has_pillow"] else "accessibility"


def _found(m: Measurements) -> float:
    """Return the share of planted regressions that were shown, 0–100."""
    return 100.0 * m["true_regressions"] / m["planted"]


REWARD = Reward(
    measurements=(
        Measurement(name="planted", low=1.0),
        Measurement(name="true_regressions", low=0.0),
        Measurement(name="false_positives", low=0.0),
        Measurement(name="wall_s", unit="s", low=0.0),
        Measurement(name="cpu_s", unit="s", low=0.0),
    ),
    components=(
        Component(name="found", low=0.0, high=100.0, weight=0.6, value=_found),
        Component(name="false_positives", low=-50.0, high=0.0, weight=0.3, value=lambda m: -20.0 * m["false_positives"]),
        Component(name="minutes", low=-50.0, high=0.0, weight=0.1, value=lambda m: -50.0 * m["wall_s"] / 60.0),
    ),
    low=-50.0,
    high=100.0,
)


def _nothing_to_see(state: StateValues) -> Iterable[Refusal]:
    """Refuse everything where there is no page, no browser, or nothing to drive it by."""
    if not state["pages"]:
        yield Refusal(where={}, reason="no HTML page without variables of a template is here: keep a rendered one beside it")
    if not state["browsers"]:
        yield Refusal(where={}, reason="there is no browser: install chromium, or name one by STEERSMAN_CHROMIUM")
    if not state["has_playwright"]:
        yield Refusal(where={}, reason="a browser is driven by playwright: pip install playwright")


def _no_pictures(state: StateValues) -> Iterable[Refusal]:
    """Refuse what compares pictures, where they cannot be read."""
    if not state["has_pillow"]:
        for each in ("pixel", "ssim", "full"):
            yield Refusal(where={"action": each}, reason=f"{each} reads pictures: pip install pillow")


PROBE = lowest(STATE)


def _shared(state: StateValues) -> dict[str, float]:
    return {"size": min(float(state["pages"]) / 10.0, 1.0), "risk": min(float(state["change_size"]) / 10.0, 1.0)}


agent = AgentSpec(
    name="qe/visual-tester",
    description="Decides how closely changed pages are looked at in a browser.",
    state=STATE,
    actions=ACTIONS,
    reward=REWARD,
    baseline=baseline,
    safe_action="accessibility",
    guards=(
        rule("browser", _nothing_to_see, PROBE),
        rule("pictures", _no_pictures, PROBE),
    ),
    settings=single_step(),
    kinship=Kinship(
        category="specialized",
        project=_shared,
        roles={
            "action=pixel": "quick",
            "action=ssim": "deep",
            "action=accessibility": "narrow",
            "action=full": "everything",
        },
    ),
    cost="cpu_s",
)


class VisualTester:
    """Changes copies of the project's pages, and compares them with what they were."""

    needs_tests = False

    def __init__(self) -> None:
        self._pages: dict[str, str] | None = None
        self._changes = Changes(before={}, variants=())
        self._alarms, self._noise = 0, 0

    def look(self, site: Site) -> dict[str, float]:
        """Plant changes, and return what their texts tell; at first, check the project's pages as they are."""
        if self._pages is None:
            self._pages = pages(site.sandbox.root)
            if self._pages and browser() and has("playwright"):
                site.findings.extend(_lacking(site, list(self._pages)))
        if self._pages:
            self._changes = _planted(site, self._pages)
        return {
            "pages": float(len(self._pages)),
            "browsers": float(bool(browser())),
            "change_size": float(len(self._changes.variants)),
            **_read(self._changes),
            "false_positive_rate": self._alarms / max(self._noise, 1),
            "has_playwright": float(has("playwright")),
            "has_pillow": float(has("PIL")),
        }

    def work(self, site: Site, action: Action) -> Worked:
        """Compare each changed page with what it was, and tell regressions from noise by what was planted."""
        variants = self._changes.variants
        with site.changed(self._changes.texts):
            done = compare(self._changes, str(action["action"]), site.sandbox, site.timeout_s)
        alarms = [each for each in variants if each.file in done.shown and not each.regression]
        self._alarms += len(alarms)
        self._noise += sum(not each.regression for each in variants)
        return _worked(variants, done, alarms)


def _worked(variants: tuple[Variant, ...], done: Compared, alarms: list[Variant]) -> Worked:
    planted = [each for each in variants if each.regression]
    found = [each for each in planted if each.file in done.shown]
    missed = sorted({each.kind for each in planted if each.file not in done.shown})
    note = f"{len(found)} of {len(planted)} planted regressions shown, {len(alarms)} of {len(variants) - len(planted)} noise"
    return Worked(
        measurements={
            "planted": float(len(planted)),
            "true_regressions": float(len(found)),
            "false_positives": float(len(alarms)),
            "wall_s": done.wall_s,
            "cpu_s": done.cpu_s,
        },
        notes=(note, *([f"missed: {', '.join(missed)}"] if missed else ())),
    )


def _planted(site: Site, found: dict[str, str]) -> Changes:
    """Change some pages at random, at least one for the worse."""
    regressions = int(site.generator.integers(1, MOST_CHANGES // 2 + 1))
    noise = int(site.generator.integers(0, MOST_CHANGES // 2 + 1))
    return plant_changes(found, site.generator, regressions=regressions, noise=noise)


def _read(changes: Changes) -> dict[str, float]:
    """Return what the texts of the changes tell without a browser: how many touch style, markup, or some screens only."""
    pairs = [(changes.before[each.page][1], each.text) for each in changes.variants]
    lost = [len(after) < len(before) for before, after in pairs]
    style = [after.count("{") > before.count("{") for before, after in pairs]
    media = [after.count("@media") > before.count("@media") for before, after in pairs]
    return {"style_changes": float(sum(style)), "markup_changes": float(sum(lost)), "media_changes": float(sum(media))}


def _lacking(site: Site, files: list[str]) -> list[Finding]:
    """Return what the project's own pages lack in accessibility."""
    sandbox = site.sandbox
    shots = [Shot(file=sandbox.root / each, size=DESK, picture=sandbox.scratch / "none.png") for each in files]
    seen = look_at(shots, root=sandbox.root, scratch=sandbox.scratch, timeout_s=site.timeout_s, pictures=False, checks=True)
    return [
        Finding(
            tool="chromium",
            rule=issue.rule,
            severity=_SEVERITY.get(issue.rule, "low"),
            file=file,
            line=0,
            message=f"{issue.rule.replace('-', ' ')}: {issue.element}",
            confirmed=True,
        )
        for file in files
        for issue in seen.issues[sandbox.root / file]
    ]


skill = VisualTester
