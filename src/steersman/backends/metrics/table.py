"""The table of all metrics: what is exposed, what rules and dashboards may ask for, and what docs/monitoring.md says.

Names and units follow the conventions of Prometheus: base units, `_total` for what only rises, `_ratio` for shares.
Rewards may be negative, and a counter or the sum of a histogram may not fall: so a reward is counted as its *share of the
declared range*, (reward - low) / (high - low), which lies in [0, 1] for every agent. The range is there as two gauges.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]
Mode = Literal["", "livemostrecent", "livemin", "livemax", "livesum"]

OF_SERIES = ("tenant", "agent", "version", "stage")
"""The labels of what decisions and outcomes count: `version` is that of the policy."""
OF_ARMS = (*OF_SERIES, "arm", "drawn")
"""… where arms are compared. `drawn` is "true" where chance chose the arm: only these can be compared fairly."""
OF_AGENT = ("tenant", "agent")

SLO_S = 0.1
"""A decision is quick if it takes at most this long; a bucket ends here."""
_SECONDS = (0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, SLO_S, 0.25, 1.0)
_REQUEST_SECONDS = (0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, SLO_S, 0.25, 0.5, 1.0, 2.5, 10.0)
_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_STEPS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 500.0)


@dataclass(frozen=True, kw_only=True)
class Definition:
    """One metric. `measure` is its number in the catalogue of what is monitored ("" for what goes beside it).

    mode: how several processes behind one socket add up to one gauge; "" for what is no gauge.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]
    measure: str = ""
    buckets: tuple[float, ...] = ()
    mode: Mode = ""

    @property
    def series(self) -> tuple[str, ...]:
        """The names under which Prometheus keeps it."""
        if self.kind == "histogram":
            return tuple(f"{self.name}_{each}" for each in ("bucket", "count", "sum"))
        return (self.name,)


def _counter(name: str, labels: tuple[str, ...], text: str, measure: str = "") -> Definition:
    return Definition(name=f"steersman_{name}", kind="counter", help=text, labels=labels, measure=measure)


def _gauge(name: str, labels: tuple[str, ...], text: str, measure: str = "", mode: Mode = "livemostrecent") -> Definition:
    return Definition(name=f"steersman_{name}", kind="gauge", help=text, labels=labels, measure=measure, mode=mode)


def _histogram(name: str, labels: tuple[str, ...], text: str, measure: str, buckets: tuple[float, ...]) -> Definition:
    return Definition(name=f"steersman_{name}", kind="histogram", help=text, labels=labels, measure=measure, buckets=buckets)


