"""Networks beyond stacks, drawn by chance, with what goes in and out of them."""

import math
import random
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

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
from spikeloom.rtl_gen.events import EventKind
from spikeloom.rtl_gen.network import NetworkTop

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


def anything(rng: random.Random) -> FixedNetwork:
    """Populations of any shape and kind that hear each other in any way."""
    shapes: dict[str, Shape] = {
        name: rng.choice([(1,), (5,), (11,), (3, 4), (2, 3, 2), (9, 2, 1)])
        for name in [*("in", "on")[: rng.randint(1, 2)], *"abcd"[: rng.randint(1, 4)]]
    }
    inputs = [name for name in shapes if len(name) == 2]
    names = [name for name in shapes if len(name) == 1]
    # Words, too, unless events act one by one.
    low = rng.choice([0, 0, -3])
    populations = {}
    for k, name in enumerate(names):
        heard = [*names[max(0, k - 1) : k], rng.choice(inputs)]
        heard += [rng.choice(list(shapes)) for _ in range(rng.choice([0, 0, 1, 2]))]
        connections = [
            any_connection(rng, each, shapes, name, loop=each in names[k:]) for each in heard
        ]
        rng.shuffle(connections)
        options: dict[str, Any] = {"current_width": 8, "refractory_steps": rng.choice([0, 0, 2])}
        if rng.random() < 0.3:
            options["synapse"] = SynapseConfig(
                state=QFormat(word_length=9), decay_rule=DecayRule.SHIFT, decay=2
            )
        if low < 0 and rng.random() < 0.3:
            options |= {"emission": Emission.POTENTIAL, "max_spikes": 1}
        elif low == 0 and rng.random() < 0.3:
            options["accumulation"] = Accumulation.EVENT
        populations[name] = population(rng, shapes[name], *connections, **options)
    entries = {name: FixedInput(shape=shapes[name], low=low, high=2) for name in inputs}
    return network(entries, populations, *rng.sample(list(shapes), rng.randint(1, len(shapes))))


def any_connection(
    rng: random.Random, source: str, shapes: dict[str, Shape], target: str, *, loop: bool
) -> Connection:
    before, after = shapes[source], shapes[target]
    maps: tuple[Map, ...]
    if before == after and rng.random() < 0.4:
        maps = rng.choice([(), (Diagonal(array(rng, -9, 12, *before)),)])
    elif len(before) > 1 and before[1:] == after[1:] and rng.random() < 0.8:
        maps = (convolution(rng, before, after[0]),)
    else:
        size, count = math.prod(before), math.prod(after)
        weights = Dense(array(rng, -12, 20, size, count))
        maps = (Reshape(before, (size,)), weights, Reshape((count,), after))
        maps = maps[len(before) == 1 : len(maps) - (len(after) == 1)]
    delay = rng.choice([0, 0, 1, 2, array(rng, 0, 2, *before)])
    return Connection(source=source, maps=maps, delay=delay + loop, shift=rng.choice([0, 1]))


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
