"""qe/api-contract-validator: how closely is a release looked at before those who call it get it?

It is measured by releases that are made from the project's own functions: some break a caller, others only look like it.
A release that is announced as a new major version may break what it likes.
"""

import difflib
import re
import time
from collections.abc import Iterable, Mapping

from steersman.core.actions import Action, ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.errors import DeadlineExceeded, InvalidInput, NotFound
from steersman.core.guards import Refusal
from steersman.core.kinship import Kinship
from steersman.core.reward import Component, Measurement, Measurements, Reward
from steersman.core.state import Category, Number, Scalar, StateSchema, StateValues
from steersman.packs.qe.fleet.learning import lowest, rule, single_step
from steersman.packs.qe.fleet.reward import ratio
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.fleet.skill import Worked
from steersman.packs.qe.plants.breaking_changes import Release, plant_descriptions, plant_releases
from steersman.packs.qe.project.discovery import module_name
from steersman.packs.qe.tools.contract_checks import Before, lint_counts, promises_of, reasons
from steersman.packs.qe.tools.local_app import can_serve, find_app
from steersman.packs.qe.tools.openapi import find_description, load_description
from steersman.packs.qe.tools.public_api import change_class, public_api, raised_version, version_bump
from steersman.packs.qe.tools.run import has

RELEASES = 3
BUMPS = ("none", "patch", "minor", "major")
_ODDS = (0.3, 0.3, 0.3, 0.1)

STATE = StateSchema(
    name="api-contract-validator",
    fields=(
        Category(name="change", options=("body", "added", "definitions", "schema")),
        Category(name="bump", options=BUMPS),
        Number(name="consumers", low=0, high=10_000, edges=(1, 5), unit="files that import what changed"),
        Number(name="has_tests", low=0, high=1, edges=(1,)),
        Number(name="public_names", low=0, high=1_000_000),
        Number(name="changed_lines", low=0, high=1_000_000),
        Number(name="suite_s", low=0, high=100_000, unit="s"),
        Number(name="has_ruff", low=0, high=1),
        Number(name="has_app", low=0, high=1, unit="a web application that can be served and asked"),
    ),
)
ACTIONS = ActionSpace.flat("lint", "diff", "consumer tests", "full compatibility")


def baseline(state: StateValues) -> str:
    """Run the tests that there are, as most projects do before a release; compare the interfaces where there are none."""
    return "consumer tests" if state["has_tests"] else "diff"


def _caught(m: Measurements) -> float | None:
    """Return the share of the breaking releases that were held back, 0–100; nothing to say where none broke anything."""
    return 100.0 * m["caught"] / m["breaking"] if m["breaking"] else None


def _false_blocks(m: Measurements) -> float | None:
    """Return minus the share of the harmless releases that were held back, 0–100."""
    return -100.0 * m["false_blocks"] / m["harmless"] if m["harmless"] else None


REWARD = Reward(
    measurements=(
        Measurement(name="breaking", low=0.0),
        Measurement(name="caught", low=0.0),
        Measurement(name="harmless", low=0.0),
        Measurement(name="false_blocks", low=0.0),
        Measurement(name="wall_s", unit="s", low=0.0),
        Measurement(name="expected_s", unit="s", low=0.0),
    ),
    components=(
        Component(name="caught", low=0.0, high=100.0, weight=0.5, value=_caught),
        Component(name="false_blocks", low=-100.0, high=0.0, weight=0.35, value=_false_blocks),
        Component(name="speed", low=-50.0, high=50.0, weight=0.15, value=lambda m: ratio(m["expected_s"], m["wall_s"])),
    ),
    low=-100.0,
    high=100.0,
)


def _missing(state: StateValues) -> Iterable[Refusal]:
    """Refuse what needs tests or ruff that are not there; full compatibility needs both, or it would not be full."""
    needs = {"lint": ("has_ruff",), "consumer tests": ("has_tests",), "full compatibility": ("has_ruff", "has_tests")}
    ways_out = {"has_ruff": "ruff: pip install it", "has_tests": "tests that pass: write some, or give --python"}
    for choice, fields in needs.items():
        missing = [ways_out[each] for each in fields if not state[each]]
        if missing:
            yield Refusal(where={"action": choice}, reason=f"{choice} needs {', and '.join(missing)}")


