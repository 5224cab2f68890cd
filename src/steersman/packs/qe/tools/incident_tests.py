"""Tests that keep an incident from coming back: a call made again, answers that stay, many calls in a row."""

from collections.abc import Sequence

from steersman.core.errors import DeadlineExceeded, InvalidInput
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.project.suite import Plan
from steersman.packs.qe.tools.replay import Call, Target, replay

_HEAD = '"""{function} failed once ({where}); it must not again."""\n\nimport {module}\n'
LOAD_CALLS = 200
_CASES = 5


def replay_test(call: Call, where: str, expected: str = "") -> str:
    """Return a test that makes a call again: it must not raise, and answer what is expected, where that is known."""
    compared = f" == {expected}" if expected else ""
    made = f"{call.name}(**{call.arguments}){compared}"
    return f"{_head(call.name, where)}\n\ndef test_the_call_works():\n    {'assert ' if expected else ''}{made}\n"


def regression_test(name: str, where: str, cases: Sequence[tuple[str, str]]) -> str:
    """Return a test that calls a function with some arguments and compares the answers. cases: (arguments, answer)."""
    rows = "".join(f"        ({arguments}, {answer}),\n" for arguments, answer in cases)
    head = _head(name, where).replace("\nimport ", "\nimport pytest\n\nimport ", 1)
    return (
        f'{head}\n\n@pytest.mark.parametrize(\n    ("arguments", "answer"),\n    [\n{rows}    ],\n)\n'
        f"def test_answers_stay(arguments, answer):\n    assert {name}(**arguments) == answer\n"
    )


def load_test(call: Call, where: str) -> str:
    """Return a test that makes a call many times in a row: it must not raise, and always give the same answer."""
    return (
        f"{_head(call.name, where)}\n\ndef test_many_calls_work():\n    first = {call.name}(**{call.arguments})\n"
        f"    for _ in range({LOAD_CALLS}):\n        assert {call.name}(**{call.arguments}) == first\n"
    )


def regression_of(site: Site, target: Target, told: Call | None, where: str) -> str:
    """Return a test of what the project as it is answers to the failing call and to others; "" where it refuses the call."""
    others = [Call(name=target.name, arguments=each) for each in target.inputs]
    calls = (([told] if told else []) + others)[: _CASES * 2]
    outcomes, _ = replay(site, calls)
    if told and outcomes[0].raised:
        return ""
    good = {call.arguments: was.value for call, was in zip(calls, outcomes, strict=True) if not was.raised and was.literal}
    return regression_test(target.name, where, list(good.items())[:_CASES]) if good else ""


def passes_with(site: Site, texts: dict[str, str]) -> bool:
    """Return whether the first of some files, a test, passes in the copy with all of them."""
    test = next(iter(texts))
    with site.changed(texts):
        try:
            run = site.suite.run(Plan(whole=(test,), rest=False), timeout_s=site.timeout_s)
        except (InvalidInput, DeadlineExceeded):
            return False
    return bool(run.tests) and not run.failures and not run.timed_out


def _head(name: str, where: str) -> str:
    return _HEAD.format(function=name, where=where, module=name.rsplit(".", 1)[0])
