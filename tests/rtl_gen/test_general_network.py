"""Networks beyond stacks in hardware against the golden model: every event, every potential."""

import math
import random
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from spikeloom.reference.fixed import IntArray, Overflow, QFormat
from spikeloom.reference.maps import Convolution, Dense, Diagonal, Map, Pool, Reshape, Shape
from spikeloom.reference.network import (
    Connection,
    FixedInput,
    FixedNetwork,
    FixedPopulation,
    LateBias,
)
from spikeloom.reference.neuron_fixed import DecayRule, Emission, NeuronConfig, SynapseConfig
from spikeloom.reference.profile import Accumulation, Order, Reset
from spikeloom.reference.simulate import run_fixed
from spikeloom.rtl_gen.emit import describe
from spikeloom.rtl_gen.events import EventKind
from spikeloom.rtl_gen.network import EventGuard, NetworkTop, Population

PACES = [(1.0, 1.0), (0.4, 1.0), (1.0, 0.3), (0.6, 0.6)]
Make = Callable[[random.Random], FixedNetwork]
Event = tuple[int, tuple[int, ...], int]
"""Kind, coordinates of the source, count."""

NAMES = {1: (), 2: ("c", "x"), 3: ("c", "y", "x")}


def array(rng: random.Random, low: int, high: int, *shape: int) -> IntArray:
    return np.array([rng.randint(low, high) for _ in range(math.prod(shape))]).reshape(shape)


def neurons(rng: random.Random, size: int, **options: Any) -> NeuronConfig:
    """Neurons that spike now and then; each has a threshold of its own, and half of them rest."""
    rule = rng.choice([DecayRule.SHIFT, DecayRule.NONE])
    return NeuronConfig(
        **{
            "size": size,
            "state": QFormat(word_length=12),
            "current_width": 4,
            "threshold": tuple(rng.randint(8, 30) for _ in range(size)),
            "decay_rule": rule,
            "decay": 3 if rule is DecayRule.SHIFT else 0,
            "max_spikes": rng.choice([1, 1, 3]),
        }
        | options
    )


def population(
    rng: random.Random,
    shape: Shape,
    *connections: Connection,
    late_bias: tuple[LateBias, ...] = (),
    **options: Any,
) -> FixedPopulation:
    return FixedPopulation(
        shape=shape,
        neurons=neurons(rng, math.prod(shape), **options),
        connections=connections,
        late_bias=late_bias,
    )


def dense(rng: random.Random, source: str, before: int, after: int, **options: Any) -> Connection:
    return Connection(source=source, maps=(Dense(array(rng, -12, 20, before, after)),), **options)


