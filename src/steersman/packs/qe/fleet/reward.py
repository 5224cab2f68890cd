"""The composite reward of the fleet: parts that many agents share, each clamped before it is weighted.

An agent names the parts that apply to it and adds its own; weights are renormalised over what applies (`core.reward`).
"""

from collections.abc import Callable, Sequence

from steersman.core.reward import Component, Measurement, Measurements, Reward

LOW, HIGH = -50.0, 100.0
FAILURE = -50.0
_CRITICAL, _FAULT = 20.0, 5.0
_GOAL, _BONUS = 90.0, 20.0

SECONDS = (
    Measurement(name="wall_s", unit="s", low=0.0),
    Measurement(name="expected_s", unit="s", low=0.0),
    Measurement(name="cpu_s", unit="s", low=0.0),
    Measurement(name="expected_cpu_s", unit="s", low=0.0),
)
COVERAGE = (
    Measurement(name="coverage_before", unit="%", low=0.0, high=100.0),
    Measurement(name="coverage_after", unit="%", low=0.0, high=100.0),
)
FAULTS = (Measurement(name="faults_found", low=0.0), Measurement(name="critical_found", low=0.0))
QUALITY = (
    Measurement(name="quality_before", unit="points", low=0.0, high=100.0),
    Measurement(name="quality_after", unit="points", low=0.0, high=100.0),
)
REUSE = (Measurement(name="reused", low=-1.0, high=1.0),)
"""reused: 1 where something that was there worked again, −1 where it did not, 0 where nothing was taken up again."""
FAILED = (Measurement(name="failed", low=0.0, high=1.0),)


def ratio(expected: float, actual: float) -> float:
    """Return (expected/actual − 1)·50: 0 for what was expected, 50 for half of it."""
    return (expected / max(actual, 1e-3) - 1.0) * 50.0


def _coverage(m: Measurements) -> float:
    """Return 10 for each per cent gained, and 20 more for the step that crosses 90 %, which can only be taken once."""
    before, after = m["coverage_before"], m["coverage_after"]
    return 10.0 * (after - before) + (_BONUS if before < _GOAL <= after else 0.0)


PARTS: dict[str, tuple[tuple[Measurement, ...], Component]] = {
    "coverage": (COVERAGE, Component(name="coverage", low=0.0, high=100.0, weight=0.30, value=_coverage)),
    "faults": (
        FAULTS,
        Component(
            name="faults",
            low=0.0,
            high=100.0,
            weight=0.25,
            value=lambda m: _FAULT * m["faults_found"] + _CRITICAL * m["critical_found"],
        ),
    ),
    "speed": (
        SECONDS[:2],
        Component(name="speed", low=-50.0, high=50.0, weight=0.15, value=lambda m: ratio(m["expected_s"], m["wall_s"])),
    ),
    "cost": (
        SECONDS[2:],
        Component(name="cost", low=-50.0, high=50.0, weight=0.10, value=lambda m: ratio(m["expected_cpu_s"], m["cpu_s"])),
    ),
    "quality": (
        QUALITY,
        Component(
            name="quality",
            low=-50.0,
            high=50.0,
            weight=0.10,
            value=lambda m: 2.0 * (m["quality_after"] - m["quality_before"]),
        ),
    ),
    "reuse": (
        REUSE,
        Component(
            name="reuse",
            low=-10.0,
            high=30.0,
            weight=0.10,
            value=lambda m: None if m["reused"] == 0.0 else 30.0 if m["reused"] > 0.0 else -10.0,
        ),
    ),
}


def composite(
    *parts: str,
    measurements: Sequence[Measurement] = (),
    components: Sequence[Component] = (),
    failure: Callable[[Measurements], float | None] | None = None,
) -> Reward:
    """Return a reward of named parts and an agent's own components, in [−50, 100].

    `failure` answers with the whole reward where an action failed: −50, and nothing is added to it. Without one, a
    measurement `failed` of at least ½ means that.
    """
    own = FAILED if failure is None else ()
    taken = [each for part in parts for each in PARTS[part][0]]
    return Reward(
        measurements=(*taken, *measurements, *own),
        components=(*(PARTS[part][1] for part in parts), *components),
        low=LOW,
        high=HIGH,
        failure=failure or (lambda m: FAILURE if m["failed"] >= 0.5 else None),
    )
