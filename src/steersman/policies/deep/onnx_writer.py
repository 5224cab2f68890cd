"""A network as an ONNX model: the forward pass that serves it, recorded, with all that using the file takes."""

from typing import Any

import msgspec
import numpy as np

from steersman.core.actions import ActionSpace
from steersman.core.errors import InvalidInput
from steersman.core.state import Category, Flag, Number, StateSchema
from steersman.policies.deep.artefact import FrozenNetwork
from steersman.policies.deep.forward import slot_values
from steersman.policies.deep.recording import Array, Recording

INPUT = "states"
OUTPUTS = {"value": "action_values", "policy": "action_logits"}
"""What the output is called, by the kind of a network: values of actions, or logits whose softmax is the policy."""
_OPSET, _IR = 18, 8
"""Those of ONNX 1.13 (2022), which every runtime of today reads."""
_LARGEST = float(np.finfo(np.float32).max)


def export(frozen: FrozenNetwork, schema: StateSchema, version: str) -> bytes:
    """Return a network as an ONNX model; the same version gives the same bytes.

    It takes `states`, shape (n, features) for any n, 32-bit floats as `Encoder.vector` makes them of the schema, and gives
    `action_values` (of a policy, `action_logits`), shape (n, actions): of each action, the sum over its slots, inside the
    bounds. Its metadata is what `described` returns. Raises InvalidInput where the extra `onnx` is not installed.
    """
    onnx = _library()
    model = onnx.helper.make_model(
        _graph(onnx, frozen),
        ir_version=_IR,
        opset_imports=[onnx.helper.make_opsetid("", _OPSET)],
        producer_name="steersman",
    )
    onnx.helper.set_model_props(model, described(frozen, schema, version))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _library() -> Any:
    """Return what makes and checks models."""
    try:
        import onnx
    except ImportError as error:
        raise InvalidInput(f"an ONNX model needs its extra: pip install 'steersman[onnx]' ({error}).") from error
    return onnx


def _graph(onnx: Any, frozen: FrozenNetwork) -> Any:
    """Return the graph: what was recorded, between the names of its input and its output."""
    recording, output = Recording(frozen.net.features), OUTPUTS[frozen.kind]
    given, make = _action_values(frozen, recording), onnx.helper
    nodes = [make.make_node(each.operator, each.inputs, [each.output], **each.attributes) for each in recording.steps]
    nodes.append(make.make_node("Identity", [given.name], [output]))
    sizes = {INPUT: frozen.net.features, output: given.shape[1]}
    ends = [make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", size]) for name, size in sizes.items()]
    constants = [onnx.numpy_helper.from_array(each, name) for name, each in recording.constants.items()]
    return make.make_graph(nodes, frozen.agent, ends[:1], ends[1:], constants)


def _action_values(frozen: FrozenNetwork, recording: Recording) -> Array:
    """Record what `QNetwork.action_values` says of the states."""
    weights = {name: recording.constant(name, frozen.weights[name]) for name in frozen.net.shapes()}
    slots = slot_values(frozen.net, weights, recording.states, recording)
    summed = slots.take(ActionSpace(frozen.actions).slots, axis=1).sum(axis=2)
    low, high = np.clip(frozen.bounds, -_LARGEST, _LARGEST).tolist()
    return recording.clip(summed, low, high)


def described(frozen: FrozenNetwork, schema: StateSchema, version: str) -> dict[str, str]:
    """Return what somebody who has nothing but the file must know, as text and JSON by name."""
    return {
        "agent": frozen.agent,
        "version": version,
        "schema": frozen.schema,
        "kind": frozen.kind,
        "features": msgspec.json.encode(_features(frozen, schema)).decode(),
        "actions": msgspec.json.encode(ActionSpace(frozen.actions).actions).decode(),
    }


def _features(frozen: FrozenNetwork, schema: StateSchema) -> list[dict[str, Any]]:
    """Return each number of a vector: how it is made of the field, and between which it lay in what was learned from."""
    made = [{"field": field.name, **how} for field in schema.fields for how in _made(field)]
    return [
        {"name": name, **how, "seen_low": float(low), "seen_high": float(high)}
        for name, how, low, high in zip(frozen.features, made, frozen.seen_low, frozen.seen_high, strict=True)
    ]


def _made(field: Number | Flag | Category) -> list[dict[str, Any]]:
    match field:
        case Number(low=low, high=high, unit=unit):
            return [{"is": "(value - low) / (high - low), in [0, 1]", "low": low, "high": high, "unit": unit}]
        case Category(options=options):
            return [{"is": "1 where the value is the option, else 0", "option": each} for each in options]
    return [{"is": "1 for true, 0 for false"}]
