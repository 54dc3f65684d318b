"""Networks out of NIR graphs: what each node becomes, given a profile.

Nodes with a state become populations; the linear nodes between two of them become the maps of a
connection. A node that the profile cannot realise is refused by its name.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeloom.reference.fold import fold
from spikeloom.reference.graph import (
    IF,
    LI,
    LIF,
    Affine,
    AvgPool2d,
    ChargedIF,
    Conv1d,
    Conv2d,
    CubaLI,
    CubaLIF,
    Delay,
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
    Threshold,
    flat_graph,
    input_shapes,
)
from spikeloom.reference.maps import (
    Convolution,
    Dense,
    Diagonal,
    Map,
    Pool,
    Reshape,
    apply_maps,
)
from spikeloom.reference.network import Connection, FloatNetwork, FloatPopulation, LateBias
from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.profile import (
    Comparison,
    Decay,
    InputGain,
    Profile,
    Reset,
    check_spike_rule,
)

__all__ = ["network_of"]

MAX_PATHS = 4096
"""Ways through linear nodes from one population to another: sums of sums multiply them."""


def network_of(graph: Graph, profile: Profile, *, v_init: float = 0.0) -> FloatNetwork:
    """The network that a graph is under a profile.

    Each I, IF, LI, LIF, CubaLI, CubaLIF and Threshold becomes a population of its name; an inner
    graph's ``b`` in ``a`` is ``a.b``. Where an output is not plainly a population, a population
    without memory of the output's name sends the weighted sum; so does one of the name of a Delay
    that comes after weights and whose delays differ. Delays are rounded to whole steps.

    A connection gets the profile's ``input_delay`` if it comes from an input, ``recurrent_delay``
    if it closes a loop and no Delay lies on it, else ``layer_delay``. A connection closes a loop if
    its target is met before its source on the way from the inputs: the graph is walked depth first,
    in the file's order.

    Parameters
    ----------
    graph
        The graph, which :func:`~spikeloom.reference.graph.check_graph` must accept.
    profile
        How time is discretised, which NIR leaves open.
    v_init
        Potential of all neurons that spike at the first step, in thresholds.

    Raises
    ------
    ValueError
        If the profile contradicts a node, or linear nodes are too large or too many to be joined;
        the message names the node.
    """
    return _Compiler(flat_graph(graph), profile, v_init).network()


@dataclass
class _Path:
    """A way from a source through linear nodes, from its end backwards."""

    maps: tuple[Map, ...] = ()
    delay: int | NDArray[np.int64] = 0


@dataclass
class _Inflow:
    """What arrives at a node: paths from sources, and the biases on the way with their paths."""

    paths: list[tuple[str, _Path]] = field(default_factory=list)
    biases: list[tuple[NDArray[Any], _Path, str]] = field(default_factory=list)


class _Compiler:
    def __init__(self, graph: Graph, profile: Profile, v_init: float) -> None:
        self.graph = graph
        self.profile = profile
        self.v_init = v_init
        self.shapes = input_shapes(graph)
        self.before: dict[str, list[str]] = {name: [] for name in graph.nodes}
        for a, b in graph.edges:
            self.before[b].append(a)
        self.sources = {
            name
            for name, node in graph.nodes.items()
            if isinstance(node, Input | Threshold) or node.stateful or self._is_buffer(name)
        }
        self.inflows = {
            name: self._inflow(name)
            for name, node in graph.nodes.items()
            if isinstance(node, Output) or (name in self.sources and not isinstance(node, Input))
        }
        self.closing = self._closing()

    def _is_buffer(self, name: str) -> bool:
        """Whether a Delay needs a population of its own to hold what it delays."""
        node = self.graph.nodes[name]
        if not isinstance(node, Delay) or np.ndim(self._steps(name)) == 0:
            return False
        return any(
            not (self.graph.nodes[each].stateful or isinstance(self.graph.nodes[each], Input))
            for each in self.before[name]
        )

    def _steps(self, name: str) -> int | NDArray[np.int64]:
        node = self.graph.nodes[name]
        if not isinstance(node, Delay):
            raise TypeError(f"{name!r} must be a Delay")
        steps = np.rint(np.asarray(node.delay, dtype=np.float64) / self.profile.dt)
        if steps.max(initial=0) > 1 << 16:
            raise ValueError(
                f"node {name!r}: delay must be at most {1 << 16} steps of dt={self.profile.dt:g},"
                f" not {steps.max():g}"
            )
        same = steps.size and np.all(steps == steps.flat[0])
        return int(steps.flat[0]) if same else steps.astype(np.int64)

    def _inflow(self, target: str) -> _Inflow:
        """All ways back from a node to the sources of what arrives at it."""
        inflow = _Inflow()
        waiting = [(name, _Path()) for name in reversed(self.before[target])]
        while waiting:
            name, path = waiting.pop()
            node = self.graph.nodes[name]
            if name in self.sources:
                if isinstance(node, Delay):
                    steps = self._steps(name)
                    path = replace(path, delay=path.delay + steps)
                inflow.paths.append((name, path))
                if len(inflow.paths) > MAX_PATHS:
                    raise ValueError(
                        f"node {target!r}: at most {MAX_PATHS} ways through linear nodes must lead"
                        " to it"
                    )
                continue
            try:
                path, bias = self._through(name, node, path)
            except ValueError as error:
                raise ValueError(f"node {name!r}: {error}") from None
            if bias is not None:
                inflow.biases.append((*bias, name))
            waiting += [(each, path) for each in reversed(self.before[name])]
        return inflow

    def _through(
        self, name: str, node: Node, path: _Path
    ) -> tuple[_Path, tuple[NDArray[Any], _Path] | None]:
        """The path with a linear node in front, and the bias that the node adds to it."""
        if isinstance(node, Delay):
            return replace(path, delay=path.delay + self._steps(name)), None
        maps, bias = _maps_of(node, self.shapes[name])
        longer = replace(path, maps=(*maps, *path.maps))
        return longer, None if bias is None or not bias.any() else (bias, path)

    def _closing(self) -> set[tuple[str, str]]:
        """Pairs of source and target between which a loop is closed."""
        leads: dict[str, list[str]] = {}
        for target, inflow in self.inflows.items():
            for source, _ in inflow.paths:
                if target not in leads.setdefault(source, []):
                    leads[source].append(target)
        order = {name: k for k, name in enumerate(self.graph.nodes)}
        for targets in leads.values():
            targets.sort(key=order.__getitem__)
        closing: set[tuple[str, str]] = set()
        done: set[str] = set()
        for start in (n for n, node in self.graph.nodes.items() if isinstance(node, Input)):
            under_way = [start]
            rest = [iter(leads.get(start, ()))]
            while rest:
                name = next(rest[-1], None)
                if name is None:
                    rest.pop()
                    done.add(under_way.pop())
                elif name in under_way:
                    closing.add((under_way[-1], name))
                elif name not in done:
                    under_way.append(name)
                    rest.append(iter(leads.get(name, ())))
        return closing

    def network(self) -> FloatNetwork:
        populations: dict[str, FloatPopulation] = {}
        outputs: dict[str, str] = {}
        inputs: dict[str, Shape] = {}
        # The order in which the shapes spread from the inputs: a file's is that of the alphabet.
        for name in self.shapes:
            node = self.graph.nodes[name]
            if isinstance(node, Input):
                inputs[name] = node.shape
            elif isinstance(node, Output) and (plain := self._plain_source(name)) is not None:
                outputs[name] = plain
            elif name in self.inflows:
                try:
                    populations[name] = self._population(name, node)
                except ValueError as error:
                    raise ValueError(f"node {name!r}: {error}") from None
                if isinstance(node, Output):
                    outputs[name] = name
        return FloatNetwork(inputs, populations, outputs)

    def _plain_source(self, name: str) -> str | None:
        """The population that an output is, if it is just one."""
        inflow = self.inflows[name]
        if len(inflow.paths) != 1 or inflow.biases:
            return None
        source, path = inflow.paths[0]
        plain = all(isinstance(each, Reshape) for each in path.maps)
        return source if plain and not np.any(path.delay) and source in self.inflows else None

    def _population(self, name: str, node: Node) -> FloatPopulation:
        shape = self.shapes[name]
        inflow = self.inflows[name]
        connections = []
        for source, path in inflow.paths:
            maps = fold(path.maps)
            connections.append(
                Connection(source=source, maps=maps, delay=self._delay(source, name, path))
            )
        bias: Any = 0.0
        late: list[LateBias] = []
        for values, path, origin in inflow.biases:
            current = apply_maps(path.maps, values[None].astype(np.float64))[0]
            start = self._bias_start(origin, name, path)
            if start:
                late.append(LateBias(start, current))
            else:
                bias = bias + current
        neuron = self._neuron(name, node)
        if isinstance(node, ChargedIF) and node.bias is not None:
            bias = bias + _real(node, "bias")
        return FloatPopulation(
            shape=shape,
            neuron=replace(neuron, bias=bias),
            connections=tuple(connections),
            late_bias=tuple(late),
        )

    def _delay(self, source: str, target: str, path: _Path) -> int | NDArray[np.int64]:
        profile, node = self.profile, self.graph.nodes[target]
        if isinstance(node, Output):
            return path.delay
        if (source, target) in self.closing:
            held = self._steps(target) if isinstance(node, Delay) else 0
            if int(np.min(path.delay)) + int(np.min(held)) > 0:
                return path.delay
            return path.delay + profile.recurrent_delay
        if isinstance(node, Delay):
            return path.delay
        if self._from_inputs(source):
            return path.delay + profile.input_delay
        return path.delay + profile.layer_delay

    def _from_inputs(self, source: str) -> bool:
        """Whether a source is an input, or holds what comes from inputs alone."""
        sources = [source]
        for name in sources:
            node = self.graph.nodes[name]
            if isinstance(node, Delay):
                sources += [n for n, _ in self.inflows[name].paths if n not in sources]
            elif not isinstance(node, Input):
                return False
        return True

    def _bias_start(self, origin: str, target: str, path: _Path) -> int:
        """The step from which a bias on the way acts."""
        ways = self._inflow(origin).paths
        if self.profile.recurrent_bias_at_start or not all(
            (source, target) in self.closing for source, _ in ways
        ):
            return int(np.min(path.delay))
        # All that passes the node closes a loop: the bias waits for the first of it.
        delays = [
            self._delay(source, target, replace(way, delay=way.delay + path.delay))
            for source, way in ways
        ]
        return int(min(np.min(each) for each in delays))

    def _neuron(self, name: str, node: Node) -> FloatNeuron:
        profile = self.profile
        if isinstance(node, Output | Delay):
            return FloatNeuron(profile=_memoryless(profile), v_th=None, relay=True)
        if isinstance(node, Threshold):
            spiking = replace(
                _memoryless(profile), comparison=Comparison.GT, reset=Reset.NONE, max_spikes=1
            )
            return FloatNeuron(profile=spiking, v_th=node.threshold, relay=True)
        options: dict[str, Any] = {"r": _real(node, "r")}
        if isinstance(node, IF | I):
            options["tau"] = None
        elif isinstance(node, LIF | LI):
            options |= {"tau": _real(node, "tau"), "v_leak": _real(node, "v_leak")}
        elif isinstance(node, CubaLIF | CubaLI):
            options |= {
                "tau": _real(node, "tau_mem"),
                "tau_syn": _real(node, "tau_syn"),
                "w_in": _real(node, "w_in"),
                "v_leak": _real(node, "v_leak"),
            }
        else:
            raise ValueError(f"{type(node).__name__} must not be a population")
        if options["tau"] is not None and profile.decay in (Decay.NONE, Decay.CONSTANT):
            raise ValueError(
                f"{type(node).__name__} has a time constant, which decay {profile.decay.value!r}"
                f" of profile {profile.name!r} contradicts"
            )
        if isinstance(node, IF | LIF | CubaLIF):
            v_th = _real(node, "v_threshold")
            floor = profile.integrator_floor if options["tau"] is None else profile.floor
            options |= {
                "v_th": v_th,
                "v_reset": _real(node, "v_reset"),
                "v_init": self.v_init * v_th,
                "v_min": None if floor is None else floor * v_th,
                "max_spikes": self._most_spikes(name),
            }
        else:
            options["v_th"] = None
        if isinstance(node, ChargedIF):
            check_spike_rule(profile.reset, node.max_spikes, profile.refractory_steps)
            options |= {"v_init": _real(node, "v_init"), "max_spikes": node.max_spikes}
        return FloatNeuron(profile=profile, **options)

    def _most_spikes(self, name: str) -> int | None:
        targets = (
            self.graph.nodes[target]
            for target, inflow in self.inflows.items()
            if any(source == name for source, _ in inflow.paths)
        )
        at_the_end = all(isinstance(each, Output) for each in targets)
        return self.profile.max_output_spikes if at_the_end else None


def _memoryless(profile: Profile) -> Profile:
    """A profile under which the potential is the step's input."""
    return Profile(
        name=profile.name,
        decay=Decay.EULER,
        input_gain=InputGain.ONE,
        max_input_count=profile.max_input_count,
        rounding=profile.rounding,
        overflow=profile.overflow,
    )


