"""Export: a version leaves as a model that other runtimes can serve."""

from collections.abc import Mapping
from dataclasses import dataclass

from steersman.core.actions import ActionSpace, Choice
from steersman.core.errors import InvalidInput
from steersman.core.versions import BASELINE, LEARNING, short
from steersman.loops.cut import production
from steersman.loops.promote import resolve
from steersman.loops.runtime import Runtime
from steersman.policies import content
from steersman.policies.deep.artefact import FrozenNetwork


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A version as an ONNX model: names of what it takes, in order, and of what it gives for each of the actions."""

    version: str
    model: bytes
    features: tuple[str, ...]
    output: str
    actions: tuple[Mapping[str, Choice], ...]


def to_onnx(agent: Runtime, name: str) -> Exported:
    """Return a network as an ONNX model. name: as of `promote.resolve`, which raises NotFound.

    Raises InvalidInput for a version that is no network, and without the extra `onnx`.
    """
    from steersman.policies.deep import onnx_writer

    version = resolve(agent, name)
    network = _network(agent, version)
    return Exported(
        version=version,
        model=onnx_writer.export(network, agent.spec.state, version),
        features=network.features,
        output=onnx_writer.OUTPUTS[network.kind],
        actions=ActionSpace(network.actions).actions,
    )


def _network(agent: Runtime, version: str) -> FrozenNetwork:
    if version not in (LEARNING, BASELINE):
        found = content.unpack(production(agent).registry.artefact(agent.spec.name, version), version)
        if isinstance(found, FrozenNetwork):
            return found
    raise InvalidInput(
        f"{agent.spec.name}: {short(version)} is no network, and an ONNX model holds nothing else. Name a version that "
        f"`steersman train {agent.spec.name}` made; `steersman versions {agent.spec.name}` lists them."
    )
