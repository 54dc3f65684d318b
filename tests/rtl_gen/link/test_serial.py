"""A network behind a framed line, from levels of the line to levels of the line."""

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from general_networks import (
    Make,
    dense,
    draw_stimulus,
    loop_of_two,
    network,
    population,
    two_inputs,
)

from spikeloom.reference.events import SPIKE, TICK, events_to_raster, raster_to_events
from spikeloom.reference.link_codec import decode_events, encode_events
from spikeloom.reference.link_frames import (
    MOST_PAYLOAD,
    Answer,
    Frame,
    FrameReader,
    Order,
    order_bytes,
)
from spikeloom.reference.network import FixedInput, FixedNetwork
from spikeloom.reference.profile import Accumulation
from spikeloom.reference.scenario import Scenario
from spikeloom.reference.simulate import run_fixed
from spikeloom.rtl_gen.events import event_stream
from spikeloom.rtl_gen.link.linked import LinkedNetwork, identity, weight_bytes, weight_width
from spikeloom.rtl_gen.link.serial import SerialNetwork
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.neuron import NeuronArray
from spikeloom.rtl_gen.protection import Protection
from spikeloom.rtl_gen.weights import WeightMemory, WeightStore

DIVISOR = 8


def small_network(most: int = 1) -> FixedNetwork:
    rng = random.Random(3)
    hidden = population(rng, (6,), dense(rng, "in", 10, 6))
    out = population(rng, (3,), dense(rng, "hidden", 6, 3))
    return network(
        {"in": FixedInput(shape=(10,), high=most)}, {"hidden": hidden, "out": out}, "out"
    )


def three_layers() -> FixedNetwork:
    rng = random.Random(4)
    sizes = {"in": 10, "a": 4, "b": 5, "c": 3}
    names = list(sizes)
    populations = {
        name: population(rng, (sizes[name],), dense(rng, before, sizes[before], sizes[name]))
        for before, name in pairwise(names)
    }
    return network({"in": FixedInput(shape=(10,))}, populations, "c")


def unheard() -> FixedNetwork:
    """A population that nobody hears, and that is slow."""
    rng = random.Random(5)
    populations = {
        "a": population(rng, (40,), dense(rng, "in", 10, 40)),
        "b": population(rng, (2,), dense(rng, "in", 10, 2)),
    }
    return network({"in": FixedInput(shape=(10,))}, populations, "b")


def one_by_one() -> FixedNetwork:
    """Neurons to which events have been added before the tick."""
    rng = random.Random(6)
    a = population(rng, (3,), dense(rng, "in", 10, 3), accumulation=Accumulation.EVENT)
    return network({"in": FixedInput(shape=(10,))}, {"a": a}, "a")


def serial(top: Any, monitor: bool = False) -> Any:
    return SerialNetwork(LinkedNetwork(top, monitor), DIVISOR)


def converse(
    dut: SerialNetwork, levels: list[int], line_bytes: Callable[..., bytes], patience: int
) -> tuple[list[Frame], int]:
    """What the device answers to levels of its line, and how often ``spike`` was high."""
    sent, spikes = [], 0

    async def bench(ctx: Any) -> None:
        nonlocal spikes
        ctx.set(dut.rx, 1)
        await ctx.tick().repeat(4)
        for level in [*levels, *[1] * patience]:
            ctx.set(dut.rx, level)
            sent.append(ctx.get(dut.tx))
            spikes += ctx.get(dut.spike)
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    reader = FrameReader(1000)
    frames = list(reader.feed(line_bytes(sent, DIVISOR)))
    assert reader.broken == 0
    return frames, spikes


def orders(data: bytes, first: int = 0) -> list[Frame]:
    """Bytes of events in frames, numbered from the first on."""
    parts = [data[k : k + MOST_PAYLOAD] for k in range(0, len(data), MOST_PAYLOAD)]
    return [Frame(Order.EVENTS, (first + k) % 16, part) for k, part in enumerate(parts)]


def events_in(frames: list[Frame]) -> bytes:
    return b"".join(each.payload for each in frames if each.kind == Answer.EVENTS)