def _real(node: Node, name: str) -> NDArray[Any]:
    return np.asarray(getattr(node, name), dtype=np.float64)


def _maps_of(node: Node, shape: Shape) -> tuple[tuple[Map, ...], NDArray[Any] | None]:
    """The maps of a linear node that takes an array of a shape, and its bias."""
    if isinstance(node, Linear):
        bias = node.bias if isinstance(node, Affine) else None
        return (Dense(node.weight.T.astype(np.float64)),), bias
    if isinstance(node, Scale):
        return (Diagonal(node.scale.astype(np.float64)),), None
    if isinstance(node, Conv1d | Conv2d):
        convolution = Convolution(
            weight=node.weight.astype(np.float64),
            shape=shape,
            stride=node.stride,
            padding=node.padding,
            dilation=node.dilation,
            groups=node.groups,
        )
        ones = (1,) * node.dimensions
        places = convolution.output_shape
        return (convolution,), np.broadcast_to(node.bias.reshape(-1, *ones), places)
    if isinstance(node, SumPool2d):
        pool = Pool(shape, node.kernel_size, node.stride, node.padding)
        if not isinstance(node, AvgPool2d):
            return (pool,), None
        share = 1 / math.prod(node.kernel_size)
        return (pool, Diagonal(np.full(pool.output_shape, share))), None
    if isinstance(node, Flatten):
        return (Reshape(shape, node.output_shape(shape)),), None
    raise ValueError(f"{type(node).__name__} must not lie between populations")
