"""Graphs under a profile against an interpreter that goes through them node by node.

:class:`Interpreter` shares nothing with the code under test but the node types: it follows each
edge backwards in time, adds up what arrives, and steps every neuron by itself. Its numbers are
short binary fractions wherever the profile allows, so that potentials at the threshold are exact.
"""

import itertools
import math
import random
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.reference.graph import (
    IF,
    LI,
    LIF,
    NODE_TYPES,
    Affine,
    AvgPool2d,
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
    SumPool2d,
    Threshold,
)
from spikeloom.reference.nir_export import write_nir
from spikeloom.reference.nir_import import read_nir
from spikeloom.reference.nir_network import MAX_PATHS, network_of
from spikeloom.reference.profile import (
    PROFILES,
    TEXTBOOK_IAF,
    TEXTBOOK_LIF,
    Compared,
    Comparison,
    Decay,
    InputGain,
    Order,
    Profile,
    Reset,
)
from spikeloom.reference.simulate import Recording, run_float

Vector = list[float]
SPIKING = (IF, LIF, CubaLIF)
STATEFUL = (I, IF, LI, LIF, CubaLI, CubaLIF)


class Cell:
    """One neuron, written from the profile's documentation."""

    def __init__(self, node: Node, k: int, profile: Profile, most: int, v_init: float) -> None:
        def parameter(name: str) -> float:
            return float(getattr(node, name).flat[k])

        self.profile = profile
        dt = profile.dt
        self.spiking = isinstance(node, SPIKING)
        r = parameter("r")
        self.keeps, self.gain, self.rest, unit = 1.0, r, 0.0, 1.0
        self.floor = profile.integrator_floor
        if isinstance(node, IF | I):
            self.gain *= dt if profile.integrator_gain is InputGain.DT else 1.0
        else:
            tau = parameter("tau_mem" if isinstance(node, CubaLI | CubaLIF) else "tau")
            self.keeps = self.kept(tau)
            self.gain = r * self.factor(profile.input_gain, tau)
            self.rest = (1 - self.keeps) * parameter("v_leak")
            self.floor = profile.floor
            if profile.input_gain is InputGain.INTO_THRESHOLD and self.spiking:
                unit, self.gain = r * dt / tau, 1.0
        self.rest /= unit
        self.threshold = self.reset = self.v = 0.0
        if self.spiking:
            self.threshold = parameter("v_threshold") / unit
            self.reset = parameter("v_reset") / unit
            self.v = v_init * parameter("v_threshold") / unit
            if self.floor is not None:
                self.floor *= self.threshold
        self.synapse = isinstance(node, CubaLI | CubaLIF)
        if self.synapse:
            tau_syn = parameter("tau_syn")
            self.keeps_syn = self.kept(tau_syn)
            self.gain_syn = parameter("w_in") * self.factor(profile.synapse_gain, tau_syn)
        self.i_syn, self.refractory, self.most = 0.0, 0, most

    def kept(self, tau: float) -> float:
        dt = self.profile.dt
        if self.profile.decay is Decay.EULER:
            return 1 - dt / tau
        if self.profile.decay is Decay.EXPONENTIAL:
            return math.exp(-dt / tau)
        assert self.profile.decay is Decay.SHIFT
        return 1 - 2.0 ** -round(math.log2(tau / dt))

    def factor(self, gain: InputGain, tau: float) -> float:
        if gain is InputGain.ONE:
            return 1.0
        if gain is InputGain.ONE_MINUS_ALPHA:
            return 1 - self.kept(tau)
        return self.profile.dt / tau

    def fire(self) -> int:
        spikes = 0
        while self.spiking and spikes < self.most:
            above = self.v > self.threshold
            if self.profile.comparison is Comparison.GE:
                above = self.v >= self.threshold
            if not above:
                break
            spikes += 1
            if self.profile.reset is Reset.SUBTRACT:
                self.v -= self.threshold
            elif self.profile.reset is Reset.TO_VALUE:
                self.v = self.reset
        return spikes

    def step(self, x: float) -> float:
        """What the neuron sends."""
        profile = self.profile
        if self.synapse:
            x *= self.gain_syn
            if profile.synapse_order is Order.INPUT_FIRST:
                self.i_syn = self.keeps_syn * (self.i_syn + x)
            else:
                self.i_syn = self.keeps_syn * self.i_syn + x
            x = self.i_syn
        if self.refractory:
            self.refractory -= 1
            return 0 if self.spiking else self.v
        spikes = self.fire() if profile.compared is Compared.OLD else 0
        drive = self.gain * x + self.rest
        if profile.order is Order.INPUT_FIRST:
            self.v = self.keeps * (self.v + drive)
        else:
            self.v = self.keeps * self.v + drive
        if profile.compared is Compared.NEW:
            spikes = self.fire()
        if self.spiking and self.floor is not None:
            self.v = max(self.v, self.floor)
        if spikes:
            self.refractory = profile.refractory_steps
        return spikes if self.spiking else self.v


def windows(node: Node, shape: tuple[int, ...], place: tuple[int, ...]) -> Any:
    """The places of a window that are inside: of the kernel, and of the input."""
    if isinstance(node, SumPool2d):
        kernel, dilation = node.kernel_size, (1, 1)
    else:
        assert isinstance(node, Conv1d | Conv2d)
        kernel, dilation = node.weight.shape[2:], node.dilation
    for tap in itertools.product(*map(range, kernel)):
        at = tuple(
            p * s + k * d - pad
            for p, s, k, d, pad in zip(place, node.stride, tap, dilation, node.padding, strict=True)
        )
        if all(0 <= a < size for a, size in zip(at, shape[1:], strict=True)):
            yield tap, at


def through(node: Node, x: Vector, shape: tuple[int, ...], out: tuple[int, ...]) -> Vector:
    """A linear node without its bias."""
    if isinstance(node, Flatten):
        return x
    if isinstance(node, Scale):
        return [a * float(b) for a, b in zip(x, node.scale.flat, strict=True)]
    if isinstance(node, Linear):
        return [sum(float(w) * a for w, a in zip(row, x, strict=True)) for row in node.weight]
    array = np.array(x).reshape(shape)
    result = []
    for channel, *place in itertools.product(*map(range, out)):
        total = 0.0
        for tap, at in windows(node, shape, tuple(place)):
            if isinstance(node, Conv1d | Conv2d):
                outputs, inputs = node.weight.shape[:2]
                first = channel // (outputs // node.groups) * inputs
                total += sum(
                    float(node.weight[(channel, c, *tap)]) * float(array[(first + c, *at)])
                    for c in range(inputs)
                )
            else:
                total += float(array[(channel, *at)])
        if isinstance(node, AvgPool2d):
            total /= math.prod(node.kernel_size)
        result.append(total)
    return result


