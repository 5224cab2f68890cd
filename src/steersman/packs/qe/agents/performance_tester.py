"""qe/performance-tester: which form of load shows what became slower?

It is measured by slow-downs that are put into hot functions of a copy: how many of them a load shows, whether it takes
functions that were left alone for slower, and in what time. Both versions take turns in the same seconds, so that what
else the machine does falls on both.
"""

import statistics
from collections.abc import Iterable

from steersman.core.actions import Action, ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.errors import NotFound
from steersman.core.guards import Refusal
from steersman.core.kinship import Kinship
from steersman.core.reward import Component, Measurement, Measurements, Reward
from steersman.core.state import Number, StateSchema, StateValues
from steersman.packs.qe.fleet.learning import lowest, rule, single_step
from steersman.packs.qe.fleet.reward import SECONDS
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.fleet.skill import Worked
from steersman.packs.qe.plants.hot_function import HotFunction
from steersman.packs.qe.plants.slowness import PlantedSlowness, plant_slowness
from steersman.packs.qe.tools.timing import FORMS, Timed, can_load, hot_functions, time_versions

FOUND, MET, FALSE_ALARM = 15.0, 30.0, -15.0
SECONDS_COST = -10.0
NOTHING_THERE = 0.2
"""The share of rounds in which nothing is made slower, so that naming something is not always right."""
MOST_PLANTED = 4
USERS = max(max(form.threads) for form in FORMS.values())
_TARGET = 0.8  # of the calls per second of the beginning

STATE = StateSchema(
    name="performance-tester",
    fields=(
        Number(name="functions", low=0, high=1000, edges=(3, 6), unit="hot functions"),
        Number(name="baseline_ms", low=0, high=1000, edges=(0.01, 0.1, 1), unit="ms for a call"),
        Number(name="noise", low=0, high=10, edges=(0.1, 0.3), unit="spread of the ratio of two equal versions"),
        Number(name="p95_ms", low=0, high=1000, unit="ms for a call"),
        Number(name="baseline_rps", low=0, high=1e9, unit="calls per s"),
        Number(name="target_rps", low=0, high=1e9, unit="calls per s"),
        Number(name="users", low=1, high=1000, unit="threads at most"),
        Number(name="last_found", low=0, high=1, unit="share, in the last test"),
        Number(name="load_s", low=0, high=36_000, unit="s"),
        Number(name="budget_s", low=0, high=864_000, unit="s"),
        Number(name="can_load", low=0, high=1),
    ),
)
ACTIONS = ActionSpace.flat("load", "stress", "spike", "soak", "ramp")
_COSTS = {"load": 1.0, "stress": 2.0, "spike": 2.0, "soak": 8.0, "ramp": 6.0}
"""How long a form takes at most, in times of a plain load; `load_s` is that of the beginning."""


def baseline(state: StateValues) -> str:
    """A plain load, as a benchmark in a build has it."""
    return "load"


def _regressions(m: Measurements) -> float | None:
    """Return +15 for each slow-down that was found; it does not apply where there was none."""
    return FOUND * m["found"] if m["planted"] else None


def _baseline_met(m: Measurements) -> float:
    """Return +30 where all that was left alone is said to be as fast as before, and −15 for each that is not."""
    return MET if not m["false_alarms"] else FALSE_ALARM * m["false_alarms"]


def _time(m: Measurements) -> float:
    """Return −10 for each time that a plain load took at the beginning."""
    return SECONDS_COST * m["wall_s"] / max(m["expected_s"], 1e-3)


REWARD = Reward(
    measurements=(
        Measurement(name="planted", low=0.0),
        Measurement(name="found", low=0.0),
        Measurement(name="unchanged", low=0.0),
        Measurement(name="false_alarms", low=0.0),
        *SECONDS[:3],
    ),
    components=(
        Component(name="regressions", low=0.0, high=60.0, weight=0.5, value=_regressions),
        Component(name="baseline_met", low=-45.0, high=30.0, weight=0.4, value=_baseline_met),
        Component(name="time", low=-50.0, high=0.0, weight=0.1, value=_time),
    ),
    low=-50.0,
    high=100.0,
)


def _loading(state: StateValues) -> Iterable[Refusal]:
    """Refuse everything where versions cannot take turns, and what would not end in time."""
    load_s, budget_s = float(state["load_s"]), float(state["budget_s"])
    for action, times in _COSTS.items():
        if not state["can_load"]:
            yield Refusal(where={"action": action}, reason=f"{action} forks two processes: use Linux or macOS")
        elif times * load_s > budget_s:
            reason = f"{action} may take {times * load_s:.0f} s, and {budget_s:.0f} s are allowed: --timeout"
            yield Refusal(where={"action": action}, reason=reason)


PROBE = lowest(STATE)


def _shared(state: StateValues) -> dict[str, float]:
    return {
        "size": min(float(state["functions"]) / 10.0, 1.0),
        "complexity": min(float(state["baseline_ms"]) / 10.0, 1.0),
        "risk": float(state["last_found"]),
    }


