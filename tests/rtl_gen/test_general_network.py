"""Networks beyond stacks in hardware against the golden model: every event, every potential."""

import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from general_networks import (
    MAKES,
    NAMES,
    ONE_BY_ONE,
    Event,
    Make,
    convolution,
    dense,
    draw_lanes,
    draw_stimulus,
    events_of,
    late_biases,
    lines,
    loop_of_two,
    named_ports,
    network,
    pooled,
    population,
    potentials,
    recorded,
    recurrent_dense,
    recurrent_diagonal,
    recurrent_without_maps,
    residual,
    saturating,
    shuffled,
    single_flat,
    spiking,
    spiking_image,
    two_inputs,
    unpacked,
    words,
)

from spikeloom.reference.fixed import IntArray
from spikeloom.reference.maps import Map, Pool, Shape
from spikeloom.reference.network import (
    Connection,
    FixedInput,
    FixedNetwork,
)
from spikeloom.reference.neuron_fixed import DecayRule
from spikeloom.reference.profile import Accumulation
from spikeloom.rtl_gen.emit import describe
from spikeloom.rtl_gen.events import EventKind
from spikeloom.rtl_gen.network import EventGuard, NetworkTop, Population

PACES = [(1.0, 1.0), (0.4, 1.0), (1.0, 0.3), (0.6, 0.6)]
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
    assert top.input_ports == {"image": "i_0", "line": "i_1"}
    assert top.output_ports == {"out a": "o_0", "out b": "o_1", "out line": "o_2"}
    sidecar = describe(top, "top", "test")
    assert sidecar["inputs"] == top.input_ports
    assert sidecar["outputs"] == top.output_ports
    assert top.i_0.payload.shape() == top.input_layouts["image"]
    assert top.output_layouts["out line"] == top.input_layouts["line"]


@pytest.mark.parametrize(
    ("make", "outputs", "followed"),
    [
        (loop_of_two, "a", False),
        (loop_of_two, "b", True),
        (loop_of_two, "ab", True),
        (residual, "a", False),
        (residual, "b", True),
        (recurrent_dense, "a", True),
    ],
)
def test_followed(make: Make, outputs: str, followed: bool) -> None:
    """Whether a step's end at the outputs says that it has ended everywhere."""
    net = replace(make(random.Random(1)), outputs={name: name for name in outputs})
    top = NetworkTop(net, 2)
    assert top.followed is followed
    assert bool(describe(top, "top", "test")["settling"]) is not followed


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
