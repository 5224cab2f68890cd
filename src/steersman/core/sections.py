"""The sections of the settings: every field with a sentence, a unit and a range."""

from dataclasses import dataclass

from steersman.core.influence import MODES
from steersman.core.setting import setting as _setting


@dataclass(frozen=True, kw_only=True)
class Learning:
    """How values move toward what was seen."""

    method: str = _setting(
        "q_learning",
        "Learning rule.",
        options=("q_learning", "double_q", "sarsa", "expected_sarsa", "n_step_sarsa", "monte_carlo"),
    )
    alpha: float = _setting(0.1, "Step size; in a factored space at most 1 over the number of dimensions.", low=0, high=1)
    alpha_schedule: str = _setting(
        "constant", "constant, or visits: alpha / (1 + visits / alpha_scale).", options=("constant", "visits")
    )
    alpha_scale: float = _setting(10.0, "Visits after which a falling step size has halved.", unit="visits", low=1e-9)
    alpha_floor: float = _setting(0.01, "Smallest step size of the schedule by visits.", low=0, high=1)
    gamma: float = _setting(0.95, "Discount of later rewards; 0 makes the agent a bandit.", low=0, high=1)
    n_steps: int = _setting(3, "Rewards that n_step_sarsa sums before it bootstraps.", unit="steps", low=1, high=1000)
    initial_value: float = _setting(0.0, "Value of an action before any evidence; must lie in the reward's bounds.")
    planning_steps: int = _setting(
        0, "Updates from a learned model after each outcome (Dyna-Q); 0 plans nothing.", unit="updates", low=0, high=1000
    )
    source_share: float = _setting(
        1.0,
        "Largest share of a value that the outcomes of one source may make up; what it says beyond teaches nothing. 1 sets "
        "no limit. Take at least alpha, and twice an even share, or chance alone silences sources.",
        low=1e-6,
        high=1,
    )


@dataclass(frozen=True, kw_only=True)
class Exploration:
    """How often, and how, something other than the best known action is tried."""

    policy: str = _setting(
        "epsilon_greedy",
        "Rule that turns values into probabilities.",
        options=("greedy", "epsilon_greedy", "softmax", "ucb", "thompson"),
    )
    schedule: str = _setting(
        "exponential",
        "How epsilon falls: by episode, by steps, by mean reward, or by a rising reward threshold (rbed).",
        options=("constant", "exponential", "step", "reward", "rbed"),
    )
    epsilon: float = _setting(0.2, "Share of exploring decisions at the start.", low=0, high=1)
    decay: float = _setting(0.995, "Factor on epsilon for each episode (exponential).", low=0, high=1)
    floor: float = _setting(0.01, "Smallest epsilon.", low=0, high=1)
    temperature: float = _setting(0.05, "Temperature of softmax.", unit="reward ranges", low=1e-6, high=100)
    budget: int = _setting(
        -1, "Exploring decisions allowed in each budget period, by all processes together; -1 sets no limit.", low=-1
    )
    budget_period_s: float = _setting(86_400.0, "Length of a budget period.", unit="s", low=1)
    ucb_width: float = _setting(0.5, "Width of the confidence bonus of ucb.", unit="reward ranges", low=0, high=100)


@dataclass(frozen=True, kw_only=True)
class Serving:
    """Which arm answers."""

    baseline_share: float = _setting(0.05, "Share of decisions that the baseline rule keeps.", low=0, high=1)
    cold_visits: int = _setting(
        1, "Visits of a state below which the baseline's action is taken for the best one.", unit="visits", low=0
    )


@dataclass(frozen=True, kw_only=True)
class Influence:
    """Whether what was learned may decide, and when not: then the rule decides, inside the guards."""

    mode: str = _setting(
        "live",
        "off: the rule decides. shadow: so, and what the learned policy would have done is noted. advisory: so, and what it "
        "would do is the advice. live: it decides. `steersman mode` overrides it.",
        options=MODES,
    )
    confidence: float = _setting(
        0.0, "Confidence in what is thought best in a state below which the rule decides; 0 sets no limit.", low=0, high=1
    )
    stale_s: float = _setting(
        0.0, "Age of what was observed (`observed_at`) above which the rule decides; 0 sets no limit.", unit="s", low=0
    )
    cooldown_s: float = _setting(
        0.0,
        "Time after a decision of the learned policy in which the rule decides for the same subject; 0 sets no limit.",
        unit="s",
        low=0,
    )

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return self.confidence > 0.0 or self.stale_s > 0.0 or self.cooldown_s > 0.0


