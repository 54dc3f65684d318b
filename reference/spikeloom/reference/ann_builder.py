"""What the front doors of the converter share: layers one after the other, and refusals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeloom.reference.ann import Norm, ReLU, global_pool
from spikeloom.reference.graph import (
    Affine,
    AvgPool2d,
    Conv1d,
    Conv2d,
    Flatten,
    Graph,
    Input,
    Node,
    Output,
    Shape,
)

__all__ = ["AnnBuilder", "Value", "refusal"]

Array = NDArray[Any]

_ADVICE = {
    "GlobalMaxPool": "a global AvgPool: neurons add up, they do not choose the largest",
    "AdaptiveMaxPool": "a global AvgPool: neurons add up, they do not choose the largest",
    "MaxPool": "an AvgPool of the same size: neurons add up, they do not choose the largest",
    "LSTM": "dense layers with ReLU: its gates multiply, which no neuron here does",
    "GRU": "dense layers with ReLU: its gates multiply, which no neuron here does",
    "RNN": "dense layers with ReLU, unrolled",
    "LayerNorm": "a BatchNorm, which is fixed after training and goes into the weights",
    "GroupNorm": "a BatchNorm, which is fixed after training and goes into the weights",
    "InstanceNorm": "a BatchNorm, which is fixed after training and goes into the weights",
    "Attention": "convolutions with ReLU: it multiplies activations, which no neuron here does",
    "ConvTranspose": "a Conv after an upsampled input",
    "Conv3d": "a Conv2d",
    "AvgPool1d": "a Conv1d of equal weights, with a group for each channel",
    "AdaptiveAvgPool1d": "a Conv1d of equal weights, with a group for each channel",
    "GlobalAveragePool1d": "a Conv1d of equal weights, with a group for each channel",
    "AdaptiveAvgPool": "an AvgPool2d of a fixed size, or a global one",
}
_ACTIVATIONS = (
    *("Sigmoid", "Tanh", "GELU", "Gelu", "SiLU", "Swish", "LeakyRelu", "LeakyReLU", "ELU", "Elu"),
    *("SELU", "Selu", "PReLU", "PRelu", "Mish", "Softplus", "Hardswish", "HardSwish", "CELU"),
    *("Softsign", "HardSigmoid", "Hardsigmoid", "GLU", "LogSigmoid", "Exp"),
)
_TAKEN = (
    "one of Linear, Conv1d, Conv2d, BatchNorm, ReLU, AvgPool2d, GlobalAveragePool, Flatten,"
    " Dropout, an addition, or a Softmax or Sigmoid at the end"
)


def refusal(layer: str, kind: str, reason: str = "") -> ValueError:
    """The error that names a layer and says what to use in its place."""
    if reason:
        return ValueError(f"layer {layer!r} ({kind}): {reason}")
    plain = kind.removesuffix("1d").removesuffix("2d").removesuffix("3d")
    advice = _ADVICE.get(kind, _ADVICE.get(plain))
    if advice is None:
        words = (text for word, text in _ADVICE.items() if word in kind)
        advice = next(words, None)
    if advice is None and any(word.lower() in kind.lower() for word in _ACTIVATIONS):
        advice = "a ReLU, whose transfer function the neurons have"
    return ValueError(f"layer {layer!r} ({kind}) must be replaced by {advice or _TAKEN}")


@dataclass(frozen=True)
class Value:
    """What a layer hands on.

    Attributes
    ----------
    sources
        Nodes whose sum it is.
    shape
        Its shape, without the batch.
    order
        Where the numbers lie otherwise than in ``sources``, the flat place of each there.
    ended
        Name and kind of the layer at the end of the network that it comes from, such as a Softmax.
    """

    sources: tuple[str, ...]
    shape: Shape
    order: Array | None = None
    ended: tuple[str, str] | None = None


@dataclass
class AnnBuilder:
    """Makes a graph of layers that come in the order in which they are computed."""

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)

    def input(self, shape: Shape) -> Value:
        """The network's input."""
        return self._join("input", Input(shape), (), shape)

    def graph(self, value: Value) -> Graph:
        """The network with its output."""
        self._join("output", Output(value.shape), value.sources, value.shape)
        self._drop_unheard()
        return Graph(self.nodes, tuple(self.edges))

    def _join(self, name: str, node: Node, sources: Sequence[str], shape: Shape) -> Value:
        name = name.strip("/").replace("/", ".") or "layer"
        while name in self.nodes:
            name += "_"
        self.nodes[name] = node
        self.edges += [(each, name) for each in sources]
        return Value((name,), shape)

    def _drop_unheard(self) -> None:
        """Leave out what does not lead to the output."""
        heard = {"input", "output"}
        for name in reversed(self.nodes):
            if any(a == name and b in heard for a, b in self.edges):
                heard.add(name)
        self.nodes = {name: node for name, node in self.nodes.items() if name in heard}
        self.edges = [edge for edge in self.edges if set(edge) <= heard]

    def node(self, name: str, kind: str, node: Node, value: Value) -> Value:
        """A layer that is one node."""
        _check_going_on(value)
        if value.order is not None:
            raise refusal(name, kind, "must not follow a change of the order of dimensions")
        try:
            shape = node.output_shape(value.shape)
        except ValueError as error:
            raise refusal(name, kind, str(error)) from None
        return self._join(name, node, value.sources, shape)

    def dense(self, name: str, weight: Array, bias: Array | None, value: Value) -> Value:
        """A dense layer; weight of shape (outputs, inputs)."""
        if value.order is not None and value.order.size == weight.shape[1]:
            right = np.empty_like(weight)
            right[:, value.order.reshape(-1)] = weight
            weight, value = right, Value(value.sources, value.shape)
        if len(value.shape) != 1:
            reason = f"its input must be flat, not of shape {value.shape}; a Flatten helps"
            raise refusal(name, "Linear", reason)
        bias = np.zeros(len(weight), weight.dtype) if bias is None else bias
        return self.node(name, "Linear", Affine(weight, bias), value)

    def conv(
        self,
        name: str,
        weight: Array,
        bias: Array | None,
        value: Value,
        *,
        stride: Shape,
        padding: Shape,
        dilation: Shape,
        groups: int,
    ) -> Value:
        """A convolution; weight as PyTorch and ONNX lay it out."""
        kinds: dict[int, Any] = {3: Conv1d, 4: Conv2d}
        if weight.ndim not in kinds:
            raise refusal(name, f"Conv{weight.ndim - 2}d")
        bias = np.zeros(len(weight), weight.dtype) if bias is None else bias
        node = kinds[weight.ndim](weight, bias, stride, padding, dilation, groups)
        return self.node(name, "Conv", node, value)

    def norm(
        self, name: str, scale: Array, shift: Array, value: Value, mean: Array | None = None
    ) -> Value:
        """A mean to take off, a scale and a shift for each channel."""
        channels = value.shape[:1]
        if scale.size not in (1, *channels):
            reason = f"must be of {channels[0]} channels as its input, not of {scale.size}"
            raise refusal(name, "BatchNorm", reason)
        mean = np.zeros_like(scale) if mean is None else mean
        spread = (np.broadcast_to(each, channels).copy() for each in (scale, shift, mean))
        return self.node(name, "BatchNorm", Norm(*spread), value)

    def relu(self, name: str, value: Value, ceiling: float = math.inf) -> Value:
        """Rectified-linear units, clipped or not."""
        return self.node(name, "ReLU", ReLU(ceiling), value)

    def avg_pool(
        self, name: str, value: Value, kernel: Shape, stride: Shape, padding: Shape
    ) -> Value:
        """Means over windows, padding included."""
        if len(value.shape) != 3:
            raise refusal(name, "AvgPool1d")
        return self.node(name, "AvgPool2d", AvgPool2d(kernel, stride, padding), value)

    def global_pool(self, name: str, value: Value) -> Value:
        """Means over all places; the places stay as dimensions of 1."""
        if len(value.shape) != 3:
            raise refusal(name, "GlobalAveragePool1d")
        return self.node(name, "AvgPool2d", global_pool(value.shape), value)

    def flatten(self, name: str, value: Value) -> Value:
        """One dimension of all."""
        size = math.prod(value.shape)
        if len(value.shape) == 1:
            return value
        if value.order is None:
            return self.node(name, "Flatten", Flatten(0, len(value.shape) - 1), value)
        inner = self.flatten(name, Value(value.sources, self._shape(value.sources)))
        return Value(inner.sources, (size,), value.order.reshape(-1))

    def _shape(self, sources: Sequence[str]) -> Shape:
        """The shape that nodes send."""
        (first, *_) = sources
        node = self.nodes[first]
        if isinstance(node, Input):
            return node.shape
        before = [a for a, b in self.edges if b == first]
        return node.output_shape(self._shape(before))

    def transpose(self, name: str, value: Value, order: Sequence[int]) -> Value:
        """Dimensions in another order, which ends at a dense layer or begins at the input."""
        if value.sources == ("input",) and value.order is None and len(self.edges) == 0:
            shape = tuple(value.shape[k] for k in order)
            self.nodes["input"] = Input(shape)
            return Value(("input",), shape)
        places = value.order
        if places is None:
            places = np.arange(math.prod(value.shape)).reshape(value.shape)
        places = places.transpose(order)
        return Value(value.sources, places.shape, places)

    def add(self, name: str, first: Value, second: Value) -> Value:
        """The sum of two values."""
        for each in (first, second):
            _check_going_on(each)
        if first.shape != second.shape:
            reason = f"what it adds must be of one shape, not {first.shape} and {second.shape}"
            raise refusal(name, "Add", reason)
        if set(first.sources) & set(second.sources):
            raise refusal(name, "Add", "must not add a value to itself: twice the weights do that")
        if first.order is not None or second.order is not None:
            raise refusal(name, "Add", "must not follow a change of the order of dimensions")
        return Value((*first.sources, *second.sources), first.shape)

    def end(self, name: str, kind: str, value: Value) -> Value:
        """A layer behind the scores that changes no decision, and is left out."""
        ended = Value(value.sources, value.shape, value.order, (name, kind))
        if len(value.shape) != 1:
            _check_going_on(ended)
        return ended


def _check_going_on(value: Value) -> None:
    if value.ended is None:
        return
    name, kind = value.ended
    if any(word in kind.lower() for word in ("softmax", "argmax", "hardmax")):
        raise refusal(name, kind, "must stand at the end of the network alone, behind flat scores")
    raise refusal(name, kind)
