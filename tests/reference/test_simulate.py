"""Runs of networks against a triple loop over samples, steps and neurons.

:class:`Naive` interprets any fixed-point network in Python's integers, neuron by neuron, without
the order that the golden model computes populations in.
"""

import functools
import itertools
import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.reference.dense import FixedDense, FloatDense, dense_layers, fixed_stack, float_stack
from spikeloom.reference.fixed import Overflow, QFormat, Rounding
from spikeloom.reference.maps import Convolution, Dense, Diagonal, Map, Pool, Reshape
from spikeloom.reference.network import (
    Connection,
    FixedInput,
    FixedNetwork,
    FixedPopulation,
    FloatNetwork,
    FloatPopulation,
    LateBias,
)
from spikeloom.reference.neuron_fixed import (
    DecayRule,
    Emission,
    NeuronConfig,
    SynapseConfig,
)
from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.profile import (
    PROFILES,
    Accumulation,
    Compared,
    Comparison,
    Decay,
    InputGain,
    Order,
    Profile,
    Reset,
)
from spikeloom.reference.quantize import quantize
from spikeloom.reference.simulate import (
    Recording,
    count_outputs,
    run_fixed,
    run_float,
    run_neurons,
)

LEAK = 3
THRESHOLD = 40
MAX_SPIKES = 3


def fixed_layer(rng: random.Random, inputs: int, size: int, max_count: int) -> FixedDense:
    """Leaks an eighth, three spikes at most, saturates at eight bits."""
    return FixedDense(
        weight=np.array([[rng.randint(-31, 31) for _ in range(size)] for _ in range(inputs)]),
        weight_width=6,
        weight_shift=1,
        max_count=max_count,
        neurons=NeuronConfig(
            size=size,
            state=QFormat(word_length=8),
            current_width=8,
            threshold=THRESHOLD,
            decay_rule=DecayRule.SHIFT,
            decay=LEAK,
            bias=tuple(rng.randint(-9, 9) for _ in range(size)),
            v_init=rng.randint(-20, 20),
            max_spikes=MAX_SPIKES,
        ),
    )


def naive_run(
    network: FixedNetwork, sample: list[list[int]]
) -> tuple[list[list[list[int]]], list[list[list[int]]]]:
    """Spikes and potentials [layer][step][neuron] of one sample, in Python's integers."""
    all_spikes, all_potentials = [], []
    inputs = sample
    for layer in dense_layers(network):
        config = layer.neurons
        weight = layer.weight.tolist()
        bias = config.bias if isinstance(config.bias, tuple) else (config.bias,) * config.size
        potential = [config.v_init] * config.size
        spikes, potentials = [], []
        for counts in inputs:
            emitted = []
            for n in range(config.size):
                current = 0
                for source, count in enumerate(counts):
                    current += 2 * count * weight[source][n]
                v = potential[n] - potential[n] // 2**LEAK + current + bias[n]
                v = max(-128, min(127, v))
                number = 0
                while v >= THRESHOLD and number < MAX_SPIKES:
                    v -= THRESHOLD
                    number += 1
                potential[n] = v
                emitted.append(number)
            spikes.append(emitted)
            potentials.append(list(potential))
        all_spikes.append(spikes)
        all_potentials.append(potentials)
        inputs = spikes
    return all_spikes, all_potentials


@given(st.integers(0, 2**32))
def test_run_fixed_is_a_triple_loop(seed: int) -> None:
    rng = random.Random(seed)
    sizes = [rng.randint(1, 5) for _ in range(rng.randint(2, 4))]
    layers = [
        fixed_layer(rng, inputs, size, MAX_SPIKES) for inputs, size in itertools.pairwise(sizes)
    ]
    network = fixed_stack(layers, "leaky")
    samples = [
        [[rng.randint(0, MAX_SPIKES) for _ in range(sizes[0])] for _ in range(6)] for _ in range(2)
    ]
    recording = run_fixed(network, samples)
    naive = [naive_run(network, sample) for sample in samples]
    for k in range(len(dense_layers(network))):
        name = f"layer_{k}"
        assert recording.spikes[name].dtype == np.uint8
        assert recording.spikes[name].tolist() == [spikes[k] for spikes, _ in naive]
        assert recording.membrane[name].tolist() == [potentials[k] for _, potentials in naive]
    assert recording.synapse == {}
    assert recording.output is recording.outputs["output"]
    assert recording.output.tolist() == recording.spikes[name].tolist()


