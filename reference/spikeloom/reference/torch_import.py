"""Models of sinabs and snnTorch as graphs, with the profiles that reproduce them.

Nothing here imports PyTorch: the modules are taken as they come, and told apart by the names of
their classes. Written for sinabs 3.1 and snnTorch 1.0.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikeloom.reference.graph import (
    IF,
    LI,
    LIF,
    Affine,
    AvgPool2d,
    Conv1d,
    Conv2d,
    CubaLIF,
    Flatten,
    Graph,
    I,
    Input,
    Linear,
    Node,
    Output,
    Scale,
    Shape,
    SumPool2d,
    check_graph,
)
from spikeloom.reference.profile import (
    PROFILES,
    Comparison,
    InputGain,
    Profile,
    Reset,
    check_spike_rule,
)

__all__ = ["Imported", "from_sinabs", "from_snntorch"]

Real = NDArray[np.float64]


class Imported(NamedTuple):
    """A graph, and the profile under which it computes what the module does."""

    graph: Graph
    profile: Profile


def from_sinabs(module: Any, input_shape: Shape) -> Imported:
    """The graph and the profile of a model of sinabs, which starts from its reset state.

    The profile is ``sinabs`` with the spikes a step, the reset and the floor that the layers have;
    a layer that may emit any number of spikes may emit 1023.

    Parameters
    ----------
    module
        A ``torch.nn.Sequential``, which may hold others, or a ``sinabs.network.Network`` of one.
        Its layers are Linear, Conv1d, Conv2d, BatchNorm behind one of these (in evaluation mode),
        AvgPool2d, SumPool2d, Flatten, Dropout and Identity (left out), and IAF, LIF, ExpLeak or
        their Squeeze forms.
    input_shape
        Shape of what comes in in a step.

    Raises
    ------
    ValueError
        If the module has what no graph and profile can say; the message names the layer.
    """
    layers = list(_layers(getattr(module, "spiking_model", module)))
    squeezed = any(type(each).__name__.endswith("Squeeze") for _, each in layers)
    reader = _Reader(input_shape, leading=1 if squeezed else 2)
    for name, layer in layers:
        reader.read(name, layer, _SINABS)
    plain = replace(PROFILES["sinabs"], max_spikes=1, integrator_floor=None)
    return reader.imported(replace(plain, **reader.options))


def from_snntorch(module: Any, input_shape: Shape) -> Imported:
    """The graph and the profile of a model of snnTorch, which starts from its reset state.

    The profile is one of general options, ``snntorch-module``; ``PROFILES["snntorch"]`` is that of
    NIR files. A reset by subtraction acts one step late and on the decayed potential: where a
    ``beta`` is below 1 it becomes a connection from each neuron to itself, of weight minus its
    threshold.

    Parameters
    ----------
    module
        A ``torch.nn.Sequential``, which may hold others, of Linear, Conv1d, Conv2d, BatchNorm
        behind one of these (in evaluation mode), AvgPool2d, Flatten, Dropout and Identity (left
        out), Leaky and Synaptic; called once a step.
    input_shape
        Shape of what comes in in a step.

    Raises
    ------
    ValueError
        If the module has what no graph and profile can say; the message names the layer.
    """
    layers = list(_layers(module))
    reader = _Reader(input_shape, leading=1)
    reader.loops = any(
        type(each).__name__ in _SNNTORCH and _resets_decayed(each) for _, each in layers
    )
    for name, layer in layers:
        reader.read(name, layer, _SNNTORCH)
    profile = Profile(
        name="snntorch-module",
        input_gain=InputGain.ONE,
        synapse_gain=InputGain.ONE,
        comparison=Comparison.GT,
    )
    return reader.imported(replace(profile, **reader.options))


def _layers(module: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The layers of nested sequences in order, with their names joined by points."""
    if type(module).__name__ != "Sequential":
        yield prefix or type(module).__name__, module
        return
    for name, child in module.named_children():
        yield from _layers(child, f"{prefix}.{name}" if prefix else name)


