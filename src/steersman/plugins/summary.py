"""What the plugin says at the end of a run."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from steersman.plugins.plan import Plan
from steersman.plugins.recorder import Recorder

if TYPE_CHECKING:  # what needs numpy is there where there is a memory, and not imported for a summary without one
    from steersman.plugins.memory import Flaky, Memory

_TOLD = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
_MOST_FLAKY = 10


def summary(plan: Plan, recorder: Recorder | None) -> Iterator[str]:
    """Yield the lines: what was done, when the first failure came, what the past says, and which tests are flaky."""
    yield from plan.lines
    if recorder is not None and recorder.first_failure is not None:
        first = recorder.first_failure
        yield (
            f"the first failure came with test {first.place:,} of {recorder.over:,}, "
            f"after {first.after_s:.2f} s of {recorder.lasted_s:.2f} s"
        )
    if plan.memory is not None:
        yield from _confidence(plan.memory, plan.wishes.budget)
        if recorder is not None and plan.store is not None:
            plan.memory.compare(recorder.run(), plan.memory.same_sources(plan.about.get("sources"), plan.store))
        yield from _flaky(plan.memory.flaky_lately())


def _confidence(memory: "Memory", budget: float) -> Iterator[str]:
    curve = memory.curve()
    if not curve:
        return
    steps = len(curve)
    shares = sorted({*_TOLD, round(budget * steps) / steps} - {0.0})
    found = [(share, curve[round(share * steps) - 1]) for share in shares]
    first = next(place for place, (_, part) in enumerate(found) if part > 0.0)
    whole = next(place for place, (_, part) in enumerate(found) if part >= 1.0)
    (share, part), *others = found[first : whole + 1]
    runs = len(memory.curves)
    yield (
        f"confidence, from {runs} past run{'s' * (runs != 1)} with a failure, each ordered by those before it: "
        + f"{100 * share:.0f} % of the time would have shown {100 * part:.0f} % of the failures"
        + "".join(f", {100 * share:.0f} % {100 * part:.0f} %" for share, part in others)
    )


def _flaky(found: "dict[str, Flaky]") -> Iterator[str]:
    for test, each in [*found.items()][:_MOST_FLAKY]:
        seen = [f"passed when run again ({each.reran}×)"] if each.reran else []
        seen += [f"both passed and failed with the same sources ({each.both}×)"] if each.both else []
        yield f"flaky: {test} {' and '.join(seen)}; mend it, or keep it apart until then"
    if len(found) > _MOST_FLAKY:
        yield f"flaky: and {len(found) - _MOST_FLAKY} more"