def test_run_float_by_hand() -> None:
    """Two IF layers in exact binary fractions: spikes of a step reach the next layer in it."""
    profile = Profile(
        name="if", decay=Decay.NONE, input_gain=InputGain.ONE, reset=Reset.SUBTRACT, max_spikes=3
    )
    neuron = FloatNeuron(profile=profile, v_th=1.0)
    network = float_stack(
        (
            FloatDense(np.array([[0.5, 1.5], [0.25, 0.0]]), neuron, np.array([0.0, 0.25])),
            FloatDense(np.array([[1.0], [-0.5]]), neuron),
        )
    )
    # input currents (0.5, 1.75), (0.75, 1.75), (0, 0.25), (1, 3.25)
    recording = run_float(network, [[[1, 0], [1, 1], [0, 0], [2, 0]]])
    assert recording.spikes["layer_0"].tolist() == [[[0, 1], [1, 2], [0, 0], [1, 3]]]
    assert recording.membrane["layer_0"].tolist() == [
        [[0.5, 0.75], [0.25, 0.5], [0.25, 0.75], [0.25, 1.0]]
    ]
    # second layer: -0.5, 1 - 1, 0, 1 - 1.5
    assert recording.spikes["layer_1"].tolist() == [[[0], [0], [0], [0]]]
    assert recording.membrane["layer_1"].tolist() == [[[-0.5], [-0.5], [-0.5], [-1.0]]]


def test_samples_do_not_touch_each_other() -> None:
    rng = random.Random(5)
    network = fixed_stack([fixed_layer(rng, 3, 4, 1)], "leaky")
    raster = np.random.default_rng(5).integers(0, 2, (4, 7, 3))
    together = run_fixed(network, raster)
    for k in range(4):
        alone = run_fixed(network, raster[k : k + 1])
        assert np.array_equal(alone.output[0], together.output[k])
        assert np.array_equal(alone.membrane["layer_0"][0], together.membrane["layer_0"][k])


def test_run_neurons_starts_from_the_initial_state() -> None:
    config = NeuronConfig(
        size=2, state=QFormat(word_length=8), current_width=8, threshold=10, v_init=4
    )
    spikes, membrane = run_neurons(config, [[[1, 6], [5, 0]], [[0, -1], [0, 0]]])
    assert membrane.tolist() == [[[5, 0], [0, 0]], [[4, 3], [4, 3]]]
    assert spikes.tolist() == [[[0, 1], [1, 0]], [[0, 0], [0, 0]]]


def test_run_neurons_wrong_current() -> None:
    config = NeuronConfig(size=1, state=QFormat(word_length=8), current_width=4, threshold=10)
    with pytest.raises(ValueError, match=r"^current must fit into 4 bits, but one does not$"):
        run_neurons(config, [[[0], [8]]])


def test_run_neurons_wrong_kind_of_current() -> None:
    config = NeuronConfig(size=1, state=QFormat(word_length=8), current_width=4, threshold=10)
    with pytest.raises(TypeError, match=r"^current must hold integers, not float64$"):
        run_neurons(config, [[[0.5]]])


def test_counts_and_decision() -> None:
    spikes = np.zeros((3, 200, 3), dtype=np.uint8)
    spikes[0, :, 2] = 255  # more than one byte holds
    spikes[1, :4, 1] = 1
    spikes[1, 4:8, 2] = 1
    recording = Recording({"a": spikes}, {"a": spikes}, {}, {"out": spikes})
    assert recording.counts.tolist() == [[0, 0, 51000], [0, 4, 4], [0, 0, 0]]
    assert recording.counts.dtype == np.int64
    # The first of equals.
    assert recording.decision.tolist() == [2, 1, 0]


@pytest.mark.parametrize("shape", [(2,), (2, 3), (1, 2, 4), (1, 1, 2, 3)])
def test_wrong_raster(shape: tuple[int, ...]) -> None:
    rng = random.Random(1)
    fixed = fixed_stack([fixed_layer(rng, 3, 2, 1)], "leaky")
    neuron = FloatNeuron(profile=Profile(name="lif"), v_th=1.0)
    message = r"^raster must be of shape \(samples, steps, 3\), not "
    with pytest.raises(ValueError, match=message):
        run_fixed(fixed, np.zeros(shape, dtype=int))
    with pytest.raises(ValueError, match=message):
        run_float(float_stack([FloatDense(np.ones((3, 2)), neuron)]), np.zeros(shape))


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (0, 2)])
def test_wrong_counts(low: int, high: int) -> None:
    network = fixed_stack([fixed_layer(random.Random(1), 2, 2, 1)], "leaky")
    with pytest.raises(ValueError, match=rf"^counts must be 0 to 1, not {low} to {high}$"):
        run_fixed(network, [[[low, high]]])


