"""keys: who may use the service."""

import getpass
import time
from datetime import UTC, datetime
from typing import Annotated

import typer
from msgspec.structs import replace

from steersman.app import Steersman
from steersman.cli.output import JsonOption, StoreOption, say, show_json, show_table, show_warning
from steersman.core.access import DEFAULT_TENANT, ROLES, issue, valid
from steersman.core.errors import NotFound, nearest
from steersman.core.values import ApiKey
from steersman.service.keys import rotated
from steersman.service.messages import KeyLine

_DAY_S = 86_400.0
KeyArgument = Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `steersman keys list` shows it.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(name="keys", help="Keys to the service.", no_args_is_help=True)
    group.command()(create)
    group.command(name="list")(list_)
    group.command()(revoke)
    group.command()(rotate)
    app.add_typer(group)


def create(
    name: Annotated[str, typer.Option(help="Who or what will use it; the audit trail shows it.")],
    role: Annotated[list[str], typer.Option(help="decide, report, view, operate or admin; may be given several times.")],
    tenant: Annotated[str, typer.Option(help="Whose store it opens; each tenant has one of its own.")] = DEFAULT_TENANT,
    expires_days: Annotated[float | None, typer.Option(min=0.0, help="Days after which it ends (default: never).")] = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Make a key and print its secret, this once. A running service lets it in within a second."""
    now = time.time()
    expires_at = None if expires_days is None else now + expires_days * _DAY_S
    key, secret = issue(name=name, roles=role, at=now, tenant=tenant, expires_at=expires_at)
    Steersman.add_key_in(store, key, actor=getpass.getuser(), event="key created")
    _show_secret(key, secret, json=json)
    if not json:
        _warn_without_admin(store)


def list_(store: StoreOption = None, json: JsonOption = False) -> None:
    """List all keys, without their secrets."""
    keys = Steersman.keys_in(store)
    if json:
        show_json([KeyLine.of(each) for each in keys])
        return
    if not keys:
        say("There is no key. `steersman keys create` makes one; until then only this machine can use the service.")
        return
    now = time.time()
    show_table(
        "",
        ("id", "name", "tenant", "roles", "made (UTC)", "holds"),
        [(e.id, e.name, e.tenant, ", ".join(e.roles), _day(e.created_at), _state(e, now)) for e in keys],
    )


def revoke(key: KeyArgument, store: StoreOption = None, json: JsonOption = False) -> None:
    """Revoke a key: within a second it opens nothing any more."""
    found = _find(key, store)
    if found.revoked_at is None:
        found = replace(found, revoked_at=time.time())
        Steersman.add_key_in(store, found, actor=getpass.getuser(), event="key revoked")
    if json:
        show_json(KeyLine.of(found))
    else:
        say(f"The key {found.id} ({found.name}) is revoked.")


def rotate(
    key: KeyArgument,
    grace_s: Annotated[float, typer.Option("--grace-s", min=0.0, help="Seconds for which the old one holds still.")] = 0.0,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Put a new key in the place of one, with the same name and roles, and print its secret, this once."""
    old, new, secret = rotated(_find(key, store), at=time.time(), grace_s=grace_s)
    actor = getpass.getuser()
    Steersman.add_key_in(store, new, actor=actor, event=f"key created in the place of {old.id}")
    Steersman.add_key_in(store, old, actor=actor, event="key ends after its rotation")
    _show_secret(new, secret, json=json)
    if not json:
        say(f"The key {old.id} {f'ends in {grace_s:g} s' if grace_s else 'is revoked'}.")


def _find(name: str, store: str | None) -> ApiKey:
    keys = {each.id: each for each in Steersman.keys_in(store)}
    if name not in keys:
        raise NotFound(f"no key {name!r} in this store.{nearest(name, keys)}")
    return keys[name]


def _show_secret(key: ApiKey, secret: str, *, json: bool) -> None:
    if json:
        show_json({"key": KeyLine.of(key), "secret": secret})
        return
    say(secret)
    say(
        f"This is shown once: keep it where secrets are kept. Its id is {key.id}; it may "
        f"{'; '.join(ROLES[each] for each in key.roles)}."
    )


def _warn_without_admin(store: str | None) -> None:
    now = time.time()
    if not any("admin" in each.roles and valid(each, now) for each in Steersman.keys_in(store)):
        show_warning("no key has the role admin, so keys can be made here and not on the pages.")


def _state(key: ApiKey, now: float) -> str:
    if key.revoked_at is not None:
        return f"revoked {_day(key.revoked_at)}"
    if key.expires_at is None:
        return "yes"
    return f"{'until' if valid(key, now) else 'expired'} {_day(key.expires_at)}"


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"
