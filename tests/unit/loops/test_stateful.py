"""P4: order does not matter where it must not. Reports in any order, against a small model written independently."""

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from steersman.app import Steersman
from steersman.core.errors import Conflict, NotFound
from steersman.testing.specs import small_agent

LOADS = st.sampled_from([5.0, 30.0, 60.0])
REWARDS = st.sampled_from([-1.0, -0.25, 0.0, 0.5, 1.0])
ACTIONS = ("rest", "light", "steady", "heavy")
ALPHA = 0.1


class Reports(RuleBasedStateMachine):
    """The model keeps, for each decision in the order of first reports, the last word about it; values follow from that."""

    decisions = Bundle("decisions")
    store = "memory:"

    def __init__(self) -> None:
        super().__init__()
        self.steersman = Steersman.open(self.store, settings={}, clock=lambda: 1_000.0)
        self.agent = self.steersman.agent(small_agent())
        self.model: dict[str, tuple[float, str, float | None]] = {}
        self.refused = 0

    @rule(target=decisions, load=LOADS)
    def decide(self, load: float) -> Any:
        return self.agent.decide({"load": load, "backlog": 5.0, "weekend": False})

    @rule(decision=decisions, reward=REWARDS, by_id=st.booleans())
    def report(self, decision: Any, reward: float, by_id: bool) -> None:
        """First, duplicate or conflicting, by object or by id, in any order."""
        known = self.model.get(decision.id)
        subject = decision.id if by_id else decision
        if known is not None and known[2] != reward:
            with pytest.raises(Conflict):
                self.agent.report(subject, {"reward": reward})
            self.refused += 1
            return
        self.agent.report(subject, {"reward": reward})
        self.model.setdefault(decision.id, (decision.state["load"], str(decision.choice), reward))

    @rule(decision=decisions, reward=REWARDS)
    def correct(self, decision: Any, reward: float) -> None:
        self.agent.report(decision, {"reward": reward}, correct=True)
        load, action, _ = self.model.get(decision.id, (decision.state["load"], str(decision.choice), None))
        self.model[decision.id] = (load, action, reward)

    @rule(decision=decisions)
    def withdraw(self, decision: Any) -> None:
        if decision.id not in self.model:
            with pytest.raises(NotFound):
                self.agent.withdraw(decision)
            return
        self.agent.withdraw(decision)
        load, action, _ = self.model[decision.id]
        self.model[decision.id] = (load, action, None)

    @rule(target=decisions, decision=consumes(decisions))
    def forget_and_look_up(self, decision: Any) -> Any:
        """The decision falls out of memory and comes back from the log."""
        self.agent._runtime.open.pop(decision.id, None)
        return self.steersman.log.decision(decision.id) or multiple()

    @rule(name=st.uuids())
    def report_unknown(self, name: Any) -> None:
        with pytest.raises(NotFound):
            self.agent.report(str(name), {"reward": 0.0})

    @invariant()
    def values_follow_from_the_last_words(self) -> None:
        expected: dict[tuple[int, str], tuple[float, int]] = {}
        for load, action, reward in self.model.values():
            if reward is None:
                continue
            key = (sum(load >= edge for edge in (20, 50, 80)), action)
            value, visits = expected.get(key, (0.0, 0))
            expected[key] = (value + ALPHA * (reward - value), visits + 1)
        table = self.agent._runtime.fold.table
        found: dict[tuple[int, str], tuple[float, int]] = {}
        for name, row in table.rows.items():
            for slot, action in enumerate(ACTIONS):
                if table.visits[row, slot]:
                    where = (table.bins[name]["load"], action)
                    found[where] = (float(table.value[row, slot]), int(table.visits[row, slot]))
        assert found.keys() == expected.keys()
        for key, (value, visits) in expected.items():
            assert found[key][1] == visits
            assert math.isclose(found[key][0], value, abs_tol=1e-12)

    @invariant()
    def refusals_are_audited(self) -> None:
        assert sum(each.event == "outcome refused" for each in self.steersman.log.audit(10_000)) == self.refused

    def teardown(self) -> None:
        self.steersman.close()


TestReports = Reports.TestCase
TestReports.settings = settings(
    max_examples=150, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