def naive_map(each: Map, x: list[int]) -> list[int]:
    """A map of a flat list, by its definition."""
    if isinstance(each, Reshape):
        return x
    weight = None if isinstance(each, Pool) else each.weight.ravel().tolist()  # type: ignore[attr-defined]
    if isinstance(each, Diagonal):
        return [a * b for a, b in zip(x, weight, strict=True)]
    if isinstance(each, Dense):
        inputs, outputs = each.weight.shape
        return [sum(x[i] * weight[i * outputs + o] for i in range(inputs)) for o in range(outputs)]
    assert isinstance(each, Pool | Convolution)
    channels, *sizes = each.shape
    if isinstance(each, Pool):
        outputs, per_group, groups, kernel = channels, 1, channels, each.kernel
        dilation = (1,) * len(kernel)
    else:
        outputs, per_group, *kernel = each.weight.shape
        groups, dilation = each.groups, each.dilation
    result = []
    places = itertools.product(*map(range, each.output_shape[1:]))
    for o, place in itertools.product(range(outputs), list(places)):
        total = 0
        for c, tap in itertools.product(
            range(per_group), list(itertools.product(*map(range, kernel)))
        ):
            at = [
                p * s + k * d - pad
                for p, s, k, d, pad in zip(
                    place, each.stride, tap, dilation, each.padding, strict=True
                )
            ]
            if any(not 0 <= a < size for a, size in zip(at, sizes, strict=True)):
                continue
            index = o // (outputs // groups) * per_group + c
            for a, size in zip(at, sizes, strict=True):
                index = index * size + a
            factor = 1
            if weight is not None:
                tap_index = o * per_group + c
                for k, width in zip(tap, kernel, strict=True):
                    tap_index = tap_index * width + k
                factor = weight[tap_index]
            total += factor * x[index]
        result.append(total)
    return result


def fit(value: int, word: QFormat) -> int:
    low, high = -(2 ** (word.word_length - 1)), 2 ** (word.word_length - 1) - 1
    if word.overflow is Overflow.SATURATE:
        return max(low, min(high, value))
    while value > high:
        value -= 2**word.word_length
    while value < low:
        value += 2**word.word_length
    return value


def quotient(value: int, divisor: int, rounding: Rounding) -> int:
    if rounding is Rounding.TOWARD_ZERO:
        return abs(value) // divisor * (1 if value >= 0 else -1)
    down = value // divisor
    rest = value - down * divisor
    nearest = rounding is Rounding.NEAREST_EVEN
    return down + (nearest and (2 * rest > divisor or (2 * rest == divisor and down % 2 == 1)))


def decayed(c: Any, decay: int, value: int) -> int:
    if c.decay_rule is DecayRule.MULTIPLIER:
        return quotient(value * decay, 2**c.decay_fraction, c.state.rounding)
    if c.decay_rule is DecayRule.SHIFT:
        loss = quotient(value, 2**decay, c.state.rounding)
        return value - (1 if c.shift_at_least_one and loss == 0 and value > 0 else loss)
    return value


class NaiveNeuron:
    """One neuron of a configuration."""

    def __init__(self, config: NeuronConfig, index: int) -> None:
        def one(value: Any) -> Any:
            return value[index] if isinstance(value, tuple) else value

        self.c = config
        self.threshold, self.decay, self.bias = map(
            one, (config.threshold, config.decay, config.bias)
        )
        self.v_reset, self.floor, self.v = map(one, (config.v_reset, config.floor, config.v_init))
        self.synapse_decay = one(config.synapse.decay) if config.synapse else 0
        self.i_syn = self.refractory = 0

    def fire(self, most: int) -> int:
        spikes, c = 0, self.c
        if c.emission is Emission.POTENTIAL:
            return 0
        while spikes < most and (
            self.v > self.threshold or (self.v == self.threshold and c.comparison is Comparison.GE)
        ):
            spikes += 1
            if c.reset is Reset.SUBTRACT:
                self.v -= self.threshold
            if c.reset is Reset.TO_VALUE:
                self.v = self.v_reset
        return spikes

    def spiking_events(self, events: list[int]) -> int:
        spikes = 0
        for event in [*events, self.bias]:
            if event:
                self.v = fit(self.v + event, self.c.state)
                if self.floor is not None:
                    self.v = max(self.v, self.floor)
                spikes += self.fire(1)
        return min(spikes, self.c.max_spikes)

    def current(self, events: list[int]) -> int:
        """What reaches the membrane."""
        c, synapse = self.c, self.c.synapse
        if c.accumulation is Accumulation.EVENT:
            word = synapse.state if synapse else c.state
            i = self.i_syn if synapse else 0
            if synapse and synapse.order is Order.DECAY_FIRST:
                i = decayed(synapse, self.synapse_decay, i)
            for event in events:
                i = fit(i + event, word)
            if synapse and synapse.order is Order.INPUT_FIRST:
                i = decayed(synapse, self.synapse_decay, i)
        elif synapse:
            i = self.register(synapse, self.synapse_decay, self.i_syn, sum(events))
        else:
            i = sum(events)
        if synapse:
            self.i_syn = i
        return i

    def register(self, c: Any, decay: int, value: int, drive: int) -> int:
        drive -= decay if c.decay_rule is DecayRule.CONSTANT else 0
        if c.order is Order.INPUT_FIRST:
            return decayed(c, decay, fit(value + drive, c.state))
        return fit(decayed(c, decay, value) + drive, c.state)

    def step(self, events: list[int]) -> int:
        c = self.c
        if c.accumulation is Accumulation.SPIKING_EVENT:
            return self.spiking_events(events)
        current = self.current(events)
        if self.refractory:
            self.refractory -= 1
            return 0
        spikes = self.fire(c.max_spikes) if c.compared is Compared.OLD else 0
        if c.staged_overflow:
            if c.decay_rule is DecayRule.CONSTANT:
                loss = self.decay
            else:
                loss = self.v - decayed(c, self.decay, self.v)
            change = fit(fit(current - loss, c.state) + self.bias, c.state)
            self.v = fit(self.v + change, c.state)
        else:
            self.v = self.register(c, self.decay, self.v, current + self.bias)
        if c.compared is Compared.NEW:
            spikes = self.fire(c.max_spikes)
        if self.floor is not None:
            self.v = max(self.v, self.floor)
        if spikes:
            self.refractory = c.refractory_steps
        return spikes