def test_equals_golden_model(line_levels: Any, line_bytes: Any) -> None:
    net = small_network()
    raster = draw_stimulus(random.Random(1), net, 2, 6)["in"]
    expected = run_fixed(net, raster).output
    assert expected.sum() > 0
    dut = serial(NetworkTop(net, 2))
    frames = [Frame(Order.IDENTIFY, 7), *orders(encode_events(raster_to_events(raster), 10), 8)]
    wire = b"".join(map(order_bytes, frames))
    answers, spikes = converse(dut, line_levels(wire, DIVISOR), line_bytes, 10_000)
    assert answers[0] == Frame(Answer.IDENTITY, 7, dut.linked.identity)
    done = [each.number for each in answers if each.kind == Answer.DONE]
    assert done == [each.number for each in frames[1:]]
    most = net.sent("out")[1]
    events = decode_events(events_in(answers), 3, most)
    assert np.array_equal(events_to_raster(events, 6, 3), expected)
    assert spikes == np.count_nonzero(expected)


def test_identity() -> None:
    """Version 1, nothing loaded, events of 1 and 1 bytes, a queue of 512; then the network."""
    net = small_network()
    own = identity(NetworkTop(net, 2))
    assert own[:8].hex(" ") == "01 00 01 01 02 00 00 00"
    assert own[16:] == b"test 10-6-3 weights 8 states 12"
    assert identity(NetworkTop(small_network(), 2)) == own
    others = [NetworkTop(net, 1), NetworkTop(small_network(2), 2)]
    others.append(NetworkTop(net, 2, WeightStore.BLOCK))
    assert len({own[8:], *(identity(each)[8:] for each in others)}) == 4


