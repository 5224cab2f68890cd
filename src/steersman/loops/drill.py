"""Drill: plant a bad version in a sandbox, on the agent's own log, and see it caught and rolled back.

Everything that stands between a bad version and production works as it does there: deciding, the split of the subjects, the
comparison, the move. What came of a decision is drawn from what came of the same action in the same situation in the log.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.core.settings import Settings
from steersman.core.state import Scalar
from steersman.core.transition import Transition
from steersman.core.values import Decision, Outcome
from steersman.core.versions import BASELINE, LEARNING, Judgement, address, short
from steersman.loops import judge, promote
from steersman.loops.cut import frozen_now, keep
from steersman.loops.decide import decide
from steersman.loops.evidence import newest
from steersman.loops.learn import transition
from steersman.loops.report import report
from steersman.loops.runtime import Runtime, World
from steersman.loops.trial import Trials
from steersman.maths.randomness import key_for
from steersman.policies import artefact, content
from steersman.stages.release.plan import Step

_LEAST = 100
_AFTER = 200
_LEAST_CONTROL = 2_000
_LOOK_EVERY = 20
_SURE = 1_000
_LONG_S = 3_650 * 86_400.0


@dataclass(frozen=True, kw_only=True)
class Drill:
    """What a drill showed.

    planted: how much worse the bad version is by the log, in reward ranges. detected: whether it was rolled back.
    decisions, seconds: until then, at the agent's own pace. rolled_back_to: the version that decided afterwards.
    served_after: decisions of the bad version after the rollback, of `_AFTER`. false_alarm: whether a copy of the champion,
    planted as a control, was rolled back as well. sentence: all that in words.
    """

    agent: str
    share: float
    planted: float
    detected: bool
    decisions: int
    seconds: float
    reason: str
    rolled_back_to: str
    served_after: int
    false_alarm: bool

    @property
    def passed(self) -> bool:
        """Whether the bad version went, for good, and the control stayed."""
        return self.detected and not self.served_after and not self.false_alarm

    @property
    def sentence(self) -> str:
        """What was shown, in words."""
        if self.false_alarm:
            return "A copy of the champion was rolled back: the comparison sees harm where there is none."
        if not self.detected:
            return (
                f"Not rolled back in {self.decisions} decisions: by the log the worst that could be planted costs "
                f"{100 * self.planted:.2g} % of the reward range."
            )
        after = f"and decided {self.served_after} times more" if self.served_after else "and decided nothing more"
        return (
            f"A version that costs {100 * self.planted:.2g} % of the reward range was rolled back after {self.decisions} "
            f"decisions ({_span(self.seconds)} at this agent's pace) {after}."
        )


@dataclass(frozen=True, kw_only=True)
class _Past:
    """What is replayed: the situations as they came, and what came of each action where it was taken."""

    states: Sequence[dict[str, Scalar]]
    rows: Sequence[Transition]
    by_place: dict[tuple[str, int], list[Outcome]]
    by_action: dict[int, list[Outcome]]
    every: list[Outcome]
    pace_s: float

    def outcome(self, key: str, action: int, rng: np.random.Generator) -> Outcome:
        """Return an outcome of an action in a situation; of the action anywhere, or of any, where it was never taken."""
        known = self.by_place.get((key, action)) or self.by_action.get(action) or self.every
        return known[int(rng.integers(len(known)))]


def drill(agent: Runtime, *, actor: str, share: float, decisions: int) -> Drill:
    """Run a drill and keep what it showed. Raises InvalidInput where the log holds too little to draw from."""
    if not 0.0 < share < 1.0 or decisions < _LEAST:
        raise InvalidInput(f"a drill needs a share in (0, 1) and at least {_LEAST} decisions, got {share} and {decisions}.")
    past, champion = _past(agent), _champion(agent)
    means = _means(agent, past)
    bad = _inverted(agent, champion, past, means)
    caught = _run(agent, champion, bad, past, share=share, decisions=decisions)
    same, enough = replace(champion, epsilon=_other(champion.epsilon)), max(_LEAST_CONTROL, 4 * caught.decisions)
    control = _run(agent, champion, same, past, share=share, decisions=min(decisions, enough))
    found = replace(caught, planted=_cost(agent, past, means), false_alarm=control.detected)
    judge.keep(
        agent,
        Judgement(
            id=agent.world.ids(),
            agent=agent.spec.name,
            version=address(content.pack(bad)),
            against=address(content.pack(champion)),
            at=agent.world.clock(),
            actor=actor,
            kind="drill",
            verdict="passed" if found.passed else "failed",
            reason=found.sentence,
            body=judge.plain(found),
        ),
    )
    return found


def _past(agent: Runtime) -> _Past:
    pairs = []
    for decision, outcome in newest(agent)[1]:
        made = _usable(agent, decision, outcome)
        if made is not None:
            pairs.append((decision, outcome, made))
    if len(pairs) < _LEAST:
        raise InvalidInput(
            f"{agent.spec.name}: a drill draws from the agent's own outcomes; the log holds {len(pairs)} that can be used, "
            f"and {_LEAST} are needed."
        )
    by_place: dict[tuple[str, int], list[Outcome]] = defaultdict(list)
    by_action: dict[int, list[Outcome]] = defaultdict(list)
    for _, outcome, made in pairs:
        by_place[made.key, made.action].append(outcome)
        by_action[made.action].append(outcome)
    times = [decision.decided_at for decision, _, _ in pairs]
    return _Past(
        states=[decision.state for decision, _, _ in pairs],
        rows=[made for _, _, made in pairs],
        by_place=by_place,
        by_action=by_action,
        every=[outcome for _, outcome, _ in pairs],
        pace_s=max((max(times) - min(times)) / len(times), 1e-3),
    )


def _usable(agent: Runtime, decision: Decision, outcome: Outcome) -> Transition | None:
    if outcome.kind != "reported" or outcome.reward is None:
        return None
    try:
        return transition(agent, decision, outcome)
    except InvalidInput:
        return None


def _champion(agent: Runtime) -> content.Content:
    """Return what is in production, as a version's content; where that is the rule, or what is being learned, the latter."""
    name = promote.standing(agent).champion
    if agent.world.production is None or name in (LEARNING, BASELINE):
        with agent.lock:
            return frozen_now(agent)
    return content.unpack(agent.world.production.registry.artefact(agent.spec.name, name), name)


