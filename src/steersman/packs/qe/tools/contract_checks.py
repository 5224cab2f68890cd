"""What can be asked of a changed copy before those who call it get it: lint, interfaces, tests, its web application.

Each check answers with the reasons to hold the change back, in words; none means that it saw nothing wrong.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from steersman.core.errors import InvalidInput
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.project.suite import Plan
from steersman.packs.qe.tools.local_app import broken_promises, described, served
from steersman.packs.qe.tools.openapi import compare_descriptions, load_description
from steersman.packs.qe.tools.public_api import compare, public_api
from steersman.packs.qe.tools.run import run_tool

_RULES = "E9,F821,F822,F811"
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Before:
    """The release that callers have now: its sources, its description ("" for no file), and what its checks say anyway.

    app: the application as "module:name", "" where there is none to serve. failing: tests that fail without any change.
    """

    sources: Mapping[str, str]
    description: str
    description_text: str
    lint: Counter[str]
    failing: frozenset[str]
    app: str
    promises: str
    broken: frozenset[str]


Check = Callable[[Site, Before, Mapping[str, str]], tuple[str, ...]]
"""(site with the changed copy, what was before, the changed files) → reasons to hold it back."""


def lint(site: Site, before: Before, texts: Mapping[str, str]) -> tuple[str, ...]:
    """Return names that are used and not defined, or defined twice, which were not so before: ruff's rules E9 and F8."""
    found = lint_counts(site, [each for each in texts if each.endswith(".py")])
    return tuple(sorted((found - before.lint).keys()))


def diff(site: Site, before: Before, texts: Mapping[str, str]) -> tuple[str, ...]:
    """Return what the public interface and the description of the web interface no longer offer."""
    root = site.project.source_root
    old = {file: before.sources[file] for file in texts if file in before.sources}
    new = {file: text for file, text in texts.items() if file in before.sources}
    broken = compare(public_api(old, root), public_api(new, root))
    if before.description in texts:
        was, now = (
            load_description(before.description, each) for each in (before.description_text, texts[before.description])
        )
        broken += compare_descriptions(was, now)
    return tuple(each.message for each in broken)


def consumer_tests(site: Site, before: Before, texts: Mapping[str, str]) -> tuple[str, ...]:
    """Return the tests of the old release that fail on the changed copy and did not before."""
    try:
        run = site.suite.run(Plan(), timeout_s=site.timeout_s)
    except InvalidInput as error:  # pytest itself cannot start on the changed copy, as it could before
        return (str(error).strip().splitlines()[-1],)
    if run.timed_out:
        return (f"the tests did not end within {site.timeout_s:.0f} s",)
    failed = sorted(set(run.failures) - before.failing)
    more = (f"and {len(failed) - _SHOWN} more",) if len(failed) > _SHOWN else ()
    return (*(f"{each} fails" for each in failed[:_SHOWN]), *more)


def application(site: Site, before: Before, texts: Mapping[str, str]) -> tuple[str, ...]:
    """Return what the served application no longer keeps of what the old one promised; nothing where there is none."""
    if not before.app:
        return ()
    try:
        with served(site.sandbox, before.app) as address:
            now = load_description("openapi.json", described(address))
            found = compare_descriptions(load_description("openapi.json", before.promises), now)
            kept = _ask(site, address, before.promises)
    except InvalidInput as error:
        return (str(error),)
    return (*(each.message for each in found), *(f"{each} breaks its promise" for each in sorted(kept - before.broken)))


CHECKS: Mapping[str, tuple[Check, ...]] = {
    "lint": (lint,),
    "diff": (diff,),
    "consumer tests": (consumer_tests,),
    "full compatibility": (lint, diff, consumer_tests, application),
}


def reasons(action: str, site: Site, before: Before, texts: Mapping[str, str]) -> tuple[str, ...]:
    """Return the reasons of the first check of an action that has any; those behind it need not be asked then."""
    for each in CHECKS[action]:
        found = each(site, before, texts)
        if found:
            return found
    return ()


def promises_of(site: Site, app: str) -> tuple[str, frozenset[str]]:
    """Return what an application promises and where it breaks that already; nothing where it cannot be served."""
    try:
        with served(site.sandbox, app) as address:
            promises = described(address)
            return promises, _ask(site, address, promises) if promises else frozenset()
    except InvalidInput as error:
        site.progress.note(f"the application {app} is left out: {error}")
        return "", frozenset()


def lint_counts(site: Site, files: list[str]) -> Counter[str]:
    """Return how often ruff says what about files of the copy, without the lines, which move with every change."""
    if not files:
        return Counter()
    sandbox = site.sandbox
    arguments = ["check", "--isolated", "--no-cache", "--select", _RULES, "--output-format", "json", "--exit-zero", *files]
    output = run_tool("ruff", arguments, root=sandbox.root, scratch=sandbox.scratch, timeout_s=site.timeout_s)
    try:
        found = json.JSONDecoder().raw_decode(output.text[max(output.text.find("["), 0) :])[0]
    except ValueError as error:
        raise InvalidInput(f"ruff ended with {output.exit_code} and said: {output.text.strip()[-400:]}") from error
    return Counter(f"{Path(each['filename']).name}: {each['message'].partition(' from line')[0]}" for each in found)


def _ask(site: Site, address: str, promises: str) -> frozenset[str]:
    description = site.sandbox.scratch / "promised.json"
    description.write_text(promises, encoding="utf-8")
    return broken_promises(address, description, site.sandbox.scratch, site.timeout_s)
