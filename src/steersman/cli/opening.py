"""How commands open a store that a service may own: the log is read, and what is in production can be moved."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer

from steersman.app import Steersman
from steersman.core.versions import Deployment, short
from steersman.loops.agent import Agent

AgentArgument = Annotated[str, typer.Argument(help="The agent's name, as `steersman agents` lists it.")]
ReasonOption = Annotated[str, typer.Option(help="Why; kept in the audit trail.")]
LimitOption = Annotated[int, typer.Option(min=1, help="How many, newest first.")]


@contextmanager
def beside(store: str | None, settings: str | None) -> Iterator[Steersman]:
    """Open a store beside whoever owns it: its log is only read, its pointer can be moved. Raises as `Steersman.open`."""
    with Steersman.open(store, settings=settings, read_only=True, moves=True) as steersman:
        yield steersman


@contextmanager
def agent_beside(name: str, store: str | None, settings: str | None) -> Iterator[Agent]:
    """Open an agent of a store in this way. Raises as `beside`, and NotFound for an agent that is not known here."""
    with beside(store, settings) as steersman:
        yield steersman.agent(name)


def actor() -> str:
    """Return who is at the keyboard."""
    return getpass.getuser()


def moment(at: float) -> str:
    """Return a time (unix seconds) as people read it, in UTC; "" for the beginning of all time."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}" if at else ""


def in_words(now: Deployment) -> str:
    """Return what is in production, in a sentence."""
    if not now.under_way:
        return f"In production: {short(now.champion)}, for everybody."
    return (
        f"In production: {short(now.champion)}. On trial: {short(now.challenger)}, {_part(now)} ({step(now)}).{_waits(now)}"
    )


def step(now: Deployment) -> str:
    """Return where in its plan a trial is; "" outside of one."""
    plan = now.stages.split(", ")
    return f"{plan[now.step]}, {now.step + 1} of {len(plan)}" if now.under_way else ""


def _part(now: Deployment) -> str:
    if now.stage == "shadow":
        return "asked beside it and not obeyed"
    return f"for {100 * now.share:g} % of the subjects"


def _waits(now: Deployment) -> str:
    if now.waits_for_person:
        return " It waits for a person: `steersman release resume` confirms the next step."
    return f" Held: {now.held}." if now.held else ""