METRICS: tuple[Definition, ...] = (
    _counter("decisions_total", (*OF_SERIES, "arm"), "Decisions made, by the arm that decided."),
    _histogram(
        "reward_ratio",
        OF_ARMS,
        "Rewards as shares of the agent's declared range; as first reported, corrections left out.",
        "M1",
        _SHARES,
    ),
    _gauge("reward_low", OF_AGENT, "Lower end of the agent's declared reward range.", "M1"),
    _gauge("reward_high", OF_AGENT, "Upper end of the agent's declared reward range.", "M1"),
    _counter("successes_total", OF_ARMS, "Outcomes whose reward reached the agent's success_reward.", "M2"),
    _gauge(
        "value_gap_ratio",
        OF_AGENT,
        "How much better the best action was held than the second best, over recent decisions, in reward ranges.",
        "M3",
    ),
    _gauge("policy_changes_ratio", OF_AGENT, "Share of updates that made another action the best.", "M3"),
    _gauge(
        "action_entropy_ratio",
        OF_AGENT,
        "Entropy of the actions that the champion took lately: 1 for all alike, 0 for always the same.",
        "M4",
    ),
    _counter("overridden_decisions_total", OF_SERIES, "Decisions in which guards refused what would have been best.", "M5"),
    _counter(
        "influence_total",
        (*OF_AGENT, "mode", "reason"),
        "Decisions that the learned policy was kept from, by its mode and by why: the mode, a limit, a kill switch.",
    ),
    _counter("guard_refusals_total", (*OF_AGENT, "guard"), "Decisions in which a guard refused something.", "M5"),
    _counter(
        "guard_failures_total", (*OF_AGENT, "guard"), "Decisions in which a guard raised or was late, and denied.", "M5"
    ),
    _gauge(
        "guard_alive",
        (*OF_AGENT, "guard"),
        "Whether a guard refused the state that it declares as its probe; absent for a guard without a probe.",
        "M5",
        "livemin",
    ),
    _histogram(
        "decision_latency_seconds", OF_SERIES, "Time to make a decision, without the way of the request.", "M6", _SECONDS
    ),
    _histogram(
        "http_request_duration_seconds",
        ("tenant", "operation", "status"),
        "Time to answer a request, by operation and class of the status (2xx, 4xx, 5xx).",
        "M6",
        _REQUEST_SECONDS,
    ),
    _counter("cost_total", OF_ARMS, "Costs of outcomes that name one, in the agent's own unit.", "M7"),
    _counter("cost_refunds_total", OF_ARMS, "Costs below zero, with their sign turned; take them off the costs.", "M7"),
    _counter("costed_outcomes_total", OF_ARMS, "Outcomes that name a cost.", "M7"),
    _gauge(
        "learning_bias_ratio",
        OF_AGENT,
        "Training loss: mean signed TD error beyond noise over the last windows, in reward ranges.",
        "M8",
    ),
    _gauge("reward_spread_ratio", OF_AGENT, "Spread of the windows' mean rewards beyond noise, in reward ranges.", "M8"),
    _gauge(
        "learning_state", (*OF_AGENT, "verdict"), "Where learning stands: 1 for the verdict that holds, 0 for others.", "M8"
    ),
    _counter("outcomes_learned_total", OF_SERIES, "Outcomes that were learned.", "M8"),
    _gauge(
        "evaluation_value",
        (*OF_AGENT, "policy"),
        "What a policy would earn by the last evaluation of the log, per decision or episode, in the agent's units.",
        "M9",
    ),
    _gauge("evaluation_low", (*OF_AGENT, "policy"), "Lower end of the estimate's interval.", "M9"),
    _gauge("evaluation_high", (*OF_AGENT, "policy"), "Upper end of the estimate's interval.", "M9"),
    _gauge(
        "evaluation_effective_outcomes",
        (*OF_AGENT, "policy"),
        "Effective sample size of the estimate: outcomes of its own that the log is worth.",
        "M9",
    ),
    _gauge("evaluation_timestamp_seconds", OF_AGENT, "When the last evaluation was made.", "M9"),
    _gauge(
        "drift_psi",
        (*OF_AGENT, "of"),
        "Population stability index of what drifts most: of features, of values at their bounds, of actions.",
        "M10",
    ),
    _gauge(
        "signals",
        (*OF_AGENT, "kind", "level"),
        "Signals that hold now, by kind (drift, reward, error budget) and level.",
        "M10",
    ),
    _histogram("episode_steps", OF_SERIES, "Length of episodes that ended, in decisions.", "M11", _STEPS),
    _counter("judged_blocks_total", OF_SERIES, "Automatic blocks of which it is known whether they were right.", "M12"),
    _counter("false_blocks_total", OF_SERIES, "Automatic blocks that turned out to be wrong.", "M12"),
    _gauge("release_number", OF_AGENT, "Number of the last move of what is in production; 0 before the first."),
    _gauge(
        "release_stage", (*OF_AGENT, "stage"), "1 for the stage of the trial under way, full where none is; 0 for others."
    ),
    _gauge("release_share_ratio", OF_AGENT, "Share of the subjects that a challenger decides for."),
    _gauge(
        "release_harm_evidence",
        OF_AGENT,
        "Largest e-value that the challenger is worse in some metric by more than its margin; 1 where none is tried.",
    ),
    _gauge("release_held", OF_AGENT, "Whether a trial is held, or waits for a person."),
    _gauge("release_sample_mismatch", OF_AGENT, "Whether the sizes of a trial's arms are not those that were drawn."),
    _gauge("rollbacks", OF_AGENT, "Rollbacks among the last 1,000 moves, the one with which releases began left out."),
    _gauge("last_rollback_timestamp_seconds", OF_AGENT, "When something was rolled back last; absent where nothing was."),
    _counter("outcomes_total", (*OF_SERIES, "kind"), "Outcomes logged: reported, expired, withdrawn or corrected."),
    _gauge("exploration_ratio", OF_AGENT, "The exploration rate epsilon."),
    _gauge("states_seen", OF_AGENT, "States in the working table."),
    _gauge("states_possible", OF_AGENT, "States that the agent's schema allows."),
    _gauge("open_episodes", OF_AGENT, "Episodes that have not ended."),
    _gauge(
        "controls_active", (*OF_AGENT, "kind"), "Whether a kill, pin, pause or mode by a person is in force for the agent."
    ),
    _gauge("log_writing", ("tenant",), "Whether the store takes what is logged: 1, or 0 while it does not.", "", "livemin"),
    _counter(
        "bus_events_total",
        ("tenant", "type", "result"),
        "Entries taken from a bus, by the type of the event and what became of it: done, again, ignored, later or dead.",
    ),
    _counter("bus_dead_letters_total", ("tenant", "fault"), "Entries that were put aside, by what is wrong with them."),
    _counter("bus_redelivered_total", ("tenant",), "Entries that the bus had delivered before."),
    _gauge("bus_waiting", ("tenant",), "Entries of the streams that are not acknowledged yet, as counted every 5 s."),
    _gauge(
        "bus_working", ("tenant",), "Whether the consumer works: 1, or 0 while it waits for bus or store.", "", "livemin"
    ),
    _counter("announced_events_total", ("tenant", "result"), "News for the stream that is told: sent, or dropped unsent."),
    _gauge("memory_bytes", ("tenant",), "Resident memory of the service's processes.", "", "livesum"),
    _counter("series_folded_total", ("tenant",), 'Events counted under agent "other", because there are too many series.'),
    _gauge("build_info", ("tenant", "release"), "1, with the release that runs as a label.", "", "livemax"),
)
BY_NAME = {each.name: each for each in METRICS}
