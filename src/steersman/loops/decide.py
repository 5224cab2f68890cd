"""Decide: guards narrow, the policy chooses, the decision is logged. What fails on the way ends in the safe action."""

from dataclasses import dataclass

from msgspec.structs import replace

from steersman.core.errors import Conflict, InvalidInput, Overloaded, SteersmanError, StoreError
from steersman.core.guards import PINNED
from steersman.core.influence import Mode
from steersman.core.state import Scalar, StateValues, check_text, finite
from steersman.core.values import Arm, Decision, Refused, Taken, rows_of
from steersman.core.versions import LEARNING, short
from steersman.loops import influence
from steersman.loops.hands import Held
from steersman.loops.runtime import EpisodeState, Runtime
from steersman.loops.serving import Given, Served
from steersman.stages.decide.choose import Choice as Chosen
from steersman.stages.decide.choose import Situation

_ARMS = (None, "champion", "baseline", "safe")


def decide(
    agent: Runtime,
    state: StateValues,
    *,
    episode: str | None = None,
    subject: str | None = None,
    arm: Arm | None = None,
    taken: Taken | None = None,
    trace_id: str = "",
    observed_at: float | None = None,
) -> Decision:
    """Return a logged decision; never waits for the disk.

    taken: the event that asks for it, logged with the decision or not at all; Conflict if the log holds it. Where others
    append as well, they may have been first, and so `log.taken` says what counts, once all that was appended is durable.
    observed_at: when the state was observed (unix seconds); None: now. Raises InvalidInput for what does not fit and
    Conflict for an episode that is over: those are the caller's to mend. Any other failure answers with the agent's safe
    action, and says why in `reason`.
    """
    started = agent.world.timer()
    for name, value in (("episode", episode), ("subject", subject), ("trace_id", trace_id)):
        check_text(name, value)
    if arm not in _ARMS:
        raise InvalidInput(f"arm: {arm!r} is none of {', '.join(map(str, _ARMS))}.")
    if observed_at is not None:
        observed_at = finite(observed_at, name="observed_at")
    checked, clamped = agent.spec.state.check(state)
    unknown = None if episode is None or agent.shared is None else _unknown(agent, episode)
    with agent.lock:
        agent.clamped += clamped
        alone = EpisodeState(step=0, epsilon=agent.fold.epsilon)
        under_way = alone if episode is None or unknown is not None else agent.episode(episode)
        name = agent.world.ids()
        made = _Made(epsilon=under_way.epsilon, mode=agent.mode, subject=subject or episode or name, observed_at=observed_at)
        try:
            if unknown is None:
                _choose(agent, checked, arm, made)
        except Exception as error:  # noqa: BLE001 - fail closed: whatever went wrong, the safe action is served
            made.choice = _safe(f"failed, so the safe action: {agent.failed(error)}")
        decision = _decision(
            agent,
            made,
            name=name,
            episode=episode or name,
            state=checked,
            under_way=under_way,
            trace_id=trace_id,
            started=started,
        )
        if unknown is not None:
            return _unrecorded(agent, decision, unknown)
        try:
            agent.log.append((decision, *rows_of(taken, decision.id, decision.decided_at)))
        except Conflict:
            agent.rewind(made.draw)
            raise
        except Overloaded as error:
            agent.failed(error)
            agent.rewind(made.draw)
            return _unrecorded(agent, decision, error)
        agent.remember(decision)
        if agent.settings.influence.cooldown_s:
            agent.cooldown.note(decision)
        under_way.step += 1
    agent.tell("decided", decision)
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


def _safe(reason: str) -> Chosen:
    return Chosen(
        action=None,
        propensity=None,
        probability=None,
        arm="safe",
        arm_probability=1.0,
        reason=reason,
        values=(),
        confidence=0.0,
    )


_NOTHING = _safe("nothing was chosen")


@dataclass(kw_only=True, slots=True)
class _Made:
    """A choice in the making: what is known of it so far stays known if the next step fails."""

    subject: str
    mode: Mode
    observed_at: float | None
    draw: int = -1
    refusals: tuple[Refused, ...] = ()
    may_explore: bool = True
    overridden: bool = False
    choice: Chosen = _NOTHING
    epsilon: float = 0.0
    given: Given | None = None
    shadow: int | None = None
    shadow_probability: float | None = None


