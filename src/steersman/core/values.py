"""What flows through the loops and lies in the log. Rows are immutable: nothing here is ever updated.

Rows are `msgspec.Struct`s: frozen, keyword-only, checked while decoding; NaN and infinity cannot be decoded into them.
"""

from typing import Literal

import msgspec

from steersman.core.actions import Choice
from steersman.core.errors import InvalidInput
from steersman.core.state import Scalar

Arm = Literal["baseline", "champion", "safe"]
OutcomeKind = Literal["reported", "expired", "withdrawn"]


class Refused(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A refusal as logged: the choices, the guard and its reason."""

    where: dict[str, Choice]
    guard: str
    reason: str


class Belief(msgspec.Struct, frozen=True, kw_only=True):
    """What one source holds of each slot of the action space, and how many visits that is worth (0: it says nothing).

    source: "own", "category/core-testing", "fleet", or "transfer/qe/other-agent".
    """

    source: str
    means: tuple[float, ...]
    weights: tuple[float, ...]


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One decision, with all that is needed to explain it, to replay it to the bit and to evaluate other policies on it.

    `propensity` is the probability of `proposed` within its arm, and `arm_probability` that of the arm. What importance
    weights divide by is `action_probability`: that of the action by whichever arm. Both are None where the executed
    action was not drawn. `values` holds the table's
    value of each slot of the action space. `table_position` is the log position up to which the table had learned;
    `seed`, `stream` and `draw` (the counter) give the random numbers again.
    `may_explore` is false where the exploration budget was spent. Where others'
    evidence was used, `priors` holds what `values` were blended from, the agent's own first; a replay takes the rest.
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
    mode: Literal["off", "shadow", "advisory", "live"] = "live"
    trace_id: str = ""
    action_probability: float | None = None
    stream: int = 0
    may_explore: bool = True
    priors: tuple[Belief, ...] = ()

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


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a decision, as one revision. A correction or a withdrawal is a later revision of the same decision."""

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


class EpisodeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An episode of one agent: `total_return` is Σ γ^t·r_t over its steps."""

    agent: str
    episode: str
    started_at: float
    ended_at: float | None
    steps: int
    total_reward: float
    total_return: float
    complete: bool


class Entry(msgspec.Struct, frozen=True, array_like=True):
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


class Window(msgspec.Struct, frozen=True, kw_only=True):
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


class Contribution(msgspec.Struct, frozen=True, kw_only=True):
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


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person, or a rule, did or was refused."""

    at: float
    actor: str
    event: str
    subject: str
    detail: str


class KillSwitch(msgspec.Struct, frozen=True, kw_only=True):
    """Whether learned actions are stopped for a scope: "*", a pack ("qe") or an agent ("qe/test-executor")."""

    scope: str
    active: bool
    actor: str
    reason: str
    at: float