class Naive:
    """A network on one sample; what is asked for is computed with all that it needs."""

    def __init__(self, network: FixedNetwork, sample: dict[str, Any], steps: int) -> None:
        self.network = network
        self.sent: dict[tuple[str, int], list[int]] = {
            (name, t): sample[name][t].ravel().tolist() for name in sample for t in range(steps)
        }
        self.v: dict[tuple[str, int], list[int]] = {}
        self.i_syn: dict[tuple[str, int], list[int]] = {}
        self.neurons = {
            name: [NaiveNeuron(each.neurons, n) for n in range(each.neurons.size)]
            for name, each in network.populations.items()
        }
        for t in range(steps):
            for name in network.populations:
                self.get(name, t)

    def get(self, name: str, t: int) -> list[int]:
        if (name, t) not in self.sent:
            self.compute(name, t)
        return self.sent[name, t]

    def arriving(self, connection: Connection, t: int) -> list[int]:
        size = math.prod(self.network.shape(connection.source))
        delays = np.broadcast_to(
            np.asarray(connection.delay), self.network.shape(connection.source)
        )
        return [
            self.get(connection.source, t - d)[k] if t >= d else 0
            for k, d in zip(range(size), delays.ravel().tolist(), strict=True)
        ]

    def compute(self, name: str, t: int) -> None:
        population = self.network.populations[name]
        neurons = self.neurons[name]
        events: list[list[int]] = []
        for connection in population.connections:
            counts = self.arriving(connection, t)
            if population.neurons.accumulation is Accumulation.STEP:
                vectors = [counts]
            else:
                unit = [[int(k == n) for k in range(len(counts))] for n in range(len(counts))]
                vectors = [unit[n] for n, count in enumerate(counts) for _ in range(count)]
            for vector in vectors:
                for each in connection.maps:
                    vector = naive_map(each, vector)
                events.append([value * 2**connection.shift for value in vector])
        late = [each.current.ravel().tolist() for each in population.late_bias if t >= each.start]
        if late:
            events.append([sum(column) for column in zip(*late, strict=True)])
        counts = [neuron.step([event[n] for event in events]) for n, neuron in enumerate(neurons)]
        self.v[name, t] = [neuron.v for neuron in neurons]
        self.i_syn[name, t] = [neuron.i_syn for neuron in neurons]
        potential = population.neurons.emission is Emission.POTENTIAL
        self.sent[name, t] = self.v[name, t] if potential else counts