def test_weights_again_after_a_reset(line_levels: Any, line_bytes: Any) -> None:
    """Half of the weights, a reset, and all of them: the loader begins anew. The weights are wider
    than what the events need."""
    net = small_network()
    stores = (WeightStore.LOADED_BLOCK, WeightStore.SPRAM)
    top = NetworkTop(net, (4, 3), stores)
    raster = draw_stimulus(random.Random(2), net, 1, 4)["in"]
    expected = run_fixed(net, raster).output
    weights = weight_bytes(top)
    events = encode_events(raster_to_events(raster), 10, room=weight_width(top))
    begun = orders(weights[: len(weights) // 4 * 2], 1)
    rest = orders(weights + events, 3 + len(begun))
    frames = [Frame(Order.IDENTIFY, 0), *begun, Frame(Order.RESET, 2 + len(begun)), *rest]
    dut = serial(top)
    assert dut.linked.identity[1] == 1
    wire = b"".join(map(order_bytes, frames))
    answers, _ = converse(dut, line_levels(wire, DIVISOR), line_bytes, 10_000)
    assert all(each.kind != Answer.REFUSED for each in answers)
    events = decode_events(events_in(answers), 3, net.sent("out")[1])
    assert np.array_equal(events_to_raster(events, 4, 3), expected)


def test_nonsense_has_no_effect(line_levels: Any, line_bytes: Any) -> None:
    """A flipped bit, a break of the line, a frame out of turn; the good ones are all obeyed."""
    net = small_network()
    raster = draw_stimulus(random.Random(4), net, 1, 3)["in"]
    expected = run_fixed(net, raster).output
    (first, *_) = frames = orders(encode_events(raster_to_events(raster), 10), 1)
    flipped = bytearray(order_bytes(first))
    flipped[3] ^= 4
    levels = line_levels(order_bytes(Frame(Order.IDENTIFY, 0)) + bytes(flipped), DIVISOR)
    levels += [0] * 20 * DIVISOR + [1] * 20
    levels += line_levels(order_bytes(replace(first, number=9)), DIVISOR)
    levels += line_levels(b"".join(map(order_bytes, frames)), DIVISOR)
    levels += line_levels(order_bytes(Frame(Order.STATUS, len(frames) + 1)), DIVISOR)
    dut = serial(NetworkTop(net, 2))
    answers, _ = converse(dut, levels, line_bytes, 10_000)
    refused = [each.number for each in answers if each.kind == Answer.REFUSED]
    assert set(refused) == {1}
    assert Frame(Answer.STATUS, len(frames) + 1, b"\0") in answers
    events = decode_events(events_in(answers), 3, net.sent("out")[1])
    assert np.array_equal(events_to_raster(events, 3, 3), expected)


def test_status_of_an_illegal_event(line_levels: Any, line_bytes: Any) -> None:
    """Kind 3 is no event here; the error lasts until a reset."""
    illegal = encode_events([(3, 0, 0)], 10)
    frames = [Frame(Order.RESET, 15), Frame(Order.EVENTS, 0, illegal), Frame(Order.STATUS, 1)]
    frames += [Frame(Order.RESET, 2), Frame(Order.STATUS, 3)]
    frames += [Frame(9, 4, b"what?"), Frame(Order.IDENTIFY, 5, b"more")]
    dut = serial(NetworkTop(small_network(), 2))
    wire = b"".join(map(order_bytes, frames))
    answers, _ = converse(dut, line_levels(wire, DIVISOR), line_bytes, 6000)
    assert answers == [
        Frame(Answer.DONE, 15),
        Frame(Answer.DONE, 0),
        Frame(Answer.STATUS, 1, b"\1"),
        Frame(Answer.DONE, 2),
        Frame(Answer.STATUS, 3, b"\0"),
        Frame(Answer.DONE, 4),
        Frame(Answer.IDENTITY, 5, dut.linked.identity),
    ]


@pytest.mark.parametrize(("part", "status"), [("weights", 4), ("state", 8)])
def test_status_of_a_wrong_memory(
    line_levels: Any, line_bytes: Any, monkeypatch: pytest.MonkeyPatch, part: str, status: int
) -> None:
    """A bit of each weight, or two of each state, flip between two samples."""
    component, name = {"weights": (WeightMemory, "memory"), "state": (NeuronArray, "state")}[part]
    elaborate = component.elaborate
    memories: list[Any] = []

    def kept(self: Any, platform: object) -> Any:
        module = elaborate(self, platform)
        memories.append(getattr(module.submodules, name).data)
        return module

    monkeypatch.setattr(component, "elaborate", kept)
    net = small_network()
    raster = draw_stimulus(random.Random(6), net, 1, 5)["in"]
    events = orders(encode_events(raster_to_events(raster), 10), 2)
    # Without a restart what follows is of the same sample.
    more = orders(encode_events([(SPIKE, 0, 1), (TICK, 0, 0)], 10), 3 + len(events))
    frames = [Frame(Order.IDENTIFY, 1), *events, Frame(Order.STATUS, 2 + len(events))]
    later = [*more, Frame(Order.STATUS, 3 + len(events) + len(more))]
    dut = serial(NetworkTop(net, 2, protection=Protection(parity=True, ecc=True)))
    assert dut.linked.identity[1] == 0b1100
    levels = [line_levels(b"".join(map(order_bytes, each)), DIVISOR) for each in (frames, later)]

    async def flip(ctx: Any) -> None:
        for memory in memories:
            for row in range(memory.depth):
                word = Value.cast(memory[row])
                ctx.set(word, ctx.get(word) ^ (1 if part == "weights" else 3))

    sent: list[int] = []

    async def talk(ctx: Any) -> None:
        ctx.set(dut.rx, 1)
        await ctx.tick().repeat(4)
        for part in levels:
            for level in [*part, *[1] * 6000]:
                ctx.set(dut.rx, level)
                sent.append(ctx.get(dut.tx))
                await ctx.tick()
            assert ctx.get(dut.error) == (part is levels[1])
            await flip(ctx)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(talk)
    simulator.run()
    answers = list(FrameReader(1000).feed(line_bytes(sent, DIVISOR)))
    told = [each.payload for each in answers if each.kind == Answer.STATUS]
    assert told == [bytes([0]), bytes([status])]


def test_potentials_and_counters(line_levels: Any, line_bytes: Any) -> None:
    """Of the state behind the last step; a RESET makes counters begin anew."""
    net = small_network()
    top = NetworkTop(net, (4, 2))
    raster = draw_stimulus(random.Random(6), net, 1, 5)["in"]
    scenario = Scenario.of(net, raster)
    events = raster_to_events(raster)
    frames = [Frame(Order.RESET, 0), *orders(encode_events(events, 10), 1)]
    rows = [(0, 0), (0, 1), (1, 0), (1, 1)]
    for number, row in rows:
        asked = row << 1 | number
        frames.append(Frame(Order.POTENTIALS, len(frames), bytes([asked])))
    frames += [Frame(Order.COUNTERS, len(frames)), Frame(Order.RESET, len(frames) + 1)]
    frames.append(Frame(Order.COUNTERS, len(frames)))
    dut = serial(top, monitor=True)
    assert dut.linked.identity[1] == 2
    first, second = frames[: len(frames) - 6], frames[len(frames) - 6 :]
    levels = line_levels(b"".join(map(order_bytes, first)), DIVISOR) + [1] * 3000
    levels += line_levels(b"".join(map(order_bytes, second)), DIVISOR)
    answers, _ = converse(dut, levels, line_bytes, 6000)
    found = [each.payload for each in answers if each.kind == Answer.POTENTIALS]
    width = [2 * 4, 2 * 4, 2 * 4, 2 * 4]  # all lanes of the widest population, 12 bits in 2 bytes
    assert [len(each) for each in found] == width
    values = [np.frombuffer(each, ">i2") for each in found]
    hidden, out = (each[0, -1] for each in scenario.membrane)
    assert np.concatenate(values[:2])[:6].tolist() == hidden.tolist()
    assert np.concatenate([each[:2] for each in values[2:]])[:3].tolist() == out.tolist()
    counted = [np.frombuffer(x.payload, ">u4") for x in answers if x.kind == Answer.COUNTERS]
    expected = run_fixed(net, raster).output
    sent = np.count_nonzero(expected) + 5 + 1
    assert counted[0][[0, 2]].tolist() == [len(events), sent]
    assert 10 * DIVISOR * len(encode_events(events, 10)) // 2 < counted[0][3] < len(levels)
    assert counted[1].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("make", [small_network, three_layers, unheard])
def test_potentials_wait_for_steps(line_levels: Any, line_bytes: Any, make: Any) -> None:
    """Asked for right behind a sample, of any number, they are those behind its last step."""
    net = make()
    raster = draw_stimulus(random.Random(6), net, 1, 4)["in"]
    scenario = Scenario.of(net, raster)
    events = encode_events(raster_to_events(raster), 10)
    frames = [Frame(Order.RESET, 0), *orders(events, 1)]
    count = len(net.populations)
    bits = max(1, (count - 1).bit_length())
    # The first row of each population, the first's again for one that there is not.
    for number in range(1 << bits):
        frames.append(Frame(Order.POTENTIALS, len(frames), bytes([number])))
    frames.append(Frame(Order.STATUS, len(frames)))
    levels = line_levels(b"".join(map(order_bytes, frames)), DIVISOR)
    answers, _ = converse(serial(NetworkTop(net, 2), monitor=True), levels, line_bytes, 9000)
    assert [each.kind for each in answers][-1] == Answer.STATUS
    found = [each.payload for each in answers if each.kind == Answer.POTENTIALS]
    first = [each[0, -1].ravel()[:2].tolist() for each in scenario.membrane]
    values = [np.frombuffer(each, ">i2").tolist() for each in found]
    assert values == [first[number if number < count else 0] for number in range(1 << bits)]
    assert np.any(first)


@pytest.mark.parametrize("make", [small_network, one_by_one])
def test_potentials_of_an_open_step(line_levels: Any, line_bytes: Any, make: Any) -> None:
    """They would wait for a tick that comes behind them: the order is done, without an answer."""
    net = make()
    tick = encode_events([(TICK, 0, 0)], 10)
    spike = encode_events([(SPIKE, 4, 1)], 10)
    kinds = [Order.RESET, Order.EVENTS, Order.POTENTIALS, Order.EVENTS, Order.POTENTIALS]
    payloads = [b"", tick + spike, b"\0", tick, b"\0"]
    frames = [Frame(*each) for each in zip(kinds, range(5), payloads, strict=True)]
    levels = line_levels(b"".join(map(order_bytes, frames)), DIVISOR)
    answers, _ = converse(serial(NetworkTop(net, 2), monitor=True), levels, line_bytes, 3000)
    answers = [each for each in answers if each.kind != Answer.EVENTS]
    done = [Answer.DONE] * 4 + [Answer.POTENTIALS]
    assert [(each.kind, each.number) for each in answers] == list(zip(done, range(5), strict=True))


class Deaf(wiring.Component):
    """A network that takes nothing."""

    def __init__(self) -> None:
        ports = {"i": In(event_stream(64)), "o": Out(event_stream(64)), "error": Out(1)}
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        return Module()


def test_wrong_divisor() -> None:
    with pytest.raises(ValueError, match=r"^divisor must be at least 8, not 1$"):
        SerialNetwork(LinkedNetwork(Deaf()), 1)


def test_wrong_network() -> None:
    wrong = Deaf()
    wrong.o = stream.Signature(8).create()
    with pytest.raises(TypeError, match=r"^port o of the network must carry events, not unsigned"):
        serial(wrong)


@pytest.mark.parametrize(
    ("make", "message"), [(two_inputs, "not 2 and 3"), (loop_of_two, "not 1 and 2")]
)
def test_several_inputs_or_outputs(make: Make, message: str) -> None:
    top = NetworkTop(make(random.Random(1)), 2)
    rule = "^a network on a line must have one input and one output, "
    with pytest.raises(ValueError, match=rf"{rule}{message}$"):
        serial(top)


def test_nothing_to_monitor() -> None:
    with pytest.raises(ValueError, match=r"^a monitor must have a NetworkTop whose potentials"):
        serial(Deaf(), monitor=True)
