"""The meter counts what happens, once, quickly, and shows it by the conventions of Prometheus."""

import math
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from steersman.app import Steersman
from steersman.app.announcing import Announcer
from steersman.backends.memory import MemoryBus
from steersman.backends.metrics.prometheus import PrometheusMeter
from steersman.backends.metrics.recent import KEPT, Recent
from steersman.backends.metrics.table import METRICS
from steersman.core.agent import AgentSpec
from steersman.core.errors import NotFound
from steersman.core.guards import Guard, Refusal
from steersman.core.influence import GATES, KILLED, MODES, Mode, reason
from steersman.core.reward import Measurement, Reward
from steersman.core.values import Decision, Outcome, Refused
from steersman.loops.consume import Tally
from steersman.testing.log_rows import decision, outcome
from steersman.testing.specs import small_agent

PROMTOOL = shutil.which("promtool")
CALLS = 32
Samples = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]


class Catalog:
    """One definition."""

    def __init__(self, spec: AgentSpec) -> None:
        self._spec = spec

    def names(self) -> list[str]:
        return [self._spec.name]

    def agent(self, name: str) -> AgentSpec:
        return self._spec


class Known:
    """A stand-in for a store whose agent is known, and cannot be put together."""

    consumed = announcer = None

    def __init__(self, spec: AgentSpec) -> None:
        self.catalog = Catalog(spec)
        self.log: Any = Silent()

    def agent(self, agent: str) -> Any:
        raise NotFound(agent)


class Silent:
    """A log in which nothing has happened."""

    def health(self) -> str:
        return ""

    def agents(self) -> list[str]:
        return []

    def controls(self) -> list[Any]:
        return []


def named(reward: tuple[float, float] = (-1.0, 1.0)) -> Known:
    """Return a store that knows the agent of the rows, with a reward range."""
    spec = small_agent()
    return Known(
        AgentSpec(
            name="qe/tester",
            description="Tests.",
            state=spec.state,
            actions=spec.actions,
            reward=Reward.plain(*reward),
            baseline=spec.baseline,
            safe_action="rest",
        )
    )


@pytest.fixture
def meter() -> PrometheusMeter:
    """Return a meter that knows the range of rewards."""
    made = PrometheusMeter()
    made.observe(named())
    return made


