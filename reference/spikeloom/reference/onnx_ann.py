"""ONNX files as networks of rectified-linear units: those of PyTorch, Keras and scikit-learn.

Needs ONNX: ``pip install 'spikeloom[onnx]'``.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from spikeloom.reference.ann_builder import AnnBuilder, Value, refusal
from spikeloom.reference.graph import Graph, Shape

__all__ = ["ann_from_onnx"]

Array = NDArray[Any]


def ann_from_onnx(model: Path | str | onnx.ModelProto, shape: Shape | None = None) -> Graph:
    """The network of an ONNX model.

    What a classifier does with its scores at the end, from the Softmax or the ArgMax on, is left
    out. Where the model begins with a change of the order of dimensions, as Keras' do, the
    network's input has the order behind it, channels first.

    Parameters
    ----------
    model
        A file, or a model in memory.
    shape
        Shape of one input, without the batch; needed where the model leaves it open.

    Raises
    ------
    ValueError
        If the file is no ONNX, or it has a layer that neurons cannot compute; the message names
        the layer and what to use.
    """
    if not isinstance(model, onnx.ModelProto):
        path = Path(model)
        try:
            model = onnx.load(path)
        except OSError as error:
            raise ValueError(f"{path} cannot be opened: {error.strerror}") from None
        except Exception as error:  # protobuf's, which differ by its version
            raise ValueError(f"{path} must be an ONNX file, but is not: {error}") from None
    return _Reader(model.graph).graph(shape)


class _Reader:
    def __init__(self, graph: onnx.GraphProto) -> None:
        self.source = graph
        self.builder = AnnBuilder()
        self.constants: dict[str, Array] = {
            each.name: numpy_helper.to_array(each) for each in graph.initializer
        }
        self.values: dict[str, Value] = {}

    def graph(self, shape: Shape | None) -> Graph:
        inputs = [each for each in self.source.input if each.name not in self.constants]
        if len(inputs) != 1:
            raise ValueError(f"the model must have one input, not {len(inputs)}")
        shape = _shape(inputs[0]) if shape is None else tuple(shape)
        self.values[inputs[0].name] = self.builder.input(shape)
        for node in self.source.node:
            names = [name for name in node.input if name]
            if all(name in self.constants for name in names):
                constant = self.constant(node)
                if constant is not None:
                    self.constants[node.output[0]] = constant
                continue
            known = [self.values[name] for name in names if name in self.values]
            if not known or (_decided(known[0]) and node.op_type not in _HANDED_ON):
                continue  # behind the decision
            self.values[node.output[0]] = self.step(node, _options(node))
        ends = [self.values[e.name] for e in self.source.output if e.name in self.values]
        if not ends:
            raise ValueError("the model's input must lead to its output, but does not")
        if len({each.sources for each in ends}) > 1:
            several = ", ".join(each.name for each in self.source.output)
            raise ValueError(f"the model must have one output, or decisions of one, not {several}")
        return self.builder.graph(ends[0])

    def constant(self, node: onnx.NodeProto) -> Array | None:
        """What a layer of constants alone comes to, if it is one of those that weights need."""
        options = _options(node)
        given = [self.constants[name] for name in node.input if name]
        match node.op_type:
            case "Constant":
                (value,) = options.values()
                return np.asarray(value)
            case "Identity":
                return given[0]
            case "Cast":
                kind = onnx.helper.tensor_dtype_to_np_dtype(options["to"])
                return given[0].astype(kind)
            case "Transpose":
                return given[0].transpose(options.get("perm"))
            case "Reshape":
                return given[0].reshape(given[1])
            case "Unsqueeze":
                return np.expand_dims(given[0], tuple(np.ravel(given[1]).tolist()))
            case "Concat":
                return np.concatenate(given, axis=options["axis"])
            case "DequantizeLinear":
                return _dequantized(*given, axis=options.get("axis", 1))
        return None

    def step(self, node: onnx.NodeProto, options: Mapping[str, Any]) -> Value:
        """What a layer hands on."""
        name, kind = node.name or node.output[0], node.op_type
        build = self.builder
        value = next(self.values[each] for each in node.input if each in self.values)
        match kind:
            case "Identity" | "Dropout" | "Cast" | "ZipMap":
                return value
            case "Softmax" | "LogSoftmax" | "ArgMax" | "Hardmax" | "Sigmoid":
                return build.end(name, kind, value)
            case "Relu":
                return build.relu(name, value)
            case "Clip":
                return self.clip(name, node, options, value)
            case "Gemm":
                return self.gemm(name, node, options, value)
            case "MatMul":
                weight = self.weight(name, node, 1)
                return build.dense(name, weight.T, None, value)
            case "Conv":
                return self.conv(name, node, options, value)
            case "BatchNormalization":
                scale, shift, mean, variance = (self.weight(name, node, k) for k in range(1, 5))
                scale = scale / np.sqrt(variance + options.get("epsilon", 1e-5))
                return build.norm(name, scale, shift, value, mean)
            case "Add" | "Sub" | "Mul" | "Div":
                return self.arithmetic(name, node, value)
            case "AveragePool":
                return self.pool(name, options, value)
            case "GlobalAveragePool":
                return build.global_pool(name, value)
            case "ReduceMean":
                return self.mean(name, node, options, value)
            case "Flatten" if options.get("axis", 1) == 1:
                return build.flatten(name, value)
            case "Reshape" | "Squeeze":
                return self.reshape(name, node, value)
            case "Transpose":
                order = options.get("perm", [])
                if not order or order[0] != 0:
                    raise refusal(name, kind, "must leave the batch where it is")
                return build.transpose(name, value, [k - 1 for k in order[1:]])
        raise refusal(name, kind)

    def weight(self, name: str, node: onnx.NodeProto, k: int) -> Array:
        """A constant that a layer takes."""
        if node.input[k] not in self.constants:
            raise refusal(name, node.op_type, f"its input {k} must be a constant")
        return self.constants[node.input[k]]

    def optional(self, node: onnx.NodeProto, k: int) -> Array | None:
        has = len(node.input) > k and node.input[k]
        return self.weight(node.name, node, k) if has else None

    def clip(
        self, name: str, node: onnx.NodeProto, options: Mapping[str, Any], value: Value
    ) -> Value:
        low, high = (self.optional(node, k) for k in (1, 2))
        least = options.get("min", low)
        most = options.get("max", high)
        if least is None or float(least) != 0 or (most is not None and not float(most) > 0):
            raise refusal(name, "Clip", f"must be from 0 to a positive number, not {least}, {most}")
        return self.builder.relu(name, value, math.inf if most is None else float(most))

    def gemm(
        self, name: str, node: onnx.NodeProto, options: Mapping[str, Any], value: Value
    ) -> Value:
        if options.get("transA", 0):
            raise refusal(name, "Gemm", "must not transpose its input")
        weight = self.weight(name, node, 1) * np.float32(options.get("alpha", 1.0))
        bias = self.optional(node, 2)
        weight = weight if options.get("transB", 0) else weight.T
        if bias is not None:
            bias = np.ravel(bias) * np.float32(options.get("beta", 1.0))
            bias = np.broadcast_to(bias, len(weight))
        return self.builder.dense(name, weight, bias, value)

    def conv(
        self, name: str, node: onnx.NodeProto, options: Mapping[str, Any], value: Value
    ) -> Value:
        weight = self.weight(name, node, 1)
        ones = (1,) * (weight.ndim - 2)
        dilation = tuple(options.get("dilations", ones))
        stride = tuple(options.get("strides", ones))
        spans = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:], strict=True)]
        return self.builder.conv(
            name,
            weight,
            self.optional(node, 2),
            value,
            stride=stride,
            padding=_padding(name, "Conv", options, spans, stride, value),
            dilation=dilation,
            groups=options.get("group", 1),
        )

    def pool(self, name: str, options: Mapping[str, Any], value: Value) -> Value:
        kernel = tuple(options["kernel_shape"])
        stride = tuple(options.get("strides", (1,) * len(kernel)))
        padding = _padding(name, "AveragePool", options, kernel, stride, value)
        if options.get("ceil_mode", 0) or (any(padding) and not options.get("count_include_pad")):
            raise refusal(name, "AveragePool", "ceil_mode must be off, and padding counted")
        return self.builder.avg_pool(name, value, kernel, stride, padding)

    def mean(
        self, name: str, node: onnx.NodeProto, options: Mapping[str, Any], value: Value
    ) -> Value:
        axes = options.get("axes", self.optional(node, 1))
        rank = len(value.shape) + 1
        places = [] if axes is None else sorted(int(a) % rank for a in np.ravel(axes))
        if rank != 4 or len(places) != 2 or 0 in places:
            raise refusal(name, "ReduceMean", "must be the mean over height and width")
        order = value.order
        if order is not None and places == [1, 2]:
            # Channels are last: the mean is over the same places before the order changed.
            channels = self.builder.transpose(name, value, (2, 0, 1)).order
            if channels is not None and np.array_equal(channels.reshape(-1), np.arange(order.size)):
                value = Value(value.sources, channels.shape)
                places = [2, 3]
        if places != [2, 3]:
            raise refusal(name, "ReduceMean", "must be the mean over height and width")
        pooled = self.builder.global_pool(name, value)
        return pooled if options.get("keepdims", 1) else self.builder.flatten(f"{name}_", pooled)

    def reshape(self, name: str, node: onnx.NodeProto, value: Value) -> Value:
        if node.op_type == "Reshape":
            sizes = np.ravel(self.weight(name, node, 1)).tolist()
            flat = len(sizes) == 2 and sizes[1] in (-1, math.prod(value.shape))
        else:
            flat = sum(size > 1 for size in value.shape) <= 1
        if not flat:
            raise refusal(name, node.op_type, "must make one dimension of all, as a Flatten does")
        return self.builder.flatten(name, value)

    def arithmetic(self, name: str, node: onnx.NodeProto, value: Value) -> Value:
        kind = node.op_type
        first, second = node.input
        if kind == "Add" and first in self.values and second in self.values:
            return self.builder.add(name, self.values[first], self.values[second])
        constant = self.constants.get(second if first in self.values else first)
        if constant is None or (kind == "Div" and first in self.constants):
            raise refusal(name, kind)
        number = constant.astype(np.float64)
        channels = _each_channel(name, kind, number, value)
        one, zero = np.ones_like(channels), np.zeros_like(channels)
        scale, shift = one, zero
        match kind:
            case "Add":
                shift = channels
            case "Sub" if first in self.values:
                shift = -channels
            case "Sub":
                scale, shift = -one, channels
            case "Mul":
                scale = channels
            case "Div":
                scale = one / channels
        return self.builder.norm(name, scale, shift, value)


_HANDED_ON = ("Identity", "Cast", "ZipMap")
"""What may stand behind a decision, beside what makes labels of it."""


def _decided(value: Value) -> bool:
    return value.ended is not None and value.ended[1] == "ArgMax"


def _each_channel(name: str, kind: str, number: Array, value: Value) -> Array:
    """A constant as one number for each channel, or one for all."""
    places = len(value.shape) - 1
    # Aligned from the right, as NumPy does: (channels, 1, 1) or (1, channels, 1, 1).
    shape = (1,) * (places + 1 - number.ndim) + number.shape
    if math.prod(shape[-places:] if places else ()) != 1 or math.prod(shape[: -places - 1]) != 1:
        raise refusal(name, kind, "its constant must be one number for each channel")
    return number.reshape(-1)


def _padding(
    name: str,
    kind: str,
    options: Mapping[str, Any],
    spans: Any,
    stride: Shape,
    value: Value,
) -> Shape:
    """Zeros at both ends of each dimension."""
    rank = len(spans)
    auto = options.get("auto_pad", "NOTSET")
    pads = list(options.get("pads", [0] * (2 * rank)))
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        needed = [
            max(0, (math.ceil(size / step) - 1) * step + span - size)
            for size, step, span in zip(value.shape[1:], stride, spans, strict=True)
        ]
        less, more = [n // 2 for n in needed], [-(-n // 2) for n in needed]
        pads = less + more if auto == "SAME_UPPER" else more + less
    if pads[:rank] != pads[rank:]:
        reason = f"must be padded by as much on both sides, not by {pads}"
        raise refusal(name, kind, reason)
    return tuple(pads[:rank])


def _dequantized(values: Array, scale: Array, zero: Array | None = None, *, axis: int) -> Array:
    if scale.ndim:
        ones = [1] * values.ndim
        ones[axis] = -1
        scale = scale.reshape(ones)
        zero = None if zero is None else zero.reshape(ones)
    shifted = values.astype(np.int32) - (0 if zero is None else zero.astype(np.int32))
    return (shifted * scale).astype(np.float32)


def _options(node: onnx.NodeProto) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for each in node.attribute:
        value = onnx.helper.get_attribute_value(each)
        if isinstance(value, onnx.TensorProto):
            value = numpy_helper.to_array(value)
        options[each.name] = value.decode() if isinstance(value, bytes) else value
    return options


def _shape(source: onnx.ValueInfoProto) -> Shape:
    sizes = [each.dim_value for each in source.type.tensor_type.shape.dim][1:]
    if not sizes or not all(sizes):
        raise ValueError(
            f"input {source.name!r} must say its shape, but leaves sizes open: give the shape of"
            " one input"
        )
    return tuple(sizes)