PROBE: dict[str, Scalar] = lowest(STATE)
PROBE |= {"change": "body", "bump": "none"}


def _shared(state: StateValues) -> dict[str, float]:
    risk = {"body": 0.5, "added": 0.0, "definitions": 1.0, "schema": 1.0}[str(state["change"])]
    return {"risk": risk, "size": min(float(state["consumers"]) / 10.0, 1.0)}


agent = AgentSpec(
    name="qe/api-contract-validator",
    description="Decides how closely a release is checked for what would break those who call it.",
    state=STATE,
    actions=ACTIONS,
    reward=REWARD,
    baseline=baseline,
    safe_action="diff",
    guards=(rule("tools", _missing, PROBE),),
    settings=single_step(),
    kinship=Kinship(
        category="advanced-testing",
        project=_shared,
        roles={
            "action=lint": "quick",
            "action=diff": "narrow",
            "action=consumer tests": "deep",
            "action=full compatibility": "everything",
        },
    ),
)


class ApiContractValidator:
    """Makes releases of the project, and holds back those that it takes for breaking."""

    needs_tests = False

    def __init__(self) -> None:
        self._before: Before | None = None
        self._version_files: dict[str, str] = {}
        self._suite_s = 0.0
        self._tested = False
        self._releases: tuple[Release, ...] = ()
        self._bump = "none"

    def look(self, site: Site) -> dict[str, Scalar]:
        """Make some releases of one class, and return what a glance at their lines tells of them."""
        before, generator = self._known(site), site.generator
        described = [0.25] if before.description else []
        odds = [*[(1.0 - sum(described)) / 3.0] * 3, *described]
        change = ("body", "added", "definitions", "schema")[int(generator.choice(len(odds), p=odds))]
        if change == "schema":
            document = load_description(before.description, before.description_text)
            self._releases = plant_descriptions(before.description, document, generator, count=RELEASES)
        else:
            self._releases = plant_releases(before.sources, generator, change=change, count=RELEASES)
        self._bump = self._raise(str(generator.choice(BUMPS, p=_ODDS)))
        return self._state(site, before)

    def work(self, site: Site, action: Action) -> Worked:
        """Check each release in the way that was chosen, and compare what was held back with what breaks a caller."""
        before = self._known(site)
        counts = {"breaking": 0.0, "caught": 0.0, "harmless": 0.0, "false_blocks": 0.0}
        notes, started = [], time.perf_counter()
        for release in self._releases:
            with site.changed(dict(release.texts)):
                found = reasons(str(action["action"]), site, before, release.texts)
            breaks, blocked = release.breaking and self._bump != "major", bool(found) and self._bump != "major"
            counts["breaking" if breaks else "harmless"] += 1.0
            counts["caught" if breaks else "false_blocks"] += float(blocked)
            if blocked != breaks:
                notes.append(f"{release.kind} of {release.name or 'a file'} {'held back' if blocked else 'let through'}")
        took = time.perf_counter() - started
        said = f"{counts['caught']:.0f} of {counts['breaking']:.0f} breaking releases held back"
        harm = f"{counts['false_blocks']:.0f} of {counts['harmless']:.0f} harmless ones too"
        measured = counts | {"wall_s": took, "expected_s": RELEASES * (self._suite_s + _GLANCE_S)}
        return Worked(measurements=measured, notes=(f"{said}, {harm}", *notes))

    def _known(self, site: Site) -> Before:
        if self._before is None:
            self._before = self._know(site)
        return self._before

    def _know(self, site: Site) -> Before:
        """Measure what is known of the release that callers have now: once for all rounds."""
        project = site.project
        sources = {file: site.sandbox.read(file) for file in project.sources}
        description = find_description(site.sandbox.root)
        self._version_files = dict(sources)
        if (site.sandbox.root / "pyproject.toml").is_file():
            self._version_files["pyproject.toml"] = site.sandbox.read("pyproject.toml")
        app = find_app(sources, project.source_root)
        usable = app if app and has("schemathesis") and can_serve(project.tools.interpreter) else ""
        promises, broken = promises_of(site, usable) if usable else ("", frozenset())
        return Before(
            sources=sources,
            description=description,
            description_text=site.sandbox.read(description) if description else "",
            lint=lint_counts(site, list(sources) if has("ruff") else []),
            failing=self._failing(site),
            app=usable if promises else "",
            promises=promises,
            broken=broken,
        )

    def _failing(self, site: Site) -> frozenset[str]:
        """Return the tests that fail or waver without any change, and remember how long the suite takes."""
        if not site.project.tests:
            return frozenset()
        try:
            reference = site.reference
        except (NotFound, InvalidInput, DeadlineExceeded) as error:
            site.progress.note(f"consumer tests are left out: {error}")
            return frozenset()
        self._tested, self._suite_s = True, reference.wall_s
        return reference.failing | reference.flaky

    def _raise(self, part: str) -> str:
        """Raise the version in all releases, and return which part of it a reader sees raised."""
        raised: list[Release] = []
        for release in self._releases:
            merged = self._version_files | {k: v for k, v in release.texts.items() if k in self._version_files}
            texts = dict(release.texts) | raised_version(merged, part)
            raised.append(Release(kind=release.kind, breaking=release.breaking, name=release.name, texts=texts))
        self._releases = tuple(raised)
        return version_bump(self._version_files, self._version_files | dict(raised[0].texts))

    def _state(self, site: Site, before: Before) -> dict[str, Scalar]:
        lines = [_changed(before, self._version_files, release) for release in self._releases]
        seen = [change_class(*each) for each in lines]
        order = ("added", "body", "definitions")
        schema = any(before.description in each.texts for each in self._releases)
        return {
            "change": "schema" if schema else max(seen, key=order.index),
            "bump": self._bump,
            "consumers": float(max(_consumers(site, before, each) for each in self._releases)),
            "has_tests": float(self._tested),
            "public_names": float(len(public_api(before.sources, site.project.source_root))),
            "changed_lines": float(sum(len(removed) + len(added) for removed, added in lines)),
            "suite_s": self._suite_s,
            "has_ruff": float(has("ruff")),
            "has_app": float(bool(before.app)),
        }


