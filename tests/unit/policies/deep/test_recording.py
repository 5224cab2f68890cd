"""What is recorded gives, in a runtime of ONNX, what numpy gives when the same is done to its arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

from steersman.policies.deep.recording import Recording

KERNEL = np.random.default_rng(2).standard_normal((4, 5)).astype(np.float32)
STATES = np.random.default_rng(3).standard_normal((7, 12)).astype(np.float32)
Use = Callable[[Any, Any], Any]


def as_recorded(use: Use) -> Any:
    """Return what a use of states and of their array module comes to in ONNX's own evaluator, for seven states."""
    recording = Recording(12)
    made = use(recording.states, recording)
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = make.make_graph(
        [make.make_node(each.operator, each.inputs, [each.output], **each.attributes) for each in recording.steps],
        "graph",
        [make.make_tensor_value_info("states", kind, ["n", 12])],
        [make.make_tensor_value_info(made.name, kind, ["n", *made.shape[1:]])],
        [onnx.numpy_helper.from_array(each, name) for name, each in recording.constants.items()],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)])
    onnx.checker.check_model(model, full_check=True)  # the shape is what the recording took it for, too
    found: Any = ReferenceEvaluator(model).run(None, {"states": STATES})
    return found[0]


USES: dict[str, Use] = {
    "arithmetic": lambda x, xp: (2.0 * x + 1 - x / 3) * x,
    "a product with a matrix": lambda x, xp: x.reshape((-1, 3, 4)) @ KERNEL,
    "a product of two": lambda x, xp: x.reshape((-1, 3, 4)) @ x.reshape((-1, 4, 3)),
    "functions": lambda x, xp: xp.exp(xp.tanh(x)) - xp.sqrt(xp.maximum(x, 0.0)) + xp.maximum(x, 1),
    "bounds": lambda x, xp: xp.clip(x, -0.5, 0.25),
    "a mean": lambda x, xp: x.reshape((-1, 3, 4)).mean(axis=1),
    "a greatest": lambda x, xp: x - x.max(axis=-1, keepdims=True),
    "a sum": lambda x, xp: x / x.reshape((-1, 3, 4)).sum(axis=2).sum(axis=1, keepdims=True),
    "other axes": lambda x, xp: x.reshape((-1, 2, 3, 2)).swapaxes(1, 3).swapaxes(-1, -2),
    "parts": lambda x, xp: xp.concatenate([x[:, 3:], x[:, :5], x], axis=1),
    "a row for each state": lambda x, xp: xp.concatenate([x, xp.zeros((x.shape[0], 2), dtype=x.dtype)], axis=1),
    "chosen": lambda x, xp: x.take(np.array([[0, 3], [5, 5]]), axis=1),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_what_is_recorded_gives_what_numpy_gives(use: Use) -> None:
    np.testing.assert_allclose(as_recorded(use), use(STATES, np), rtol=1e-5, atol=1e-6)


PARTS = [
    st.one_of(st.slices(size).filter(lambda each: each.step is None or each.step > 0), st.integers(0, size - 1))
    for size in (2, 3, 2)
]


@settings(max_examples=60, deadline=None)
@given(parts=st.tuples(*PARTS), place=st.integers(0, 3))
def test_whatever_is_looked_into_is_what_numpy_finds_there(parts: tuple[Any, ...], place: int) -> None:
    key = (slice(None), *parts[:place], None, *parts[place:])
    whole = STATES.reshape((-1, 2, 3, 2))
    np.testing.assert_array_equal(as_recorded(lambda x, xp: x.reshape((-1, 2, 3, 2))[key]), whole[key])


def test_equal_constants_are_one() -> None:
    recording = Recording(12)
    _ = (recording.states * 0.5 + 0.5) * np.full((), 0.5, np.float32)
    assert [each.tolist() for each in recording.constants.values()] == [0.5]


def test_an_operator_that_cannot_be_recorded_fails() -> None:
    with pytest.raises(TypeError):
        np.ones((1, 12)) - Recording(12).states  # type: ignore[operator]
