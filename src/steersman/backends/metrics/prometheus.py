"""The meter for Prometheus: counts what agents do as it happens, and reads from them what is computed when it is scraped."""

import os
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import get_args

from steersman.backends.metrics.agents import Steered, gauges
from steersman.backends.metrics.bus import BusMeter
from steersman.backends.metrics.instruments import Buckets, Instruments
from steersman.backends.metrics.recent import Recent
from steersman.backends.metrics.tally import Tally
from steersman.core.influence import Gate, Mode, withheld_by
from steersman.core.values import Decision, Outcome, OutcomeKind

MAX_SERIES = 2_000
REFRESH_S = 5.0
_SILENT = 10_000
_OTHER = "other"
_FAILED = "guard failed"

_DECIDED = "steersman_decisions_total"
_OVERRIDDEN = "steersman_overridden_decisions_total"
_LEARNED = "steersman_outcomes_learned_total"
_SUCCESS = "steersman_successes_total"
_COSTED = "steersman_costed_outcomes_total"
_COST = "steersman_cost_total"
_REFUND = "steersman_cost_refunds_total"
_JUDGED = "steersman_judged_blocks_total"
_FALSE = "steersman_false_blocks_total"
_OUTCOMES = {each: f"steersman_outcomes_total {each}" for each in ("corrected", *get_args(OutcomeKind))}
_REQUESTS = "steersman_http_request_duration_seconds"
_LATENCY = "steersman_decision_latency_seconds"
_STEPS = "steersman_episode_steps"

_Series = tuple[str, str, str, str, bool]


