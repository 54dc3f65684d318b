"""PyTorch modules as networks of rectified-linear units, traced by ``torch.fx``.

Needs PyTorch: ``pip install 'spikeloom[torch]'``.
"""

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn
from torch.nn import functional

from spikeloom.reference.ann_builder import AnnBuilder, Value, refusal
from spikeloom.reference.graph import Graph, Shape

__all__ = ["ann_from_torch"]

Array = NDArray[Any]


def ann_from_torch(model: nn.Module, shape: Shape) -> Graph:
    """The network of a module.

    Parameters
    ----------
    model
        An ``nn.Sequential``, or any module that ``torch.fx`` can trace. Normalisations are taken
        as in evaluation.
    shape
        Shape of one input, without the batch.

    Raises
    ------
    ValueError
        If it has a layer that neurons cannot compute; the message names it and what to use.
    """
    try:
        traced = fx.Tracer().trace(model)
    except Exception as error:  # what tracing meets is the module's own code
        raise ValueError(
            f"{type(model).__name__} must be a module that torch.fx can trace, without branches"
            f" that depend on data, but is not: {error}"
        ) from None
    return _Reader(model, tuple(shape)).graph(traced)


class _Reader:
    def __init__(self, model: nn.Module, shape: Shape) -> None:
        self.modules = dict(model.named_modules())
        self.shape = shape
        self.builder = AnnBuilder()
        self.values: dict[str, Value] = {}

    def graph(self, traced: fx.Graph) -> Graph:
        for node in traced.nodes:
            if node.op == "output":
                return self.builder.graph(self.value(node.args[0], "output"))
            if node.op != "placeholder" and _about_sizes(node):
                continue
            self.values[node.name] = value = self.step(node)
            if self.is_in_place(node):
                # Whoever looks at its input from now on sees what became of it.
                self.values[_first(node).name] = value
        raise ValueError("the module must return a value, but does not")

    def is_in_place(self, node: fx.Node) -> bool:
        """Whether a layer overwrites its input."""
        if node.op == "call_module":
            return bool(getattr(self.modules[str(node.target)], "inplace", False))
        if node.op == "call_method":
            return str(node.target).endswith("_")
        name = getattr(node.target, "__name__", "")
        return node.op == "call_function" and (
            node.target is operator.iadd
            or name.endswith("_")
            or bool(node.kwargs.get("inplace", False))
        )

    def value(self, argument: Any, name: str) -> Value:
        if not isinstance(argument, fx.Node) or argument.name not in self.values:
            raise refusal(name, "forward", "must take and return one tensor of activations")
        return self.values[argument.name]

    def step(self, node: fx.Node) -> Value:
        if node.op == "placeholder":
            if self.values:
                raise ValueError("the module must have one input, not several")
            return self.builder.input(self.shape)
        name = str(node.target) if node.op == "call_module" else node.name
        if node.op == "call_module":
            module = self.modules[str(node.target)]
            return self.module(name, module, self.value(_first(node), name))
        if node.op == "call_function":
            return self.function(name, node)
        if node.op == "call_method":
            return self.method(name, node)
        raise refusal(name, "parameter", "must be part of a layer, not used by itself")

    def module(self, name: str, module: nn.Module, value: Value) -> Value:
        build = self.builder
        match module:
            case nn.Identity() | nn.Dropout() | nn.Dropout1d() | nn.Dropout2d():
                return value
            case nn.Linear():
                return build.dense(name, _numbers(module.weight), _bias(module), value)
            case nn.Conv1d() | nn.Conv2d():
                return self.conv(name, module, value)
            case nn.BatchNorm1d() | nn.BatchNorm2d():
                scale, shift, mean = _norm(name, module)
                return build.norm(name, scale, shift, value, mean)
            case nn.ReLU6():
                return build.relu(name, value, 6.0)
            case nn.ReLU():
                return build.relu(name, value)
            case nn.Hardtanh():
                return self.clip(name, value, module.min_val, module.max_val)
            case nn.AvgPool2d():
                _check_pool(name, module)
                kernel, padding = _pair(module.kernel_size), _pair(module.padding)
                return build.avg_pool(name, value, kernel, _pair(module.stride), padding)
            case nn.AdaptiveAvgPool2d() if module.output_size in (1, (1, 1)):
                return build.global_pool(name, value)
            case nn.Flatten() if (module.start_dim, module.end_dim) == (1, -1):
                return build.flatten(name, value)
            case nn.Softmax() | nn.LogSoftmax() | nn.Sigmoid():
                return build.end(name, type(module).__name__, value)
        raise refusal(name, type(module).__name__)

    def conv(self, name: str, module: Any, value: Value) -> Value:
        if module.padding_mode != "zeros":
            reason = f"padding_mode must be 'zeros', not {module.padding_mode!r}"
            raise refusal(name, type(module).__name__, reason)
        padding = module.padding
        spans = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
        if padding == "valid":
            padding = (0,) * len(spans)
        elif padding == "same":
            if any(span % 2 for span in spans):
                reason = "padding must not be 'same' with an even kernel: it differs by side"
                raise refusal(name, type(module).__name__, reason)
            padding = tuple(span // 2 for span in spans)
        return self.builder.conv(
            name,
            _numbers(module.weight),
            _bias(module),
            value,
            stride=module.stride,
            padding=padding,
            dilation=module.dilation,
            groups=module.groups,
        )

    def clip(self, name: str, value: Value, low: Any, high: Any) -> Value:
        if low != 0 or (high is not None and not high > 0):
            raise refusal(name, "clip", f"must be from 0 to a positive number, not {low} to {high}")
        return self.builder.relu(name, value, math.inf if high is None else float(high))

    def function(self, name: str, node: fx.Node) -> Value:
        target: Any = node.target
        if target in (operator.add, operator.iadd, torch.add):
            return self.sum(name, node)
        options = dict(zip(_ARGUMENTS.get(target, ()), node.args[1:], strict=False))
        return self.call(name, target.__name__, node, options | node.kwargs)

    def method(self, name: str, node: fx.Node) -> Value:
        kind = str(node.target)
        if kind in ("add", "add_"):
            return self.sum(name, node)
        options: dict[str, Any] = dict(node.kwargs)
        if kind in ("view", "reshape"):
            sizes: Any = node.args[1:]
            sizes = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple | list) else sizes
            size = math.prod(self.value(_first(node), name).shape)
            if len(sizes) != 2 or sizes[1] not in (-1, size):
                raise refusal(name, kind, "must be a Flatten, or a view as (batch, -1)")
            kind, options = "flatten", {"start_dim": 1}
        else:
            words = {"mean": ("dim", "keepdim"), "flatten": ("start_dim", "end_dim")}
            words["clamp"] = ("min", "max")
            options |= dict(zip(words.get(kind, ()), node.args[1:], strict=False))
        return self.call(name, kind, node, options)

    def sum(self, name: str, node: fx.Node) -> Value:
        if len(node.args) != 2 or node.kwargs:
            raise refusal(name, "add", "must add two values as they are, without alpha")
        first, second = (self.value(each, name) for each in node.args)
        return self.builder.add(name, first, second)

    def call(self, name: str, kind: str, node: fx.Node, options: dict[str, Any]) -> Value:
        """A function or method by its name."""
        build, value = self.builder, self.value(_first(node), name)
        match kind.strip("_"):
            case "relu":
                return build.relu(name, value)
            case "relu6":
                return build.relu(name, value, 6.0)
            case "clamp" | "clip":
                return self.clip(name, value, options.get("min"), options.get("max"))
            case "hardtanh":
                low, high = options.get("min_val", -1), options.get("max_val", 1)
                return self.clip(name, value, low, high)
            case "flatten" if options.get("start_dim", 0) == 1 and options.get("end_dim", -1) == -1:
                return build.flatten(name, value)
            case "dropout" | "dropout2d" | "contiguous":
                return value
            case "softmax" | "log_softmax" | "sigmoid":
                return build.end(name, kind, value)
            case "avg_pool2d":
                pool = nn.AvgPool2d(**options)
                return self.module(name, pool, value)
            case "adaptive_avg_pool2d" if options.get("output_size") in (1, (1, 1), [1, 1]):
                return build.global_pool(name, value)
            case "mean" if _all_places(options.get("dim")):
                pooled = build.global_pool(name, value)
                return pooled if options.get("keepdim") else build.flatten(f"{name}_flat", pooled)
        raise refusal(name, kind)