def convolution(rng: random.Random, shape: Shape, outputs: int, **options: Any) -> Convolution:
    rank = len(shape) - 1
    chosen = {
        "stride": (1,) * rank,
        "padding": (1,) * rank,
        "dilation": (1,) * rank,
        "groups": 1,
    } | options
    weight = array(rng, -8, 14, outputs, shape[0] // chosen["groups"], *(3,) * rank)
    return Convolution(weight, shape, **chosen)


def network(
    inputs: dict[str, FixedInput], populations: dict[str, FixedPopulation], *outputs: str
) -> FixedNetwork:
    return FixedNetwork(inputs, populations, {f"out {name}": name for name in outputs}, "test")


def recurrent_dense(rng: random.Random) -> FixedNetwork:
    own = dense(rng, "a", 7, 7, delay=rng.choice([1, 2]), shift=rng.choice([0, 1]))
    a = population(rng, (7,), dense(rng, "in", 5, 7), own)
    return network({"in": FixedInput(shape=(5,))}, {"a": a}, "a")


def recurrent_diagonal(rng: random.Random) -> FixedNetwork:
    own = Connection(source="a", maps=(Diagonal(array(rng, -9, 9, 6)),), delay=1)
    a = population(rng, (6,), dense(rng, "in", 5, 6), own)
    return network({"in": FixedInput(shape=(5,), high=3)}, {"a": a}, "a")


def recurrent_without_maps(rng: random.Random) -> FixedNetwork:
    """The counts themselves are the current, shifted; and what comes in, too."""
    a = population(
        rng,
        (2, 3),
        Connection(source="in", shift=4),
        Connection(source="a", delay=3, shift=2),
    )
    return network({"in": FixedInput(shape=(2, 3), high=2)}, {"a": a}, "a")


def loop_of_two(rng: random.Random) -> FixedNetwork:
    """Each population hears the other; the way back is late, by its own for each source."""
    delay = rng.choice([1, np.array([1, 3, 2, 1])])
    populations = {
        "a": population(rng, (5,), dense(rng, "in", 4, 5), dense(rng, "b", 4, 5, delay=delay)),
        "b": population(rng, (4,), dense(rng, "a", 5, 4)),
    }
    return network({"in": FixedInput(shape=(4,))}, populations, "a", "b")


def residual(rng: random.Random) -> FixedNetwork:
    """One source on two ways, on one of them through another population; delays on both."""
    late = dense(rng, "in", 5, 6, delay=array(rng, 0, 3, 5))
    populations = {
        "a": population(rng, (6,), dense(rng, "in", 5, 6, delay=rng.choice([0, 2]))),
        "b": population(
            rng, (6,), dense(rng, "a", 6, 6), late, Connection(source="a", shift=3, delay=1)
        ),
    }
    return network({"in": FixedInput(shape=(5,))}, populations, "b")


def two_inputs(rng: random.Random) -> FixedNetwork:
    """Of different shapes and ranges; two outputs, one of them an input."""
    image = (2, 3, 3)
    conv = convolution(rng, image, 3)
    populations = {
        "a": population(
            rng,
            (3, 3, 3),
            Connection(source="image", maps=(conv,), shift=1),
            Connection(
                source="line",
                maps=(Dense(array(rng, -9, 9, 4, 27)), Reshape((27,), (3, 3, 3))),
            ),
        ),
        "b": population(
            rng,
            (5,),
            Connection(
                source="a", maps=(Reshape((3, 3, 3), (27,)), Dense(array(rng, -9, 14, 27, 5)))
            ),
            dense(rng, "line", 4, 5),
        ),
    }
    inputs = {"image": FixedInput(shape=image, high=2), "line": FixedInput(shape=(4,), low=-5)}
    return network(inputs, populations, "a", "b", "line")


def pooled(rng: random.Random) -> FixedNetwork:
    """Pools before and behind a convolution; flattened behind a pool; delays of pixels."""
    shape = (2, 6, 5)
    before = Pool(shape, (2, 2), (2, 1), (1, 0))
    options = rng.choice([{}, {"groups": 2}, {"stride": (2, 1)}, {"dilation": (1, 2)}])
    conv = convolution(rng, before.output_shape, 4, **options)
    maps: tuple[Map, ...] = (before, conv)
    if rng.random() < 0.5:
        maps += (Pool(conv.output_shape, (2, 1), (1, 1), (0, 0)),)
    inner = maps[-1].output_shape
    last = Pool(inner, (2, 2), (1, 2), (0, 1))
    size = math.prod(last.output_shape)
    delay = rng.choice([0, 1, array(rng, 0, 3, *shape)])
    flat = (last, Reshape(last.output_shape, (size,)), Dense(array(rng, -12, 14, size, 5)))
    populations = {
        "a": population(rng, inner, Connection(source="in", maps=maps, delay=delay)),
        "b": population(rng, (5,), Connection(source="a", maps=flat)),
    }
    return network({"in": FixedInput(shape=shape)}, populations, "a", "b")


def lines(rng: random.Random) -> FixedNetwork:
    """One dimension, with a loop in it."""
    conv = convolution(rng, (3, 8), 5, stride=(2,))
    own = Connection(source="a", maps=(convolution(rng, (5, 4), 5),), delay=1)
    a = population(rng, (5, 4), Connection(source="in", maps=(conv,)), own)
    return network({"in": FixedInput(shape=(3, 8))}, {"a": a}, "a")


def dense_image(rng: random.Random) -> FixedNetwork:
    """A dense layer whose neurons are an image, then a residual edge around a convolution."""
    image = (3, 2, 4)
    first = (Dense(array(rng, -12, 20, 6, 24)), Reshape((24,), image))
    populations = {
        # The same for all, so that lanes without a neuron compute something that none may see.
        "a": population(rng, image, Connection(source="in", maps=first), bias=2, v_init=5),
        "b": population(
            rng,
            image,
            Connection(source="a", maps=(convolution(rng, image, 3),)),
            Connection(source="a", maps=(Diagonal(array(rng, -9, 12, *image)),), delay=1),
        ),
    }
    return network({"in": FixedInput(shape=(6,))}, populations, "b")


def potentials(rng: random.Random) -> FixedNetwork:
    """Neurons that send their potentials, with and without coordinates."""
    image = (2, 3, 3)
    synapse = SynapseConfig(state=QFormat(word_length=10), decay_rule=DecayRule.SHIFT, decay=1)
    sends = {"emission": Emission.POTENTIAL, "max_spikes": 1}
    populations = {
        "a": population(
            rng,
            image,
            Connection(source="in", maps=(convolution(rng, image, 2),)),
            synapse=synapse,
            **sends,
        ),
        "b": population(
            rng,
            (4,),
            Connection(source="a", maps=(Reshape(image, (18,)), Dense(array(rng, -9, 9, 18, 4)))),
            state=QFormat(word_length=24),
            **sends,
        ),
    }
    return network({"in": FixedInput(shape=image, low=-4, high=3)}, populations, "a", "b")


def late_biases(rng: random.Random) -> FixedNetwork:
    """Parameters of each neuron and biases that begin late, in both engines."""

    def options(shape: Shape) -> dict[str, Any]:
        size = math.prod(shape)
        return {
            "bias": tuple(rng.randint(-3, 4) for _ in range(size)),
            "v_init": tuple(rng.randint(-9, 9) for _ in range(size)),
            "refractory_steps": 2,
            "reset": Reset.TO_VALUE,
            "max_spikes": 1,
            "late_bias": (
                LateBias(0, array(rng, -3, 3, *shape)),
                LateBias(rng.randint(1, 3), array(rng, 0, 12, *shape)),
            ),
        }

    image = (3, 2, 2)
    maps = (Reshape(image, (12,)), Dense(array(rng, -9, 12, 12, 5)))
    conv = convolution(rng, (1, 2, 2), 3)
    populations = {
        "a": population(rng, image, Connection(source="in", maps=(conv,)), **options(image)),
        "b": population(rng, (5,), Connection(source="a", maps=maps), **options((5,))),
    }
    return network({"in": FixedInput(shape=(1, 2, 2))}, populations, "b")


def single(rng: random.Random) -> FixedNetwork:
    """All sizes 1, values from -1 to 0, and a loop."""
    a = population(
        rng,
        (1, 1, 1),
        Connection(source="in", maps=(Diagonal(np.full((1, 1, 1), -20)),)),
        Connection(source="a", delay=1),
    )
    return network({"in": FixedInput(shape=(1, 1, 1), low=-1, high=0)}, {"a": a}, "a")


def single_flat(rng: random.Random) -> FixedNetwork:
    a = population(rng, (1,), Connection(source="in", maps=(Dense(np.array([[-20]])),)))
    return network({"in": FixedInput(shape=(1,), low=-1, high=0)}, {"a": a}, "a")


def saturating(rng: random.Random) -> FixedNetwork:
    """Each event saturates: counts, a loop, delays of each source, biases, staged sums."""
    synapse = SynapseConfig(
        state=QFormat(word_length=6), decay_rule=DecayRule.SHIFT, decay=1, order=Order.INPUT_FIRST
    )
    a = population(
        rng,
        (7,),
        dense(rng, "in", 5, 7, delay=array(rng, 0, 2, 5)),
        dense(rng, "a", 7, 7, delay=1),
        dense(rng, "in", 5, 7, shift=1),
        late_bias=(LateBias(2, array(rng, -9, 9, 7)), LateBias(0, array(rng, -9, 9, 7))),
        synapse=synapse,
        state=QFormat(word_length=7),
        current_width=5,
        bias=tuple(rng.randint(-9, 9) for _ in range(7)),
        max_spikes=7,
        accumulation=Accumulation.EVENT,
        staged_overflow=True,
    )
    b = population(rng, (4,), dense(rng, "a", 7, 4, delay=1))
    return network({"in": FixedInput(shape=(5,), high=9)}, {"a": a, "b": b}, "b", "a")


def saturating_image(rng: random.Random) -> FixedNetwork:
    """Sums that begin at 0, refractory steps; and a current that decays first, by a multiplier."""
    image = (2, 3, 4)
    synapse = SynapseConfig(
        state=QFormat(word_length=7),
        decay_rule=DecayRule.MULTIPLIER,
        decay=tuple(rng.randint(60, 250) for _ in range(36)),
    )
    populations = {
        "a": population(
            rng,
            (3, 3, 4),
            Connection(source="in", maps=(convolution(rng, image, 3),), shift=1),
            Connection(source="b", maps=(Diagonal(array(rng, -9, 12, 3, 3, 4)),), delay=1),
            state=QFormat(word_length=6),
            refractory_steps=1,
            max_spikes=1,
            accumulation=Accumulation.EVENT,
        ),
        "b": population(
            rng,
            (3, 3, 4),
            Connection(source="a", shift=3),
            Connection(source="in", maps=(convolution(rng, image, 3, groups=1),)),
            late_bias=(LateBias(1, array(rng, -5, 5, 3, 3, 4)),),
            state=QFormat(word_length=7),
            synapse=synapse,
            accumulation=Accumulation.EVENT,
        ),
        "c": population(
            rng,
            (2,),
            Connection(
                source="b", maps=(Reshape((3, 3, 4), (36,)), Dense(array(rng, -9, 9, 36, 2)))
            ),
            state=QFormat(word_length=6),
            emission=Emission.POTENTIAL,
            max_spikes=1,
            accumulation=Accumulation.EVENT,
        ),
    }
    return network({"in": FixedInput(shape=image, high=2)}, populations, "c", "b")


def spiking(rng: random.Random) -> FixedNetwork:
    """Each event may spike: counts, loops, floors, biases, more spikes than can be sent."""
    a = population(
        rng,
        (6,),
        dense(rng, "a", 6, 6, delay=2),
        dense(rng, "in", 5, 6, shift=1),
        dense(rng, "in", 5, 6, delay=array(rng, 0, 2, 5)),
        late_bias=(LateBias(1, array(rng, -9, 9, 6)), LateBias(3, array(rng, -9, 9, 6))),
        state=QFormat(word_length=6),
        decay_rule=DecayRule.NONE,
        decay=0,
        threshold=tuple(rng.randint(5, 30) for _ in range(6)),
        floor=tuple(rng.randint(-20, -1) for _ in range(6)),
        bias=tuple(rng.randint(-9, 9) for _ in range(6)),
        v_init=tuple(rng.randint(-30, 30) for _ in range(6)),
        current_width=5,
        max_spikes=3,
        accumulation=Accumulation.SPIKING_EVENT,
    )
    return network({"in": FixedInput(shape=(5,), high=4)}, {"a": a}, "a")


def spiking_image(rng: random.Random) -> FixedNetwork:
    """Convolution and pool, resets to a value, then a dense layer."""
    image = (2, 4, 5)
    plain = {"decay_rule": DecayRule.NONE, "decay": 0, "accumulation": Accumulation.SPIKING_EVENT}
    conv = convolution(rng, image, 3, stride=rng.choice([(1, 1), (2, 1)]))
    shape = conv.output_shape
    pool = Pool(shape, (2, 2), (2, 2), (0, 0))
    size = math.prod(pool.output_shape)
    flat = (pool, Reshape(pool.output_shape, (size,)), Dense(array(rng, -12, 14, size, 5)))
    populations = {
        "a": population(
            rng,
            shape,
            Connection(source="in", maps=(conv,), shift=1),
            state=QFormat(word_length=6),
            reset=Reset.TO_VALUE,
            v_reset=-3,
            bias=2,
            max_spikes=1,
            **plain,
        ),
        "b": population(
            rng,
            (5,),
            Connection(source="a", maps=flat),
            Connection(source="in", maps=(Reshape(image, (40,)), Dense(array(rng, -9, 9, 40, 5)))),
            state=QFormat(word_length=6, overflow=Overflow.WRAP),
            floor=-30,
            **plain,
        ),
    }
    return network({"in": FixedInput(shape=image, high=3)}, populations, "a", "b")


def spiking_single(rng: random.Random) -> FixedNetwork:
    """One neuron, one source, and a loop: the same row in each cycle."""
    a = population(
        rng,
        (1,),
        Connection(source="a", delay=1),
        Connection(source="in", maps=(Dense(np.array([[7]])),)),
        state=QFormat(word_length=4),
        decay_rule=DecayRule.NONE,
        decay=0,
        threshold=5,
        max_spikes=3,
        accumulation=Accumulation.SPIKING_EVENT,
    )
    return network({"in": FixedInput(shape=(1,), high=7)}, {"a": a}, "a")


ONE_BY_ONE: list[Make] = [
    saturating,
    saturating_image,
    spiking,
    spiking_image,
    spiking_single,
]
"""Networks whose events overflow or spike one by one."""

MAKES: list[Make] = [
    recurrent_dense,
    recurrent_diagonal,
    recurrent_without_maps,
    loop_of_two,
    residual,
    two_inputs,
    pooled,
    lines,
    dense_image,
    potentials,
    late_biases,
    single,
    single_flat,
    *ONE_BY_ONE,
]


def draw_values(rng: random.Random, entry: FixedInput, samples: int, steps: int) -> IntArray:
    """Silent, sparse and full steps."""
    values = np.zeros((samples, steps, *entry.shape), dtype=np.int64)
    legal = [v for v in {entry.low, entry.high, entry.low // 2, 1} if entry.low <= v <= entry.high]
    for sample, step in np.ndindex(samples, steps):
        density = rng.choice([0, 0.3, 0.6, 1])
        for place in product(*(range(size) for size in entry.shape)):
            if rng.random() < density:
                values[(sample, step, *place)] = rng.choice(legal)
    return values


def events_of(raster: IntArray, *, restarts: bool = True) -> list[list[Event]]:
    """For each step its events: positions in order, and in each the channels."""
    shape = raster.shape[2:]
    none = (0,) * len(shape)
    steps = []
    for sample, step in np.ndindex(raster.shape[:2]):
        events: list[Event] = []
        if step == 0 and restarts:
            events.append((EventKind.RESTART.value, none, 0))
        for position in product(*(range(size) for size in shape[1:])):
            for channel in range(shape[0]):
                place = (channel, *position)
                if count := int(raster[(sample, step, *place)]):
                    events.append((EventKind.SPIKE.value, place, count))
        events.append((EventKind.TICK.value, none, 0))
        steps.append(events)
    return steps


def words(port: Any, events: list[Event]) -> list[int]:
    layout = port.payload.shape()
    result = []
    for kind, place, count in events:
        names = NAMES[len(place)]
        address = dict(zip(names, place, strict=True)) if names else place[0]
        fields = {"kind": EventKind(kind), "address": address, "count": count}
        result.append(layout.const(fields).as_bits())
    return result


def unpacked(port: Any, raw: list[int], rank: int) -> list[Event]:
    layout = port.payload.shape()
    events = []
    for word in raw:
        event = layout.from_bits(word)
        address = event["address"]
        place = tuple(address[name] for name in NAMES[rank]) if rank > 1 else (address,)
        events.append((event["kind"].value, place, event["count"]))
    return events


def named_ports(top: NetworkTop, prefix: str, names: list[str]) -> dict[str, Any]:
    if len(names) == 1:
        return {names[0]: getattr(top, prefix)}
    return {name: getattr(top, f"{prefix}_{k}") for k, name in enumerate(names)}


def draw_lanes(rng: random.Random, net: FixedNetwork) -> list[int]:
    return [rng.randint(1, 4) for _ in net.populations]


def draw_stimulus(
    rng: random.Random, net: FixedNetwork, samples: int, steps: int
) -> dict[str, IntArray]:
    return {name: draw_values(rng, entry, samples, steps) for name, entry in net.inputs.items()}


def recorded(net: FixedNetwork, values: dict[str, IntArray]) -> Any:
    return run_fixed(net, next(iter(values.values())) if len(values) == 1 else values)


def shuffled(rng: random.Random, step: list[Event]) -> list[Event]:
    """A step with its spikes in any order."""
    spikes = [event for event in step if event[0] == EventKind.SPIKE.value]
    rng.shuffle(spikes)
    return step[: -1 - len(spikes)] + spikes + step[-1:]


LOOPS: list[Make] = [
    recurrent_dense,
    recurrent_diagonal,
    recurrent_without_maps,
    loop_of_two,
    residual,
    lines,
    *ONE_BY_ONE,
]


@pytest.mark.parametrize("pace", range(4))
@pytest.mark.parametrize(
    ("make", "steps"), [*((make, 6) for make in MAKES), *((make, 1) for make in LOOPS)]
)
def test_events(bench: Any, make: Make, pace: int, steps: int) -> None:
    """Sequences of one step, too: what a loop brings of the one before must not come late."""
    rng = random.Random(f"{make.__name__} {pace} {steps}")
    net = make(rng)
    samples = 12 if steps == 1 else 2
    values = draw_stimulus(rng, net, samples, steps)
    recording = recorded(net, values)
    top = NetworkTop(net, draw_lanes(rng, net))
    # What the sidecar promises: never so long between two events.
    b = bench(top, seed=pace, patience=describe(top, "top", "test")["patience"])
    for name, port in named_ports(top, "i", list(net.inputs)).items():
        steps_sent = events_of(values[name])
        if name not in net.outputs.values():
            steps_sent = [shuffled(rng, step) for step in steps_sent]
        events = [event for step in steps_sent for event in step]
        b.source(port, words(port, events), chance=PACES[pace][0])
    sinks = {
        name: (port, b.sink(port, chance=PACES[pace][1]))
        for name, port in named_ports(top, "o", list(net.outputs)).items()
    }
    expected = {
        name: [event for step in events_of(recording.outputs[name]) for event in step]
        for name in net.outputs
    }

    async def script(ctx: Any) -> None:
        await b.until(
            ctx, lambda: all(len(s.words) >= len(expected[n]) for n, (_, s) in sinks.items())
        )
        await ctx.tick().repeat(30)
        assert not ctx.get(top.error)

    b.run(script)
    for name, (port, sink) in sinks.items():
        rank = len(net.shape(net.outputs[name]))
        assert unpacked(port, sink.words, rank) == expected[name], f"{make.__name__}, {name}"


@pytest.mark.parametrize(("shape", "cycles"), [((6,), 1), ((2, 3, 3), 3)])
def test_resting_populations(bench: Any, shape: Shape, cycles: int) -> None:
    """Of neurons that only currents change, a step without events costs hardly more than a tick."""
    rng = random.Random(5)
    rest = {"decay_rule": DecayRule.NONE, "decay": 0}
    if len(shape) == 1:
        heard = dense(rng, "in", *shape, *shape)
    else:
        heard = Connection(source="in", maps=(convolution(rng, shape, shape[0]),))
    p = population(rng, shape, heard, **rest)
    net = network({"in": FixedInput(shape=shape)}, {"p": p}, "p")
    top = NetworkTop(net, 1)
    assert top.populations[0].gathers == (len(shape) == 1)
    values = np.zeros((1, 50, *shape), np.int64)
    values[:, :2] = 1
    recording = recorded(net, {"in": values})
    events = [event for step in events_of(values) for event in step]
    b = bench(top)
    b.source(top.i, words(top.i, events))
    sink = b.sink(top.o)
    expected = [event for step in events_of(recording.outputs["out p"]) for event in step]
    b.receive(sink, len(expected))
    assert unpacked(top.o, sink.words, len(shape)) == expected
    ticks = [c for c, e in zip(sink.cycles, expected, strict=True) if e[0] == EventKind.TICK.value]
    assert np.diff(ticks)[-40:].tolist() == [cycles] * 40


@pytest.mark.parametrize("make", ONE_BY_ONE)
def test_events_one_by_one_differ_from_their_sum(make: Make) -> None:
    """Else the other tests would show nothing: words overflow, and the order of events matters."""
    net = make(random.Random(make.__name__))
    values = draw_stimulus(random.Random(1), net, 4, 6)
    recording = recorded(net, values)

    def potentials(other: FixedNetwork) -> list[bytes]:
        return [v.astype(np.int64).tobytes() for v in recorded(other, values).membrane.values()]

    def changed(**changes: Any) -> FixedNetwork:
        populations = {
            name: replace(each, **{key: change(each) for key, change in changes.items()})
            for name, each in net.populations.items()
        }
        return FixedNetwork(net.inputs, populations, net.outputs, "test")

    one_by_one = {
        name: each
        for name, each in net.populations.items()
        if each.neurons.accumulation is not Accumulation.STEP
    }
    assert all(recording.overflows[name] > 0 for name in one_by_one)
    right = potentials(net)
    exact = changed(neurons=lambda p: replace(p.neurons, accumulation=Accumulation.STEP))
    assert potentials(exact) != right
    if any(len(each.connections) > 1 for each in one_by_one.values()):
        assert potentials(changed(connections=lambda p: p.connections[::-1])) != right
    for name, each in one_by_one.items():
        if each.neurons.accumulation is Accumulation.SPIKING_EVENT:
            assert recording.spikes[name].max() == each.neurons.max_spikes


@pytest.mark.parametrize("behind", [False, True])
def test_events_that_reach_a_neuron_twice(behind: bool) -> None:
    """By way of two windows, or of two weights: where each event saturates it would be two."""
    rng = random.Random(1)
    conv = convolution(rng, (1, 4), 2)
    if behind:
        maps: tuple[Map, ...] = (conv, Pool((2, 4), (2,), (2,), (0,)))
    else:
        pool = Pool((1, 5), (2,), (1,), (0,))
        maps = (pool, conv)
    a = population(
        rng,
        maps[-1].output_shape,
        Connection(source="in", maps=maps),
        accumulation=Accumulation.EVENT,
    )
    net = network({"in": FixedInput(shape=maps[0].input_shape)}, {"a": a}, "a")
    message = r"^pools from 'in' must neither overlap before weights nor stand behind a convolution"
    with pytest.raises(ValueError, match=message):
        NetworkTop(net, 2)
    exact = replace(a, neurons=replace(a.neurons, accumulation=Accumulation.STEP))
    NetworkTop(FixedNetwork(net.inputs, {"a": exact}, net.outputs, "test"), 2)


@pytest.mark.parametrize("make", MAKES)
def test_probes_show_every_membrane_potential(bench: Any, make: Make) -> None:
    """Every neuron of every population after every step."""
    rng = random.Random(make.__name__)
    net = make(rng)
    values = draw_stimulus(rng, net, 2, 4)
    recording = recorded(net, values)
    # Two lanes for three channels: each position ends with half a row.
    top = NetworkTop(net, 2)
    b = bench(top, seed=1)
    ins = named_ports(top, "i", list(net.inputs))
    sources = {name: b.source(port, chance=0.7) for name, port in ins.items()}
    outs = named_ports(top, "o", list(net.outputs))
    sinks = {name: b.sink(port, chance=0.7) for name, port in outs.items()}
    probes, answers = b.source(top.probe_i), b.sink(top.probe_o)
    rows = [(k, row) for k, p in enumerate(top.populations) for row in range(p.rows)]
    widest = max(p.lanes for p in top.populations)
    sent = {name: events_of(each) for name, each in values.items()}
    comes = {name: np.cumsum([*map(len, events_of(each))]) for name, each in outputs_of(recording)}

    async def script(ctx: Any) -> None:
        for step in range(8):
            for name, source in sources.items():
                source.put(words(ins[name], sent[name][step]))
            await b.until(
                ctx, lambda n=step: all(len(sinks[k].words) == comes[k][n] for k in sinks)
            )
            # A population whose events nobody hears may not have come to its end.
            await ctx.tick().repeat(60)
            rng.shuffle(rows)
            answers.words.clear()
            probes.put({"population": k, "row": row} for k, row in rows)
            await b.until(ctx, lambda: len(answers.words) == len(rows))
            for (k, row), answer in zip(rows, answers.get(), strict=True):
                membrane = [*recording.membrane.values()][k][step // 4, step % 4]
                expected = row_of(membrane, row, top.populations[k])
                expected += [0] * (widest - len(expected))
                assert list(answer) == expected, f"step {step}, population {k}, row {row}"

    b.run(script)


@pytest.mark.parametrize("make", MAKES)
def test_inventory(check_inventory: Callable[[NetworkTop], None], make: Make) -> None:
    rng = random.Random(make.__name__)
    for _ in range(2):
        net = make(rng)
        check_inventory(NetworkTop(net, draw_lanes(rng, net)))


def outputs_of(recording: Any) -> list[tuple[str, IntArray]]:
    return list(recording.outputs.items())


def row_of(membrane: IntArray, row: int, hardware: Population) -> list[int]:
    """Potentials of a row: a position's channels, as many at once as there are lanes."""
    channels = len(membrane)
    groups = -(-channels // hardware.lanes)
    position, group = divmod(row, groups)
    column = membrane.reshape(channels, -1)[:, position].tolist()
    return column[group * hardware.lanes : (group + 1) * hardware.lanes]


@pytest.mark.parametrize("make", MAKES)
def test_reset_at_any_time(bench: Any, make: Make) -> None:
    """Exact afterwards without a restart event."""
    rng = random.Random(make.__name__)
    net = make(rng)
    top = NetworkTop(net, draw_lanes(rng, net))
    b = bench(top, seed=2)
    ins = named_ports(top, "i", list(net.inputs))
    sources = {name: b.source(port) for name, port in ins.items()}
    outs = named_ports(top, "o", list(net.outputs))
    sinks = {name: b.sink(port, chance=0.7) for name, port in outs.items()}
    values = draw_stimulus(rng, net, 1, 5)
    recording = recorded(net, values)
    expected = {
        name: [e for step in events_of(each, restarts=False) for e in step]
        for name, each in outputs_of(recording)
    }

    async def script(ctx: Any) -> None:
        for _ in range(5):
            for name, garbage in draw_stimulus(rng, net, 4, 3).items():
                for step in events_of(garbage):
                    sources[name].put(words(ins[name], step))
            await ctx.tick().repeat(rng.randint(1, 200))
            await b.reset(ctx, *sources.values(), *sinks.values())
        for name, each in values.items():
            for step in events_of(each, restarts=False):
                sources[name].put(words(ins[name], step))
        await b.until(ctx, lambda: all(len(sinks[n].words) >= len(expected[n]) for n in sinks))
        await ctx.tick().repeat(30)

    b.run(script)
    for name, sink in sinks.items():
        rank = len(net.shape(net.outputs[name]))
        assert unpacked(outs[name], sink.words, rank) == expected[name], name


@pytest.mark.parametrize(
    ("make", "gathers"),
    [
        (recurrent_dense, [True]),
        (recurrent_diagonal, [False]),
        (two_inputs, [False, True]),
        (pooled, [False, False]),
        (potentials, [False, True]),
        (late_biases, [False, True]),
        (saturating, [False, True]),
        (spiking, [False]),
    ],
)
def test_engine(make: Make, gathers: list[bool]) -> None:
    """Flat populations whose connections are all dense gather; any other scatters."""
    net = make(random.Random(1))
    assert [p.gathers for p in NetworkTop(net, 2).populations] == gathers


def test_ports() -> None:
    net = two_inputs(random.Random(1))
    top = NetworkTop(net, 2)
    assert {"i_0", "i_1", "o_0", "o_1", "o_2"} <= set(top.signature.members)
    assert {"i", "o"}.isdisjoint(top.signature.members)
    assert list(top.input_layouts) == ["image", "line"]
    assert list(top.output_layouts) == ["out a", "out b", "out line"]
    assert top.i_0.payload.shape() == top.input_layouts["image"]
    assert top.output_layouts["out line"] == top.input_layouts["line"]


@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 5), (1, 1, 1), (4, 2)])
@pytest.mark.parametrize(("least", "most"), [(0, 1), (0, 5), (-5, 4), (-3, 0)])
def test_guard(bench: Any, shape: Shape, least: int, most: int) -> None:
    """Anything that the port can carry: only sources that exist, and values within the range."""
    rng = random.Random(math.prod(shape) + most)
    guard = EventGuard(shape, most, least)
    layout = guard.i.payload.shape()
    events = [rng.randrange(1 << layout.size) for _ in range(300)]
    passed, spikes, errors = [], 0, 0
    for word in events:
        (event,) = unpacked_raw(layout, word, len(shape))
        kind, place, count = event
        legal = kind in (1, 2) or (
            kind == 0
            and all(at < size for at, size in zip(place, shape, strict=True))
            and least <= count <= most
            and count != 0
            and spikes < math.prod(shape)
        )
        spikes = 0 if legal and kind else spikes + legal
        errors += not legal
        passed += [word] if legal else []
    b = bench(guard, seed=1)
    source = b.source(guard.i, events, chance=0.8)
    sink = b.sink(guard.o, chance=0.8)

    async def script(ctx: Any) -> None:
        await b.until(ctx, lambda: len(source.cycles) == len(events))
        await ctx.tick().repeat(3)
        assert ctx.get(guard.error) == (errors > 0)

    b.run(script)
    assert sink.words == passed


def unpacked_raw(layout: Any, word: int, rank: int) -> list[Event]:
    kind, count = layout["kind"], layout["count"]
    value = word >> count.offset
    if count.shape.signed and value >> (count.width - 1):
        value -= 1 << count.width
    inner = word >> layout["address"].offset
    fields = layout["address"].shape
    place = tuple(inner >> fields[n].offset & ((1 << fields[n].width) - 1) for n in NAMES[rank])
    return [(word >> kind.offset & 3, place, value)]


def test_population_that_hears_loops_alone() -> None:
    """Nothing would ever begin its first step."""
    rng = random.Random(1)
    populations = {
        "a": population(rng, (3,), dense(rng, "in", 2, 3)),
        "b": population(rng, (3,), dense(rng, "b", 3, 3, delay=1)),
    }
    net = network({"in": FixedInput(shape=(2,))}, populations, "a")
    with pytest.raises(ValueError, match=r"^population 'b' must hear a source that closes no loop"):
        NetworkTop(net, 2)


def test_population_that_hears_nothing() -> None:
    rng = random.Random(1)
    populations = {
        "a": population(rng, (3,), dense(rng, "in", 2, 3)),
        "b": population(rng, (3,)),
    }
    net = network({"in": FixedInput(shape=(2,))}, populations, "a")
    with pytest.raises(ValueError, match=r"^population 'b' must hear a source that closes no loop"):
        NetworkTop(net, 2)


@pytest.mark.parametrize("whole_steps", [False, True])
def test_guard_of_restarts_in_mid_step(bench: Any, whole_steps: bool) -> None:
    """What several sources make one step of cannot be taken back by one of them."""
    guard = EventGuard(3, 1, whole_steps=whole_steps)
    b = bench(guard)
    kinds = [EventKind.RESTART, EventKind.SPIKE, EventKind.RESTART, EventKind.TICK]
    kinds += [EventKind.RESTART, EventKind.TICK]
    spike = EventKind.SPIKE
    events = [{"kind": k, "address": 0, "count": int(k is spike)} for k in kinds]
    b.source(guard.i, events)
    sink = b.sink(guard.o)
    expected = [k for n, k in enumerate(kinds) if not (whole_steps and n == 2)]
    found = []

    async def script(ctx: Any) -> None:
        await b.until(ctx, lambda: len(sink.words) == len(expected))
        await ctx.tick()
        found.append(ctx.get(guard.error))

    b.run(script)
    assert [word["kind"] for word in sink.get()] == expected
    assert found == [int(whole_steps)]


@pytest.mark.parametrize("make", [spiking_image, single_flat])
def test_restart_in_mid_step(bench: Any, make: Make) -> None:
    """Illegal where events act one by one: what has been sorted cannot be taken back."""
    rng = random.Random(1)
    net = make(rng)
    net = FixedNetwork(net.inputs, {"a": net.populations["a"]}, {"out": "a"}, "test")
    top = NetworkTop(net, 2)
    b = bench(top)
    values = draw_stimulus(rng, net, 1, 2)["in"]
    values.reshape(1, 2, -1)[:, :, 0] = net.inputs["in"].low or 1
    steps = events_of(values)
    restart = steps[0][0]
    b.source(top.i, words(top.i, [*steps[0][:-1], restart, *steps[0][-1:], *steps[1]]))
    sink = b.sink(top.o)
    legal = make is single_flat
    if legal:
        # What came before it is forgotten.
        values[:, 0] = 0
    expected = [e for step in events_of(recorded(net, {"in": values}).output) for e in step]

    async def script(ctx: Any) -> None:
        await b.until(ctx, lambda: len(sink.words) >= len(expected))
        await ctx.tick().repeat(30)
        assert ctx.get(top.error) == (not legal)

    b.run(script)
    assert unpacked(top.o, sink.words, len(net.shape("a"))) == expected