def shown(meter: PrometheusMeter) -> Samples:
    """Return what is exposed: values by name and labels, those of tenant, version and (of decisions) stage left out."""
    text = meter.exposition()[0].decode()
    return {
        (
            sample.name,
            tuple(sorted(each for each in sample.labels.items() if each[0] not in hidden(family.name))),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def hidden(name: str) -> set[str]:
    """Return the labels that a test does not look at."""
    return {"tenant", "version"} if name == "steersman_release_stage" else {"tenant", "version", "stage"}


def value(meter: PrometheusMeter, name: str, **labels: str) -> float | None:
    """Return a sample's value, that of the agent of the rows unless another is named; None if it is absent."""
    given = labels if name.endswith(("_info", "_writing", "folded_total")) else {"agent": "qe/tester", **labels}
    return shown(meter).get((f"steersman_{name}", tuple(sorted(given.items()))))


ARM = {"arm": "champion", "drawn": "true"}


def test_decisions_and_their_time_are_counted(meter: PrometheusMeter) -> None:
    for latency_us in (50.0, 300.0, 99_000.0, 100_000.0, 2_000_000.0):
        meter.decided(replace(decision(), latency_us=latency_us))
    assert value(meter, "decisions_total", arm="champion") == 5
    assert value(meter, "decision_latency_seconds_count") == 5
    assert value(meter, "decision_latency_seconds_sum") == pytest.approx(2.19935)
    assert value(meter, "decision_latency_seconds_bucket", le="0.0001") == 1
    assert value(meter, "decision_latency_seconds_bucket", le="0.1") == 4
    assert value(meter, "decision_latency_seconds_bucket", le="+Inf") == 5


def test_a_negative_reward_is_a_share_of_the_range(meter: PrometheusMeter) -> None:
    made = decision()
    for reward in (-1.0, -0.5, 0.5):
        meter.recorded(made, outcome(made, reward=reward))
    assert value(meter, "reward_ratio_count", **ARM) == 3
    assert value(meter, "reward_ratio_sum", **ARM) == pytest.approx(0.0 + 0.25 + 0.75)
    assert value(meter, "reward_ratio_bucket", **ARM, le="0.0") == 1
    assert value(meter, "reward_ratio_bucket", **ARM, le="0.3") == 2


def test_rewards_wait_until_their_range_is_known() -> None:
    meter = PrometheusMeter()
    made = decision()
    meter.recorded(made, outcome(made, reward=0.5))
    assert value(meter, "reward_ratio_count", **ARM) is None
    assert value(meter, "outcomes_total", kind="reported") == 1
    meter.observe(named())
    assert value(meter, "reward_ratio_count", **ARM) == 1
    assert value(meter, "reward_ratio_sum", **ARM) == pytest.approx(0.75)


def test_a_correction_is_told_and_counts_no_reward(meter: PrometheusMeter) -> None:
    made = decision()
    meter.recorded(made, outcome(made))
    meter.recorded(made, outcome(made, revision=1, reward=-0.5))
    meter.recorded(made, replace(outcome(made, revision=2, reward=None), kind="withdrawn"))
    assert value(meter, "reward_ratio_count", **ARM) == 1
    assert [value(meter, "outcomes_total", kind=each) for each in ("reported", "corrected", "withdrawn")] == [1, 1, 1]


def test_a_reward_that_comes_after_silence_counts(meter: PrometheusMeter) -> None:
    made = decision()
    meter.recorded(made, replace(outcome(made, reward=None), kind="expired"))
    meter.recorded(made, outcome(made, revision=1))
    meter.recorded(made, outcome(made, revision=2))
    assert value(meter, "reward_ratio_count", **ARM) == 1
    assert [value(meter, "outcomes_total", kind=each) for each in ("expired", "reported", "corrected")] == [1, 1, 1]


def test_successes_costs_and_blocks_are_counted(meter: PrometheusMeter) -> None:
    made = decision()
    for success, cost, wrong in ((True, 2.0, True), (False, 0.5, False), (None, -1.0, None)):
        meter.recorded(made, replace(outcome(made), success=success, cost=cost, false_block=wrong))
    assert value(meter, "successes_total", **ARM) == 1
    assert value(meter, "costed_outcomes_total", **ARM) == 3
    assert value(meter, "cost_total", **ARM) == 2.5
    assert value(meter, "cost_refunds_total", **ARM) == 1.0
    assert (value(meter, "judged_blocks_total"), value(meter, "false_blocks_total")) == (2, 1)


def test_an_arm_that_was_not_drawn_stays_apart(meter: PrometheusMeter) -> None:
    made = replace(decision(), arm_probability=1.0)
    meter.recorded(made, outcome(made))
    assert value(meter, "reward_ratio_count", arm="champion", drawn="false") == 1
    assert value(meter, "reward_ratio_count", **ARM) is None


def test_a_guard_counts_once_for_each_decision_and_failures_apart(meter: PrometheusMeter) -> None:
    refused = (
        Refused(where={"workers": 4}, guard="cores", reason="too many"),
        Refused(where={"workers": 8}, guard="cores", reason="too many"),
        Refused(where={}, guard="budget", reason="guard failed and denies: OSError: gone"),
    )
    meter.decided(replace(decision(), refusals=refused, overridden=True))
    meter.decided(decision())
    assert value(meter, "guard_refusals_total", guard="cores") == 1
    assert value(meter, "guard_failures_total", guard="budget") == 1
    assert value(meter, "guard_refusals_total", guard="budget") is None
    assert value(meter, "overridden_decisions_total") == 1


def test_episodes_have_a_length(meter: PrometheusMeter) -> None:
    for step in (0, 4):
        made = replace(decision(), step=step)
        meter.recorded(made, outcome(made))
    assert value(meter, "episode_steps_sum") == 6
    assert value(meter, "episode_steps_bucket", le="2.0") == 1


def test_too_many_series_count_under_another_name() -> None:
    meter = PrometheusMeter(max_series=2)
    for number in range(4):
        meter.decided(decision(agent=f"lab/a{number}"))
    assert value(meter, "decisions_total", agent="lab/a1", arm="champion") == 1
    assert value(meter, "decisions_total", agent="other", arm="champion") == 2
    assert value(meter, "series_folded_total") == 2


def test_nothing_is_lost_between_threads_and_a_scraper(meter: PrometheusMeter) -> None:
    made = decision()

    def work() -> None:
        for _ in range(5_000):
            meter.decided(made)
            meter.learned(made, outcome(made))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    while any(each.is_alive() for each in threads):
        meter.exposition()
    assert value(meter, "decisions_total", arm="champion") == 20_000
    assert value(meter, "decision_latency_seconds_count") == 20_000
    assert value(meter, "outcomes_learned_total") == 20_000


def calls(work: Any, *arguments: Any) -> int:
    """Return how many functions a call runs once its series are there, C's among them: the same on any machine."""
    work(*arguments)
    counted = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        work(*arguments)
    finally:
        sys.setprofile(None)
    return counted


def test_counting_is_quick(meter: PrometheusMeter) -> None:
    made = decision()
    full = replace(outcome(made), success=True, cost=2.0, false_block=True)
    assert calls(meter.decided, made) <= CALLS
    assert calls(meter.recorded, made, full) <= CALLS
    assert calls(meter.learned, made, full) <= CALLS


def test_the_gap_of_a_factored_space_is_the_least_of_its_dimensions() -> None:
    recent = Recent()
    recent.append(((0.1, 0.5, 0.9, 0.3), {"a": 1, "b": 1}))  # by 0.4 in the first dimension, by 0.6 in the second
    recent.append(((0.0, 0.0, 0.0, 0.0), {"a": 1, "b": 1}))
    assert recent.gap([2, 2]) == pytest.approx(0.2)
    assert recent.gap([3, 2]) is None  # of another space
    assert Recent().gap([2, 2]) is None


def test_entropy_is_one_for_all_alike_and_zero_for_always_the_same() -> None:
    recent = Recent()
    assert recent.entropy(4) is None
    recent.extend([((), {"a": "x"})] * 10)
    assert recent.entropy(4) == 0.0
    recent.extend([((), {"a": "y"})] * 10)
    assert recent.entropy(4) == pytest.approx(0.5)  # ln 2 / ln 4
    assert recent.entropy(1) is None
    recent.extend([((), {"a": "x"})] * KEPT)
    assert len(recent) == KEPT


ASLEEP = threading.Event()


def costly(state: Any) -> list[Refusal]:
    """Refuse the heaviest action where the load is high, unless it is asleep."""
    high = float(state["load"]) >= 80 and not ASLEEP.is_set()
    return [Refusal(where={"action": "heavy"}, reason="the load is high")] if high else []


GUARD = Guard(name="load", refuse=costly, deadline_ms=2_000, probe={"load": 95, "backlog": 0, "weekend": False})


@pytest.fixture
def steersman() -> Iterator[Steersman]:
    """Open a store with an agent that names all that can be measured."""
    spec = small_agent(guards=(GUARD,))
    measured = (*spec.reward.measurements, Measurement(name="cost"), Measurement(name="wrong"))
    reward = Reward(measurements=measured, components=spec.reward.components, low=-1.0, high=1.0)
    whole = AgentSpec(
        name="lab/whole",
        description="For tests.",
        state=spec.state,
        actions=spec.actions,
        reward=reward,
        baseline=spec.baseline,
        safe_action="rest",
        guards=(GUARD,),
        settings={
            "learning": {"gamma": 0.0},
            "convergence": {"window_outcomes": 20, "windows": 3},
            "monitoring": {"drift_reference": 100, "drift_window": 100},
        },
        cost="cost",
        false_block="wrong",
    )
    with Steersman.open("memory:", agents=[whole], settings={}) as opened:
        yield opened


def run(steersman: Steersman, meter: PrometheusMeter, count: int) -> None:
    """Decide, report and learn, and tell the meter."""
    agent = steersman.agent("lab/whole")
    for number in range(count):
        made: Decision = agent.decide({"load": (number * 37) % 100, "backlog": number % 200, "weekend": False})
        agent.report(made, {"reward": 0.4 + 0.1 * (number % 3), "cost": 1.0, "wrong": number % 2}, terminated=True).wait(10)
        said: Outcome = steersman.outcomes(made.id)[-1]
        meter.decided(made)
        meter.recorded(made, said)
        meter.learned(made, said)


def with_everything(steersman: Steersman) -> PrometheusMeter:
    """Return a meter to which everything has happened that there is a metric for."""
    now = iter(range(0, 1_000, 10))
    meter = PrometheusMeter(timer=lambda: float(next(now)))
    meter.observe(steersman)
    run(steersman, meter, 200)
    release = steersman.agent("lab/whole").release
    judged = release.evaluate(actor="ada")
    release.rollback("baseline", actor="ada")
    release.rollback(judged.version, actor="ada")
    meter.decided(replace(decision(agent="lab/whole"), refusals=(Refused(where={}, guard="x", reason="guard failed …"),)))
    meter.decided(replace(decision(agent="lab/whole"), mode="off", reason=reason("off", "the rule decides")))
    meter.served("decide", 200, 0.004)
    steersman.consumed = Tally(
        events=Counter({("job.queued", "done"): 2}), dead=Counter({"misfit": 1}), redelivered=1, waiting=4
    )
    steersman.announcer = Announcer(MemoryBus, "news", queue=1, keep_s=60.0)
    meter.observe(steersman)
    return meter


@pytest.fixture
def everything(steersman: Steersman) -> str:
    """Return the exposition of a meter to which everything has happened."""
    return with_everything(steersman).exposition()[0].decode()


def test_every_metric_of_the_table_is_exposed_with_its_help(everything: str) -> None:
    families = {each.name: each for each in text_string_to_metric_families(everything)}
    for each in METRICS:
        found = families[each.name.removesuffix("_total")]
        assert (found.documentation, found.type) == (each.help, each.kind)
        assert {*found.samples[0].labels} - {"le"} == {*each.labels}
    assert len(families) == len(METRICS)


def test_what_the_learned_policy_was_kept_from_counts_by_mode_and_reason(steersman: Steersman) -> None:
    said: dict[str, tuple[Mode, str]] = {each: (each if each in MODES else "live", reason(each, "…")) for each in GATES}
    said["kill"] = ("live", f"{KILLED} of '*' by ann: it smokes")
    meter = PrometheusMeter()
    for mode, why in [*said.values(), *said.values(), ("live", "learned values"), ("live", "influence of the moon: none")]:
        meter.decided(replace(decision(agent="lab/whole"), mode=mode, reason=why))
    found = next(
        each for each in text_string_to_metric_families(meter.exposition()[0].decode()) if each.name == "steersman_influence"
    )
    counted = {(each.labels["mode"], each.labels["reason"]): each.value for each in found.samples}
    assert counted == {(mode, gate): 2.0 for gate, (mode, _) in said.items()}


def test_what_a_consumer_counts_goes_up_by_what_is_new(steersman: Steersman) -> None:
    now = iter(range(0, 1_000, 10))
    meter = PrometheusMeter(timer=lambda: float(next(now)))
    tally = steersman.consumed = Tally(events=Counter({("job.queued", "done"): 2}), working=False)
    for count in (2, 2, 5):
        tally.events["job.queued", "done"] = count
        meter.observe(steersman)
        line = f'steersman_bus_events_total{{result="done",tenant="default",type="job.queued"}} {count:.1f}'
        assert line in meter.exposition()[0].decode()
    assert 'steersman_bus_working{tenant="default"} 0.0' in meter.exposition()[0].decode()


def test_nothing_exposed_is_no_number(everything: str) -> None:
    values = [each.value for family in text_string_to_metric_families(everything) for each in family.samples]
    assert [each for each in values if not math.isfinite(each)] == []


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: apt install prometheus)")
def test_promtool_finds_nothing_to_lint(everything: str) -> None:
    done = subprocess.run([str(PROMTOOL), "check", "metrics"], input=everything, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_gauges_are_read_from_agents(steersman: Steersman) -> None:
    now = iter(range(0, 1_000, 10))
    meter = PrometheusMeter(timer=lambda: float(next(now)))
    meter.observe(steersman)
    assert "learning_state" not in meter.exposition()[0].decode()
    run(steersman, meter, 200)
    meter.observe(steersman)
    told = steersman.agent("lab/whole").diagnose()
    labels = {"agent": "lab/whole"}
    assert value(meter, "states_seen", **labels) == told.states_seen
    assert value(meter, "exploration_ratio", **labels) == told.epsilon
    assert value(meter, "learning_state", **labels, verdict=told.convergence.verdict) == 1
    assert value(meter, "learning_bias_ratio", **labels) == told.convergence.measures[0].value
    assert (value(meter, "reward_low", **labels), value(meter, "reward_high", **labels)) == (-1.0, 1.0)
    assert value(meter, "controls_active", **labels, kind="kill") == 0
    steersman.kill("lab", actor="a test")
    meter.observe(steersman)
    assert value(meter, "controls_active", **labels, kind="kill") == 1


def test_releases_are_told_while_they_go_on_and_after(steersman: Steersman) -> None:
    now = iter(range(0, 1_000, 10))
    meter, labels = PrometheusMeter(timer=lambda: float(next(now))), {"agent": "lab/whole"}
    run(steersman, meter, 200)
    meter.observe(steersman)
    assert value(meter, "release_number", **labels) == 0
    assert value(meter, "release_stage", **labels, stage="full") == 1
    assert value(meter, "last_rollback_timestamp_seconds", **labels) is None
    assert value(meter, "evaluation_value", **labels, policy="candidate") is None
    release = steersman.agent("lab/whole").release
    release.rollback("baseline", actor="ada")
    release.start(actor="ada", plan="30% 1h", despite="a test")
    release.hold(actor="ada", reason="a test")
    meter.observe(steersman)
    assert [value(meter, f"release_{each}", **labels) for each in ("number", "held", "share_ratio")] == [3, 1, 0.3]
    assert value(meter, "release_stage", **labels, stage="canary") == 1
    assert value(meter, "release_harm_evidence", **labels) == 1.0
    assert value(meter, "rollbacks", **labels) == 0  # the first move led back from nothing
    [judged] = release.judgements()
    standing = judged.body["evaluation"]["standings"]["baseline"]
    estimate = standing["estimates"][judged.body["evaluation"]["estimator"]]
    for each in ("value", "low", "high"):
        assert value(meter, f"evaluation_{each}", **labels, policy="baseline") == estimate[each]
    assert value(meter, "evaluation_effective_outcomes", **labels, policy="baseline") == standing["effective"]
    back = release.rollback(actor="ada")
    meter.observe(steersman)
    assert value(meter, "last_rollback_timestamp_seconds", **labels) == pytest.approx(back.at)
    assert [value(meter, f"release_{each}", **labels) for each in ("number", "held", "share_ratio")] == [4, 0, 0]
    assert (value(meter, "release_stage", **labels, stage="canary"), value(meter, "rollbacks", **labels)) == (0, 1)


def test_drift_is_that_of_what_drifts_most(steersman: Steersman) -> None:
    now = iter(range(0, 1_000, 10))
    meter = PrometheusMeter(timer=lambda: float(next(now)))
    run(steersman, meter, 200)
    meter.observe(steersman)
    psi = [each.psi for each in steersman.agent("lab/whole").drift() if each.of == "feature"]
    assert len(psi) == 3
    assert value(meter, "drift_psi", agent="lab/whole", of="feature") == max(psi)


def test_what_is_not_known_is_absent(steersman: Steersman) -> None:
    meter = PrometheusMeter()
    run(steersman, meter, 3)
    meter.observe(steersman)
    text = meter.exposition()[0].decode()
    for name in ("learning_bias_ratio", "guard_failures_total", "false_blocks_total{} 0"):
        assert f"steersman_{name}" not in text


def test_a_store_that_does_not_write_is_told() -> None:
    meter, known = PrometheusMeter(), named()
    known.log.health = lambda: "the disk is full"
    meter.observe(known)
    assert value(meter, "log_writing") == 0


def test_gauges_are_read_at_most_every_five_seconds() -> None:
    meter, known = PrometheusMeter(), named()
    asked: list[str] = []

    def health() -> str:
        asked.append("again")
        return ""

    known.log.health = health
    for _ in range(3):
        meter.observe(known)
    assert len(asked) == 1


def test_requests_are_counted_by_class_and_under_one_name_when_there_are_too_many() -> None:
    meter = PrometheusMeter(max_series=2)
    for operation, status in (("decide", 200), ("decide", 404), ("forged1", 200), ("forged2", 200), ("decide", 204)):
        meter.served(operation, status, 0.01)
    counts = {key[1]: count for key, count in shown(meter).items() if key[0].endswith("duration_seconds_count")}
    assert counts == {
        (("operation", "decide"), ("status", "2xx")): 2,
        (("operation", "decide"), ("status", "4xx")): 1,
        (("operation", "other"), ("status", "2xx")): 2,
    }


def test_a_dead_guard_is_told(steersman: Steersman) -> None:
    now = iter(range(0, 1_000, 10))
    meter = PrometheusMeter(timer=lambda: float(next(now)))
    run(steersman, meter, 1)
    meter.observe(steersman)
    assert value(meter, "guard_alive", agent="lab/whole", guard="load") == 1
    ASLEEP.set()
    try:
        meter.observe(steersman)
    finally:
        ASLEEP.clear()
    assert value(meter, "guard_alive", agent="lab/whole", guard="load") == 0


def test_open_metrics_is_spoken_to_who_asks_for_it(meter: PrometheusMeter) -> None:
    plain, plain_type = meter.exposition()
    text, content_type = meter.exposition("application/openmetrics-text; version=1.0.0")
    assert plain_type.startswith("text/plain; version=0.0.4")
    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")
    assert not plain.endswith(b"# EOF\n")
