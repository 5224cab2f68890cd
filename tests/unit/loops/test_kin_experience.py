"""A network that is trained with kin knows more from few outcomes, and nothing that it heard becomes its own experience."""

from typing import Any

import numpy as np
import pytest

from steersman.app import Steersman
from steersman.core.compute import Budget
from steersman.core.errors import Conflict, InvalidInput
from steersman.core.versions import Judgement
from steersman.loops.agent import Agent
from steersman.loops.experience import gather
from steersman.policies.deep.artefact import FrozenNetwork, unpack
from steersman.policies.deep.forward import slot_values
from steersman.policies.encoding import Encoder
from steersman.testing.relatives import Relative

OLD = Relative(name="lab/files", size="files", urgency="heat", choices=("1", "2", "4"), most=100.0, pay=2.0)
NEW = Relative(name="lab/new", size="pages", urgency="noise", choices=("one", "two", "all"), most=50.0)
SETTINGS: dict[str, Any] = {
    "evaluation": {"min_outcomes": 10},
    "training": {"hidden": "16", "stream": 0, "batch": 32, "updates": 500, "learning_rate": 0.003, "tracker": "none"},
}


def made(agent: Agent, judged: Judgement) -> FrozenNetwork:
    production = agent._runtime.world.production
    assert production is not None
    return unpack(production.registry.artefact(NEW.name, judged.version), judged.version)


def right(frozen: FrozenNetwork) -> float:
    """Return in what share of states the network holds the best action for the best."""
    grid = np.linspace(0.05, 0.95, 10)
    states = [NEW.state(size, urgency) for size in grid for urgency in grid]
    vectors = np.array([Encoder(NEW.spec.state).vector(each) for each in states])
    best = np.array([[NEW.worth(each, place) for place in range(3)] for each in states]).argmax(axis=1)
    return float((slot_values(frozen.net, frozen.weights, vectors).argmax(axis=1) == best).mean())


def test_a_training_that_hears_kin_knows_more_and_counts_its_own_outcomes_alone() -> None:
    with Steersman.open("memory:", settings=SETTINGS, seed=3) as steersman:
        old = OLD.work(steersman, 400, np.random.default_rng(0))
        new = NEW.work(steersman, 20, np.random.default_rng(1))
        alone = made(new, new.pipeline.run(actor="me"))
        rows = new._runtime.log.position
        first = new.pipeline.run(actor="me", anew=True, kin=[old.pipeline])
        helped = made(new, first)
        assert right(helped) > right(alone) + 0.1
        assert helped.visits.tolist() == alone.visits.tolist()
        assert new._runtime.log.decision_count(NEW.name) == 20
        assert new._runtime.log.position == rows
        again = new.pipeline.run(actor="me", anew=True, kin=[old.pipeline])
        assert again.version == first.version  # the same log, the same kin, the same network to the bit


def test_an_agent_is_not_its_own_kin() -> None:
    with Steersman.open("memory:", settings=SETTINGS) as steersman:
        new = NEW.work(steersman, 20, np.random.default_rng(1))
        with pytest.raises(InvalidInput, match="cannot hear lab/new"):
            new.pipeline.run(actor="me", kin=[new.pipeline])


def test_a_training_that_heard_kin_is_gone_on_with_to_the_bit_and_only_with_the_same_kin() -> None:
    with Steersman.open("memory:", settings=SETTINGS, seed=3) as steersman:
        old = OLD.work(steersman, 400, np.random.default_rng(0))
        new = NEW.work(steersman, 20, np.random.default_rng(1))
        at_once = new.pipeline.run(actor="me", kin=[old.pipeline])
        new.pipeline.run(actor="me", anew=True, kin=[old.pipeline], budget=Budget(cpu_seconds=1e-6))
        with pytest.raises(Conflict, match="--kin lab/files"):
            new.pipeline.run(actor="me", resume=True)
        assert new.pipeline.run(actor="me", resume=True, kin=[old.pipeline]).version == at_once.version


def test_outcomes_are_found_however_much_others_have_done_since() -> None:
    with Steersman.open("memory:", settings={**SETTINGS, "training": {"rows": 100}}, seed=3) as steersman:
        old = OLD.work(steersman, 150, np.random.default_rng(0))
        NEW.work(steersman, 600, np.random.default_rng(1))
        assert len(gather(old._runtime, old._runtime.log.durable_position).rows) == 100