class PrometheusMeter:
    """Implements `core.ports.Meter`. One for each tenant, in each process.

    The tallies of at most `max_series` combinations of agent, version, stage and arm are kept; what comes after counts under
    the agent "other".
    """

    def __init__(
        self, tenant: str = "default", *, max_series: int = MAX_SERIES, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._instruments = Instruments(tenant)
        self._max_series = max_series
        self._timer = timer
        self._tallies: dict[_Series, Tally] = {}
        self._guards: dict[tuple[str, str, bool], int] = {}
        self._gates: dict[tuple[str, Mode, Gate], int] = {}
        self._recent: dict[str, Recent] = {}
        self._ranges: dict[str, tuple[float, float]] = {}
        self._silent: dict[str, None] = {}
        self._requests: dict[tuple[str, str], Buckets] = {}
        self._folded = 0
        self._bus = BusMeter(self._instruments)
        self._lock = threading.Lock()
        self._telling = threading.Lock()
        self._observed_at = float("-inf")
        self._instruments.gauge("steersman_build_info", {"release": version("steersman")}).set(1)

    def decided(self, decision: Decision) -> None:
        """Count a decision."""
        with self._lock:
            tally = self._of(decision)
            tally.count(_DECIDED)
            tally.observe(_LATENCY, decision.latency_us * 1e-6)
            if decision.arm == "champion":
                tally.recent.append((decision.values, decision.executed))
            if decision.overridden:
                tally.count(_OVERRIDDEN)
            if decision.refusals:
                self._refused(decision)
            gate = withheld_by(decision.reason)
            if gate is not None:
                self._withheld(decision, gate)

    def recorded(self, decision: Decision, outcome: Outcome) -> None:
        """Count an outcome. Rewards, costs and blocks count as first reported: a counter cannot take anything back."""
        with self._lock:
            tally = self._of(decision)
            first = self._is_first(outcome)
            corrected = outcome.kind == "reported" and not first
            tally.count(_OUTCOMES["corrected" if corrected else outcome.kind])
            if first:
                self._judge(tally, outcome)
            if not outcome.revision and (outcome.terminated or outcome.truncated):
                tally.observe(_STEPS, decision.step + 1)

    def learned(self, decision: Decision, outcome: Outcome) -> None:
        """Count an outcome that this process has learned."""
        with self._lock:
            self._of(decision).count(_LEARNED)

    def served(self, operation: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        key = (operation, f"{status // 100}xx")
        found = self._requests.get(key)
        if found is None:
            if len(self._requests) >= self._max_series:
                key = (_OTHER, key[1])
            labels = {"operation": key[0], "status": key[1]}
            found = self._requests[key] = self._instruments.histogram(_REQUESTS, labels)
        found.observe(seconds)

    def observe(self, steersman: Steered) -> None:
        """Read anew what is computed from the agents and their store; at most every five seconds, whoever asks how often.

        To be called every few seconds in each process, and before `exposition`. The first call tells the ranges of rewards,
        which wait for it.
        """
        with self._telling:
            if self._timer() - self._observed_at >= REFRESH_S:
                self._observed_at = self._timer()
                self._read_ranges(steersman)
                self._read_gauges(steersman)
            self._bus.tell(steersman.consumed, steersman.announcer)
            self._tell()

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """Return the text of all metrics and its content type, in the format that an Accept header asks for."""
        with self._telling:
            self._tell()
        return self._instruments.exposition(accept)

    def _of(self, decision: Decision) -> Tally:
        drawn = 0.0 < decision.arm_probability < 1.0
        key = (decision.agent, decision.policy, decision.stage, decision.arm, drawn)
        return self._tallies.get(key) or self._begin(key)

    def _begin(self, key: _Series) -> Tally:
        if len(self._tallies) >= self._max_series:
            self._folded += 1
            key = (_OTHER, _OTHER, *key[2:])
        found = self._tallies.get(key)
        if found is None:
            agent, policy, stage, arm, drawn = key
            labels = {"agent": agent, "version": policy, "stage": stage, "arm": arm, "drawn": str(drawn).lower()}
            found = self._tallies[key] = Tally(labels, self._recent.setdefault(agent, Recent()))
            if agent in self._ranges:
                found.scale(*self._ranges[agent])
            for each in (_OVERRIDDEN, _LEARNED):
                found.count(each, 0.0)  # a rate sees the first event only where there was a 0 before it
        return found

    def _refused(self, decision: Decision) -> None:
        for guard, failed in {(each.guard, each.reason.startswith(_FAILED)) for each in decision.refusals}:
            key = (decision.agent, guard, failed)
            if key not in self._guards and len(self._guards) >= self._max_series:
                key = (_OTHER, _OTHER, failed)
            self._guards[key] = self._guards.get(key, 0) + 1

    def _withheld(self, decision: Decision, gate: Gate) -> None:
        key = (decision.agent, decision.mode, gate)
        if key not in self._gates and len(self._gates) >= self._max_series:
            key = (_OTHER, decision.mode, gate)
        self._gates[key] = self._gates.get(key, 0) + 1

    def _is_first(self, outcome: Outcome) -> bool:
        """Return whether this is the first word on a decision, or the first after a silence that earned nothing.

        Of a silence that another process recorded nothing is known here: what is reported after it counts as a correction.
        """
        if outcome.revision:
            return self._silent.pop(outcome.decision_id, self) is None
        if outcome.kind == "expired" and outcome.reward is None:
            self._silent[outcome.decision_id] = None
            if len(self._silent) > _SILENT:
                del self._silent[next(iter(self._silent))]
        return True

    @staticmethod
    def _judge(tally: Tally, outcome: Outcome) -> None:
        if outcome.reward is not None:
            tally.reward(outcome.reward)
        if outcome.success:
            tally.count(_SUCCESS)
        if outcome.cost is not None:
            tally.count(_COSTED)
            tally.count(_COST, max(outcome.cost, 0.0))
            tally.count(_REFUND, max(-outcome.cost, 0.0))
        if outcome.false_block is not None:
            tally.count(_JUDGED)
            if outcome.false_block:
                tally.count(_FALSE)

    def _tell(self) -> None:
        """Move what was counted into the instruments."""
        with self._lock:
            taken = [each for tally in self._tallies.values() if (each := tally.take()) is not None]
            guards, self._guards = self._guards, dict.fromkeys(self._guards, 0)
            gates, self._gates = self._gates, dict.fromkeys(self._gates, 0)
            folded, self._folded = self._folded, 0
        for each in taken:
            each.move(self._instruments)
        for (agent, guard, failed), count in guards.items():
            name = "steersman_guard_failures_total" if failed else "steersman_guard_refusals_total"
            self._instruments.counter(name, {"agent": agent, "guard": guard}).inc(count)
        for (agent, mode, gate), count in gates.items():
            labels = {"agent": agent, "mode": mode, "reason": gate}
            self._instruments.counter("steersman_influence_total", labels).inc(count)
        self._instruments.counter("steersman_series_folded_total", {}).inc(folded)

    def _read_gauges(self, steersman: Steered) -> None:
        with self._lock:
            recent = dict(self._recent)
        for name, labels, value in gauges(steersman, recent):
            self._instruments.gauge(name, labels).set(value)
        resident = _resident_bytes()
        if resident:
            self._instruments.gauge("steersman_memory_bytes", {}).set(resident)

    def _read_ranges(self, steersman: Steered) -> None:
        new = [name for name in steersman.catalog.names() if name not in self._ranges]
        for name in new:
            reward = steersman.catalog.agent(name).reward
            self._ranges[name] = (reward.low, reward.high)
        with self._lock:
            for key, tally in self._tallies.items():
                if key[0] in new:
                    tally.scale(*self._ranges[key[0]])


def _resident_bytes() -> float:
    """Return the resident memory of this process, 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0