_ARGUMENTS: dict[Callable[..., Any], tuple[str, ...]] = {
    torch.clamp: ("min", "max"),
    functional.hardtanh: ("min_val", "max_val"),
    torch.flatten: ("start_dim", "end_dim"),
    functional.avg_pool2d: ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"),
    functional.adaptive_avg_pool2d: ("output_size",),
    torch.mean: ("dim", "keepdim"),
}
"""Names of the arguments behind the first, of functions that have some."""


def _first(node: fx.Node) -> Any:
    """What a layer takes."""
    return node.args[0] if node.args else node.kwargs.get("input")


def _about_sizes(node: fx.Node) -> bool:
    """Whether a node tells a batch's size, which a view may be told."""
    return node.target in ("size", getattr, operator.getitem)


def _all_places(dimensions: Any) -> bool:
    return isinstance(dimensions, tuple | list) and sorted(d % 4 for d in dimensions) == [2, 3]


def _numbers(tensor: Any) -> Array:
    return np.asarray(tensor.detach().cpu().float().numpy())


def _bias(module: Any) -> Array | None:
    return None if module.bias is None else _numbers(module.bias)


def _pair(value: Any) -> Shape:
    return (value, value) if isinstance(value, int) else tuple(value)


def _norm(name: str, module: Any) -> tuple[Array, Array, Array]:
    """Scale, shift and mean."""
    if module.running_mean is None:
        reason = "must track running statistics, which say what it does after training"
        raise refusal(name, type(module).__name__, reason)
    mean, variance = (_numbers(each) for each in (module.running_mean, module.running_var))
    scale, shift = np.ones_like(mean), np.zeros_like(mean)
    if module.affine:
        scale, shift = _numbers(module.weight), _numbers(module.bias)
    return scale / np.sqrt(variance + np.float32(module.eps)), shift, mean


def _check_pool(name: str, module: nn.AvgPool2d) -> None:
    padded = max(_pair(module.padding)) > 0
    if module.ceil_mode or module.divisor_override or (padded and not module.count_include_pad):
        reason = "ceil_mode must be off, padding counted, and divisor_override not given"
        raise refusal(name, "AvgPool2d", reason)