class Drawing:
    """A random network of every kind that the golden model knows, drawn from one seed."""

    def __init__(self, seed: int, *, inputs: int | None = None) -> None:
        self.rng = random.Random(seed)
        rng = self.rng
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.inputs = {}
        for k in range(inputs or rng.choice([1, 1, 2])):
            self.shapes[f"in{k}"] = rng.choice([(3,), (2, 3, 3), (2, 4)])
            low = rng.choice([0, 0, 0, -3])
            self.inputs[f"in{k}"] = FixedInput(
                shape=self.shapes[f"in{k}"],
                low=low,
                high=rng.choice([1, 3]),
                clips=rng.random() < 0.3,
            )
        names = [f"p{k}" for k in range(rng.randint(1, 3))]
        self.kinds = {name: self.kind() for name in names}
        self.ways: dict[str, list[Connection]] = {name: [] for name in names}
        for name in names:
            self.draw_shape(name)
        for name in names:
            for source in self.shapes:
                if rng.random() < 0.4 and self.may(source, name):
                    self.ways[name].append(self.connection(source, name))
        populations = {name: self.population(name) for name in names}
        rng.shuffle(names)
        self.network = FixedNetwork(
            self.inputs,
            {name: populations[name] for name in names},
            {"out": names[0], "in": next(iter(self.inputs))},
            "drawn",
        )

    def integers(self, low: int, high: int, size: int) -> Any:
        """One number, or one for each of several."""
        if self.rng.random() < 0.5:
            return self.rng.randint(low, high)
        return tuple(self.rng.randint(low, high) for _ in range(size))

    def array(self, shape: tuple[int, ...], low: int = -7, high: int = 7) -> Any:
        values = [self.rng.randint(low, high) for _ in range(math.prod(shape))]
        return np.array(values).reshape(shape)

    def kind(self) -> tuple[Accumulation, Emission]:
        accumulation = self.rng.choice([Accumulation.STEP, Accumulation.STEP, *Accumulation])
        emission = Emission.SPIKES
        if accumulation is Accumulation.STEP and self.rng.random() < 0.25:
            emission = Emission.POTENTIAL
        return accumulation, emission

    def may(self, source: str, target: str) -> bool:
        """Events are counts from 0."""
        if self.kinds[target][0] is Accumulation.STEP:
            return True
        if source in self.inputs:
            return self.inputs[source].low == 0
        return self.kinds[source][1] is Emission.SPIKES

    def draw_shape(self, name: str) -> None:
        """A shape of its own, or the one that a convolution or a pool leaves of another's."""
        rng = self.rng
        source = rng.choice([*self.shapes])
        shape = self.shapes[source]
        if len(shape) == 1 or rng.random() < 0.3 or not self.may(source, name):
            self.shapes[name] = rng.choice([(1,), (3,), (2, 2)])
            return
        rank = len(shape) - 1
        maps: list[Map] = []
        if rng.random() < 0.8:
            groups = rng.choice([1, 2]) if shape[0] == 2 else 1
            kernel = tuple(min(2, size) for size in shape[1:])
            weight = self.array((2, shape[0] // groups, *kernel))
            stride = tuple(rng.randint(1, 2) for _ in range(rank))
            padding = tuple(rng.randint(0, 1) for _ in range(rank))
            dilation = tuple(rng.randint(1, 2) if size > 2 else 1 for size in shape[1:])
            maps.append(Convolution(weight, shape, stride, padding, dilation, groups))
            shape = maps[-1].output_shape
        if rng.random() < 0.5 or not maps:
            kernel = tuple(min(2, size) for size in shape[1:])
            maps.append(Pool(shape, kernel, (1,) * rank, (0,) * rank))
        self.shapes[name] = maps[-1].output_shape
        self.ways[name].append(
            Connection(source=source, maps=maps, delay=self.delay(source, name), shift=1)  # type: ignore[arg-type]
        )

    def delay(self, source: str, target: str) -> Any:
        """Also one for each source; never 0 on a way back."""
        order = [*self.shapes, target]
        least = 0 if order.index(source) < order.index(target) else 1
        if self.rng.random() < 0.3:
            return self.array(self.shapes[source], least, 3)
        return self.rng.choice([least, least, 1, 3])

    def connection(self, source: str, target: str) -> Connection:
        begin, end = self.shapes[source], self.shapes[target]
        maps: list[Map] = []
        if begin == end and self.rng.random() < 0.5:
            maps = [Diagonal(self.array(begin))] if self.rng.random() < 0.5 else []
        else:
            inputs, outputs = math.prod(begin), math.prod(end)
            if begin != (inputs,):
                maps.append(Reshape(begin, (inputs,)))
            maps.append(Dense(self.array((inputs, outputs))))
            if end != (outputs,):
                maps.append(Reshape((outputs,), end))
        shift = self.rng.randint(0, 3)
        return Connection(
            source=source, maps=tuple(maps), delay=self.delay(source, target), shift=shift
        )

    def register(self, size: int) -> dict[str, Any]:
        rng = self.rng
        rule = rng.choice([*DecayRule])
        fraction = rng.choice([2, 8, 14])
        decays = {
            DecayRule.MULTIPLIER: (0, 1 << fraction),
            DecayRule.SHIFT: (0, 5),
            DecayRule.CONSTANT: (-4, 9),
            DecayRule.NONE: (0, 0),
        }
        return {
            "state": QFormat(
                word_length=rng.choice([6, 8, 12, 20]),
                rounding=rng.choice([*Rounding]),
                overflow=rng.choice([*Overflow]),
            ),
            "decay_rule": rule,
            "decay": self.integers(*decays[rule], size),
            "decay_fraction": fraction,
            "shift_at_least_one": rule is DecayRule.SHIFT and rng.random() < 0.5,
            "order": rng.choice([*Order]),
        }

    def population(self, name: str) -> FixedPopulation:
        rng = self.rng
        shape = self.shapes[name]
        size = math.prod(shape)
        accumulation, emission = self.kinds[name]
        plain = accumulation is Accumulation.SPIKING_EVENT
        synapse = None
        if not plain and rng.random() < 0.5:
            options = self.register(size)
            while (
                accumulation is Accumulation.EVENT and options["decay_rule"] is DecayRule.CONSTANT
            ):
                options = self.register(size)
            synapse = SynapseConfig(**options)
        register = self.register(size)
        if plain:
            register |= {
                "decay_rule": DecayRule.NONE,
                "decay": 0,
                "shift_at_least_one": False,
            }
        reset = rng.choice([Reset.TO_VALUE, Reset.SUBTRACT] if plain else [*Reset])
        staged = register["order"] is Order.DECAY_FIRST and rng.random() < 0.4
        neurons = NeuronConfig(
            **register,
            size=size,
            current_width=8,
            threshold=self.integers(3, 25, size),
            bias=self.integers(-5, 5, size),
            synapse=synapse,
            comparison=rng.choice([*Comparison]),
            compared=Compared.NEW if plain else rng.choice([*Compared]),
            reset=reset,
            accumulation=accumulation,
            staged_overflow=staged,
            emission=emission,
            v_reset=self.integers(-9, 9, size),
            v_init=self.integers(-9, 9, size),
            max_spikes=rng.choice([1, 3, 511]) if reset is Reset.SUBTRACT else 1,
            floor=self.integers(-20, 0, size) if rng.random() < 0.5 else None,
            refractory_steps=0 if plain else rng.choice([0, 0, 1, 2]),
        )
        late = tuple(
            LateBias(rng.randint(1, 4), self.array(shape, -9, 9))
            for _ in range(rng.choice([0, 0, 1, 2]))
        )
        return FixedPopulation(
            shape=shape,
            neurons=neurons,
            connections=tuple(self.ways[name]),
            weight_width=4,
            late_bias=late,
        )

    def stimulus(self, samples: int, steps: int) -> dict[str, Any]:
        """Beyond the range where the input clips."""
        result = {}
        for name, each in self.inputs.items():
            more = 2 if each.clips else 0
            shape = (samples, steps, *each.shape)
            result[name] = self.array(shape, each.low - more, each.high + more)
        return result


@given(st.integers(0, 2**32))
def test_run_fixed_is_the_naive_interpreter(seed: int) -> None:
    """Every spike, potential and synaptic current of random networks."""
    drawing = Drawing(seed)
    network, steps = drawing.network, 6
    stimulus = drawing.stimulus(2, steps)
    recording = run_fixed(network, stimulus)
    clipped = {
        name: np.clip(stimulus[name], each.low, each.high) for name, each in network.inputs.items()
    }
    for k in range(2):
        naive = Naive(network, {name: values[k] for name, values in clipped.items()}, steps)
        for name, population in network.populations.items():
            for t in range(steps):
                where = f"sample {k} of {name!r} at {t}"
                assert recording.membrane[name][k, t].ravel().tolist() == naive.v[name, t], where
                if population.neurons.emission is Emission.SPIKES:
                    assert recording.spikes[name][k, t].ravel().tolist() == naive.sent[name, t], (
                        where
                    )
                if population.neurons.synapse is not None:
                    assert recording.synapse[name][k, t].ravel().tolist() == naive.i_syn[name, t], (
                        where
                    )
            spikes = population.neurons.emission is Emission.SPIKES
            assert (name in recording.spikes) == spikes
            assert (name in recording.synapse) == (population.neurons.synapse is not None)
            assert recording.membrane[name].shape == (2, steps, *population.shape)
    source = network.outputs["out"]
    sent = [[naive.sent[source, t] for t in range(steps)]]
    assert recording.outputs["out"][1:].reshape(1, steps, -1).tolist() == sent
    (first,) = [each for name, each in clipped.items() if name == network.outputs["in"]]
    assert recording.outputs["in"].tolist() == first.tolist()


@given(st.integers(0, 2**32), st.integers(1, 3), st.integers(1, 5))
def test_count_outputs_in_any_chunks(seed: int, workers: int, size: int) -> None:
    drawing = Drawing(seed, inputs=1)
    ((_, stimulus),) = drawing.stimulus(5, 4).items()
    chunks = (stimulus[k : k + size] for k in range(0, 5, size))
    counts = list(count_outputs(drawing.network, chunks, workers=workers))
    assert [len(each) for each in counts] == [
        len(stimulus[k : k + size]) for k in range(0, 5, size)
    ]
    found = run_fixed(drawing.network, stimulus)
    assert np.concatenate(counts).tolist() == found.counts.tolist()
    assert found.counts.tolist() == found.output.astype(int).sum(axis=1).tolist()


def test_count_outputs_takes_stimuli_when_they_are_due() -> None:
    """However many there are, a few lie in memory: four of two workers, and one that is given."""
    taken = []

    def stimuli() -> Any:
        for k in range(20):
            taken.append(k)
            yield np.full((1, 1, 1), k % 2)

    layer = fixed_layer(random.Random(1), 1, 1, 1)
    found = count_outputs(fixed_stack([layer], "leaky"), stimuli(), workers=2)
    for k, _ in enumerate(found):
        assert len(taken) <= k + 5
    assert len(taken) == 20


def test_count_outputs_wrong_stimulus() -> None:
    network = fixed_stack([fixed_layer(random.Random(1), 2, 2, 1)], "leaky")
    with pytest.raises(ValueError, match=r"^counts must be 0 to 1, not 0 to 2$"):
        list(count_outputs(network, [np.array([[[0, 2]]])]))


@functools.cache
def two_inputs() -> FloatNetwork:
    neuron = FloatNeuron(
        profile=Profile(name="sum", decay=Decay.NONE, input_gain=InputGain.ONE), v_th=None, tau=None
    )
    total = FloatPopulation(
        shape=(1,),
        neuron=neuron,
        connections=(Connection(source="a"), Connection(source="b", delay=2)),
        late_bias=(LateBias(1, np.array([0.5])),),
    )
    return FloatNetwork({"a": (1,), "b": (1,)}, {"sum": total}, {"out": "sum", "again": "a"})


def test_two_inputs_by_hand() -> None:
    """Inputs add up; one is two steps late, and a bias of 1/2 begins in the second step."""
    found = run_float(two_inputs(), {"b": [[[8], [4], [2]]], "a": [[[1], [0], [0.25]]]})
    assert found.output.ravel().tolist() == [1, 1.5, 10.25]
    assert found.outputs["again"].ravel().tolist() == [1, 0, 0.25]
    assert found.counts.tolist() == [[12.75]]
    assert found.spikes == {}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_run_float_computes_in_the_precision_it_is_told(dtype: type[np.floating]) -> None:
    found = run_float(two_inputs(), {"a": np.ones((1, 2, 1)), "b": np.ones((1, 2, 1))}, dtype=dtype)
    assert found.output.dtype == dtype
    third = run_float(
        two_inputs(), {"a": np.full((1, 1, 1), 1 / 3), "b": np.zeros((1, 1, 1))}, dtype=dtype
    )
    assert third.output.item() == dtype(1 / 3)


@pytest.mark.parametrize(
    ("stimulus", "rule"),
    [
        (np.zeros((1, 1, 1)), "stimulus must be one array for each input, a, b, by name"),
        ({"a": np.zeros((1, 1, 1))}, "stimulus must be for the inputs a, b, not a"),
        (
            {"a": np.zeros((1, 1, 1)), "b": np.zeros((1, 2, 1))},
            "all inputs must have the same number of samples and of steps",
        ),
        (
            {"a": np.zeros((1, 1, 1)), "b": np.zeros((1, 1, 2))},
            r"raster must be of shape \(samples, steps, 1\), not \(1, 1, 2\)",
        ),
    ],
)
def test_wrong_stimulus(stimulus: Any, rule: str) -> None:
    with pytest.raises(ValueError, match=rf"^{rule}$"):
        run_float(two_inputs(), stimulus)


def speck(source: Any = None) -> FloatNetwork:
    """A neuron that hears events of an input, or of neurons in between that never spike."""
    connection = Connection(source="between" if source else "in")
    neuron = FloatNeuron(profile=PROFILES["speck"], v_th=2.0, tau=None)
    sums = FloatPopulation(shape=(1,), neuron=neuron, connections=(connection,))
    populations = {"n": sums}
    if source:
        heard = (Connection(source="in"),)
        between = FloatPopulation(shape=(1,), neuron=source, connections=heard)
        populations = {"between": between, **populations}
    return FloatNetwork({"in": (1,)}, populations, {"out": "n"})


@pytest.mark.parametrize("value", [0.5, -1.0, 1024.0, 1e12, math.inf, math.nan])
def test_wrong_events(value: float) -> None:
    rule = rf"must send counts from 0 to 1023 where they are summed one by one, not {value!r}$"
    with pytest.raises(ValueError, match="^'in' " + rule):
        run_float(speck(), [[[1.0], [value]]])
    plain = Profile(name="plain", input_gain=InputGain.ONE)
    with pytest.raises(ValueError, match="^'between' " + rule):
        run_float(speck(FloatNeuron(profile=plain, v_th=None)), [[[1.0], [value]]])


def test_most_events() -> None:
    """Two events for a spike, of which 255 are passed on."""
    found = run_float(speck(), [[[3.0], [0.0], [1.0], [1023.0]]])
    assert found.output.ravel().tolist() == [1, 0, 1, 255]


def test_run_float_clips_inputs_as_the_profile_says() -> None:
    """15 at most, and nothing below 0, as the golden model clips them."""
    profile = Profile(name="clips", decay=Decay.NONE, input_gain=InputGain.ONE, max_input_count=15)
    layer = FloatDense(np.array([[1.0]]), FloatNeuron(profile=profile, v_th=100.0, tau=None))
    network = float_stack([layer])
    counts = [[[16], [-3], [255], [4], [15]]]
    (name,) = network.populations
    assert run_float(network, counts).membrane[name].ravel().tolist() == [15, 15, 30, 34, 49]
    fixed = run_fixed(quantize(network), counts)
    scale = fixed.membrane[name].ravel() / fixed.membrane[name].ravel()[0]
    assert scale.tolist() == [1, 1, 2, 34 / 15, 49 / 15]


def test_cores_where_the_system_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    network = fixed_stack([fixed_layer(random.Random(1), 2, 2, 1)], "leaky")
    stimuli = [np.ones((1, 3, 2), dtype=int)] * 3
    known = [each.tolist() for each in count_outputs(network, stimuli)]
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    for cores in (2, None):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        assert [each.tolist() for each in count_outputs(network, stimuli)] == known


def test_many_spikes_have_room() -> None:
    """More than 255 in a step are no byte."""
    neurons = NeuronConfig(
        size=1, state=QFormat(word_length=16), current_width=16, threshold=2, max_spikes=1023
    )
    spikes, membrane = run_neurons(neurons, [[[1401], [20000]]])
    assert spikes.tolist() == [[[700], [1023]]]
    assert membrane.tolist() == [[[1], [1 + 20000 - 2046]]]
    layer = FixedDense(weight=np.array([[1401]]), weight_width=12, neurons=neurons)
    found = run_fixed(fixed_stack([layer], "many"), [[[1], [1]]])
    assert found.output.tolist() == [[[700], [701]]]
    assert found.output.dtype == np.uint16
    profile = Profile(
        name="many",
        decay=Decay.NONE,
        input_gain=InputGain.ONE,
        reset=Reset.SUBTRACT,
        max_spikes=1023,
    )
    real = FloatDense(np.array([[1401.0]]), FloatNeuron(profile=profile, v_th=2.0))
    assert run_float(float_stack([real]), [[[1], [1]]]).output.tolist() == [[[700], [701]]]


def test_overflows_by_hand() -> None:
    """A leaky layer of eight bits: 127 is passed in two of three steps of one of two samples."""
    neurons = NeuronConfig(
        size=1,
        state=QFormat(word_length=8),
        current_width=8,
        threshold=127,
        reset=Reset.NONE,
        comparison=Comparison.GT,
    )
    layer = FixedDense(weight=np.array([[100]]), weight_width=8, neurons=neurons)
    found = run_fixed(fixed_stack([layer], "full"), [[[1], [1], [1]], [[1], [0], [0]]])
    assert found.membrane["layer_0"][..., 0].tolist() == [[100, 127, 127], [100, 100, 100]]
    assert found.overflows == {"layer_0": 2}


@pytest.mark.parametrize("weight", [1, 255, 257, 32767])
def test_sums_beyond_single_precision_are_exact(weight: int) -> None:
    """Odd sums above 2**24 through a convolution and a pool, of counts and of potentials."""
    inputs = {"in": FixedInput(shape=(1, 4, 4), high=2**17 - 1)}
    conv = Convolution(np.full((1, 1, 3, 3), weight), (1, 4, 4), (1, 1), (0, 0), (1, 1))
    pool = Pool((1, 2, 2), (2, 2), (1, 1), (0, 0))
    holds = NeuronConfig(
        size=1,
        state=QFormat(word_length=32),
        current_width=2,
        threshold=1,
        reset=Reset.NONE,
        emission=Emission.POTENTIAL,
    )
    first = FixedPopulation(
        shape=(1, 1, 1),
        neurons=holds,
        connections=(Connection(source="in", maps=(conv, pool)),),
        weight_width=16,
    )
    second = FixedPopulation(
        shape=(1,),
        neurons=holds,
        connections=(
            Connection(source="a", maps=(Reshape((1, 1, 1), (1,)), Dense(np.array([[-1]])))),
        ),
    )
    network = FixedNetwork(inputs, {"a": first, "b": second}, {"out": "b"}, "wide")
    # Each of the nine taps meets each of the four places once: 16 sums of corners to the middle.
    once = [[1, 2, 2, 1], [2, 4, 4, 2], [2, 4, 4, 2], [1, 2, 2, 1]]
    rng = random.Random(weight)
    for _ in range(20):
        most = min(2**17 - 1, 2**31 // (36 * weight))
        counts = [[rng.randint(most // 2, most) for _ in range(4)] for _ in range(4)]
        total = weight * sum(
            count * times
            for row, numbers in zip(counts, once, strict=True)
            for count, times in zip(row, numbers, strict=True)
        )
        found = run_fixed(network, np.array(counts).reshape(1, 1, 1, 4, 4))
        assert found.membrane["a"].item() == min(total, 2**31 - 1)
        assert found.output.item() == -min(total, 2**31 - 1)
    assert network.magnitudes["a"][0] > 2**22
