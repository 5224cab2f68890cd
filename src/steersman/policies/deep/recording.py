"""Recording: an array module that writes down, as operators of ONNX, what is computed by it.

A forward pass that is written against an array module is called with one of these, and leaves the graph of what it did:
the network is written once, and what leaves for other runtimes cannot differ from what serves.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

Plain = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One operator at work: what it takes and gives, by name."""

    operator: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]


class Recording:
    """What was done, in order; it is the array module (`exp`, `concatenate` …) of its own arrays.

    states: the input, shape (n, features). The batch is the first axis of it and of all that comes of it, and nothing may be
    taken along it. constants: what steps take, by name.
    """

    def __init__(self, features: int) -> None:
        self.steps: list[Step] = []
        self.constants: dict[str, Plain] = {}
        self._unnamed: dict[tuple[str, bytes], Array] = {}
        self.states = Array(self, "states", np.zeros((1, features), dtype=np.float32))

    def constant(self, name: str, value: Plain) -> "Array":
        """Return an array that is the same for all states."""
        self.constants[name] = value
        return Array(self, name, value)

    def step(self, name: str, compute: Callable[..., Any], *inputs: Any, **attributes: Any) -> "Array":
        """Write an operator of ONNX down, and return what it gives. compute: does the same in numpy, for one state."""
        arrays = [self._array(each) for each in inputs]
        output = f"{name.lower()}.{len(self.steps)}"
        names = tuple(each.name for each in arrays)
        self.steps.append(Step(operator=name, inputs=names, output=output, attributes=attributes))
        with np.errstate(all="ignore"):  # the numbers are those of no state, and only their shapes are looked at
            return Array(self, output, compute(*(each.one for each in arrays)))

    def _array(self, value: Any) -> "Array":
        """Return an array: a number is one of 32 bits, and equal constants without a name are one."""
        if isinstance(value, Array):
            return value
        held = value if isinstance(value, np.ndarray) else np.array(value, dtype=np.float32)
        key = f"{held.dtype}{held.shape}", held.tobytes()
        if key not in self._unnamed:
            self._unnamed[key] = self.constant(f"constant.{len(self._unnamed)}", held)
        return self._unnamed[key]

    def exp(self, x: "Array") -> "Array":
        """As numpy."""
        return self.step("Exp", np.exp, x)

    def tanh(self, x: "Array") -> "Array":
        """As numpy."""
        return self.step("Tanh", np.tanh, x)

    def sqrt(self, x: "Array") -> "Array":
        """As numpy."""
        return self.step("Sqrt", np.sqrt, x)

    def maximum(self, x: "Array", low: float) -> "Array":
        """As numpy."""
        return self.step("Max", np.maximum, x, low)

    def clip(self, x: "Array", low: float, high: float) -> "Array":
        """As numpy."""
        return self.step("Clip", np.clip, x, low, high)

    def concatenate(self, parts: Sequence["Array"], axis: int) -> "Array":
        """As numpy."""
        return self.step("Concat", lambda *each: np.concatenate(each, axis=axis), *parts, axis=axis)

    def zeros(self, shape: tuple[int, ...], dtype: Any) -> "Array":
        """As numpy, but for the first axis: there are as many rows as states."""
        rows = self.step("Shape", lambda x: np.array(x.shape[:1]), self.states, start=0, end=1)
        whole = self.step("Concat", lambda *each: np.concatenate(each), rows, _integers(*shape[1:]), axis=0)
        return self.step("Expand", np.broadcast_to, np.zeros((), dtype), whole)


class Array:
    """An array whose operators are written down. one: what it is for one state, by which its shape and axes are known."""

    __array_ufunc__ = None  # so that an operator of numpy's own arrays leaves it to this one, or fails

    def __init__(self, recording: Recording, name: str, one: Plain) -> None:
        self.name = name
        self.one = one
        self.shape = one.shape
        self.dtype = one.dtype
        self._step = recording.step

    def __add__(self, other: Any) -> "Array":
        return self._step("Add", operator.add, self, other)

    def __sub__(self, other: Any) -> "Array":
        return self._step("Sub", operator.sub, self, other)

    def __mul__(self, other: Any) -> "Array":
        return self._step("Mul", operator.mul, self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> "Array":
        return self._step("Div", operator.truediv, self, other)

    def __matmul__(self, other: Any) -> "Array":
        return self._step("MatMul", operator.matmul, self, other)

    def __getitem__(self, key: tuple[slice | int | None, ...]) -> "Array":
        found, axis = self, 0
        for each in key:
            if each is None:
                found = self._step("Unsqueeze", lambda x, axes: np.expand_dims(x, tuple(axes)), found, _integers(axis))
            elif isinstance(each, slice):
                found = found._sliced(each, axis)
            else:
                found = found.take(np.array(each, dtype=np.int64), axis)
                continue  # the axis is gone, and the next one in its place
            axis += 1
        return found

    def _sliced(self, part: slice, axis: int) -> "Array":
        if part == slice(None):
            return self
        start, stop, step = part.indices(self.shape[axis])
        taken = partial(np.take, indices=range(start, stop, step), axis=axis)
        return self._step("Slice", lambda x, *_: taken(x), self, *map(_integers, (start, stop, axis, step)))

    def take(self, indices: Plain, axis: int) -> "Array":
        """As numpy."""
        return self._step("Gather", partial(np.take, axis=axis), self, indices, axis=axis)

    def reshape(self, shape: tuple[int, ...]) -> "Array":
        """As numpy."""
        return self._step("Reshape", np.reshape, self, _integers(*shape))

    def swapaxes(self, first: int, second: int) -> "Array":
        """As numpy."""
        perm = list(range(self.one.ndim))
        perm[first], perm[second] = perm[second], perm[first]
        return self._step("Transpose", partial(np.transpose, axes=perm), self, perm=perm)

    def mean(self, axis: int, keepdims: bool = False) -> "Array":
        """As numpy."""
        return self._reduced("ReduceMean", np.mean, axis, keepdims)

    def max(self, axis: int, keepdims: bool = False) -> "Array":
        """As numpy."""
        return self._reduced("ReduceMax", np.max, axis, keepdims)

    def sum(self, axis: int, keepdims: bool = False) -> "Array":
        """As numpy."""
        return self._reduced("ReduceSum", np.sum, axis, keepdims)

    def _reduced(self, name: str, compute: Callable[..., Any], axis: int, keepdims: bool) -> "Array":
        reduced = partial(compute, axis=axis, keepdims=keepdims)
        return self._step(name, lambda x, _: reduced(x), self, _integers(axis), keepdims=int(keepdims))


def _integers(*values: int) -> Plain:
    return np.array(values, dtype=np.int64)