def _means(agent: Runtime, past: _Past) -> dict[str, NDArray[np.float64]]:
    """Return the mean reward of each action in each situation, the action's mean anywhere where it was not taken there."""
    anywhere = np.full(len(agent.spec.actions), np.mean([each.reward or 0.0 for each in past.every]))
    for action, outcomes in past.by_action.items():
        anywhere[action] = np.mean([each.reward or 0.0 for each in outcomes])
    means = {made.key: anywhere.copy() for made in past.rows}
    for (key, action), outcomes in past.by_place.items():
        means[key][action] = np.mean([each.reward or 0.0 for each in outcomes])
    return means


def _inverted(
    agent: Runtime, champion: content.Content, past: _Past, means: dict[str, NDArray[np.float64]]
) -> artefact.Frozen:
    """Return a version that holds for best what earned least in each situation of the log, and is sure of it."""
    table, space = agent.new_fold().table, agent.spec.actions
    low, high = agent.spec.reward_range
    taken = [(space.slots == slot).any(axis=1) for slot in range(table.width)]
    for key, bins in {made.key: made.bins for made in past.rows}.items():
        row, worth = table.intern(key, bins), low + high - means[key]
        values = [float(worth[actions].mean()) / len(space.dimensions) for actions in taken]
        table.value[row] = np.tile(values, table.estimators)
        table.visits[row] = _SURE
    bad = artefact.freeze(agent.spec, agent.settings, table, champion.epsilon)
    return replace(bad, value=np.clip(bad.value, *bad.bounds))


def _cost(agent: Runtime, past: _Past, means: dict[str, NDArray[np.float64]]) -> float:
    """Return what it costs, in reward ranges, to do the worst that is known instead of what was done."""
    low, high = agent.spec.reward_range
    done = np.mean([means[made.key][made.action] for made in past.rows])
    worst = np.mean([means[made.key].min() for made in past.rows])
    return float(done - worst) / (high - low)


def _other(epsilon: float) -> float:
    """Return an ε that is another number and, for all that matters, the same."""
    return float(np.nextafter(epsilon, 0.5))


def _run(
    agent: Runtime, champion: content.Content, planted: content.Content, past: _Past, *, share: float, decisions: int
) -> Drill:
    now = [agent.world.clock()]
    box = Runtime(agent.spec, _settings(agent.settings), _sandbox(agent, now), agent.guard_list)
    place = box.world.production
    assert place is not None  # noqa: S101 - a sandbox has one
    names = [
        keep(box, place, each, position=0, outcomes=0, actor="drill", reason="planted").id for each in (champion, planted)
    ]
    promote.roll_back(box, actor="drill", reason="as in production", to=names[0])
    promote.start(box, names[1], actor="drill", plan=(Step(stage="canary", share=share, lasts_s=_LONG_S),))
    rng = np.random.default_rng(key_for(0, agent.spec.name)[0])
    trials = Trials(box)
    made, reason = 0, ""
    while made < decisions and not reason:
        _traffic(box, past, rng, now, _LOOK_EVERY)
        made += _LOOK_EVERY
        moved = trials.follow()
        reason = moved.reason if moved is not None and moved.move == "rolled back" else ""
    began = now[0]
    after = _traffic(box, past, rng, now, _AFTER if reason else 0)
    return Drill(
        agent=agent.spec.name,
        share=share,
        planted=0.0,
        detected=bool(reason),
        decisions=made,
        seconds=began - agent.world.clock(),
        reason=reason,
        rolled_back_to=short(promote.standing(box).champion) if reason else "",
        served_after=sum(each.version == names[1] for each in after),
        false_alarm=False,
    )


def _settings(settings: Settings) -> Settings:
    """Return settings under which outcomes come at once, as they do in a sandbox, and nothing else is different."""
    return replace(settings, release=replace(settings.release, cohort_wait_s=0.0, mode="staged", quarantine=False))


def _sandbox(agent: Runtime, now: list[float]) -> World:
    if agent.world.sandbox is None:
        raise InvalidInput("this log has no sandbox for a drill; open a store with Steersman.open.")
    return agent.world.sandbox(lambda: now[0])


def _traffic(box: Runtime, past: _Past, rng: np.random.Generator, now: list[float], count: int) -> list[Decision]:
    """Let decisions be made and reported, each of a situation of the log, at the agent's pace."""
    made = []
    for _ in range(count):
        now[0] += past.pace_s
        at = int(rng.integers(len(past.rows)))
        decision = decide(box, past.states[at])
        outcome = past.outcome(past.rows[at].key, box.spec.actions.index(decision.executed), rng)
        report(box, decision, outcome.measurements, terminated=True)
        made.append(decision)
    return made


def _span(seconds: float) -> str:
    for size, name in ((86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {name}"
    return f"{seconds:.1f} s"