@dataclass(frozen=True, kw_only=True)
class Episodes:
    """When an episode ends, and how long an outcome may take."""

    max_steps: int = _setting(10, "Steps after which an episode is truncated.", unit="steps", low=1)
    reward_wait_s: float = _setting(
        86_400.0, "Time after which a decision without an outcome earns the default reward.", unit="s", low=0
    )
    accept_until_s: float = _setting(
        2_592_000.0, "Time after which an outcome, a correction or a withdrawal is refused.", unit="s", low=0
    )


@dataclass(frozen=True, kw_only=True)
class Table:
    """How large a working table may grow."""

    max_states: int = _setting(2_000, "States that a table keeps.", unit="states", low=1, high=10_000_000)
    prune_visits: int = _setting(5, "States seen less often than this may be pruned.", unit="visits", low=0)
    prune_age_s: float = _setting(604_800.0, "… when they were last updated longer ago than this.", unit="s", low=0)


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What is learned again from earlier outcomes."""

    updates: int = _setting(
        0, "Earlier outcomes learned from again after each new one; 0 replays nothing.", unit="updates", low=0, high=1000
    )
    capacity: int = _setting(10_000, "Outcomes that are kept for it.", unit="outcomes", low=1, high=1_000_000)
    sampling: str = _setting(
        "prioritised", "Draw all alike, or those with large TD errors more often.", options=("uniform", "prioritised")
    )
    alpha: float = _setting(0.6, "How far priorities follow TD errors; 0 draws all alike.", low=0, high=1)
    beta: float = _setting(0.4, "How far importance weights correct for priorities, at the start.", low=0, high=1)
    beta_step: float = _setting(0.001, "How much that rises with each draw, up to 1.", low=0, high=1)
    retention_s: float = _setting(2_592_000.0, "Age at which an outcome is no longer replayed.", unit="s", low=1)


@dataclass(frozen=True, kw_only=True)
class Hierarchy:
    """What an agent with kinship takes from, and gives to, its category and the fleet."""

    enabled: bool = _setting(True, "Share within the category and the fleet; false also takes back what was given.")
    kappa: float = _setting(10.0, "Visits that a full prior is worth.", unit="visits", low=0, high=1000)
    category_weight: float = _setting(0.7, "Part of kappa that the category's prior may be worth.", low=0, high=1)
    fleet_weight: float = _setting(0.5, "Part of kappa that the fleet's prior may be worth.", low=0, high=1)
    category_share: float = _setting(0.1, "Part of the own evidence that counts in the category.", low=1e-6, high=1)
    fleet_share: float = _setting(0.05, "Part of the own evidence that counts in the fleet.", low=1e-6, high=1)
    propagate_every_s: float = _setting(300.0, "Time between two exchanges with the pools.", unit="s", low=0)


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """What an agent with kinship takes from, and gives to, single agents of its similarity group."""

    enabled: bool = _setting(True, "Share within the similarity group; false also takes back what was given.")
    min_confidence: float = _setting(0.7, "Confidence below which an entry is not given.", low=0, high=1)
    min_visits: int = _setting(5, "Visits below which an entry is not given.", unit="visits", low=1)
    factor: float = _setting(0.8, "Factor on how far a choice of the source lies from the mean of its state.", low=0, high=1)


@dataclass(frozen=True, kw_only=True)
class Convergence:
    """When learning counts as having ended, and how long that may take."""

    windows: int = _setting(10, "Windows that are judged together.", unit="windows", low=3, high=1000)
    window_outcomes: int = _setting(
        100, "Outcomes after which a window of learning closes.", unit="outcomes", low=2, high=1_000_000
    )
    window_s: float = _setting(8_640.0, "… or this time after it began, whichever comes first.", unit="s", low=0)
    window_least: int = _setting(10, "… but never with fewer outcomes than this.", unit="outcomes", low=2)
    td_bias: float = _setting(
        0.01, "Mean signed TD error, beyond noise, below which values count as settled.", unit="reward ranges", low=0, high=1
    )
    policy_changes: float = _setting(
        0.2, "Share of updates that make another action the best, below which the policy holds.", low=0, high=1
    )
    reward_spread: float = _setting(
        0.05,
        "Spread of the windows' mean rewards, beyond noise, below which they hold.",
        unit="reward ranges",
        low=0,
        high=1,
    )
    success: float = _setting(0.85, "Share of successful outcomes above which an agent is good.", low=0, high=1)
    exploration: float = _setting(0.05, "Share of exploring decisions below which it is ready.", low=0, high=1)
    entry_visits: int = _setting(10, "Visits that an entry of the table needs to be worth something.", unit="visits", low=1)
    patience_s: float = _setting(7_776_000.0, "Time in which each entry should have had them.", unit="s", low=0)
    rare_reward: float = _setting(
        0.01, "Share of differing rewards below which there is little to learn from.", low=0, high=1
    )


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """When logged evidence is enough to judge a policy that has not decided yet."""

    margin: float = _setting(0.05, "How much worse still counts as not worse.", unit="reward ranges", low=0, high=1)
    level: float = _setting(0.95, "Confidence of intervals.", low=0.5, high=0.9999)
    min_outcomes: int = _setting(100, "Outcomes below which nothing can be told.", unit="outcomes", low=2)
    min_ess: float = _setting(50.0, "Effective sample size below which nothing can be told.", unit="outcomes", low=2)
    clip: float = _setting(20.0, "Largest importance weight; what that may cost is stated as bias.", low=1)
    forecast_accuracy: float = _setting(0.85, "Share of forecast values that later outcomes must confirm.", low=0, high=1)
    regression: float = _setting(0.90, "Least value on old tasks, as a part of the incumbent's.", low=0, high=1)
    safety: float = _setting(0.95, "Share of states whose best action, unmasked, guards would allow.", low=0, high=1)
    holdout: float = _setting(
        0.3,
        "Share of the newest outcomes that a version cut to be judged at once leaves out of learning.",
        low=0.01,
        high=0.9,
    )
    bootstrap: int = _setting(1_000, "Resamples of a bootstrap interval.", low=100, high=100_000)
    rows: int = _setting(100_000, "Newest outcomes that are looked at.", unit="outcomes", low=100, high=10_000_000)


@dataclass(frozen=True, kw_only=True)
class Release:
    """How a new policy comes into production, and what takes it out again."""

    mode: str = _setting(
        "continuous",
        "continuous: what is being learned decides. staged: versions are cut, judged and released by steps. advisory: so, "
        "but a person confirms each step up. shadow: versions are cut and judged, and decide nothing. off: nothing is cut.",
        options=("continuous", "staged", "advisory", "shadow", "off"),
    )
    stages: str = _setting(
        "shadow 1h, 10% 24h, 50% 24h", "Steps on the way to 100 %, each with the time that it lasts at least (s, m, h, d)."
    )
    min_units: int = _setting(100, "Subjects of each arm that a step needs with a known outcome.", unit="subjects", low=30)
    margin: float = _setting(
        0.05, "Loss of reward that rolls a version back, once it is sure.", unit="reward ranges", low=0, high=0.99
    )
    success_margin: float = _setting(0.10, "Loss of success rate that rolls it back.", low=0, high=0.99)
    arrival_margin: float = _setting(
        0.05, "Share of outcomes fewer than the champion's, after the same wait, that rolls it back.", low=0, high=0.99
    )
    override_margin: float = _setting(
        0.10, "Share of decisions overridden by guards, beyond the champion's, that rolls it back.", low=0, high=0.99
    )
    breaker: float = _setting(
        0.15, "Loss of reward that rolls a version back without waiting.", unit="reward ranges", low=0, high=1
    )
    alpha: float = _setting(
        0.05, "Probability of rolling back a version that is not worse, over the whole trial.", low=1e-6, high=0.5
    )
    floor_run_length: int = _setting(
        100_000,
        "What earns less than the rule's own share by more than the margin gives way to the rule: mean decisions to a false "
        "alarm, right at the margin. Looked at where learning.gamma is 0; 0 never looks.",
        unit="decisions",
        low=0,
    )
    cohort_wait_s: float = _setting(
        300.0,
        "Time after a subject's first decision at which its outcomes are counted, for each arm the same.",
        unit="s",
        low=0,
    )
    cut_outcomes: int = _setting(1_000, "New outcomes after which a version is cut.", unit="outcomes", low=1)
    cut_age_s: float = _setting(86_400.0, "Age of the last version after which one is cut.", unit="s", low=0)
    cut_when: str = _setting(
        "both", "Whether it takes both, new outcomes and that age, or either of them.", options=("both", "either")
    )
    quarantine: bool = _setting(False, "Leave what a version did out of learning once it was rolled back.")
    registry: str = _setting("store", "Where versions are kept: in the store, or in MLflow.", options=("store", "mlflow"))
    registry_url: str = _setting("", "MLflow's registry, such as sqlite:///mlflow.db or http://host:5000.")


@dataclass(frozen=True, kw_only=True)
class Monitoring:
    """What is watched while an agent works."""

    drift_reference: int = _setting(2_000, "Decisions that later ones are compared with.", unit="decisions", low=100)
    drift_window: int = _setting(500, "Newest decisions that are compared.", unit="decisions", low=100)
    error_budget: float = _setting(
        0.0, "Share of failures that is allowed; exploring stops while it burns too fast. 0 sets no budget.", low=0, high=1
    )
    error_period_s: float = _setting(2_592_000.0, "Time for which the error budget is given.", unit="s", low=259_200)


@dataclass(frozen=True, kw_only=True)
class Store:
    """The log."""

    retention_s: float = _setting(
        0.0,
        "Age after which rows are cut from the log, what was learned of them being kept; 0 keeps all. At least "
        "episodes.accept_until_s.",
        unit="s",
        low=0,
    )
    queue_rows: int = _setting(100_000, "Rows that may wait in memory for the disk.", unit="rows", low=1)
    taken_s: float = _setting(
        604_800.0, "For how long it is remembered which events of a bus were worked off.", unit="s", low=60
    )


@dataclass(frozen=True, kw_only=True)
class Bus:
    """The event bus: where events come from, and where answers and news go. [[bus.routes]] say what events mean."""

    url: str = _setting("", "Address of the bus: redis://host:port, kafka://host:port; memory: is for trying things out.")
    group: str = _setting("steersman", "Name of the group of consumers; each entry goes to one of a group.")
    streams: str = _setting("", "Streams that are taken from, separated by commas.")
    out: str = _setting("", "Stream into which routes put the events that they emit.")
    announce: str = _setting(
        "", "Stream that is told of decisions, outcomes, promotions, rollbacks, signals and kill switches; empty for none."
    )
    batch: int = _setting(200, "Entries that are worked off together, with one commit.", unit="entries", low=1, high=10_000)
    attempts: int = _setting(
        10, "Deliveries after which an outcome whose decision is not known goes to the dead letters.", low=1, high=10_000
    )
    idle_s: float = _setting(
        15.0, "Time without an acknowledgement after which an entry is delivered again.", unit="s", low=0.05
    )
    queue: int = _setting(
        10_000, "News of decisions and outcomes that may wait for the bus; older ones are dropped, and counted.", low=1
    )


@dataclass(frozen=True, kw_only=True)
class Service:
    """The HTTP service."""

    decide_wait_s: float = _setting(
        0.25, "Time after which a decision is answered although it is not on the disk yet (durable: false).", unit="s", low=0
    )
    report_wait_s: float = _setting(
        10.0, "Time after which an outcome that is not on the disk is answered with 503.", unit="s", low=0
    )
    body_bytes: int = _setting(1_048_576, "Size of a request's body.", unit="bytes", low=1_024, high=1_073_741_824)
    request_wait_s: float = _setting(
        10.0, "Time in which a request has to arrive whole, headers and body.", unit="s", low=0.1
    )
    idle_s: float = _setting(75.0, "Time after which a connection on which nothing happens is closed.", unit="s", low=1)
    connections: int = _setting(4_096, "Connections at the same time, for each process.", low=1)
    concurrency: int = _setting(
        256, "Requests being served at the same time, for each process; more are answered with 503.", unit="requests", low=1
    )
    streams: int = _setting(100, "Streams (events, exports) at the same time, for each process.", low=1)
    rate_per_s: float = _setting(
        1_000.0, "Requests, and parts of batches, that one key may send to one process; 0 sets no limit.", unit="1/s", low=0
    )
    burst: int = _setting(2_000, "Requests that one key may send at once before that counts.", unit="requests", low=1)
    heartbeat_s: float = _setting(15.0, "Time between two signs of life in a stream of events.", unit="s", low=0.1)
    session_s: float = _setting(43_200.0, "Time after which a login on the pages ends.", unit="s", low=1)
    grace_s: float = _setting(10.0, "Time that requests have to finish when the service stops.", unit="s", low=0)


@dataclass(frozen=True, kw_only=True)
class Personalizer:
    """How the Personalizer-compatible doors rank, and what a reward is there."""

    hash_bits: int = _setting(16, "Size of the model: 2 to this power weights.", unit="bits", low=8, high=22)
    prior_variance: float = _setting(1.0, "Variance of a weight before any evidence.", low=1e-6, high=100)
    noise: float = _setting(0.2, "Variance of a reward that is taken for chance.", low=1e-6, high=100)
    greed: float = _setting(
        30.0, "How sharply predicted rewards are followed: a factor on the root of the rewards seen.", low=0, high=1e6
    )
    floor: float = _setting(0.05, "Share of decisions spread evenly over all allowed actions.", low=0, high=1)
    baseline_share: float = _setting(
        0.05, "Share of decisions that the caller's first action keeps; 1 is an apprentice that only watches.", low=0, high=1
    )
    reward_wait_s: float = _setting(
        600.0, "Time after which an event without a reward earns the default reward.", unit="s", low=0
    )
    default_reward: float = _setting(0.0, "Reward of an event that nobody rewarded in time.", low=-1, high=1)
    aggregation: str = _setting(
        "earliest", "Which of several rewards of an event counts: the earliest, or their sum.", options=("earliest", "sum")
    )
