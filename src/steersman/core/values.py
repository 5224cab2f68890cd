"""What flows through the loops and lies in the log. Rows are immutable: nothing here is ever updated.

Rows are `msgspec.Struct`s: frozen, keyword-only, checked while decoding; NaN and infinity cannot be decoded into them. They
hold values alone and never each other in a circle, so the garbage collector does not look at them (`gc=False`): a process
that keeps a hundred thousand at hand would stop for it.
"""

from typing import Literal

import msgspec

from steersman.core.actions import Choice
from steersman.core.errors import InvalidInput
from steersman.core.influence import Mode
from steersman.core.state import Scalar

Arm = Literal["baseline", "champion", "challenger", "safe"]
OutcomeKind = Literal["reported", "expired", "withdrawn"]
ControlKind = Literal["kill", "pin", "pause", "mode"]
Role = Literal["decide", "report", "view", "operate", "admin"]


class Refused(msgspec.Struct, gc=False, frozen=True, kw_only=True, omit_defaults=True):
    """A refusal as logged: the choices, the guard and its reason."""

    where: dict[str, Choice]
    guard: str
    reason: str


class Belief(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """What one source holds of each slot of the action space, and how many visits that is worth (0: it says nothing).

    source: "own", "category/core-testing", "fleet", or "transfer/qe/other-agent".
    """

    source: str
    means: tuple[float, ...]
    weights: tuple[float, ...]


class Decision(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """One decision, with all that is needed to explain it, to replay it to the bit and to evaluate other policies on it.

    `propensity` is the probability of `proposed` within its arm, and `arm_probability` that of the arm. What importance
    weights divide by is `action_probability`: that of the action by whichever arm. Both are None where the executed
    action was not drawn. `values` holds the table's
    value of each slot of the action space. `table_position` is the log position up to which the table had learned;
    `seed`, `stream` and `draw` (the counter) give the random numbers again.
    `may_explore` is false where the exploration budget was spent, or exploring is paused. Where others'
    evidence was used, `priors` holds what `values` were blended from, the agent's own first; a replay takes the rest.
    `overridden` says that guards refused what would have been best. `trace_id` is the W3C traceparent of the decision.

    `version` is what decided: a policy version, "" for what is being learned, "baseline" for the rule alone. Within a
    trial (`release`) the subject's hash gave it to the challenger with `challenger_share`: `arm_probability` counts that
    in, `action_probability` takes it as given. `mode` is the influence that the learned policy had: in any but "live" the
    rule decided. `shadow` is what a challenger in its shadow stage, or the learned policy in mode "shadow" or "advisory",
    would have done, and `shadow_probability` how likely it would have been to do what was executed.
    """

    id: str
    agent: str
    episode: str
    step: int
    subject: str
    state: dict[str, Scalar]
    schema: str
    refusals: tuple[Refused, ...]
    proposed: dict[str, Choice] | None
    executed: dict[str, Choice]
    propensity: float | None
    arm: Arm
    arm_probability: float
    reason: str
    values: tuple[float, ...]
    confidence: float
    epsilon: float
    policy: str
    settings_hash: str
    table_position: int
    seed: int
    draw: int
    decided_at: float
    latency_us: float
    stage: Literal["shadow", "canary", "full"] = "full"
    mode: Mode = "live"
    trace_id: str = ""
    action_probability: float | None = None
    stream: int = 0
    may_explore: bool = True
    priors: tuple[Belief, ...] = ()
    overridden: bool = False
    version: str = ""
    release: str = ""
    challenger_share: float = 0.0
    shadow: dict[str, Choice] | None = None
    shadow_probability: float | None = None

    @property
    def action(self) -> dict[str, Choice]:
        """The action to carry out."""
        return self.executed

    @property
    def choice(self) -> Choice:
        """The action of a flat space, as its one choice. Raises InvalidInput in a factored space; use `action` there."""
        if len(self.executed) != 1:
            raise InvalidInput(f"{self.agent} chooses in {len(self.executed)} dimensions; use decision.action.")
        return next(iter(self.executed.values()))


class Outcome(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """What came of a decision, as one revision. A correction or a withdrawal is a later revision of the same decision.

    success: whether the reward reached the agent's `success_reward`. cost: the measurement that the agent names as its
    cost. false_block: whether an action that blocked something turned out to be wrong. Each is None where it is not known.
    """

    decision_id: str
    agent: str
    revision: int
    kind: OutcomeKind
    measurements: dict[str, float]
    components: dict[str, float]
    reward: float | None
    next_state: dict[str, Scalar] | None
    next_refusals: tuple[dict[str, Choice], ...]
    terminated: bool
    truncated: bool
    executed: dict[str, Choice] | None
    reported_at: float
    source: str
    success: bool | None = None
    cost: float | None = None
    false_block: bool | None = None


class EpisodeRecord(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """An episode of one agent: `total_return` is Σ γ^t·r_t over its steps."""

    agent: str
    episode: str
    started_at: float
    ended_at: float | None
    steps: int
    total_reward: float
    total_return: float
    complete: bool


class Entry(msgspec.Struct, gc=False, frozen=True, array_like=True):
    """The learned numbers of one slot of one table state.

    value: the estimate. visits: own evidence. td_variance: exponentially weighted variance of the TD target.
    reward_mean, reward_m2: Welford's running mean and sum of squared deviations of the rewards. updated_at: unix seconds.
    """

    value: float
    visits: int
    td_variance: float
    reward_mean: float
    reward_m2: float
    updated_at: float


class Window(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """What learning amounted to over some outcomes in a row: what is asked when somebody wants to know if it has ended.

    number: from 0, without gaps. started_at, ended_at: when its first and last decisions were made (unix seconds).
    outcomes: those with a reward. updates: of the table. td_bias: size of the mean TD error of entries that were updated
    together, noise taken out (reward units; below 0 where noise explains more than all of it: the square keeps the
    sign). td_noise: what noise alone would show there, as one standard error. td_pairs: pairs of updates behind both.
    reward_mean, reward_m2: of the rewards, and the sum of squared deviations (Welford). noise: variance of the rewards
    within an entry, the environment's own (in a factored space an upper bound). successes: outcomes with at least the
    agent's `success_reward`. varied: outcomes with another reward than the window's first. explored: outcomes, or shares
    of them, that went to exploring. policy_changes: updates after which another action was the best of its state.
    states_seen: states that were learned about, estimated to within some per cent. epsilon: the rate at the end.
    """

    agent: str
    number: int
    started_at: float
    ended_at: float
    outcomes: int
    updates: int
    td_bias: float
    td_noise: float
    td_pairs: int
    reward_mean: float
    reward_m2: float
    noise: float
    successes: int
    varied: int
    explored: float
    policy_changes: int
    states_seen: int
    epsilon: float


class Learned(msgspec.Struct, kw_only=True):
    """What changed in an agent's working table, to be stored in the transaction that stores the outcomes behind it.

    entries: by (state key, slot). states: the readable bins of states seen for the first time, by key.
    removed: keys of pruned states. carry: the rest of the fold (open episodes, exploration), as JSON.
    replace: the table was refolded; everything stored for the agent goes first. position: up to which position of the
    log it was learned; None for that of the rows it is appended with. fence: of the lease under which it was learned, in
    a shared log. version: of the table as it was read from a shared log. windows: those that closed.
    """

    agent: str
    entries: dict[tuple[str, int], Entry]
    states: dict[str, dict[str, int]]
    removed: set[str]
    episodes: dict[str, EpisodeRecord]
    carry: bytes
    replace: bool = False
    position: int | None = None
    fence: int = 0
    version: int = 0
    windows: list[Window] = []


class Contribution(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """What one source knows about one role in one shared state of a pool: a row of its own, replaced as a whole.

    pool: who shares, such as "fleet", "category/core-testing" or "group/test-execution". source: who says it (an agent, a
    teammate). key: the shared state. value: the source's current estimate, scaled to [0, 1] of its value bounds.
    count: effective number of visits behind it; a count of 0 takes the row back. variance: of one observation, on the
    same scale. updated_at: unix seconds.
    """

    pool: str
    source: str
    key: str
    role: str
    value: float
    count: float
    variance: float
    updated_at: float


class AuditEvent(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """Something that a person, or a rule, did or was refused.

    number and digest are given by the store: the event's place in the audit trail, and the link of its chain (see
    `core.chain`); 0 and "" before it is stored, and for events older than the chain.
    """

    at: float
    actor: str
    event: str
    subject: str
    detail: str
    number: int = 0
    digest: str = ""


class Control(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """A person's hand on the policies of a scope: "*", a pack ("qe") or an agent ("qe/test-executor").

    kind: "kill" stops learned actions, so that the safe action is served; "pin" holds `choices` (one for each dimension
    that is pinned; the others stay free), inside what guards allow; "pause" stops exploring; "mode" sets the influence of
    what was learned, `choices["mode"]`. The latest word of each kind and scope counts, until `expires_at` (unix seconds;
    None: until it is released with `active` false).
    """

    scope: str
    active: bool
    actor: str
    reason: str
    at: float
    kind: ControlKind = "kill"
    choices: dict[str, Choice] = {}
    expires_at: float | None = None

    def holds(self, agent: str, now: float) -> bool:
        """Return whether it is in force for an agent at a time (unix seconds)."""
        in_time = self.expires_at is None or now < self.expires_at
        return self.active and in_time and self.scope in ("*", agent, agent.partition("/")[0])


class ApiKey(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """A key to the service, as it is stored: the digest of its secret, never the secret.

    id: the public part. tenant: whose store it opens. digest: SHA-256 of the secret, hex. Times are unix seconds. The
    latest row of an id counts.
    """

    id: str
    tenant: str
    name: str
    roles: tuple[Role, ...]
    digest: str
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None


TAKEN_S = 604_800.0
"""For how long taken events are remembered, unless a store is opened otherwise (seconds)."""


class Taken(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """That an event was worked off, stored together with what it led to: it counts once, however often a bus brings it.

    stream, event: where it came from, and its id; one row for each. position: where in the stream it was, as the bus
    writes it. decision_id: the decision that it led to, or whose outcome it told; "" for none. at: when (unix seconds). Who
    records it fills in the last two.
    """

    stream: str
    event: str
    position: str
    decision_id: str = ""
    at: float = 0.0


def rows_of(taken: Taken | None, decision_id: str, at: float) -> tuple[Taken, ...]:
    """Return the row, if there is one, that tells to which decision a taken event led."""
    return () if taken is None else (msgspec.structs.replace(taken, decision_id=decision_id, at=at),)


class Figures(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """Sums over the decisions that one arm of an agent made in one hour, and over the outcomes of these decisions.

    hour: of the decision, in hours since 1970. drawn: whether the arm was drawn at random, so that arms can be compared.
    overridden: decisions in which guards refused what would have been best. latency_us: sum. rewarded: outcomes with a
    reward; reward, reward_squares: sums of the rewards and of their squares. scored, successes: outcomes of which it is
    known whether they succeeded, and those that did. costed, cost: outcomes with a cost, and
    their sum. judged, false_blocks: blocks of which it is known whether they were wrong, and those that were.
    Figures of two spans of the log add up; those of a correction take back what was counted before, so they may be
    negative.
    """

    agent: str
    hour: int
    arm: Arm
    drawn: bool
    decisions: int = 0
    overridden: int = 0
    latency_us: float = 0.0
    rewarded: int = 0
    scored: int = 0
    successes: int = 0
    reward: float = 0.0
    reward_squares: float = 0.0
    costed: int = 0
    cost: float = 0.0
    judged: int = 0
    false_blocks: int = 0
