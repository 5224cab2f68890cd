"""Content: what a policy version holds, a table or a network, read by what its artefact says that it is."""

from steersman.core.agent import AgentSpec
from steersman.policies import artefact, tensors
from steersman.policies.artefact import Frozen
from steersman.policies.deep import artefact as deep
from steersman.policies.deep.artefact import FORMAT, FrozenNetwork
from steersman.policies.deep.network import QNetwork
from steersman.policies.tabular import QTable

Content = Frozen | FrozenNetwork


def pack(content: Content) -> bytes:
    """Return the artefact. Raises InvalidInput for what `unpack` would refuse."""
    return deep.pack(content) if isinstance(content, FrozenNetwork) else artefact.pack(content)


def unpack(packed: bytes, name: str) -> Content:
    """Return what an artefact holds. Raises StoreError where its hash is another, InvalidInput where it is none."""
    arrays, text = tensors.read(packed, name)
    if tensors.format_of(text, name) == FORMAT:
        return deep.thawed(arrays, text, name)
    return artefact.thawed(arrays, text, name)


def check_fits(content: Content, spec: AgentSpec) -> None:
    """Raise InvalidInput, naming the difference, for the policy of another agent, of other actions or of another state."""
    if isinstance(content, FrozenNetwork):
        deep.check_fits(content, spec)
    else:
        artefact.check_fits(content, spec)


def values(content: Content, spec: AgentSpec) -> QTable | QNetwork:
    """Return what values states by the content. Raises InvalidInput where the action space is another."""
    if isinstance(content, FrozenNetwork):
        return QNetwork(content, spec.state, spec.actions)
    return artefact.table(content, spec.actions)
