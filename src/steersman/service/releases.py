"""Releases over HTTP: versions, what is in production or was, and the moves of a person."""

import re
from typing import Any

from steersman.core.errors import InvalidInput
from steersman.core.versions import Deployment, PolicyVersion, never_moved
from steersman.loops.agent import Agent
from steersman.loops.handle import Release
from steersman.loops.judge import plain
from steersman.service import moves
from steersman.service.agents import check_known
from steersman.service.decisions import number
from steersman.service.heavy import alone
from steersman.service.operations import Call, Operation

MOST_LISTED = 1_000
_MOMENT = re.compile(r"\d{1,12}(\.\d{1,9})?")


def opened(call: Call) -> Agent:
    """Return the agent that a path names. Raises NotFound."""
    agent: Agent = call.host.tenant(call).open_agent(call.path["agent"])
    return agent


async def _versions(call: Call) -> moves.VersionList:
    limit = number(call.query, "limit", 100, high=MOST_LISTED)
    return moves.VersionList(versions=await call.host.in_thread(lambda: opened(call).release.versions(limit)))


async def _cut(call: Call) -> PolicyVersion:
    found: PolicyVersion = await call.host.in_thread(_kept, call)
    return found


def _kept(call: Call) -> PolicyVersion:
    agent = opened(call)
    with call.host.tenant(call).held(agent.spec.name):
        return agent.release.cut(actor=call.caller.actor, reason=call.body.reason)


async def _current(call: Call) -> moves.DeploymentList:
    return moves.DeploymentList(releases=await call.host.in_thread(in_production, call))


def in_production(call: Call) -> list[Deployment]:
    """Return what decides for each agent that has decided or was released, by name."""
    production = call.steersman.production
    found = {} if production is None else {each.agent: each for each in production.releases.current()}
    names = sorted({*found, *call.steersman.log.agents()})
    return [found[name] if name in found else never_moved(name) for name in names]


async def _show(call: Call) -> moves.ReleaseAnswer:
    limit = number(call.query, "limit", 100, high=MOST_LISTED)
    at = moment(call.query["at"]) if "at" in call.query else None
    found: moves.ReleaseAnswer = await call.host.in_thread(_shown, call, limit, at)
    return found


def moment(text: str) -> float:
    """Return a time of a query. Raises InvalidInput for what is none."""
    if not _MOMENT.fullmatch(text):
        raise InvalidInput(f"at: expected unix seconds such as 1767225600, got {text[:50]!r}.")
    return float(text)


def _shown(call: Call, limit: int, at: float | None) -> moves.ReleaseAnswer:
    check_known(call, call.path["agent"])
    release = opened(call).release
    if at is None:
        report, floor = release.report(), release.floor()
        return moves.ReleaseAnswer(
            agent=call.path["agent"],
            now=release.now,
            moves=release.moves(limit),
            trial=None if report is None else plain(report),
            floor=None if floor is None else plain(floor),
        )
    made = [each for each in release.moves(MOST_LISTED) if each.at <= at]
    return moves.ReleaseAnswer(agent=call.path["agent"], now=release.at(at), moves=made[:limit], trial=None, floor=None)


async def _move(call: Call) -> Deployment:
    if isinstance(call.body, moves.Start):  # it is judged first
        async with alone(call):
            moved: Deployment = await call.host.in_line(_moved, call)
    else:
        moved = await call.host.in_thread(_moved, call)
    await call.host.in_thread(call.host.tenant(call).look_at_releases)
    return moved


def _moved(call: Call) -> Deployment:
    agent, tenant = opened(call), call.host.tenant(call)
    with tenant.held(agent.spec.name):
        return carried_out(agent.release, call.body, call.caller.actor)


def carried_out(release: Release, asked: moves.MoveRequest, actor: str) -> Deployment:
    """Make the move that was asked for. Raises what refuses it; production is as it was then."""
    said: dict[str, Any] = {"actor": actor, "reason": asked.reason}
    match asked:
        case moves.Start():
            moved = release.start(asked.challenger, plan=asked.plan, despite=asked.despite, **said)
        case moves.Experiment():
            moved = release.experiment(asked.first, asked.second, share=asked.share, lasts_s=asked.lasts_s, **said)
        case moves.Hold():
            moved = release.hold(**said)
        case moves.Resume():
            moved = release.resume(number=asked.number, **said)
        case moves.Abort():
            moved = release.abort(**said)
        case moves.Rollback():
            moved = release.rollback(asked.to, **said)
        case moves.Quarantine():
            moved = release.quarantine(asked.version, **said)
        case moves.ReleaseFromQuarantine():
            moved = release.quarantine(asked.version, release=True, **said)
    return moved


_LIMIT = {"limit": f"How many, 1 to {MOST_LISTED} (default 100)."}

OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/versions/{agent:agent}",
        role="view",
        summary="List an agent's policy versions, newest first.",
        handler=_versions,
        answer=moves.VersionList,
        tag="releases",
        query=_LIMIT,
    ),
    Operation(
        method="POST",
        path="/v1/versions/{agent:agent}",
        role="operate",
        summary="Cut a version of what was learned so far; what did not change since is the same version.",
        handler=_cut,
        body=moves.CutRequest,
        answer=PolicyVersion,
        tag="releases",
        audited=True,
    ),
    Operation(
        method="GET",
        path="/v1/releases",
        role="view",
        summary="Show what is in production for each agent.",
        handler=_current,
        answer=moves.DeploymentList,
        tag="releases",
    ),
    Operation(
        method="GET",
        path="/v1/releases/{agent:agent}",
        role="view",
        summary="Show what is in production for an agent, or was at a time, the moves that led there, and the trial.",
        handler=_show,
        answer=moves.ReleaseAnswer,
        tag="releases",
        query={"at": "A time in unix seconds (default: now).", **_LIMIT},
    ),
    Operation(
        method="POST",
        path="/v1/releases/{agent:agent}",
        role="operate",
        summary="Start, hold, resume or abort a trial, begin an experiment, roll back, or quarantine a version.",
        handler=_move,
        body=moves.MoveRequest,
        answer=Deployment,
        tag="releases",
        audited=True,
    ),
)
