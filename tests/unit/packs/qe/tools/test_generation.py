"""Calls are found for functions with many options, for helpers behind them, for decorators and for objects with a state."""

import time
from collections.abc import Iterator

import pytest

from steersman.core.errors import DeadlineExceeded
from steersman.packs.qe.faults.mutation import candidates
from steersman.packs.qe.fleet.site import Site, open_site
from steersman.packs.qe.project.discovery import discover
from steersman.packs.qe.tools.callables import modules_of
from steersman.packs.qe.tools.functions import Module, Target
from steersman.packs.qe.tools.generation import Maker
from steersman.packs.qe.tools.heard import Heard
from steersman.packs.qe.tools.recording import Call, Recorded
from steersman.packs.qe.tools.test_writing import example
from steersman.packs.qe.tools.trials import Coverage, Trial
from tests.unit.packs.qe.conftest import Lines, write

SOURCE = '''STYLES = {"plain": ", ", "fancy": " ~ "}


def shown(rows, style="plain", before="", after="", least=0, most=9, step=1, upper=False):
    """Show rows."""
    if style not in STYLES:
        raise ValueError(style)
    return _joined([str(each) for each in rows][least:most:step], STYLES[style], upper)


def _joined(texts, by, upper):
    text = by.join(texts)
    return _raised(text) if upper else text


def _raised(text):
    return text.upper()


def twice(func):
    def inner(x):
        return [func(x), func(x)]

    return inner


class Shelf:
    def __init__(self, size, sort=None):
        self.size, self._items, self._sort = size, {}, sort

    def put(self, key, value, note=None):
        self._items[key] = value

    def take(self, key, note=None):
        if key not in self._items:
            raise LookupError(key)
        return self._items.pop(key)


class Drawer(Shelf):
    def is_wide(self):
        return self.size > 3
'''
ACTION = ("example-based", "branches", "comprehensive", "new")


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = write(tmp_path_factory.mktemp("shelves"), {"shelves.py": SOURCE})
    with open_site(discover(root, tests_needed=False), seed=0, timeout_s=60.0, progress=Lines()) as site:
        yield site


@pytest.fixture
def module(opened: Site) -> Module:
    (found,) = modules_of(opened.sandbox)
    return found


def target(module: Module, name: str) -> Target:
    return next(each for each in module.targets if each.dotted == name)


def maker(site: Site, module: Module) -> Maker:
    site.begin(0)
    lines = frozenset((module.file, line, 0) for line in range(1, module.lines + 1))
    return Maker(site, module, heard=Heard(), missing=lines, ran=frozenset(), faults=())


def test_of_many_options_the_first_are_given_in_turn_and_any_by_name(module: Module) -> None:
    shown = target(module, "shown")
    assert shown.parameters == ("rows", "style", "before", "after", "least")
    assert [name for name, _ in shown.options] == ["style", "before", "after", "least", "most", "step", "upper"]


def test_what_private_functions_do_is_within_the_reach_of_those_that_lead_there(module: Module) -> None:
    shown = target(module, "shown")
    inside = {line for first, last in shown.reach for line in range(first, last + 1)}
    lines = SOURCE.splitlines()
    assert {lines.index(each) + 1 for each in lines if "upper" in each} <= inside
    assert lines.index("def twice(func):") + 1 not in inside
    assert {"plain", "fancy"} <= set(shown.constants)


def test_a_class_without_a_constructor_is_built_by_that_of_its_base(module: Module) -> None:
    assert target(module, "Drawer.__init__").called((3,)) == "Drawer(3)"


def test_drafts_call_what_takes_options_what_comes_back_and_what_was_put_in(opened: Site, module: Module) -> None:
    drafts = maker(opened, module).make(*ACTION).drafts
    text = "\n".join(each.text for each in drafts)
    for each in ("upper=True", "twice(", ")(", "Drawer(", "pytest.raises(ValueError)"):
        assert each in text
    taken = [each.text for each in drafts if "assert shelf.take(" in each.text]
    assert taken
    assert all("shelf.put(" in each for each in taken), "it comes back only with a key that was put in before"


def test_after_the_deadline_no_more_calls_are_made(
    opened: Site, module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(opened.suite, "deadline", time.monotonic() - 1.0)
    with pytest.raises(DeadlineExceeded, match="no more calls were made"):
        maker(opened, module).make(*ACTION)


def test_only_a_plain_call_stands_in_a_table(module: Module) -> None:
    """A table has nothing but values: what is given by name, or to what came back, would be lost."""
    shown = target(module, "shown")

    def case(text: str) -> bool:
        call = Call(target=shown, text=text, values=([1],))
        return example(Recorded(call=call, status="value", text="'1'")).case is not None

    assert case("shown([1])")
    assert not case("shown([1], upper=True)")
    assert not case("shown([1])(2)")


def test_a_fault_is_shown_only_to_tests_that_run_its_line() -> None:
    fault = candidates("shelves.py", SOURCE)[0]
    ran = {"here": frozenset({(fault.file, fault.line, 0)}), "elsewhere": frozenset({(fault.file, fault.line + 1, 0)})}
    trial = Trial(
        passed=frozenset(ran), coverage=Coverage(possible=frozenset().union(*ran.values()), by_test=ran), cpu_s=0.0
    )
    assert trial.runs("here", fault)
    assert not trial.runs("elsewhere", fault)
    assert Trial(passed=frozenset(), coverage=Coverage(), cpu_s=0.0).runs("elsewhere", fault), "nothing is known"
