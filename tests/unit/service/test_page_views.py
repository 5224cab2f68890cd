"""Each page as the service asks for it, without a browser: full, empty, while the log is still being read, and refused."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from steersman.app import Steersman
from steersman.core.access import ROLES, granted, issue
from steersman.core.values import ApiKey, AuditEvent, Role
from steersman.loops import promote
from steersman.service import ledger as room
from steersman.service import pages
from steersman.service.ledger import ledger_of
from steersman.service.operations import Call, Caller, Operation, Reply
from steersman.stages.decide.offers import Offer, Request
from steersman.testing.specs import small_agent

PAGES = {each.path: each for each in pages.OPERATIONS}
STATE: dict[str, Any] = {"load": 10.0, "backlog": 5.0, "weekend": False}
AGENT = {"agent": "lab/small"}


class Here:
    """A host that does everything at once."""

    async def in_thread(self, work: Callable[..., Any], *args: Any) -> Any:
        return work(*args)

    def trail(self, call: Call, limit: int) -> list[AuditEvent]:
        return call.steersman.log.audit(limit)

    def keys(self, tenant: str) -> list[ApiKey]:
        return [issue(name="ada", roles=["admin"], at=1_000.0)[0]]


@pytest.fixture
def steersman() -> Iterator[Steersman]:
    with Steersman.open("memory:", agents=[small_agent()], settings={"convergence": {"window_outcomes": 2}}) as opened:
        yield opened


def act(steersman: Steersman, times: int = 1) -> str:
    agent = steersman.agent("lab/small")
    for _ in range(times):
        decision = agent.decide(STATE)
        agent.report(decision, {"reward": 0.5}).wait()
    return decision.id


def caller(*roles: Role) -> Caller:
    return Caller(actor="ada", tenant="default", roles=granted(roles))


def ask(
    steersman: Steersman,
    page: Operation,
    path: dict[str, str],
    who: Caller | None = None,
    query: dict[str, str] | None = None,
) -> tuple[int, str]:
    """Return the status and the text of a page."""
    call = Call(host=Here(), steersman=steersman, caller=who or caller("admin"), path=path, query=query or {}, headers={})
    reply: Reply = asyncio.run(page.handler(call))  # type: ignore[arg-type]  # an async function's awaitable is a coroutine
    return reply.status, reply.body.decode()


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/agents/{agent:agent}",
        "/releases",
        "/releases/{agent:agent}",
        "/on-call",
        "/debug",
        "/audit",
        "/keys",
        "/login",
    ],
)
@pytest.mark.parametrize("times", [0, 1, 12], ids=["empty", "one", "some"])
def test_a_page_is_made_of_whatever_there_is(steersman: Steersman, path: str, times: int) -> None:
    act(steersman, times) if times else None
    status, text = ask(steersman, PAGES[path], AGENT)
    assert status == 200
    assert "<h1" in text
    assert "Undefined" not in text


def test_a_decision_is_explained_before_and_after_its_outcome(steersman: Steersman) -> None:
    page = PAGES["/decisions/{id}"]
    waiting = steersman.agent("lab/small").decide({**STATE, "load": 90.0})
    status, text = ask(steersman, page, {"id": waiting.id})
    assert status == 200
    assert "the load is 80 or more" in text
    assert "No outcome was reported yet" in text
    assert "0.500" in ask(steersman, page, {"id": act(steersman)})[1]


def on_trial(steersman: Steersman, plan: str) -> None:
    """Begin to try what was learned beside the baseline rule."""
    act(steersman, 12)
    release = steersman.agent("lab/small").release
    release.rollback("baseline", actor="ada", reason="releases begin here")
    release.start(actor="ada", reason="<b>it</b> is time", plan=plan, despite="a test")


def test_a_release_shows_its_steps_its_comparison_and_what_can_be_done(steersman: Steersman) -> None:
    page, path = PAGES["/releases/{agent:agent}"], AGENT
    assert "nothing was ever released" in ask(steersman, page, path)[1]
    on_trial(steersman, "50% 1h")
    act(steersman, 20)
    text = ask(steersman, page, path)[1]
    for part in ("The trial under way", "Live comparison", "at least 1 h", "Evidence from the log", "The gate is", "Hold"):
        assert part in text, part
    assert "&lt;b&gt;it&lt;/b&gt;" in text
    release = steersman.agent("lab/small").release
    release.hold(actor="ada", reason="let me see")
    assert "Go on" in ask(steersman, page, path)[1]
    release.resume(actor="ada")
    promote.hold(release._runtime, actor="steersman", reason="the evidence is there", ask_person=True)
    assert "Confirm the next step" in ask(steersman, page, path)[1]
    listed = ask(steersman, PAGES["/releases"], {})[1]
    assert 'data-open="confirm" data-to="/v1/releases/lab/small"' in listed
    assert "waits for a person" in listed
    release.abort(actor="ada", reason="enough")
    text = ask(steersman, page, path)[1]
    assert "The last trial" in text
    assert "It was <b>aborted</b>" in text


def test_what_was_in_production_at_a_time_is_told_on_the_page(steersman: Steersman) -> None:
    on_trial(steersman, "50% 1h")
    page = PAGES["/releases/{agent:agent}"]
    assert "before the first move" in ask(steersman, page, AGENT, query={"at": "2001-01-01T00:00"})[1]
    assert "<b>it</b>" not in ask(steersman, page, AGENT, query={"at": "2999-01-01T00:00"})[1]
    assert "That was move 2" in ask(steersman, page, AGENT, query={"at": "2999-01-01T00:00"})[1]
    assert ask(steersman, page, AGENT, query={"at": "soon"})[0] == 400


def test_a_decision_tells_who_was_tried_and_who_was_asked(steersman: Steersman) -> None:
    on_trial(steersman, "99% 1h")
    agent, page = steersman.agent("lab/small"), PAGES["/decisions/{id}"]
    tried = next(each for each in (agent.decide(STATE) for _ in range(200)) if each.arm == "challenger")
    text = ask(steersman, page, {"id": tried.id})[1]
    assert "this one fell to the challenger" in text
    assert f'<code title="{tried.version}">' in text
    agent.release.abort(actor="ada")
    agent.release.start(actor="ada", plan="shadow 1h, 50% 1h", despite="a test")
    asked = agent.decide(STATE)
    assert "in shadow: the challenger would have taken" in ask(steersman, page, {"id": asked.id})[1]
    assert "challenger" in ask(steersman, PAGES["/agents/{agent:agent}"], AGENT)[1]


def test_who_may_only_look_can_move_nothing(steersman: Steersman) -> None:
    on_trial(steersman, "50% 1h")
    page = PAGES["/releases/{agent:agent}"]
    looking = ask(steersman, page, AGENT, caller("view"))[1]
    assert looking.count("data-open=") == looking.count('disabled title="Moving needs the role operate."') >= 5
    assert "disabled" not in ask(steersman, page, AGENT, caller("operate"))[1]


def test_what_is_not_there_is_a_page_that_says_so(steersman: Steersman) -> None:
    status, text = ask(steersman, PAGES["/agents/{agent:agent}"], {"agent": "no/such"})
    assert (status, "Not here" in text, "no/such" in text) == (404, True, True)
    assert ask(steersman, PAGES["/decisions/{id}"], {"id": "none"})[0] == 404


def test_while_the_log_is_read_pages_say_how_far(steersman: Steersman, monkeypatch: pytest.MonkeyPatch) -> None:
    act(steersman, 3)
    monkeypatch.setattr(room, "QUICK", 0)
    monkeypatch.setattr(room.Ledger, "refresh_later", lambda self: None)
    for path in ("/", "/agents/{agent:agent}", "/on-call", "/debug"):
        text = ask(steersman, PAGES[path], AGENT)[1]
        assert "Still reading the log" in text, path
        assert "steersman demo" not in text, path


def test_an_agent_without_a_definition_is_still_listed(steersman: Steersman) -> None:
    act(steersman)
    steersman.catalog = type(steersman.catalog)()
    steersman._agents.clear()
    for path in ("/", "/on-call"):
        status, text = ask(steersman, PAGES[path], {})
        assert status == 200
        assert "lab/small" in text


def test_an_agent_without_a_definition_has_a_page_and_so_have_its_decisions(steersman: Steersman) -> None:
    decision = act(steersman, 3)
    steersman.catalog = type(steersman.catalog)()
    steersman._agents.clear()
    status, text = ask(steersman, PAGES["/agents/{agent:agent}"], AGENT)
    assert (status, "Its definition is not here" in text, f"/decisions/{decision}" in text) == (200, True, True)
    status, text = ask(steersman, PAGES["/decisions/{id}"], {"id": decision})
    assert (status, "0.500" in text, "data-replay" in text) == (200, True, False)


def test_a_ranked_event_is_found_where_the_overview_links_to(steersman: Steersman) -> None:
    """Its state is JSON text that may be very long, and its id is the caller's."""
    offers = [Offer(id="pasta", features=[{"taste": "salty"}]), Offer(id="<b>ice</b>", features=[{"note": "x" * 150_000}])]
    ranker = steersman.ranker()
    answer = ranker.rank(Request(offers=offers, context=[{"time": "morning"}], event="event 1?"))
    answer.receipt.wait()
    assert 'href="/agents/personalizer/default"' in ask(steersman, PAGES["/"], {})[1]
    status, text = ask(steersman, PAGES["/agents/{agent:agent}"], {"agent": "personalizer/default"})
    assert (status, "ranks actions that come with each request" in text) == (200, True)
    assert 'href="/decisions/event%201%3F"' in text
    status, text = ask(steersman, PAGES["/decisions/{id}"], {"id": "event 1?"})
    assert (status, "morning" in text, "No outcome was reported yet." in text, "<b>ice" in text) == (200, True, True, False)
    assert "characters)" in text
    assert len(text) < 20_000