def _choose(agent: Runtime, state: dict[str, Scalar], arm: Arm | None, made: _Made) -> None:
    """Fill in what is chosen for a checked state."""
    held = agent.hands.look()
    made.mode = held.mode or made.mode
    made.draw, uniforms = agent.next_draw()
    if held.killed or arm == "safe":
        made.choice = _safe(held.killed or "the safe arm was asked for")
        return
    narrowed = agent.guards.narrow(state)
    allowed, made.refusals = narrowed.allowed, narrowed.refusals
    made.may_explore = not held.paused and (agent.budget is None or agent.budget.allows(agent.world.clock()))
    if held.pins:
        pins = _pinned(agent, held)
        allowed = allowed & agent.guards.allowed([each.where for each in pins])
        made.refusals = (*made.refusals, *pins)
    made.given = given = agent.serving.give(made.subject, arm if made.mode == "live" else "baseline")
    served = given.served
    if served.unfit:
        made.choice = _safe(f"{short(served.version)} cannot be served, so the safe action")
        return
    if served.epsilon is not None:
        made.epsilon = served.epsilon
    bins = agent.encoder.bins(state)
    key = agent.encoder.key(bins)
    row = served.table.place(key, state)
    kin = agent.kin if served.version == LEARNING else None  # a version has taken in what others said when it was cut
    situation = Situation(
        row=row,
        allowed=allowed,
        baseline=agent.spec.actions.index(agent.spec.baseline(state)),
        epsilon=made.epsilon,
        uniforms=uniforms,
        arm=arm,
        may_explore=made.may_explore,
        priors=() if kin is None else kin.borrowed(agent.encoder.named(bins), agent.fold.table, row),
        learned=given.arm,
        assigned=given.assigned,
    )
    withheld = _withheld(agent, made, (key, state), situation)
    there = influence.ruled(agent, situation, withheld) if withheld else situation
    made.choice = served.chooser.choose(served.table, there)
    if withheld:
        made.choice = replace(made.choice, reason=withheld)
        if made.mode in ("shadow", "advisory"):
            _ask_beside(agent, served, (key, state), influence.asked(made.mode, situation), made)
    if narrowed.refusals:
        wanted = replace(situation, unsure=True) if there.unsure else situation  # with the rule's own action, allowed or not
        made.overridden = served.chooser.overridden(served.table, wanted, made.choice, narrowed.allowed)
    if agent.budget is not None and served.chooser.explored(served.table, there, made.choice):
        agent.budget.spend()
    if given.shadow is not None:
        _ask_beside(agent, given.shadow, (key, state), situation, made)


def _withheld(agent: Runtime, made: _Made, known: tuple[str, StateValues], situation: Situation) -> str:
    """Return why the learned policy may not decide; "" where it may."""
    if made.mode == "live" and not agent.settings.influence.limited:
        return ""
    given = made.given or Given(served=agent.learning())
    question = influence.Question(
        mode=made.mode, subject=made.subject, observed_at=made.observed_at, given=given, key=known[0], state=known[1]
    )
    return influence.withheld(agent, question, situation)


def _ask_beside(agent: Runtime, shadow: Served, known: tuple[str, StateValues], situation: Situation, made: _Made) -> None:
    """Note what a policy would have done that is only asked, where anything was allowed; that it fails harms nobody."""
    action = made.choice.action
    if action is None:
        return
    try:
        there = situation if made.given and shadow is made.given.served else influence.in_place(shadow, situation, *known)
        made.shadow, made.shadow_probability = shadow.chooser.beside(shadow.table, there, action)
    except Exception as error:  # noqa: BLE001 - what is only asked must never break what decides
        agent.failed(error)


def _pinned(agent: Runtime, held: Held) -> list[Refused]:
    """Return what pins refuse: each choice beside the pinned one, in each dimension that is pinned.

    What does not exist here is no pin.
    """
    dimensions = agent.spec.actions.dimensions
    return [
        Refused(where={name: other}, guard=PINNED, reason=f"{pin.actor} pinned {choice!r}: {pin.reason}")
        for name, (choice, pin) in held.choices().items()
        for other in dimensions.get(name, ())
        if choice in dimensions[name] and other != choice
    ]


def _decision(
    agent: Runtime,
    made: _Made,
    *,
    name: str,
    episode: str,
    state: dict[str, Scalar],
    under_way: EpisodeState,
    trace_id: str,
    started: float,
) -> Decision:
    choice, actions = made.choice, agent.spec.actions.actions
    action = None if choice.action is None else actions[choice.action]
    given = made.given or Given(served=agent.learning())
    trial = given.trial
    world = agent.world
    return Decision(
        id=name,
        agent=agent.spec.name,
        episode=episode,
        step=under_way.step,
        subject=made.subject,
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
        epsilon=made.epsilon,
        policy=given.served.label,
        settings_hash=agent.settings_hash,
        table_position=agent.position,
        seed=world.seed,
        stream=agent.stream,
        may_explore=made.may_explore,
        overridden=made.overridden,
        version=given.served.version,
        release="" if trial is None else trial.release,
        challenger_share=0.0 if trial is None else trial.share,
        stage="full" if trial is None else trial.stage,
        mode=made.mode,
        shadow=None if made.shadow is None else actions[made.shadow],
        shadow_probability=made.shadow_probability,
        trace_id=trace_id,
        draw=made.draw,
        decided_at=world.clock(),
        latency_us=(world.timer() - started) * 1e6,
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
