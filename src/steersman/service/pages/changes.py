"""What changed today: what people did, which settings came in, and which verdicts are others than a day ago."""

import time
from dataclasses import dataclass
from functools import partial

import msgspec

from steersman.core.errors import NotFound
from steersman.core.values import AuditEvent, Control, Window
from steersman.service.ledger import Ledger
from steersman.service.operations import Call
from steersman.stages.monitor.convergence import judge

DAY_S = 86_400.0
_EVENTS = 200
_WINDOWS = 120
_SHOWN = 12
_SETTINGS = "settings in force"
_KINDS = {
    "control": ("kill switch", "pin", "pause", "mode"),
    "release": ("release ", "experiment "),
    "evidence": ("evaluation:", "outcome:", "drill:"),
}


@dataclass(frozen=True, kw_only=True)
class Change:
    """Something that is not as it was: when, of whom or what, in words, and who did it ("" for nobody)."""

    at: float
    kind: str
    subject: str
    text: str
    actor: str = ""


def changes(call: Call, ledger: Ledger) -> list[Change]:
    """Return the changes of the last 24 hours, newest first."""
    now = time.time()
    events = [each for each in call.host.trail(call, _EVENTS) if each.at >= now - DAY_S]
    found = [_told(each) for each in events if each.event != _SETTINGS]
    found.extend(_settings([each for each in events if each.event == _SETTINGS]))
    for name in ledger.agents():
        found.extend(ledger.once(name, "changes", partial(_of_agent, call, ledger, name, now - DAY_S)))
    return sorted(found, key=lambda each: -each.at)[:_SHOWN]


def in_force(call: Call) -> list[Control]:
    """Return the controls that are in force now."""
    now = time.time()
    return [
        each for each in call.steersman.log.controls() if each.active and not (each.expires_at and each.expires_at <= now)
    ]


def windows_of(call: Call, ledger: Ledger, name: str) -> list[Window]:
    """Return an agent's last windows of learning, newest first."""
    return ledger.once(name, "windows", lambda: call.steersman.log.windows(name, _WINDOWS))


def _told(event: AuditEvent) -> Change:
    kind = next((name for name, begins in _KINDS.items() if event.event.startswith(begins)), "audit")
    detail = _of_move(event.detail) if kind == "release" else event.detail
    return Change(
        at=event.at,
        kind=kind,
        subject=event.subject,
        text=f"{event.event}: {detail}" if detail else event.event,
        actor=event.actor,
    )


class _Move(msgspec.Struct):
    """What the trail keeps of a move."""

    challenger: str = ""
    champion: str = ""
    stage: str = ""
    share: float = 0.0
    reason: str = ""


def _of_move(detail: str) -> str:
    """Return the detail of a move in words; as it stands where it is none."""
    try:
        move = msgspec.json.decode(detail, type=_Move)
    except msgspec.MsgspecError:
        return detail
    where = f"in {move.stage}" if move.stage == "shadow" else f"at {100.0 * move.share:g} %"
    what = f"{move.challenger} {where}" if move.challenger else f"{move.champion} decides"
    return f"{what}; {move.reason}" if move.reason else what


def _settings(events: list[AuditEvent]) -> list[Change]:
    """Return the news that agents decide under other settings than before, in one line where there are several."""
    if not events:
        return []
    newest = max(events, key=lambda each: each.at)
    agent, _, digest = newest.subject.rpartition(" ")
    others = len({each.subject.rpartition(" ")[0] for each in events} - {agent})
    also = (
        f", and {others} other agents under theirs" if others > 1 else ", and another agent under its own" if others else ""
    )
    return [Change(at=newest.at, kind="settings", subject=agent, text=f"decides under new settings ({digest[:8]}){also}")]


def _of_agent(call: Call, ledger: Ledger, name: str, since: float) -> list[Change]:
    """Return whether an agent's verdict is another than it was at a time, and how far its policy has moved since."""
    try:
        agent = call.steersman.agent(name)
    except NotFound:
        return []
    windows = windows_of(call, ledger, name)
    new = [each for each in windows if each.ended_at >= since]
    if not new:
        return []
    spec, limits = agent.spec, agent.settings.convergence
    before, after = (
        judge(
            each,
            reward_range=spec.reward.high - spec.reward.low,
            states=spec.state.cells,
            success_from=spec.success_from,
            limits=limits,
        ).verdict
        for each in (windows[len(new) :], windows)
    )
    found = []
    if before != after:
        found.append(Change(at=new[0].ended_at, kind="verdict", subject=name, text=f"{before} → {after}"))
    moved = sum(each.policy_changes for each in new)
    if moved:
        updates = sum(each.updates for each in new)
        text = f"another action became the best in {moved:,} of {updates:,} updates"
        found.append(Change(at=new[0].ended_at, kind="policy", subject=name, text=text))
    return found
