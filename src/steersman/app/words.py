"""Words: what people say about policies and keys, checked, and as the audit trail tells it."""

from collections.abc import Mapping, Sequence

from steersman.core.actions import Choice
from steersman.core.agent import AgentSpec
from steersman.core.errors import InvalidInput, nearest
from steersman.core.influence import MODES
from steersman.core.values import ApiKey, AuditEvent, Control, ControlKind

_EVENTS: dict[ControlKind, str] = {"kill": "kill switch", "pin": "pin", "pause": "pause of exploring", "mode": "mode"}
LONGEST_REASON = 1_000


def checked_control(
    kind: ControlKind,
    scope: str,
    active: bool,
    actor: str,
    reason: str,
    choices: Mapping[str, Choice],
    expires_in_s: float | None,
    at: float,
    *,
    known: Sequence[AgentSpec] = (),
) -> Control:
    """Return a control as it is kept.

    known: the agents in its scope, as far as their definitions are here. Raises InvalidInput for a pin without choices, or
    with some that none of them has, for a mode that is none, for choices of anything else, and for a time that is not to
    come.
    """
    if kind not in _EVENTS:
        raise InvalidInput(f"kind: {kind!r} is none of {', '.join(_EVENTS)}.")
    if not (scope and scope.isprintable()) or len(scope) > LONGEST_REASON:
        raise InvalidInput(f'scope: name an agent, a pack or "*" for all, got {scope[:100]!r}.')
    if len(reason) > LONGEST_REASON or not reason.replace("\n", " ").isprintable():
        raise InvalidInput(f"reason: at most {LONGEST_REASON} printable characters.")
    if expires_in_s is not None and not 0.0 < expires_in_s <= 10.0 * 365.0 * 86_400.0:
        raise InvalidInput(f"expires_in_s: expected seconds above 0, at most ten years, got {expires_in_s!r}.")
    if kind in ("kill", "pause") and choices:
        raise InvalidInput(f"only a pin or a mode holds choices; this is a {_EVENTS[kind]}.")
    if kind == "pin" and active:
        _check_choices(choices, known)
    if kind == "mode" and active:
        _check_mode(choices)
    return Control(
        kind=kind,
        scope=scope,
        active=active,
        actor=actor,
        reason=reason or "no reason given",
        at=at,
        choices=dict(choices),
        expires_at=None if expires_in_s is None else at + expires_in_s,
    )


def _check_choices(choices: Mapping[str, Choice], known: Sequence[AgentSpec]) -> None:
    if not choices:
        raise InvalidInput('a pin needs choices, such as {"workers": 2}: one for each dimension that is to be held.')
    for dimension, choice in choices.items():
        options = [each.actions.dimensions[dimension] for each in known if dimension in each.actions.dimensions]
        if known and not options:
            raise InvalidInput(
                f"no agent there has a dimension {dimension!r}."
                f"{nearest(dimension, {name for each in known for name in each.actions.dimensions})}"
            )
        if options and not any(choice in each for each in options):
            names = {str(name) for each in options for name in each}
            raise InvalidInput(f"{dimension}: {choice!r} is not a choice.{nearest(str(choice), names)}")


def _check_mode(choices: Mapping[str, Choice]) -> None:
    mode = choices.get("mode")
    if mode not in MODES or len(choices) != 1:
        raise InvalidInput(f'a mode is one of {", ".join(MODES)}, as {{"mode": "shadow"}}; got {dict(choices)!r}.')


def audit_of(control: Control) -> AuditEvent:
    """Return what the audit trail says of a control."""
    held = ", ".join(f"{name} {choice!r}" for name, choice in control.choices.items())
    until = "" if control.expires_at is None else f" (for {_span(control.expires_at - control.at)})"
    return AuditEvent(
        at=control.at,
        actor=control.actor,
        event=f"{_EVENTS[control.kind]} {'on' if control.active else 'off'}",
        subject=control.scope,
        detail=f"{f'{held}: ' if held else ''}{control.reason}{until}",
    )


def _span(seconds: float) -> str:
    """Return a time in the largest unit of which it is at least one."""
    units = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))
    size, name = next((each for each in units if seconds >= each[0]), units[-1])
    return f"{seconds / size:.3g} {name}"


def audit_of_key(key: ApiKey, actor: str, event: str, at: float) -> AuditEvent:
    """Return what the audit trail says of a key; its secret is in neither."""
    detail = f"{key.name!r} of tenant {key.tenant!r}: {', '.join(key.roles)}"
    return AuditEvent(at=at, actor=actor, event=event, subject=key.id, detail=detail)
