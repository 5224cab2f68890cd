"""The pack checker: what must hold for every agent, whoever wrote it. `steersman check pack qe` runs it."""

import copy
import itertools
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np

from steersman.app import Steersman
from steersman.core.agent import AgentSpec
from steersman.core.errors import SteersmanError
from steersman.policies.encoding import Encoder
from steersman.testing.sampling import sample_measurements, sample_state

STATES = 200
MAX_TABLE_STATES = 2_000
_FEW = 20


class Broken(Exception):
    """What a check found."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """A check by its sentence, and the problem that it found ("" for none)."""

    name: str
    problem: str


def check_agent(spec: AgentSpec, seed: int = 0) -> list[Check]:
    """Run all checks on an agent. Its guards and baseline are called with random states; nothing is written."""
    return [_run(check, spec, np.random.default_rng([seed, index])) for index, check in enumerate(CHECKS)]


def _run(check: Callable[[AgentSpec, np.random.Generator], None], spec: AgentSpec, rng: np.random.Generator) -> Check:
    name = (check.__doc__ or check.__name__).strip().rstrip(".")
    try:
        check(spec, rng)
    except Broken as found:
        return Check(name=name, problem=str(found))
    except Exception as error:  # noqa: BLE001 - a check that cannot run has found something
        return Check(name=name, problem=f"{type(error).__name__}: {error}")
    return Check(name=name, problem="")


def _expect(holds: bool, problem: str) -> None:
    if not holds:
        raise Broken(problem)


def has_description(spec: AgentSpec, rng: np.random.Generator) -> None:
    """It says in a sentence what it decides."""
    _expect(len(spec.description) > 15 and spec.description.endswith("."), f"description: {spec.description!r}")


def table_is_small(spec: AgentSpec, rng: np.random.Generator) -> None:
    """Its table has at most about 2,000 states."""
    cells = spec.state.cells
    _expect(cells <= MAX_TABLE_STATES, f"{cells} states: drop edges of fields, or whole fields, from the key")


def keys_differ(spec: AgentSpec, rng: np.random.Generator) -> None:
    """States with different bins have different keys."""
    encoder = Encoder(spec.state)
    spans = [range(each.bins) for each in spec.state.keyed]
    every = list(itertools.islice(itertools.product(*spans), 5_000))
    keys = {encoder.key(bins) for bins in every}
    _expect(len(keys) == len(every), f"{len(every)} states have {len(keys)} keys")


def refuses_not_a_number(spec: AgentSpec, rng: np.random.Generator) -> None:
    """It refuses NaN, infinity and text for every field."""
    for field in spec.state.fields:
        for bad in (math.nan, math.inf, "nan", None):
            state = {**sample_state(spec.state, rng), field.name: bad}
            try:
                spec.state.check(state)  # type: ignore[arg-type]  # wrong on purpose
            except SteersmanError:
                continue
            raise Broken(f"field {field.name} takes {bad!r}")


def baseline_acts(spec: AgentSpec, rng: np.random.Generator) -> None:
    """Its baseline answers every state with an action, and mostly with one that its guards allow."""
    refused = 0
    for _ in range(STATES):
        state = sample_state(spec.state, rng)
        action = spec.actions.action(spec.baseline(state))
        refusals = [each.where for guard in spec.guards for each in guard.refuse(state)]
        refused += any(all(action[k] == v for k, v in where.items()) for where in refusals)
    _expect(refused < STATES, "the guards refuse the baseline's action in every state that was tried")


def guards_answer(spec: AgentSpec, rng: np.random.Generator) -> None:
    """Its guards answer every state, the same way twice, leave it as it was, and keep their deadlines."""
    for guard in spec.guards:
        seconds = []
        for _ in range(STATES):
            state = sample_state(spec.state, rng)
            before = copy.deepcopy(state)
            started = time.perf_counter()
            first = list(guard.refuse(state))
            seconds.append(time.perf_counter() - started)
            _expect(state == before, f"guard {guard.name} changed the state")
            _expect(first == list(guard.refuse(state)), f"guard {guard.name} answers the same state in two ways")
            for refusal in first:
                spec.actions.mask(refusal.where)
        median_ms = statistics.median(seconds) * 1000
        _expect(median_ms < guard.deadline_ms, f"guard {guard.name} takes {median_ms:.1f} ms of {guard.deadline_ms:g}")


def guards_refuse_their_probes(spec: AgentSpec, rng: np.random.Generator) -> None:
    """Its guards refuse something in the states that they declare as probes."""
    for guard in spec.guards:
        if guard.probe is not None:
            spec.state.check(guard.probe)
            _expect(any(True for _ in guard.refuse(guard.probe)), f"guard {guard.name} lets its probe pass")


def guards_leave_something(spec: AgentSpec, rng: np.random.Generator) -> None:
    """Its guards leave something to choose in most states."""
    left = 0
    for _ in range(STATES):
        state = sample_state(spec.state, rng)
        refused = np.zeros(len(spec.actions), dtype=bool)
        for guard in spec.guards:
            for each in guard.refuse(state):
                refused |= spec.actions.mask(each.where)
        left += not refused.all()
    _expect(left > STATES / 4, f"something was allowed in only {left} of {STATES} random states")


def reward_is_bounded(spec: AgentSpec, rng: np.random.Generator) -> None:
    """Its reward stays in the declared range, for any measurements that fit."""
    for _ in range(STATES):
        measurements = sample_measurements(spec.reward, rng)
        score = spec.reward.score(spec.reward.check(measurements))
        inside = spec.reward.low <= score.reward <= spec.reward.high
        _expect(inside, f"{score.reward} lies outside [{spec.reward.low}, {spec.reward.high}] for {measurements}")


def reward_varies(spec: AgentSpec, rng: np.random.Generator) -> None:
    """Its reward is not the same for everything."""
    scores = {round(spec.reward.score(sample_measurements(spec.reward, rng)).reward, 9) for _ in range(STATES)}
    _expect(len(scores) > 1, f"always {scores}")


def decides_before_learning(spec: AgentSpec, rng: np.random.Generator) -> None:
    """It decides before anything was learned, with a propensity, and leaves the state as it was."""
    with Steersman.open("memory:", settings={}) as steersman:
        agent = steersman.agent(spec)
        for _ in range(_FEW):
            state = sample_state(spec.state, rng)
            before = copy.deepcopy(state)
            decision = agent.decide(state)
            _expect(state == before, "deciding changed the state")
            _expect(decision.arm == "safe" or 0.0 < (decision.propensity or 0.0) <= 1.0, f"{decision.propensity=}")
            spec.actions.index(decision.action)


def is_seeded(spec: AgentSpec, rng: np.random.Generator) -> None:
    """The same seed gives the same decisions and the same values."""
    episodes = [(sample_state(spec.state, rng), sample_measurements(spec.reward, rng)) for _ in range(_FEW)]
    runs = []
    for _ in range(2):
        with Steersman.open("memory:", settings={}, seed=7, clock=lambda: 1_000.0) as steersman:
            agent = steersman.agent(spec)
            made = [agent.decide(state) for state, _ in episodes]
            for decision, (_, measurements) in zip(made, episodes, strict=True):
                agent.report(decision, measurements, terminated=True)
            values = [agent.values(state) for state, _ in episodes]
            runs.append(([(each.executed, each.propensity) for each in made], values))
    _expect(runs[0] == runs[1], "two runs with one seed differ")


def explains_and_replays(spec: AgentSpec, rng: np.random.Generator) -> None:
    """Its decisions can be explained, and replayed to the bit."""
    with Steersman.open("memory:", settings={}, clock=lambda: 1_000.0) as steersman:
        agent = steersman.agent(spec)
        made = []
        for _ in range(_FEW):
            made.append(agent.decide(sample_state(spec.state, rng)))
            agent.report(made[-1], sample_measurements(spec.reward, rng), terminated=True)
        for decision in made:
            msgspec.json.encode(agent.explain(decision.id).values)
            found = agent.replay(decision.id)
            _expect(found.identical, f"replay differs: {'; '.join(found.differences)}")


CHECKS: tuple[Callable[[AgentSpec, np.random.Generator], None], ...] = (
    has_description,
    table_is_small,
    keys_differ,
    refuses_not_a_number,
    baseline_acts,
    guards_answer,
    guards_refuse_their_probes,
    guards_leave_something,
    reward_is_bounded,
    reward_varies,
    decides_before_learning,
    is_seeded,
    explains_and_replays,
)
