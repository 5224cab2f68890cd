"""Decide: guards narrow, the policy chooses, the decision is logged. What fails on the way ends in the safe action."""

from dataclasses import dataclass, field

from msgspec.structs import replace

from steersman.core.errors import InvalidInput, Overloaded, SteersmanError, StoreError
from steersman.core.state import Scalar, StateValues, check_text
from steersman.core.values import Arm, Decision, Refused
from steersman.loops.runtime import EpisodeState, Runtime
from steersman.stages.decide.choose import Choice, Situation

POLL_S = 0.25
_ARMS = (None, "champion", "baseline", "safe")
UNKNOWN_AFTER_S = 0.75


def decide(
    agent: Runtime,
    state: StateValues,
    *,
    episode: str | None = None,
    subject: str | None = None,
    arm: Arm | None = None,
) -> Decision:
    """Return a logged decision; never waits for the disk.

    Raises InvalidInput for a state that does not fit the schema and Conflict for an episode that is over: those are the
    caller's to mend. Any other failure answers with the agent's safe action, and says why in `reason`.
    """
    started = agent.world.timer()
    for name, value in (("episode", episode), ("subject", subject)):
        check_text(name, value)
    if arm not in _ARMS:
        raise InvalidInput(f"arm: {arm!r} is none of {', '.join(map(str, _ARMS))}.")
    checked, clamped = agent.spec.state.check(state)
    unknown = None if episode is None or agent.shared is None else _unknown(agent, episode)
    with agent.lock:
        agent.clamped += clamped
        alone = EpisodeState(step=0, epsilon=agent.fold.epsilon)
        under_way = alone if episode is None or unknown is not None else agent.episode(episode)
        made = _Made()
        try:
            if unknown is None:
                _choose(agent, checked, under_way.epsilon, arm, made)
        except Exception as error:  # noqa: BLE001 - fail closed: whatever went wrong, the safe action is served
            made.choice = _safe(f"failed, so the safe action: {agent.failed(error)}")
        name = agent.world.ids()
        decision = _decision(
            agent,
            made,
            name=name,
            episode=episode or name,
            subject=subject or episode or name,
            state=checked,
            under_way=under_way,
            started=started,
        )
        if unknown is not None:
            return _unrecorded(agent, decision, unknown)
        try:
            agent.log.append((decision,))
        except Overloaded as error:
            agent.failed(error)
            agent.rewind(made.draw)
            return _unrecorded(agent, decision, error)
        agent.remember(decision)
        under_way.step += 1
    return decision


def _unknown(agent: Runtime, episode: str) -> StoreError | None:
    """Look a named episode up before the lock is taken; return what keeps a shared store from telling, if anything does.

    Then nothing can be recorded of it, and no other decision waits for the store.
    """
    try:
        agent.look_up(episode)
    except StoreError as error:
        agent.failed(error)
        return error
    return None


@dataclass(kw_only=True, slots=True)
class _Made:
    """A choice in the making: what is known of it so far stays known if the next step fails."""

    draw: int = -1
    refusals: tuple[Refused, ...] = ()
    may_explore: bool = True
    choice: Choice = field(default_factory=lambda: _safe("nothing was chosen"))


def _choose(agent: Runtime, state: dict[str, Scalar], epsilon: float, arm: Arm | None, made: _Made) -> None:
    """Fill in what is chosen for a checked state."""
    poll_kill_switch(agent)
    made.draw, uniforms = agent.next_draw()
    if agent.killed or arm == "safe":
        made.choice = _safe(agent.killed or "the safe arm was asked for")
        return
    narrowed = agent.guards.narrow(state)
    made.refusals = narrowed.refusals
    made.may_explore = agent.budget is None or agent.budget.allows(agent.world.clock())
    bins = agent.encoder.bins(state)
    row = agent.fold.table.rows.get(agent.encoder.key(bins))
    kin = agent.kin
    now = Situation(
        row=row,
        allowed=narrowed.allowed,
        baseline=agent.spec.actions.index(agent.spec.baseline(state)),
        epsilon=epsilon,
        uniforms=uniforms,
        arm=arm,
        may_explore=made.may_explore,
        priors=() if kin is None else kin.borrowed(agent.encoder.named(bins), agent.fold.table, row),
    )
    made.choice = agent.chooser.choose(agent.fold.table, now)
    if agent.budget is not None and agent.chooser.explored(agent.fold.table, now, made.choice):
        agent.budget.spend()


def _decision(
    agent: Runtime,
    made: _Made,
    *,
    name: str,
    episode: str,
    subject: str,
    state: dict[str, Scalar],
    under_way: EpisodeState,
    started: float,
) -> Decision:
    choice = made.choice
    action = None if choice.action is None else agent.spec.actions.actions[choice.action]
    world = agent.world
    return Decision(
        id=name,
        agent=agent.spec.name,
        episode=episode,
        step=under_way.step,
        subject=subject,
        state=state,
        schema=agent.spec.state.id,
        refusals=made.refusals,
        proposed=action,
        executed=agent.safe_action if action is None else action,
        propensity=choice.propensity,
        action_probability=choice.probability,
        arm=choice.arm,
        arm_probability=choice.arm_probability,
        reason=choice.reason,
        values=choice.values,
        confidence=choice.confidence,
        priors=choice.priors,
        epsilon=under_way.epsilon,
        policy=agent.policy,
        settings_hash=agent.settings_hash,
        table_position=agent.position,
        seed=world.seed,
        stream=agent.stream,
        may_explore=made.may_explore,
        draw=made.draw,
        decided_at=world.clock(),
        latency_us=(world.timer() - started) * 1e6,
    )


def poll_kill_switch(agent: Runtime) -> None:
    """Read the kill switches again when the last look is old; one that cannot be read for a second stops as well."""
    now = agent.world.timer()
    if now - agent.polled_at < POLL_S:
        return
    try:
        switches = agent.log.controls()
    except Exception as error:  # noqa: BLE001 - not knowing is the same as being stopped, after a second
        if now - agent.polled_at > UNKNOWN_AFTER_S:
            agent.killed = f"kill switch unknown for over {UNKNOWN_AFTER_S:g} s: {agent.failed(error)}"
        return
    agent.polled_at = now
    name = agent.spec.name
    scopes = {"*", name, name.partition("/")[0]}
    active = [each for each in switches if each.active and each.scope in scopes]
    agent.killed = f"kill switch of {active[0].scope!r} by {active[0].actor}: {active[0].reason}" if active else ""


def _safe(reason: str) -> Choice:
    return Choice(
        action=None,
        propensity=None,
        probability=None,
        arm="safe",
        arm_probability=1.0,
        reason=reason,
        values=(),
        confidence=0.0,
    )


def _unrecorded(agent: Runtime, decision: Decision, error: SteersmanError) -> Decision:
    return replace(
        decision,
        proposed=None,
        executed=agent.safe_action,
        propensity=None,
        action_probability=None,
        arm="safe",
        arm_probability=1.0,
        reason=f"not recorded, so the safe action: {error}",
    )
