"""The page of training, without a browser: empty, for runs of every kind, and what became of an agent's networks."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from steersman.app import Steersman
from steersman.core.access import granted
from steersman.core.errors import InvalidInput
from steersman.core.tracking import Begun, Ended, begin, logged
from steersman.service import pages
from steersman.service.operations import Call, Caller, Reply
from steersman.service.pages.timeline import Event, timeline
from steersman.testing.traffic import Clock, Traffic, numbered, pays, steady_agent

PAGES = {each.path: each for each in pages.OPERATIONS}
ME = "lab/small"
SMALL = {"hidden": "16", "stream": 0, "batch": 16, "updates": 50}


class Here:
    """A host that does everything at once."""

    async def in_thread(self, work: Callable[..., Any], *args: Any) -> Any:
        return work(*args)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def steersman(clock: Clock) -> Iterator[Steersman]:
    spec = steady_agent({"training": SMALL, "release": {"mode": "continuous"}})
    with Steersman.open("memory:", agents=[spec], settings={}, clock=clock, ids=numbered()) as opened:
        opened._duties._closing.set()
        yield opened


def call(steersman: Steersman, path: dict[str, str] | None = None, **query: str) -> Call:
    viewer = Caller(actor="ada", tenant="default", roles=granted(["view"]))
    return Call(host=Here(), steersman=steersman, caller=viewer, path=path or {}, query=query, headers={})


def ask(asked: Call, page: str = "/training") -> Reply:
    reply: Reply = asyncio.run(PAGES[page].handler(asked))  # type: ignore[arg-type]  # its awaitable is a coroutine
    return reply


def told(steersman: Steersman, agent: str = ME, state: str = "done", /, **metrics: float) -> Begun:
    """Tell of a run that logged metrics twice."""
    run = begin("a try", agent=agent, at=1_000.0)
    steersman.runs.begin(run)
    for step in (50, 100) if metrics else ():
        steersman.runs.log(run.id, logged(step, metrics, at=1_010.0))
    if state != "running":
        steersman.runs.end(run.id, Ended(at=1_020.0, reason="<b>no number</b>" if state == "failed" else ""))
    return run


def events(steersman: Steersman, agent: str = ME) -> list[Event]:
    return timeline(call(steersman), agent, steersman.runs.runs())


def test_where_nothing_was_trained_it_says_how_to_train(steersman: Steersman) -> None:
    reply = ask(call(steersman))
    text = reply.body.decode()
    assert reply.status == 200
    assert "No training yet" in text
    assert "steersman train AGENT" in text
    assert "<figure" not in text


@pytest.mark.parametrize("metrics", [{}, {"loss": 0.5}, {"loss": 0.5, "held-out loss": 0.6}, {"reward": 1.0, "zeal": 2.0}])
@pytest.mark.parametrize("state", ["running", "done", "failed"])
def test_a_run_is_shown_whatever_it_logged(steersman: Steersman, metrics: dict[str, float], state: str) -> None:
    told(steersman, ME, state, **metrics)
    reply = ask(call(steersman))
    text = reply.body.decode()
    assert (reply.status, "Undefined" in text, "<b>no number" in text) == (200, False, False)
    assert ("It has logged nothing yet" in text) is not bool(metrics)
    assert ("Curves as a picture" in text) is bool(metrics)


def test_its_curves_are_a_picture(steersman: Steersman) -> None:
    run = told(steersman, loss=0.5)
    assert f'href="/training/{run.id}.png"' in ask(call(steersman)).body.decode()
    reply = ask(call(steersman, {"run": run.id}), "/training/{run}.png")
    assert (reply.status, reply.media_type, reply.body[:4]) == (200, "image/png", b"\x89PNG")
    assert f"lab-small-{run.id}.png" in reply.headers["Content-Disposition"]
    assert ask(call(steersman, {"run": "none"}), "/training/{run}.png").status == 404


def test_what_was_logged_once_is_told_and_not_drawn(steersman: Steersman) -> None:
    run = told(steersman, loss=0.5)
    steersman.runs.log(run.id, logged(100, {"wall_s": 12.5}, at=1_015.0))
    text = ask(call(steersman)).body.decode()
    assert "<dt>wall_s</dt><dd>12.5</dd>" in text
    assert text.count("<figure") == 1


def test_a_training_is_told_once_with_its_verdict(steersman: Steersman, clock: Clock) -> None:
    agent = steersman.agent(ME)
    with pytest.raises(InvalidInput):
        agent.pipeline.run(actor="me")
    clock.now += 10.0
    Traffic(agent=agent, clock=clock, reward=pays).run(500)
    made = agent.pipeline.run(actor="me")
    run = steersman.runs.runs()[0]
    latest, first = events(steersman)
    assert (latest.kind, latest.word, latest.what) == ("plain", "trained", made.version[:12])
    assert made.body["verdict"] == "cannot tell"
    assert latest.where == f"/training?run={run.begun.id}"
    assert made.body["judged"] in latest.text
    assert (first.kind, first.word, "are needed" in first.text) == ("down", "failed", True)


def test_a_training_is_listed_among_verdicts_against_nobody(steersman: Steersman, clock: Clock) -> None:
    agent = steersman.agent(ME)
    with pytest.raises(InvalidInput):
        agent.pipeline.run(actor="me")
    Traffic(agent=agent, clock=clock, reward=pays).run(500)
    agent.pipeline.run(actor="me")
    text = ask(call(steersman, {"agent": ME}), "/releases/{agent:agent}").body.decode()
    assert "network, 16" in text
    assert text.count("<small>against") == 1, "the evaluation alone is against somebody"
    assert '<td data-label="Of">–</td>' in text, "what failed made no version"


def test_releases_and_rollbacks_are_told_and_runs_that_nobody_judged(steersman: Steersman, clock: Clock) -> None:
    agent = steersman.agent(ME)
    Traffic(agent=agent, clock=clock, reward=pays).run(100)
    made = agent.release.cut(actor="me")
    agent.release.rollback(made.id, actor="ada", reason="it did harm")
    run = told(steersman)
    back, trained = events(steersman)
    assert (back.kind, back.word, back.what) == ("down", "rolled back", made.id[:12])
    assert "it did harm" in back.text
    assert (trained.what, trained.where) == ("a try", f"/training?run={run.id}")


def test_drift_that_holds_stands_where_it_began(clock: Clock) -> None:
    high = 100.0
    windows = {"monitoring": {"drift_reference": 1_000, "drift_window": 200}}
    with Steersman.open("memory:", agents=[steady_agent(windows)], settings={}, clock=clock, ids=numbered()) as steersman:
        steersman._duties._closing.set()

        def state(rng: Any) -> dict[str, Any]:
            return {"load": float(rng.uniform(0, 79)), "backlog": float(rng.uniform(0, high)), "weekend": False}

        traffic = Traffic(agent=steersman.agent(ME), clock=clock, reward=pays, state=state)
        traffic.run(1_300)
        assert events(steersman) == []
        begun, high = clock.now, 1_000.0
        traffic.run(400)
        found = [each for each in events(steersman) if each.kind == "odd"]
        assert ("drift", "backlog") in [(each.word, each.what) for each in found]
        assert all(begun <= each.at <= clock.now for each in found)


def test_of_an_environment_runs_alone_are_told(steersman: Steersman) -> None:
    told(steersman, "gym:CartPole-v1", "failed", loss=1.0)
    told(steersman, "gym:CartPole-v1", "running", loss=1.0)
    (found,) = events(steersman, "gym:CartPole-v1")
    assert (found.kind, found.word, found.text) == ("down", "failed", "<b>no number</b>")
