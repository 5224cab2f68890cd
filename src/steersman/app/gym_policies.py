"""What was learned in a Gymnasium environment, as a file: weights and JSON that run no code, named by their hash."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import NotFound
from steersman.core.versions import address
from steersman.policies import tensors
from steersman.policies.deep.architecture import Architecture, Weights
from steersman.policies.deep.forward import slot_values

FORMAT: Literal["gym-1"] = "gym-1"
Act = Callable[[NDArray[np.float32], NDArray[np.bool_] | None], int]


@dataclass(frozen=True, kw_only=True, eq=False)
class GymPolicy:
    """A network that acts in an environment. kind: whether it gives values or the logits of a policy."""

    environment: str
    kind: Literal["value", "policy"]
    net: Architecture
    weights: Weights

    def act(self, observation: NDArray[np.float32], allowed: NDArray[np.bool_] | None = None) -> int:
        """Return the index of the best action for an observation, of any shape, among those allowed; nothing is explored."""
        values = slot_values(self.net, self.weights, np.asarray(observation, np.float32).reshape(1, -1))[0]
        return int(np.argmax(values if allowed is None else np.where(allowed, values, -np.inf)))


class _Content(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: Literal["gym-1"] = FORMAT
    environment: str
    kind: Literal["value", "policy"]
    net: Architecture


def save(policy: GymPolicy, file: Path) -> str:
    """Write a policy and return its hash, which whoever loads it has to name."""
    content = _Content(environment=policy.environment, kind=policy.kind, net=policy.net)
    arrays: dict[str, NDArray[Any]] = {
        name: np.ascontiguousarray(each, dtype=np.float32) for name, each in policy.weights.items()
    }
    packed = tensors.write(arrays, content)
    file.write_bytes(packed)
    return address(packed)


def load(file: Path, name: str) -> GymPolicy:
    """Return the policy of a file whose hash is `name`.

    Raises NotFound without the file, StoreError where the hash is another, InvalidInput for what is no such policy.
    """
    if not file.is_file():
        raise NotFound(f"no policy {file}. `steersman train gym:ENV` writes one.")
    arrays, text = tensors.read(file.read_bytes(), name)
    try:
        content = msgspec.json.decode(text, type=_Content)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise tensors.no_artefact(name, str(error)) from error
    content.net.check()
    content.net.check_weights(arrays)
    weights: dict[str, Any] = dict(arrays)
    return GymPolicy(environment=content.environment, kind=content.kind, net=content.net, weights=weights)