agent = AgentSpec(
    name="qe/performance-tester",
    description="Decides which form of load to put a project's hot functions under.",
    state=STATE,
    actions=ACTIONS,
    reward=REWARD,
    baseline=baseline,
    safe_action="load",
    guards=(rule("loading", _loading, PROBE),),
    settings=single_step(),
    kinship=Kinship(
        category="performance-security",
        project=_shared,
        roles={
            "action=load": "quick",
            "action=stress": "deep",
            "action=spike": "narrow",
            "action=soak": "long",
            "action=ramp": "everything",
        },
    ),
    cost="cpu_s",
)


class PerformanceTester:
    """Makes hot functions of a copy slower, puts both versions under load by turns, and compares."""

    needs_tests = True

    def __init__(self) -> None:
        self._functions: tuple[HotFunction, ...] = ()
        self._first = Timed()
        self._last_found = 0.0
        self._planted = PlantedSlowness(texts={}, slow={}, affected=frozenset())

    def look(self, site: Site) -> dict[str, float]:
        """Make something slower, and return what is known of the functions; at first, they are timed as they are.

        Raises NotFound where the tests call no function that can be called by itself.
        """
        if not self._functions and can_load():
            self._start(site)
        usual_s = {name: min(seconds) for name, seconds in self._first.usual_s.items()}
        self._plant(site, usual_s)
        mean_s = sum(usual_s.values()) / max(len(usual_s), 1)
        return {
            "functions": float(len(usual_s)),
            "baseline_ms": 1000.0 * statistics.median(usual_s.values() or [0.0]),
            "noise": _noise(self._first),
            "p95_ms": 1000.0 * _quantile([*usual_s.values()], 0.95),
            "baseline_rps": 1.0 / max(mean_s, 1e-9),
            "target_rps": _TARGET / max(mean_s, 1e-9),
            "users": float(USERS),
            "last_found": self._last_found,
            "load_s": self._first.wall_s,
            "budget_s": site.timeout_s,
            "can_load": float(can_load()),
        }

    def work(self, site: Site, action: Action) -> Worked:
        """Put both versions under the load, and compare what became slower with what is known."""
        timed = time_versions(site, self._functions, self._planted.texts, FORMS[str(action["action"])])
        slower, slow = timed.slower(), self._planted.slow.keys()
        unchanged = {each.id for each in self._functions} - slow - self._planted.affected
        found, alarms = slower & slow, slower & unchanged
        self._last_found = len(found) / len(slow) if slow else 0.0
        return Worked(
            measurements={
                "planted": float(len(slow)),
                "found": float(len(found)),
                "unchanged": float(len(unchanged)),
                "false_alarms": float(len(alarms)),
                "wall_s": timed.wall_s,
                "expected_s": self._first.wall_s,
                "cpu_s": timed.cpu_s,
            },
            notes=(self._note(found, alarms, len(unchanged)),),
        )

    def _start(self, site: Site) -> None:
        """Find the hot functions, and put them under a plain load as they are, both versions the same."""
        candidates = hot_functions(site)
        self._first = time_versions(site, candidates, {}, FORMS["load"]) if candidates else Timed()
        self._functions = tuple(each for each in candidates if each.id in self._first.usual_s)
        if not self._functions:
            why = "; ".join(f"{name}: {reason}" for name, reason in [*self._first.failed.items()][:3])
            raise NotFound(
                f"the tests of {site.project.name} call no function that can be called by itself: at the top of a "
                f"module, not decorated, with arguments that can be pickled. {why}"
            )

    def _plant(self, site: Site, usual_s: dict[str, float]) -> None:
        most = min(MOST_PLANTED, max(1, len(self._functions) // 2))
        drawn = int(site.generator.integers(1, most + 1))
        self._planted = plant_slowness(
            {file: site.sandbox.read(file) for file in dict.fromkeys(each.file for each in self._functions)},
            self._functions,
            usual_s,
            self._first.sizes,
            site.generator,
            count=0 if site.generator.random() < NOTHING_THERE else drawn,
        )

    def _note(self, found: frozenset[str], alarms: frozenset[str], unchanged: int) -> str:
        unseen = sorted(kind for name, kind in self._planted.slow.items() if name not in found)
        missed = f" (unseen: {', '.join(unseen)})" if unseen else ""
        total = len(self._planted.slow)
        return f"{len(found)} of {total} slow-downs found{missed}, {len(alarms)} of {unchanged} others taken for one"


def _noise(timed: Timed) -> float:
    """Return the largest spread of the ratios of equal versions, the middle half of them, over the functions."""
    ratios = [sorted(timed.ratios(name)) for name in timed.usual_s]
    return max((each[-len(each) // 4] - each[len(each) // 4] for each in ratios if len(each) > 1), default=0.0)


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(share * len(values)), len(values) - 1)] if values else 0.0


skill = PerformanceTester