def bias_of(node: Node, out: tuple[int, ...]) -> Vector | None:
    if not isinstance(node, Affine | Conv1d | Conv2d):
        return None
    each = math.prod(out[1:])
    return [float(b) for b in node.bias for _ in range(each)]


class Interpreter:
    """A flat graph under a profile, on one sample."""

    def __init__(
        self,
        nodes: dict[str, Node],
        edges: list[tuple[str, str]],
        profile: Profile,
        stimulus: dict[str, Any],
        v_init: float = 0.0,
    ) -> None:
        self.nodes = {name: nodes[name] for name in sorted(nodes)}
        self.profile = profile
        self.before = {name: [a for a, b in edges if b == name] for name in nodes}
        self.stimulus = stimulus
        self.steps = len(next(iter(stimulus.values())))
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.spread({name: node.shape for name, node in nodes.items() if isinstance(node, Input)})
        self.sources = {name for name in nodes if self.is_source(name)}
        targets = [n for n in self.nodes if n in self.sources or isinstance(nodes[n], Output)]
        self.leads: dict[str, list[str]] = {name: [] for name in nodes}
        for target in targets:
            for source, _ in self.upstream(target):
                self.leads[source].append(target)
        self.closing: set[tuple[str, str]] = set()
        self.met: set[str] = set()
        for name, node in self.nodes.items():
            if isinstance(node, Input):
                self.walk(name, [])
        self.cells = {
            name: [
                Cell(node, k, profile, self.most(name), v_init)
                for k in range(math.prod(self.shapes[name]))
            ]
            for name, node in self.nodes.items()
            if isinstance(node, STATEFUL)
        }
        self.sent: dict[tuple[str, int], Vector] = {}
        self.v: dict[tuple[str, int], Vector] = {}
        self.i_syn: dict[tuple[str, int], Vector] = {}
        for t in range(self.steps):
            for name in targets:
                self.get(name, t)

    def spread(self, shapes: dict[str, tuple[int, ...]]) -> None:
        """Shape of what arrives at each node."""
        waiting = [*shapes]
        self.shapes = shapes
        for name in waiting:
            out = self.nodes[name].output_shape(shapes[name])
            for each in self.nodes:
                if name in self.before[each] and each not in shapes:
                    shapes[each] = out
                    waiting.append(each)

    def is_source(self, name: str) -> bool:
        """Whether the node sends something of its own; a Delay after weights that differs does."""
        node = self.nodes[name]
        if isinstance(node, Delay):
            after_weights = any(
                not isinstance(self.nodes[a], (Input, *STATEFUL)) for a in self.before[name]
            )
            return after_weights and len({*self.delays(name)}) > 1
        return isinstance(node, (Input, Threshold, *STATEFUL))

    def delays(self, name: str) -> list[int]:
        node = self.nodes[name]
        assert isinstance(node, Delay)
        return [round(float(d) / self.profile.dt) for d in node.delay.flat]

    def upstream(self, name: str) -> list[tuple[str, int]]:
        """All sources of what arrives at a node, with the least delay of each way."""
        found = []
        for each in self.before[name]:
            if each in self.sources:
                extra = min(self.delays(each)) if isinstance(self.nodes[each], Delay) else 0
                found.append((each, extra))
                continue
            extra = min(self.delays(each)) if isinstance(self.nodes[each], Delay) else 0
            found += [(source, delay + extra) for source, delay in self.upstream(each)]
        return found

    def walk(self, name: str, way: list[str]) -> None:
        """Depth first: what leads back to where the way came from closes a loop."""
        self.met.add(name)
        for each in self.nodes:
            if each in self.leads[name]:
                if each in [*way, name]:
                    self.closing.add((name, each))
                elif each not in self.met:
                    self.walk(each, [*way, name])

    def most(self, name: str) -> int:
        ends = all(isinstance(self.nodes[each], Output) for each in self.leads[name])
        limit = self.profile.max_output_spikes
        return limit if ends and limit is not None else self.profile.max_spikes

    def extra(self, source: str, target: str, least: int) -> int:
        """What the profile adds to a way with a least delay."""
        profile, node = self.profile, self.nodes[target]
        if isinstance(node, Output):
            return 0
        if (source, target) in self.closing:
            # A Delay that is the target lies on the loop too.
            least += min(self.delays(target)) if isinstance(node, Delay) else 0
            return 0 if least else profile.recurrent_delay
        if isinstance(node, Delay):
            return 0
        return profile.input_delay if self.from_inputs(source, ()) else profile.layer_delay

    def from_inputs(self, source: str, seen: tuple[str, ...]) -> bool:
        """Whether all that a source sends came from inputs and was delayed only."""
        if source in seen or isinstance(self.nodes[source], Input):
            return True
        return isinstance(self.nodes[source], Delay) and all(
            self.from_inputs(each, (*seen, source)) for each, _ in self.upstream(source)
        )

    def zeros(self, name: str) -> Vector:
        return [0.0] * math.prod(self.nodes[name].output_shape(self.shapes[name]))

    def heard(self, target: str, name: str, t: int, least: int) -> Vector:
        """What a node sends as the target hears it over a way with a least delay so far."""
        node = self.nodes[name]
        if t < 0:
            return self.zeros(name)
        if isinstance(node, Delay):
            delays = self.delays(name)
            if name in self.sources:
                extra = self.extra(name, target, least + min(delays))
                past = {d: t - extra - d for d in delays}
                rows = {d: self.get(name, at) if at >= 0 else None for d, at in past.items()}
                return [0.0 if (row := rows[d]) is None else row[k] for k, d in enumerate(delays)]
            late = {d: self.arriving(target, name, t - d, least + min(delays)) for d in {*delays}}
            return [late[d][k] for k, d in enumerate(delays)]
        if name in self.sources:
            at = t - self.extra(name, target, least)
            return self.get(name, at) if at >= 0 else self.zeros(name)
        out = node.output_shape(self.shapes[name])
        x = through(node, self.arriving(target, name, t, least), self.shapes[name], out)
        bias = bias_of(node, out)
        if bias is None or t < self.bias_start(target, name, least):
            return x
        return [a + b for a, b in zip(x, bias, strict=True)]

    def bias_start(self, target: str, name: str, least: int) -> int:
        """The first step in which something can come to a node, if loops alone bring it."""
        ways = self.upstream(name)
        if self.profile.recurrent_bias_at_start or not all(
            (source, target) in self.closing for source, _ in ways
        ):
            return 0
        return min(delay + self.extra(source, target, least + delay) for source, delay in ways)

    def arriving(self, target: str, name: str, t: int, least: int = 0) -> Vector:
        """The sum of what arrives at a node."""
        total = [0.0] * math.prod(self.shapes[name])
        if t >= 0:
            for each in self.before[name]:
                heard = self.heard(target, each, t, least)
                total = [a + b for a, b in zip(total, heard, strict=True)]
        return total

    def get(self, name: str, t: int) -> Vector:
        if (name, t) in self.sent:
            return self.sent[name, t]
        node = self.nodes[name]
        if isinstance(node, Input):
            most = self.profile.max_input_count
            values = [float(x) for x in self.stimulus[name][t].flat]
            self.sent[name, t] = [x if most is None else min(max(x, 0), most) for x in values]
            return self.sent[name, t]
        if t:
            self.get(name, t - 1)
        x = self.arriving(name, name, t)
        if name in self.cells:
            cells = self.cells[name]
            x = [cell.step(each) for cell, each in zip(cells, x, strict=True)]
            self.v[name, t] = [cell.v for cell in cells]
            self.i_syn[name, t] = [cell.i_syn for cell in cells]
        elif isinstance(node, Threshold):
            x = [float(a > b) for a, b in zip(x, node.threshold.flat, strict=True)]
        self.sent[name, t] = x
        return x


