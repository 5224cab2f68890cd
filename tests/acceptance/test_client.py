"""The client against a real service: what it promises holds when the service is there, goes away, and comes back."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from steersman import Steersman
from steersman.client import Ask, AsyncClient, Client, Said
from steersman.core.errors import Conflict, InvalidInput, NotFound, NotPermitted, TooMany, Unauthenticated
from steersman.core.sections import Service as Limits
from steersman.core.values import Outcome
from steersman.testing.serving import make_key, serving
from steersman.testing.specs import small_agent

AGENT = "lab/small"
STATE = {"load": 10.0, "backlog": 5.0, "weekend": False}


def rule(agent: str, state: Mapping[str, Any]) -> str:
    return "light"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(str(tmp_path_factory.mktemp("store") / "log.db"), agents=[small_agent()]) as running:
        yield running.url


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url, deadline_s=20.0) as found:
        yield found


def test_a_decision_and_its_outcome(client: Client) -> None:
    decision = client.decide(AGENT, STATE, subject="ann")
    assert decision.recorded
    assert decision.durable
    assert 0 < (decision.propensity or 0) <= 1
    assert decision.choice in ("rest", "light", "steady", "heavy")
    for _ in range(3):  # saying the same again is harmless
        reported = client.report(decision, {"reward": 0.5})
        assert (reported.status, reported.revision, reported.reward) == ("stored", 0, 0.5)
    told = client.explain(decision)
    assert told["decision"]["subject"] == "ann"
    assert [each["reward"] for each in told["outcomes"]] == [0.5]


def test_revisions_corrections_and_withdrawal(client: Client) -> None:
    decision = client.decide(AGENT, STATE)
    client.report(decision, {"reward": 0.5}, revision=0)
    with pytest.raises(Conflict, match="another outcome"):
        client.report(decision, {"reward": 0.4})
    for _ in range(2):
        assert client.report(decision, {"reward": 0.4}, revision=1).revision == 1
    assert client.report(decision, {"reward": 0.3}, correct=True).revision == 2
    assert client.withdraw(decision, source="me").kind == "withdrawn"


def test_an_episode_by_its_name(client: Client) -> None:
    first = client.decide(AGENT, STATE, episode="e1")
    client.report(first, {"reward": 0.1}, next_state=STATE)
    second = client.decide(AGENT, STATE, episode="e1")
    client.report(second, {"reward": 0.1}, terminated=True)
    assert (first.step, second.step) == (0, 1)
    with pytest.raises(Conflict, match="over"):
        client.decide(AGENT, STATE, episode="e1")


def test_batches(client: Client) -> None:
    asked = [Ask(agent=AGENT, state=STATE), Ask(agent=AGENT, state={"loda": 1}), Ask(agent="lab/smal", state=STATE)]
    good, wrong, unknown = client.decide_batch(asked)
    assert isinstance(wrong, InvalidInput)
    assert isinstance(unknown, NotFound)
    assert not isinstance(good, Exception)
    said = [Said(decision_id=good.id, measurements={"reward": 0.1}), Said(decision_id="no", measurements={"reward": 0.1})]
    stored, refused = client.report_batch(said)
    assert not isinstance(stored, Exception)
    assert stored.status == "stored"
    assert isinstance(refused, NotFound)


def test_errors_are_those_of_the_product_with_the_way_out(client: Client) -> None:
    with pytest.raises(InvalidInput, match="Did you mean 'load'"):
        client.decide(AGENT, {**STATE, "loda": 1})
    with pytest.raises(NotFound, match="lab/small"):
        client.decide("lab/smal", STATE)
    with pytest.raises(InvalidInput, match="reward"):
        client.report(client.decide(AGENT, STATE), {"reward": 7.0})
    with pytest.raises(InvalidInput, match="limit"):
        client.read("/v1/decisions", {"agent": AGENT, "limit": -1})


def test_keys_roles_and_rates(tmp_path: Path) -> None:
    store = tmp_path / "log.db"
    decider = make_key(store, "decide")
    limits = Limits(rate_per_s=1.0, burst=3)
    with serving(str(store), agents=[small_agent()], limits=limits) as running:
        with Client(running.url, key="steer_aaaaaaaaaaaa_bbbb", fallback=rule) as stranger, pytest.raises(Unauthenticated):
            stranger.decide(AGENT, STATE)
        with Client(running.url, key=decider, deadline_s=0.3) as client:
            decision = client.decide(AGENT, STATE)
            with pytest.raises(NotPermitted, match="report"):
                client.report(decision, {"reward": 0.1})
            client.decide(AGENT, STATE)
            with pytest.raises(TooMany, match="rate_per_s"):
                client.decide_batch([Ask(agent=AGENT, state=STATE)] * 5)
            assert client.decide(AGENT, STATE, deadline_s=5.0).recorded  # there is time to wait as it is told to


def test_many_at_once_without_threads(url: str) -> None:
    async def work() -> int:
        async with AsyncClient(url, deadline_s=30.0) as client:
            decisions = await asyncio.gather(*(client.decide(AGENT, STATE) for _ in range(50)))
            reported = await asyncio.gather(*(client.report(each, {"reward": 0.1}) for each in decisions))
            return sum(each.status == "stored" for each in reported)

    assert asyncio.run(work()) == 50


@contextmanager
def up(folder: Path, port: int = 0) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Start a service as its own process."""
    settings = folder / "steersman.toml"
    (folder / "agents.py").write_text("from steersman.testing.specs import small_agent\n\nagent = small_agent()\n")
    settings.write_text('agent_files = ["agents.py"]\n')
    command = ["up", "--json", "--port", str(port), "--store", str(folder / "log.db"), "--settings", str(settings)]
    with subprocess.Popen([sys.executable, "-m", "steersman", *command], stdout=subprocess.PIPE) as process:
        try:
            yield json.loads(next(iter(process.stdout or ())))["address"], process
        finally:
            process.terminate()


def test_outcomes_survive_the_death_of_the_service(tmp_path: Path) -> None:
    with up(tmp_path) as (url, process):
        client = Client(url, deadline_s=20.0, fallback=rule)
        decisions = [client.decide(AGENT, STATE) for _ in range(6)]
        client.report(decisions[0], {"reward": 0.0})
        process.send_signal(signal.SIGKILL)
        process.wait()
    alone = client.decide(AGENT, STATE, deadline_s=0.2)
    assert (alone.choice, alone.recorded) == ("light", False)
    assert client.report(alone, {"reward": 0.1}).status == "unrecorded"
    waiting = [client.report(each, {"reward": number / 10}, deadline_s=0.05) for number, each in enumerate(decisions)]
    assert {each.status for each in waiting} == {"waiting"}
    with up(tmp_path, int(url.rpartition(":")[2])):
        assert client.flush(deadline_s=30.0) == 0
        assert client.decide(AGENT, STATE).recorded
        client.close()
    with Steersman.open(tmp_path / "log.db", settings={}, read_only=True) as steersman:
        rows = [row for row in steersman.log.rows(AGENT) if isinstance(row, Outcome)]
    assert {row.decision_id: row.reward for row in rows} == {each.id: number / 10 for number, each in enumerate(decisions)}
    assert len(rows) == 6