_GLANCE_S = 0.2
"""What a check without tests takes for one release, in seconds: what a time is compared with where there are no tests."""


def _changed(before: Before, versions: Mapping[str, str], release: Release) -> tuple[list[str], list[str]]:
    """Return the lines that a release takes away and adds; its version line is not a change of the code."""
    removed: list[str] = []
    added: list[str] = []
    old = {before.description: before.description_text} | dict(versions) | dict(before.sources)
    for file, text in release.texts.items():
        for line in difflib.ndiff(old.get(file, "").splitlines(), text.splitlines()):
            if not re.match(r".\s*(version|__version__)\s*=", line):
                removed += [line[2:]] if line.startswith("- ") else []
                added += [line[2:]] if line.startswith("+ ") else []
    return removed, added


def _consumers(site: Site, before: Before, release: Release) -> int:
    """Return how many files of the project import the module that a release changes."""
    modules = [module_name(file, site.project.source_root) for file in release.texts if file in before.sources]
    parts = "|".join(re.escape(each.rsplit(".", 1)[-1]) for each in modules)
    if not parts:
        return 0
    imports = re.compile(rf"^\s*(?:from|import)\b.*\b(?:{parts})\b", re.MULTILINE)
    texts = [*before.sources.values(), *(site.sandbox.read(each) for each in site.project.tests)]
    return sum(bool(imports.search(text)) for text in texts)


skill = ApiContractValidator