def through_a_file(graph: Graph, folder: Path) -> Graph:
    write_nir(graph, folder / "graph.nir")
    return read_nir(folder / "graph.nir").graph


def as_in_a_file(graph: Graph) -> Graph:
    """Nodes in the order that a file has them in, without the time that a file takes."""
    nodes = {
        name: as_in_a_file(node) if isinstance(node, Graph) else node
        for name, node in sorted(graph.nodes.items())
    }
    return Graph(nodes, graph.edges)


def same(found: Any, expected: list[Vector], exact: bool) -> bool:
    """Equal, but for the rounding of single operations where the numbers are no short fractions."""
    flat, wanted = np.asarray(found, dtype=float).reshape(len(expected), -1), np.array(expected)
    if exact:
        return np.array_equal(flat, wanted)
    return np.allclose(flat, wanted, rtol=1e-11, atol=1e-11 * max(1.0, np.abs(wanted).max()))


def compare(
    graph: Graph,
    profile: Profile,
    stimulus: dict[str, Any],
    *,
    flat: Graph | None = None,
    exact: bool = True,
    v_init: float = 0.0,
) -> Recording:
    """Run a graph as a file has it and by the interpreter, which gets it flat; one sample."""
    flat = graph if flat is None else flat
    network = network_of(graph, profile, v_init=v_init)
    found = run_float(network, {name: values[None] for name, values in stimulus.items()})
    naive = Interpreter({**flat.nodes}, [*flat.edges], profile, stimulus, v_init)
    for name, node in naive.nodes.items():
        rows = [naive.sent.get((name, t), []) for t in range(naive.steps)]
        if isinstance(node, Output):
            assert same(found.outputs[name][0], rows, exact), name
        if isinstance(node, Threshold | IF | LIF | CubaLIF):
            assert np.array_equal(found.spikes[name][0].reshape(naive.steps, -1), rows), name
        if name in naive.cells:
            v = [naive.v[name, t] for t in range(naive.steps)]
            assert same(found.membrane[name][0], v, exact), name
        if isinstance(node, CubaLI | CubaLIF):
            i_syn = [naive.i_syn[name, t] for t in range(naive.steps)]
            assert same(found.synapse[name][0], i_syn, exact), name
    assert {*found.outputs} == {n for n, node in flat.nodes.items() if isinstance(node, Output)}
    return found


EXACT = [
    Profile(name="plain"),
    TEXTBOOK_LIF,
    Profile(
        name="shift",
        decay=Decay.SHIFT,
        order=Order.INPUT_FIRST,
        synapse_order=Order.INPUT_FIRST,
        comparison=Comparison.GT,
        reset=Reset.SUBTRACT,
        max_spikes=7,
        max_output_spikes=3,
        floor=-1.0,
        integrator_floor=-0.5,
        input_delay=1,
        layer_delay=2,
        recurrent_delay=3,
        recurrent_bias_at_start=False,
    ),
    Profile(
        name="threshold",
        input_gain=InputGain.INTO_THRESHOLD,
        synapse_gain=InputGain.ONE,
        comparison=Comparison.GT,
        floor=-0.5,
        input_delay=1,
        layer_delay=1,
    ),
    Profile(
        name="half",
        dt=0.5,
        input_gain=InputGain.ONE_MINUS_ALPHA,
        integrator_gain=InputGain.DT,
        synapse_gain=InputGain.ONE_MINUS_ALPHA,
        refractory_steps=1,
        recurrent_delay=2,
        recurrent_bias_at_start=False,
    ),
    Profile(
        name="many",
        input_gain=InputGain.ONE,
        synapse_gain=InputGain.ONE,
        reset=Reset.SUBTRACT,
        compared=Compared.OLD,
        max_spikes=3,
        layer_delay=1,
    ),
    Profile(name="none", reset=Reset.NONE, recurrent_bias_at_start=False),
    replace(PROFILES["xylo"], name="xylo-like"),
]

PRESETS = [each for each in PROFILES.values() if each.decay not in (Decay.NONE, Decay.CONSTANT)]


