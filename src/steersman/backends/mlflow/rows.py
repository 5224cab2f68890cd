"""How a policy version is told in MLflow: the name of its model, and tags for its fields."""

import re
from collections.abc import Mapping
from typing import Any, Literal, get_origin

import msgspec

from steersman.core.errors import NotFound, StoreError
from steersman.core.versions import PolicyVersion

PREFIX = "steersman."
_NAME = re.compile(r"[a-z0-9_./-]+")


def model_name(agent: str) -> str:
    """Return the name of an agent's registered model; MLflow takes no "/" in it, and no agent has a "~".

    Raises NotFound for what can be no agent's name, and would be more than a name in a query.
    """
    if not _NAME.fullmatch(agent):
        raise NotFound(f"no agent is called {agent!r}. Use lower case, as in 'pack/agent'.")
    return agent.replace("/", "~")


def tags(version: PolicyVersion) -> dict[str, str]:
    """Return a tag for each field, in words where it is text and as JSON where it is a number."""
    return {
        f"{PREFIX}{name}": value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for name, value in msgspec.structs.asdict(version).items()
    }


def version_of(found: Mapping[str, str], where: str) -> PolicyVersion:
    """Return the policy version that tags tell of. Raises StoreError where somebody changed them so that they do not."""
    try:
        fields = {
            each.name: text if _is_text(each.type) else msgspec.json.decode(text)  # which knows no NaN
            for each in msgspec.structs.fields(PolicyVersion)
            if (text := found.get(f"{PREFIX}{each.name}")) is not None
        }
        return msgspec.convert(fields, PolicyVersion)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise StoreError(
            f"{where} in MLflow tells of no policy version: {error}. Delete that model version there, or restore its tags."
        ) from error


def _is_text(kind: Any) -> bool:
    return kind is str or get_origin(kind) is Literal