def test_on_call_a_ranker_at_work_is_no_finding_until_it_fails(steersman: Steersman) -> None:
    ranker = steersman.ranker()
    ranker.rank(Request(offers=[Offer(id="pasta")], event="one")).receipt.wait()
    assert "nothing stands out" in ask(steersman, PAGES["/on-call"], {})[1]
    ranker.last_error = "a bug"
    ranker.rank(Request(offers=[Offer(id="pasta")], event="two")).receipt.wait()
    assert "The last failure was: a bug." in ask(steersman, PAGES["/on-call"], {})[1]
    steersman.rankers.clear()
    ledger_of(steersman)._kept.clear()
    assert "ranks actions that come with each request" in ask(steersman, PAGES["/on-call"], {})[1]


def test_who_may_only_look_finds_the_controls_barred_and_told_why(steersman: Steersman) -> None:
    act(steersman)
    looking = ask(steersman, PAGES["/agents/{agent:agent}"], AGENT, caller("view"))[1]
    assert looking.count(" disabled>") == 4, "influence, pin, pause and kill"
    assert "Steering needs the role operate." in looking
    assert 'href="/keys"' not in looking
    assert " disabled>" not in ask(steersman, PAGES["/agents/{agent:agent}"], AGENT, caller("operate"))[1]


def test_nobody_sees_more_than_the_door(steersman: Steersman) -> None:
    act(steersman)
    nobody = replace(caller("view"), roles=frozenset())
    text = ask(steersman, PAGES["/login"], {}, nobody)[1]
    assert "lab/small" not in text
    assert 'aria-label="Pages"' not in text


def test_all_roles_are_explained_where_keys_are_made(steersman: Steersman) -> None:
    text = ask(steersman, PAGES["/keys"], {})[1]
    assert all(words in text for words in ROLES.values())