class _Reader:
    """A chain of nodes as it grows, and the options that its profile must have."""

    def __init__(self, input_shape: Shape, leading: int) -> None:
        self.shape: Shape = tuple(input_shape)
        self.leading = leading
        """Dimensions of the modules' arrays before those of ``shape``: samples, or steps too."""
        self.loops = False
        """Whether resets by subtraction are connections."""
        self.nodes: dict[str, Node] = {"input": Input(self.shape)}
        self.loop_edges: list[tuple[str, str]] = []
        self.chain = ["input"]
        self.options: dict[str, Any] = {}
        self.name = ""

    def read(self, name: str, layer: Any, kinds: "dict[str, _Rule]") -> None:
        """Append the nodes of a layer."""
        self.name = name
        kind = type(layer).__name__
        kinds = {**_PLAIN, **kinds}
        try:
            if kind not in kinds:
                raise ValueError(_advice(kind, kinds))
            kinds[kind](self, layer)
        except ValueError as error:
            raise ValueError(f"layer {name!r} ({kind}): {error}") from None

    def add(self, node: Node, suffix: str = "") -> str:
        """Append a node, and return its name."""
        name = self.name + suffix
        if name in self.nodes or name == "output":
            raise ValueError(f"the name {name!r} must not be given twice")
        self.shape = node.output_shape(self.shape)
        self.nodes[name] = node
        self.chain.append(name)
        return name

    def require(self, **options: Any) -> None:
        """Set options of the profile, unless an earlier layer set another value."""
        for name, value in options.items():
            if self.options.setdefault(name, value) != value:
                said = [_said(each) for each in (self.options[name], value)]
                raise ValueError(
                    f"{name} must be {said[0]}, as in the layers before, because a profile has one"
                    f" for all, not {said[1]}"
                )

    def full(self, values: Any) -> Real:
        """Numbers for all neurons of the shape that is reached."""
        return np.array(np.broadcast_to(_array(values), self.shape), dtype=np.float64)

    def imported(self, profile: Profile) -> Imported:
        """The finished graph with its profile."""
        self.nodes["output"] = Output(self.shape)
        edges = (*pairwise([*self.chain, "output"]), *self.loop_edges)
        graph = Graph(self.nodes, edges)
        check_graph(graph)
        return Imported(graph, profile)


_Rule = Callable[[_Reader, Any], None]


def _said(value: Any) -> str:
    return repr(value.value) if isinstance(value, Reset) else repr(value)


def _advice(kind: str, kinds: dict[str, Any]) -> str:
    """Why a layer is refused."""
    if kind in ("LIFRecurrent", "IAFRecurrent", "RLeaky", "RSynaptic"):
        return "recurrent layers cannot be imported as modules; export the model to NIR instead"
    return f"it must be one of {', '.join(kinds)}"