class Drawing:
    """A random graph of every node type, its flat form, and a stimulus; from one seed."""

    def __init__(self, seed: int, profile: Profile, *, exact: bool) -> None:
        self.rng = random.Random(seed)
        self.profile, self.exact = profile, exact
        self.nodes: dict[str, Node] = {}
        self.out: dict[str, tuple[int, ...]] = {}
        self.edges: list[tuple[str, str]] = []
        self.order: list[str] = []
        rng = self.rng
        for _ in range(rng.choice([1, 1, 2])):
            shape = rng.choice([(3,), (2, 3, 3), (2, 4)])
            self.add(Input(shape), [], shape)
        for _ in range(rng.randint(2, 7)):
            source = rng.choice([*self.order[-3:]])
            self.draw(source)
        for _ in range(rng.choice([0, 1, 1, 2])):
            self.recur()
        self.end()
        self.nested = self.nest()

    def name(self) -> str:
        """A file has names in the order of the alphabet, not in that of the edges."""
        while (name := f"{self.rng.choice('abcdefgh')}{len(self.nodes)}") in self.nodes:
            pass
        return name

    def add(self, node: Node, sources: list[str], shape: tuple[int, ...]) -> str:
        name = self.name()
        self.nodes[name] = node
        self.out[name] = node.output_shape(shape)
        self.edges += [(source, name) for source in sources]
        self.order.append(name)
        return name

    def array(self, shape: tuple[int, ...], low: int = -4, high: int = 4, unit: float = 4) -> Any:
        values = [self.rng.randint(low, high) / unit for _ in range(math.prod(shape))]
        return np.array(values, dtype=np.float64).reshape(shape)

    def threshold(self, shape: tuple[int, ...]) -> Any:
        """Where potentials are rounded, one that they do not come to but by passing it."""
        return self.array(shape, 1, 6) + (0.0 if self.exact else 0.0371)

    def tau(self, shape: tuple[int, ...]) -> Any:
        steps = [2.0 ** self.rng.randint(0, 2) for _ in range(math.prod(shape))]
        return np.array(steps).reshape(shape) * 2 * self.profile.dt

    def neuron(self, kind: type[Node], shape: tuple[int, ...]) -> Node:
        options: dict[str, Any] = {"r": self.array(shape, 1, 8)}
        if kind in (LI, LIF, CubaLI, CubaLIF):
            tau = "tau_mem" if kind in (CubaLI, CubaLIF) else "tau"
            options |= {tau: self.tau(shape), "v_leak": self.array(shape, -2, 2)}
        if kind in (CubaLI, CubaLIF):
            options |= {"tau_syn": self.tau(shape), "w_in": self.array(shape, 1, 8)}
        if kind in SPIKING:
            options |= {
                "v_threshold": self.threshold(shape),
                "v_reset": self.array(shape, -2, 2),
            }
        return kind(**options)

    def delay(self, shape: tuple[int, ...], least: int = 0) -> Delay:
        """Not always a whole number of steps."""
        dt, rng = self.profile.dt, self.rng
        if rng.random() < 0.5:
            values = np.full(shape, float(rng.randint(least, 3)))
        else:
            values = self.array(shape, least, 3, unit=1)
        return Delay((values + rng.choice([0, 0.25, -0.25]) * (values > 0)) * dt)

    def conv(self, shape: tuple[int, ...]) -> Node:
        rng, rank = self.rng, len(shape) - 1
        groups = rng.choice([1, shape[0]])
        kernel = tuple(rng.randint(1, min(2, size)) for size in shape[1:])
        weight = self.array((groups * rng.randint(1, 2), shape[0] // groups, *kernel))
        kind = Conv1d if rank == 1 else Conv2d
        dilation = tuple(rng.randint(1, 2) if size > 2 else 1 for size in shape[1:])
        return kind(
            weight=weight,
            bias=self.array(weight.shape[:1]) * rng.randint(0, 1),
            stride=tuple(rng.randint(1, 2) for _ in range(rank)),
            padding=tuple(rng.randint(0, 1) for _ in range(rank)),
            dilation=dilation,
            groups=groups,
        )

    def dense(self, inputs: int, outputs: int) -> Node:
        weight = self.array((outputs, inputs))
        if self.rng.random() < 0.5:
            return Linear(weight)
        return Affine(weight, self.array((outputs,)))

    def linear(self, shape: tuple[int, ...]) -> Node:
        rng = self.rng
        choices: list[Callable[[], Node]] = [lambda: Scale(self.array(shape))]
        if len(shape) == 1:
            choices += [lambda: self.dense(shape[0], rng.randint(1, 3))] * 3
        else:
            flat = [(0, -1), (0, 1)] if len(shape) == 3 else [(0, -1)]
            choices += [lambda: Flatten(*rng.choice(flat)), lambda: self.conv(shape)]
        if len(shape) == 3:
            kind = rng.choice([SumPool2d, AvgPool2d])
            kernel = tuple(min(2, size) for size in shape[1:])
            stride = (rng.randint(1, 2), rng.randint(1, 2))
            padding = (rng.randint(0, 1) if kernel[0] == 2 else 0, 0)
            choices += [lambda: kind(kernel, stride, padding)] * 2
        return rng.choice(choices)()

    def draw(self, source: str) -> None:
        rng = self.rng
        shape = self.out[source]
        sources = [source]
        # Residual edges: all that have the same shape may add up.
        sources += [n for n in self.order if n != source and self.out[n] == shape][
            : rng.choice([0, 1])
        ]
        kind = rng.choice(["linear", "linear", "neuron", "neuron", "neuron", "delay", "threshold"])
        if kind == "linear":
            node = self.linear(shape)
        elif kind == "delay":
            node = self.delay(shape)
        elif kind == "threshold":
            node = Threshold(self.threshold(shape) - 0.5)
        else:
            node = self.neuron(rng.choice(STATEFUL), shape)
        self.add(node, sources, shape)

    def recur(self) -> None:
        """A way back from any node to a neuron before it, or to itself."""
        rng = self.rng
        places = [k for k, n in enumerate(self.order) if isinstance(self.nodes[n], STATEFUL)]
        if not places:
            return
        place = rng.choice(places)
        target, source = self.order[place], rng.choice(self.order[place:])
        begin, end = self.out[source], self.out[target]
        if rng.random() < 0.4:
            source = self.add(self.delay(begin, rng.choice([0, 1])), [source], begin)
        if begin != end or rng.random() < 0.6:
            if len(begin) == len(end) == 1:
                source = self.add(self.dense(begin[0], end[0]), [source], begin)
            elif begin == end:
                source = self.add(Scale(self.array(begin)), [source], begin)
            else:
                return
            if rng.random() < 0.3:
                steps = float(rng.randint(0, 2)) * self.profile.dt
                source = self.add(Delay(np.full(end, steps)), [source], end)
        if (source, target) not in self.edges:
            self.edges.append((source, target))

    def ends(self, name: str) -> bool:
        """Whether a node leads to an Output."""
        reached = [name]
        for each in reached:
            reached += [b for a, b in self.edges if a == each and b not in reached]
        return any(isinstance(self.nodes[each], Output) for each in reached)

    def end(self) -> None:
        """Outputs of all that leads nowhere else, and now and then of something else."""
        for name in [*reversed(self.order)]:
            if self.ends(name) and self.rng.random() > 0.1:
                continue
            sources = [name]
            if self.rng.random() < 0.3:
                sources += [n for n in self.order if self.out[n] == self.out[name] and n != name][
                    :1
                ]
            sources = [n for n in sources if not isinstance(self.nodes[n], Output)]
            self.add(Output(self.out[name]), sources, self.out[name])

    def nest(self) -> Graph:
        """The graph with some nodes in graphs of their own, one or two deep."""
        nodes = dict(self.nodes)
        for name, node in self.nodes.items():
            if isinstance(node, Input | Output) or self.rng.random() > 0.2:
                continue
            shape = self.shape_into(name)
            inner: Node = node
            for _ in range(self.rng.randint(1, 2)):
                inner = Graph(
                    {"in": Input(shape), name: inner, "out": Output(self.out[name])},
                    (("in", name), (name, "out")),
                )
            nodes[name] = inner
        return Graph(nodes, tuple(self.edges))

    def shape_into(self, name: str) -> tuple[int, ...]:
        return self.out[next(a for a, b in self.edges if b == name)]

    def flat(self) -> Graph:
        """The flat graph by the names that the nested one's nodes have when it is flat."""
        names = {}
        for name, node in self.nested.nodes.items():
            names[name] = name
            while isinstance(node, Graph):
                names[name] += f".{name}"
                node = node.nodes[name]
        nodes = {names[name]: node for name, node in self.nodes.items()}
        return Graph(nodes, tuple((names[a], names[b]) for a, b in self.edges))

    def stimulus(self, steps: int = 7) -> dict[str, Any]:
        return {
            name: np.array(
                [self.rng.choice([0, 0, 1, 2]) for _ in range(steps * math.prod(node.shape))],
                dtype=float,
            ).reshape(steps, *node.shape)
            for name, node in self.nodes.items()
            if isinstance(node, Input)
        }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nir")


def compare_drawing(drawing: Drawing, seed: int, folder: Path) -> None:
    """One of ten goes through a file, which takes a hundred times as long."""
    written = seed % 10 == 0
    graph = through_a_file(drawing.nested, folder) if written else as_in_a_file(drawing.nested)
    compare(graph, drawing.profile, drawing.stimulus(), flat=drawing.flat(), exact=False)


@given(st.integers(0, 2**32), st.sampled_from(EXACT))
def test_random_graphs(folder: Path, seed: int, profile: Profile) -> None:
    """Of all 19 node types, under rules in which the numbers are short fractions."""
    compare_drawing(Drawing(seed, profile, exact=True), seed, folder)


@given(st.integers(0, 2**32), st.sampled_from(PRESETS))
def test_random_graphs_under_presets(folder: Path, seed: int, profile: Profile) -> None:
    compare_drawing(Drawing(seed, profile, exact=False), seed, folder)


def chain(*nodes: Node) -> Graph:
    """``a`` to ``b`` to ``c`` and so on."""
    named = dict(zip("abcdefghij", nodes, strict=False))
    return Graph(named, tuple(itertools.pairwise(named)))


def full(kind: type[Node], shape: tuple[int, ...], **values: float) -> Node:
    """A node whose elements are all alike."""
    defaults = {
        **dict.fromkeys(("tau", "tau_mem", "tau_syn"), 2.0),
        **{"r": 1.0, "w_in": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0},
    } | values
    return kind(**{each.name: np.full(shape, defaults[each.name]) for each in fields(kind)})


def fractions(shape: tuple[int, ...], seed: int = 1, low: int = -4, high: int = 4) -> Any:
    rng = random.Random(seed)
    values = [rng.randint(low, high) / 4 for _ in range(math.prod(shape))]
    return np.array(values).reshape(shape)


ALONE: dict[str, Graph] = {
    "Input": chain(Input((3,)), Output((3,))),
    "Output": chain(Input((2, 2)), full(LIF, (2, 2), r=4.0), Output((2, 2))),
    "Affine": chain(Input((3,)), Affine(fractions((2, 3)), fractions((2,))), Output((2,))),
    "Linear": chain(
        Input((3,)), Linear(fractions((2, 3), 2, 1)), full(LIF, (2,), r=4.0), Output((2,))
    ),
    "Scale": chain(Input((3,)), Scale(fractions((3,), 2, 1)), full(IF, (3,)), Output((3,))),
    "Conv1d": chain(
        Input((2, 6)),
        Conv1d(fractions((4, 1, 2)), fractions((4,)), (2,), (1,), (2,), 2),
        full(LIF, (4, 3), r=8.0),
        Output((4, 3)),
    ),
    "Conv2d": chain(
        Input((2, 4, 5)),
        Conv2d(fractions((3, 2, 3, 2)), fractions((3,)), (1, 2), (1, 0), (1, 2), 1),
        full(LIF, (3, 4, 2), r=8.0),
        Output((3, 4, 2)),
    ),
    "SumPool2d": chain(
        Input((2, 4, 5)),
        SumPool2d((2, 3), (2, 1), (1, 0)),
        full(LIF, (2, 3, 3), r=0.5),
        Output((2, 3, 3)),
    ),
    "AvgPool2d": chain(
        Input((2, 4, 5)),
        AvgPool2d((2, 2), (2, 1), (1, 0)),
        full(LIF, (2, 3, 4), r=2.0),
        Output((2, 3, 4)),
    ),
    "Flatten": chain(
        Input((2, 2, 3)),
        Flatten(1, -1),
        full(LIF, (2, 6), r=4.0),
        Flatten(0, 1),
        Linear(fractions((2, 12))),
        Output((2,)),
    ),
    "Delay": chain(
        Input((3,)), Delay(np.array([0.0, 2.0, 1.0])), full(LIF, (3,), r=2.0), Output((3,))
    ),
    "Threshold": chain(Input((3,)), Threshold(np.array([0.0, 1.0, 1.5])), Output((3,))),
    "I": chain(Input((3,)), full(I, (3,), r=0.25), Linear(fractions((2, 3))), Output((2,))),
    "IF": chain(Input((3,)), full(IF, (3,), r=0.5, v_reset=0.25), Output((3,))),
    "LI": chain(Input((3,)), full(LI, (3,), v_leak=0.5), Output((3,))),
    "LIF": chain(Input((3,)), full(LIF, (3,), v_leak=0.5, v_reset=-0.5, r=2.0), Output((3,))),
    "CubaLI": chain(Input((3,)), full(CubaLI, (3,), v_leak=-0.5, w_in=2.0), Output((3,))),
    "CubaLIF": chain(Input((3,)), full(CubaLIF, (3,), w_in=3.0, r=2.0, tau_syn=4.0), Output((3,))),
    "NIRGraph": Graph(
        {
            "a": Input((3,)),
            "g": Graph(
                {"x": Input((3,)), "n": full(LIF, (3,), r=2.0), "y": Output((3,))},
                (("x", "n"), ("n", "y"), ("n", "n")),
            ),
            "z": Output((3,)),
        },
        (("a", "g"), ("g", "z")),
    ),
}

WEIGHTS = fractions((3, 3), 5)

WIRED: dict[str, Graph] = {
    "dense recurrence": Graph(
        {
            "a": Input((3,)),
            "n": full(LIF, (3,), r=2.0),
            "w": Affine(WEIGHTS, fractions((3,), 6)),
            "z": Output((3,)),
        },
        (("a", "n"), ("n", "w"), ("w", "n"), ("n", "z")),
    ),
    "diagonal recurrence": Graph(
        {
            "a": Input((3,)),
            "n": full(CubaLIF, (3,), r=2.0),
            "s": Scale(fractions((3,), 7)),
            "z": Output((3,)),
        },
        (("a", "n"), ("n", "s"), ("s", "n"), ("n", "z")),
    ),
    "recurrence between layers": Graph(
        {
            "a": Input((3,)),
            "m": full(IF, (3,)),
            "n": full(LI, (3,)),
            "w": Linear(WEIGHTS),
            "z": Output((3,)),
        },
        (("a", "n"), ("n", "m"), ("m", "w"), ("w", "n"), ("m", "z")),
    ),
    "residual": Graph(
        {
            "a": Input((3,)),
            "m": full(LIF, (3,)),
            "n": full(LIF, (3,)),
            "w": Affine(WEIGHTS, fractions((3,), 8)),
            "z": Output((3,)),
        },
        (("a", "m"), ("a", "w"), ("m", "n"), ("w", "n"), ("a", "n"), ("n", "z"), ("m", "z")),
    ),
    "two inputs and outputs": Graph(
        {
            "a": Input((3,)),
            "b": Input((3,)),
            "m": full(LIF, (3,)),
            "w": Linear(fractions((2, 3), 9)),
            "y": Output((3,)),
            "z": Output((2,)),
        },
        (("a", "m"), ("b", "m"), ("b", "w"), ("m", "w"), ("w", "z"), ("m", "y")),
    ),
    "delay in a loop": Graph(
        {
            "a": Input((3,)),
            "d": Delay(np.array([1.0, 2.0, 3.0])),
            "n": full(LIF, (3,), r=2.0),
            "z": Output((3,)),
        },
        (("a", "n"), ("n", "d"), ("d", "n"), ("n", "z")),
    ),
    "delay of nothing in a loop": Graph(
        {
            "a": Input((3,)),
            "d": Delay(np.array([0.0, 0.0, 2.0])),
            "n": full(LIF, (3,), r=2.0),
            "w": Linear(WEIGHTS),
            "z": Output((3,)),
        },
        (("a", "n"), ("n", "w"), ("w", "d"), ("d", "n"), ("n", "z")),
    ),
    "loop through a delay that inputs meet first": Graph(
        {
            "a": Input((3,)),
            "d": Delay(np.array([0.0, 1.0, 0.0])),
            "n": full(LIF, (3,), r=2.0),
            "w": Linear(WEIGHTS),
            "z": Output((3,)),
        },
        (("a", "w"), ("w", "d"), ("n", "d"), ("d", "n"), ("n", "z")),
    ),
    "loop through a delay of a step that inputs meet first": Graph(
        {
            "a": Input((3,)),
            "d": Delay(np.array([1.0, 2.0, 1.0])),
            "n": full(LIF, (3,), r=2.0),
            "w": Linear(WEIGHTS),
            "z": Output((3,)),
        },
        (("a", "w"), ("w", "d"), ("n", "d"), ("d", "n"), ("n", "z")),
    ),
    "delays after weights that differ": Graph(
        {
            "a": Input((3,)),
            "d": Delay(np.array([2.0, 0.0, 1.0])),
            "e": Delay(np.array([0.0, 1.0, 1.0])),
            "n": full(LIF, (3,), r=2.0),
            "w": Affine(WEIGHTS, fractions((3,), 6)),
            "z": Output((3,)),
        },
        (("a", "w"), ("w", "d"), ("d", "e"), ("e", "n"), ("n", "z")),
    ),
    "delays that are the same": Graph(
        {
            "a": Input((3,)),
            "d": Delay(np.full(3, 2.0)),
            "n": full(LIF, (3,), r=2.0),
            "w": Affine(WEIGHTS, fractions((3,), 6)),
            "z": Output((3,)),
        },
        (("a", "w"), ("w", "d"), ("d", "n"), ("n", "z")),
    ),
    "a bias before and behind a delay in a loop": Graph(
        {
            "a": Input((3,)),
            "d": Delay(np.full(3, 2.0)),
            "n": full(LIF, (3,), r=2.0),
            "v": Affine(WEIGHTS, fractions((3,), 6)),
            "w": Affine(WEIGHTS, fractions((3,), 7)),
            "z": Output((3,)),
        },
        (("a", "n"), ("n", "v"), ("v", "d"), ("d", "w"), ("w", "n"), ("n", "z")),
    ),
    "weights after weights": Graph(
        {
            "a": Input((2, 3, 3)),
            "c": Conv2d(fractions((2, 2, 2, 2)), fractions((2,)), (1, 1), (0, 0), (1, 1), 1),
            "f": Flatten(0, -1),
            "p": AvgPool2d((2, 1), (1, 1), (0, 0)),
            "s": Scale(fractions((2, 2, 2), 4)),
            "w": Affine(fractions((3, 4), 3), fractions((3,), 2)),
            "n": full(LIF, (3,), r=2.0),
            "z": Output((3,)),
        },
        (("a", "c"), ("c", "s"), ("s", "p"), ("p", "f"), ("f", "w"), ("w", "n"), ("n", "z")),
    ),
}


def stimulus_of(graph: Graph, steps: int = 8) -> dict[str, Any]:
    rng = random.Random(3)
    return {
        name: np.array(
            [rng.choice([0, 1, 1, 2]) for _ in range(steps * math.prod(node.shape))], dtype=float
        ).reshape(steps, *node.shape)
        for name, node in graph.nodes.items()
        if isinstance(node, Input)
    }


def test_every_node_type_is_here() -> None:
    assert {*ALONE} == {*NODE_TYPES}


SENDS_NO_SPIKES = {"Input", "Affine", "Delay", "I", "LI", "CubaLI"}


@pytest.mark.parametrize("name", ALONE)
def test_each_node_type(tmp_path: Path, name: str) -> None:
    """In a graph of its own, through a file, exactly, under all rules."""
    graph = through_a_file(ALONE[name], tmp_path)
    flat = ALONE[name]
    if name == "NIRGraph":
        inner = flat.nodes["g"]
        assert isinstance(inner, Graph)
        flat = Graph(
            {"a": flat.nodes["a"], "g.n": inner.nodes["n"], "z": flat.nodes["z"]},
            (("a", "g.n"), ("g.n", "g.n"), ("g.n", "z")),
        )
    for profile in EXACT:
        found = compare(graph, profile, stimulus_of(graph), flat=flat)
        spikes = any(each.any() for each in found.spikes.values())
        assert spikes or name in SENDS_NO_SPIKES, profile.name


@pytest.mark.parametrize("name", WIRED)
def test_wiring(tmp_path: Path, name: str) -> None:
    graph = through_a_file(WIRED[name], tmp_path)
    for profile in EXACT:
        compare(graph, profile, stimulus_of(graph), flat=WIRED[name])


@pytest.mark.parametrize("kind", [IF, LIF, CubaLIF])
def test_initial_potential(kind: type[Node]) -> None:
    """Half of the threshold, in all neurons that spike."""
    graph = chain(Input((2,)), full(kind, (2,), v_threshold=1.5), full(LI, (2,)), Output((2,)))
    for profile in EXACT:
        compare(graph, profile, stimulus_of(graph), v_init=0.5)


def test_the_textbook_neuron() -> None:
    """tau 20, threshold 10, constant input 11: spikes at 47 and 94."""
    graph = chain(Input((1,)), full(LIF, (1,), tau=20.0, v_threshold=10.0), Output((1,)))
    run = run_float(network_of(graph, TEXTBOOK_LIF), np.full((1, 100, 1), 11))
    assert np.flatnonzero(run.output).tolist() == [47, 94]


def test_the_constant_leak() -> None:
    """IF neurons have no time constant, so that there is no leak either: 2 spikes of 0.025."""
    graph = chain(Input((1,)), full(IF, (1,)), Output((1,)))
    run = run_float(network_of(graph, TEXTBOOK_IAF), np.full((1, 100, 1), 0.025))
    assert run.counts.tolist() == [[2]]


def test_delays_of_the_profile_by_hand() -> None:
    """A pulse through two integrators that hold what came: 1, 2 and 3 steps late."""
    profile = Profile(name="late", input_delay=1, layer_delay=2, recurrent_delay=3)
    graph = Graph(
        {"a": Input((1,)), "m": full(I, (1,)), "n": full(I, (1,)), "z": Output((1,))},
        (("a", "m"), ("m", "n"), ("n", "n"), ("n", "z")),
    )
    pulse = np.array([1.0, 0, 0, 0, 0, 0, 0, 0, 0]).reshape(1, -1, 1)
    run = run_float(network_of(graph, profile), pulse)
    assert run.membrane["m"].ravel().tolist() == [0, 1, 1, 1, 1, 1, 1, 1, 1]
    # From step 3 on m adds 1; from step 6 on n adds what it was three steps before.
    assert run.membrane["n"].ravel().tolist() == [0, 0, 0, 1, 2, 3, 5, 8, 12]
    assert np.array_equal(run.output, run.membrane["n"])


@pytest.mark.parametrize(
    ("at_start", "delay", "before", "potentials"),
    [
        # Of a bias of 1 in a loop without input or spikes.
        (True, None, False, [1, 2, 3, 4, 5]),
        (False, None, False, [0, 0, 1, 2, 3]),
        # A Delay of 3 steps behind the bias; it takes the place of the profile's delay.
        (True, 3.0, False, [0, 0, 0, 1, 2]),
        (False, 3.0, False, [0, 0, 0, 1, 2]),
        # Before it: nothing comes to the bias earlier.
        (True, 3.0, True, [1, 2, 3, 4, 5]),
        (False, 3.0, True, [0, 0, 0, 1, 2]),
    ],
)
def test_bias_of_a_recurrent_connection(
    at_start: bool, delay: float | None, before: bool, potentials: list[float]
) -> None:
    profile = Profile(name="loop", recurrent_delay=2, recurrent_bias_at_start=at_start)
    nodes: dict[str, Node] = {
        "a": Input((1,)),
        "n": full(IF, (1,), v_threshold=9.0),
        "w": Affine(np.zeros((1, 1)), np.ones(1)),
        "z": Output((1,)),
    }
    way = ["n", "w", "n"]
    if delay is not None:
        nodes["d"] = Delay(np.array([delay]))
        way.insert(1 if before else 2, "d")
    graph = Graph(nodes, (("a", "n"), *itertools.pairwise(way), ("n", "z")))
    run = run_float(network_of(graph, profile), np.zeros((1, 5, 1)))
    assert run.membrane["n"].ravel().tolist() == potentials


def test_bias_that_inputs_reach_too_acts_at_once() -> None:
    profile = Profile(name="loop", recurrent_bias_at_start=False)
    graph = Graph(
        {
            "a": Input((1,)),
            "n": full(IF, (1,), v_threshold=9.0),
            "w": Affine(np.zeros((1, 1)), np.ones(1)),
            "z": Output((1,)),
        },
        (("a", "w"), ("n", "w"), ("w", "n"), ("n", "z")),
    )
    run = run_float(network_of(graph, profile), np.zeros((1, 3, 1)))
    assert run.membrane["n"].ravel().tolist() == [1, 2, 3]


def test_populations_and_outputs() -> None:
    """An output that is plainly a population is it, others are sums; so are differing delays."""
    graph = Graph(
        {
            "a": Input((2, 1)),
            "d": Delay(np.array([1.0, 2.0])),
            "f": Flatten(0, -1),
            "n": full(LIF, (2,)),
            "w": Linear(np.ones((2, 2))),
            "x": Output((2,)),
            "y": Output((2,)),
            "z": Output((2,)),
        },
        (
            *(("a", "f"), ("f", "w"), ("w", "d"), ("d", "n")),
            *(("n", "x"), ("w", "y"), ("n", "z"), ("f", "z")),
        ),
    )
    network = network_of(graph, Profile(name="plain"))
    assert network.outputs == {"x": "n", "y": "y", "z": "z"}
    assert {*network.populations} == {"d", "n", "y", "z"}
    assert network.inputs == {"a": (2, 1)}
    assert [each.source for each in network.populations["z"].connections] == ["a", "n"]


@pytest.mark.parametrize("way", ["plain", "flat", "weighted"])
def test_neurons_that_lead_to_outputs_alone_have_their_own_limit(way: str) -> None:
    """5 is 4 above the threshold of 1: three spikes at most, but the last layer's one."""
    profile = Profile(name="limits", reset=Reset.SUBTRACT, max_spikes=3, max_output_spikes=1)
    nodes: dict[str, Node] = {"a": Input((1, 1)), "m": full(IF, (1, 1)), "n": full(IF, (1, 1))}
    last = "n"
    if way != "plain":
        nodes["o"] = Flatten(0, -1) if way == "flat" else Scale(np.ones((1, 1)))
        last = "o"
    nodes["z"] = Output((1,) if way == "flat" else (1, 1))
    edges = [("a", "m"), ("m", "n"), ("n", last), (last, "z")]
    graph = Graph(nodes, tuple(edge for edge in edges if edge[0] != edge[1]))
    run = run_float(network_of(graph, profile), np.array([5.0, 0, 0]).reshape(1, 3, 1, 1))
    assert run.spikes["m"].ravel().tolist() == [3, 2, 0]
    assert run.spikes["n"].ravel().tolist() == [1, 1, 1]


def test_events_that_spike_one_by_one(tmp_path: Path) -> None:
    """DYNAP-CNN: convolution and matrix of IF neurons against a loop over single events."""
    conv = Conv2d(fractions((2, 1, 2, 2), 3), fractions((2,), 4), (1, 1), (1, 0), (1, 1), 1)
    dense = Affine(fractions((3, 24), 5), fractions((3,), 6))
    graph = chain(
        Input((1, 3, 4)),
        conv,
        full(IF, (2, 4, 3)),
        Flatten(0, -1),
        dense,
        full(IF, (3,)),
        Output((3,)),
    )
    rng = np.random.default_rng(8)
    counts = rng.integers(0, 4, (6, 1, 3, 4))
    network = network_of(through_a_file(graph, tmp_path), PROFILES["speck"])
    found = run_float(network, counts[None])
    v = [np.zeros(24), np.zeros(3)]
    potentials: list[list[Vector]] = [[], []]
    sent: list[list[list[int]]] = [[], []]
    for t in range(6):
        inputs = counts[t].ravel().tolist()
        for k in range(2):
            spikes = [0] * len(v[k])
            events = []
            for address, count in enumerate(inputs):
                one = [float(address == a) for a in range(len(inputs))]
                row = (
                    through(conv, one, (1, 3, 4), (2, 4, 3))
                    if k == 0
                    else through(dense, one, (24,), (3,))
                )
                events += [row] * count
            events.append(bias_of(conv, (2, 4, 3)) if k == 0 else bias_of(dense, (3,)))  # type: ignore[arg-type]
            for event in events:
                for n, change in enumerate(event):
                    if change:
                        v[k][n] = max(v[k][n] + change, -1.0)
                        if v[k][n] >= 1.0:
                            v[k][n] -= 1.0
                            spikes[n] += 1
            inputs = spikes
            potentials[k].append(v[k].tolist())
            sent[k].append(spikes)
    for k, name in enumerate("cf"):
        assert found.spikes[name][0].reshape(6, -1).tolist() == sent[k]
        assert found.membrane[name][0].reshape(6, -1).tolist() == potentials[k]
    assert max(map(max, sent[0])) > 1


@pytest.mark.parametrize(
    ("node", "profile", "rule"),
    [
        (
            full(LIF, (1,)),
            PROFILES["speck"],
            "node 'b': LIF has a time constant, which decay 'none' of profile 'speck' contradicts",
        ),
        (
            full(CubaLI, (1,)),
            TEXTBOOK_IAF,
            "node 'b': CubaLI has a time constant, which decay 'constant' of profile"
            " 'textbook-iaf' contradicts",
        ),
        (
            Delay(np.array([70000.0])),
            Profile(name="plain"),
            "node 'b': .*delay must be at most 65536 steps of dt=1, not 70000",
        ),
        (
            full(IF, (1,), v_threshold=-1.0),
            PROFILES["xylo"],
            "node 'b': v_th must be positive where the reset subtracts it, not -1.0",
        ),
    ],
)
def test_wrong_node(node: Node, profile: Profile, rule: str) -> None:
    graph = chain(Input((1,)), node, full(I, (1,)), Output((1,)))
    with pytest.raises(ValueError, match=rf"^{rule}$"):
        network_of(graph, profile)


def test_wrong_number_of_ways() -> None:
    """Sums of sums: 13 times two ways are 8192."""
    nodes: dict[str, Node] = {"a": Input((1,))}
    edges, last = [], "a"
    for k in range(13):
        for side in "xy":
            nodes[f"{side}{k}"] = Scale(np.ones(1))
            edges.append((last, f"{side}{k}"))
        nodes[f"z{k}"] = Scale(np.ones(1))
        edges += [(f"{side}{k}", f"z{k}") for side in "xy"]
        last = f"z{k}"
    nodes["out"] = Output((1,))
    graph = Graph(nodes, (*edges, (last, "out")))
    message = rf"^node 'out': at most {MAX_PATHS} ways through linear nodes must lead to it$"
    with pytest.raises(ValueError, match=message):
        network_of(graph, Profile(name="plain"))


def test_wrong_size_of_joined_weights() -> None:
    shape = (1, 120, 120)
    conv = Conv2d(np.ones((1, 1, 2, 2)), np.zeros(1), (1, 1), (0, 0), (1, 1), 1)
    graph = chain(Input(shape), conv, conv, Output((1, 118, 118)))
    with pytest.raises(ValueError, match=r"^node 'd': a map from 14400 to 13924 numbers must not"):
        network_of(graph, Profile(name="plain"))