def _array(values: Any) -> Real:
    """A tensor, or a number, as an array."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    return np.asarray(values, dtype=np.float64)


def _refuse(condition: Any, text: str) -> None:
    if condition:
        raise ValueError(text)


# Layers of PyTorch itself.


def _linear(reader: _Reader, layer: Any) -> None:
    weight = _array(layer.weight)
    if layer.bias is None:
        reader.add(Linear(weight))
    else:
        reader.add(Affine(weight, _array(layer.bias)))


def _conv(node: type[Conv1d | Conv2d]) -> _Rule:
    def read(reader: _Reader, layer: Any) -> None:
        _refuse(layer.padding_mode != "zeros", "padding_mode must be 'zeros'")
        _refuse(layer.padding == "same", "padding must be numbers, not 'same'")
        weight = _array(layer.weight)
        valid = (0,) * node.dimensions
        reader.add(
            node(
                weight,
                np.zeros(len(weight)) if layer.bias is None else _array(layer.bias),
                tuple(layer.stride),
                valid if layer.padding == "valid" else tuple(layer.padding),
                tuple(layer.dilation),
                layer.groups,
            )
        )

    return read


def _batch_norm(reader: _Reader, layer: Any) -> None:
    """Fold the normalisation into the weights before it."""
    name = reader.chain[-1]
    before = reader.nodes[name]
    if not isinstance(before, Linear | Conv1d | Conv2d):
        raise ValueError("it must come directly behind a Linear or a convolution")
    if layer.training or layer.running_mean is None:
        raise ValueError("it must have running statistics and be in evaluation mode: call eval()")
    factor = 1 / np.sqrt(_array(layer.running_var) + layer.eps)
    if layer.weight is not None:
        factor = factor * _array(layer.weight)
    bias = (getattr(before, "bias", 0.0) - _array(layer.running_mean)) * factor
    if layer.bias is not None:
        bias = bias + _array(layer.bias)
    weight = before.weight * factor.reshape(-1, *(1,) * (before.weight.ndim - 1))
    if isinstance(before, Linear):
        reader.nodes[name] = Affine(weight, bias)
    else:
        reader.nodes[name] = replace(before, weight=weight, bias=bias)


def _avg_pool(reader: _Reader, layer: Any) -> None:
    _refuse(layer.ceil_mode, "ceil_mode must be False")
    _refuse(layer.divisor_override is not None, "divisor_override must be None")
    padding = _pair(layer.padding)
    _refuse(any(padding) and not layer.count_include_pad, "count_include_pad must be True")
    reader.add(AvgPool2d(_pair(layer.kernel_size), _pair(layer.stride), padding))


def _sum_pool(reader: _Reader, layer: Any) -> None:
    _refuse(layer.ceil_mode, "ceil_mode must be False")
    kernel = _pair(layer.kernel_size)
    stride = kernel if layer.stride is None else _pair(layer.stride)
    reader.add(SumPool2d(kernel, stride, (0, 0)))


def _flatten(reader: _Reader, layer: Any) -> None:
    ends = []
    for dimension in (layer.start_dim, layer.end_dim):
        _refuse(
            0 <= dimension < reader.leading or dimension < -len(reader.shape),
            f"it must not join samples or steps, dimensions 0 to {reader.leading - 1}",
        )
        ends.append(dimension if dimension < 0 else dimension - reader.leading)
    reader.add(Flatten(*ends))


def _left_out(reader: _Reader, layer: Any) -> None:
    """Add nothing."""


def _pair(size: Any) -> Shape:
    return (size, size) if isinstance(size, int) else tuple(size)


_PLAIN: dict[str, _Rule] = {
    "Linear": _linear,
    "Conv1d": _conv(Conv1d),
    "Conv2d": _conv(Conv2d),
    "BatchNorm1d": _batch_norm,
    "BatchNorm2d": _batch_norm,
    "AvgPool2d": _avg_pool,
    "Flatten": _flatten,
    **dict.fromkeys(("Dropout", "Dropout1d", "Dropout2d", "Identity"), _left_out),
}


# Layers of sinabs.


def _sinabs_neurons(reader: _Reader, layer: Any) -> None:
    """LIF, and IAF, which is one whose ``alpha`` is 1."""
    threshold = reader.full(layer.spike_threshold)
    _refuse(np.any(threshold <= 0), "spike_threshold must be positive")
    zeros, ones = np.zeros(reader.shape), np.ones(reader.shape)
    decay = reader.full(layer.alpha_mem_calculated)
    synapse = layer.alpha_syn_calculated
    reader.require(**_sinabs_spikes(layer))
    floor = None if layer.min_v_mem is None else reader.full(layer.min_v_mem) / threshold
    if floor is not None:
        _refuse(np.any(floor != floor.flat[0]), "min_v_mem must be one share of spike_threshold")
        _refuse(np.any(floor > 0), "min_v_mem must be at most 0")
    share = None if floor is None else float(floor.flat[0])
    if np.all(decay == 1):
        _refuse(synapse is not None, "tau_syn must be None where the potential does not decay")
        reader.require(integrator_floor=share)
        reader.add(IF(ones, threshold, zeros))
        return
    reader.require(floor=share)
    tau, gain = _exponential(decay, "tau_mem"), _sinabs_gain(layer, decay)
    if synapse is None:
        reader.add(LIF(tau, gain, zeros, threshold, zeros))
    else:
        tau_syn = _exponential(reader.full(synapse), "tau_syn")
        reader.add(CubaLIF(tau_syn, tau, gain, zeros, threshold, zeros, ones))


def _sinabs_leak(reader: _Reader, layer: Any) -> None:
    _refuse(layer.min_v_mem is not None, "min_v_mem must be None where nothing spikes")
    decay = reader.full(layer.alpha_mem_calculated)
    tau = _exponential(decay, "tau_mem")
    reader.add(LI(tau, _sinabs_gain(layer, decay), np.zeros(reader.shape)))


def _sinabs_spikes(layer: Any) -> dict[str, Any]:
    """The options for spikes and reset."""
    spikes, reset = layer.spike_fn, layer.reset_fn
    kind = getattr(spikes, "__name__", type(spikes).__name__)
    if kind == "SingleSpike":
        most = 1
    elif kind == "MultiSpike":
        most = 1023
    elif kind == "MaxSpike":
        most = spikes.max_num_spikes_per_bin or 1023
    else:
        raise ValueError(f"spike_fn must be SingleSpike, MultiSpike or MaxSpike, not {kind}")
    if type(reset).__name__ == "MembraneSubtract":
        if reset.subtract_value is not None:
            raise ValueError("subtract_value must be None, for the threshold")
        rule = Reset.SUBTRACT
    elif type(reset).__name__ == "MembraneReset":
        if reset.reset_value != 0:
            raise ValueError("reset_value must be 0: sinabs adds it to silent neurons too")
        rule = Reset.TO_VALUE
    else:
        raise ValueError("reset_fn must be MembraneSubtract or MembraneReset")
    check_spike_rule(rule, most, 0)
    return {"reset": rule, "max_spikes": most}


def _sinabs_gain(layer: Any, decay: Real) -> Real:
    if not layer.norm_input:
        return np.ones_like(decay)
    # In single precision, as sinabs does.
    return _array(1 - decay.astype(np.float32))


def _exponential(decay: Real, name: str) -> Real:
    """The time constant of a decay, in steps: what the decay is found of again to the last bit."""
    if np.any((decay <= 0) | (decay >= 1)):
        raise ValueError(f"{name} must leave a share between 0 and 1 of the state in a step")
    return -1 / np.log(decay)


_SINABS: dict[str, _Rule] = {
    "SumPool2d": _sum_pool,
    **dict.fromkeys(("IAF", "IAFSqueeze", "LIF", "LIFSqueeze"), _sinabs_neurons),
    **dict.fromkeys(("ExpLeak", "ExpLeakSqueeze"), _sinabs_leak),
}


# Layers of snnTorch.


def _snntorch_leaky(reader: _Reader, layer: Any) -> None:
    _check_snntorch(layer)
    reader.require(**_snntorch_reset(reader, layer, refractory_steps=0))
    _snntorch_membrane(reader, layer)


def _snntorch_synaptic(reader: _Reader, layer: Any) -> None:
    """A synapse inside the neuron, or before it where a connection that resets passes it by."""
    _check_snntorch(layer)
    # A late reset to zero takes the current of its step with it.
    late = int(layer.reset_mechanism == "zero" and layer.reset_delay)
    reader.require(**_snntorch_reset(reader, layer, refractory_steps=late))
    zeros, ones = np.zeros(reader.shape), np.ones(reader.shape)
    alpha, beta = (reader.full(_clamped(each)) for each in (layer.alpha, layer.beta))
    inside = layer.reset_mechanism != "subtract" and np.all(alpha < 1) and np.all(beta < 1)
    if inside:
        threshold = reader.full(layer.threshold)
        tau_syn, tau = _euler(alpha, "alpha"), _euler(beta, "beta")
        reader.add(CubaLIF(tau_syn, tau, ones, zeros, threshold, zeros, ones))
        return
    synapse = I(ones) if np.all(alpha == 1) else LI(_euler(alpha, "alpha"), ones, zeros)
    reader.add(synapse, ".syn")
    _snntorch_membrane(reader, layer)


def _snntorch_membrane(reader: _Reader, layer: Any) -> None:
    """The neurons without their synapse, and the connection that resets them if there is one."""
    zeros, ones = np.zeros(reader.shape), np.ones(reader.shape)
    threshold = reader.full(layer.threshold)
    beta = reader.full(_clamped(layer.beta))
    if np.all(beta == 1):
        name = reader.add(IF(ones, threshold, zeros))
    else:
        name = reader.add(LIF(_euler(beta, "beta"), ones, zeros, threshold, zeros))
    if layer.reset_mechanism == "subtract" and reader.loops:
        reader.nodes[f"{name}.reset"] = Scale(-threshold)
        reader.loop_edges += [(name, f"{name}.reset"), (f"{name}.reset", name)]


def _check_snntorch(layer: Any) -> None:
    _refuse(layer.inhibition, "inhibition must be False")
    _refuse(layer.state_quant, "state_quant must be False")
    _refuse(np.any(_array(layer.graded_spikes_factor) != 1), "graded_spikes_factor must be 1")
    _refuse(np.any(_array(layer.threshold) <= 0), "threshold must be positive")
    _refuse(
        layer.reset_mechanism == "subtract" and not layer.reset_delay,
        "reset_delay must be True where the reset subtracts: without delay snnTorch takes twice"
        " from a potential above two thresholds, which no profile does",
    )


def _snntorch_reset(reader: _Reader, layer: Any, refractory_steps: int) -> dict[str, Any]:
    """The options for the reset."""
    kinds = {
        "zero": Reset.TO_VALUE,
        "none": Reset.NONE,
        "subtract": Reset.NONE if reader.loops else Reset.SUBTRACT,
    }
    return {"reset": kinds[layer.reset_mechanism], "refractory_steps": refractory_steps}


def _resets_decayed(layer: Any) -> bool:
    """Whether the threshold is taken from a potential that has decayed since the spike."""
    return layer.reset_mechanism == "subtract" and bool(np.any(_clamped(layer.beta) < 1))


def _clamped(share: Any) -> Real:
    return np.clip(_array(share), 0, 1)


def _euler(share: Real, name: str) -> Real:
    """The time constant, in steps, of which the profile's Euler rule leaves a share in a step."""
    if np.any(share >= 1):
        raise ValueError(f"{name} must be below 1 for all neurons or 1 for all")
    return 1 / (1 - share)


_SNNTORCH: dict[str, _Rule] = {"Leaky": _snntorch_leaky, "Synaptic": _snntorch_synaptic}
