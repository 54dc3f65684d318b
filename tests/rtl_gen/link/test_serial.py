"""A network behind a serial line, from bytes to bytes."""

import random
from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from general_networks import Make, loop_of_two, two_inputs

from spikeloom.reference.dense import FixedDense, dense_layers, fixed_stack
from spikeloom.reference.events import events_to_raster, raster_to_events
from spikeloom.reference.fixed import QFormat
from spikeloom.reference.link_codec import decode_events, encode_events
from spikeloom.reference.network import FixedInput, FixedNetwork
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.simulate import run_fixed
from spikeloom.rtl_gen.events import event_stream
from spikeloom.rtl_gen.link.serial import WEIGHT, SerialNetwork, weight_bytes
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.weights import WeightStore

DIVISOR = 8


def small_network() -> FixedNetwork:
    rng = np.random.default_rng(0)
    layers = [
        FixedDense(
            weight=rng.integers(-40, 100, (inputs, size)),
            weight_width=8,
            neurons=NeuronConfig(
                size=size, state=QFormat(word_length=12), current_width=8, threshold=100
            ),
        )
        for inputs, size in ((10, 6), (6, 3))
    ]
    return fixed_stack(tuple(layers), "test")


class Deaf(wiring.Component):
    """A network that takes nothing."""

    def __init__(self) -> None:
        ports = {"i": In(event_stream(64)), "o": Out(event_stream(64)), "error": Out(1)}
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        return Module()


def run(dut: SerialNetwork, levels: list[int], patience: int):
    """Level of tx in each cycle, cycles of ``spike``, and ``error`` in each cycle."""
    sent, spikes, errors = [], 0, []

    async def bench(ctx):
        nonlocal spikes
        ctx.set(dut.rx, 1)
        await ctx.tick().repeat(4)
        for level in [*levels, *[1] * patience]:
            ctx.set(dut.rx, level)
            tx, spike, error = ctx.get(dut.tx), ctx.get(dut.spike), ctx.get(dut.error)
            sent.append(tx)
            errors.append(error)
            spikes += spike
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return sent, spikes, errors


def test_init() -> None:
    network = Deaf()
    assert SerialNetwork(network, DIVISOR).network is network


def test_wrong_divisor() -> None:
    with pytest.raises(ValueError, match=r"^divisor must be at least 8, not 1$"):
        SerialNetwork(Deaf(), 1)


def test_wrong_network() -> None:
    network = Deaf()
    network.o = stream.Signature(8).create()
    with pytest.raises(TypeError, match=r"^port o of the network must carry events, not unsigned"):
        SerialNetwork(network, DIVISOR)


@pytest.mark.parametrize(
    ("make", "message"), [(two_inputs, "not 2 and 3"), (loop_of_two, "not 1 and 2")]
)
def test_several_inputs_or_outputs(make: Make, message: str) -> None:
    top = NetworkTop(make(random.Random(1)), 2)
    rule = "^a network on a serial line must have one input and one output, "
    with pytest.raises(ValueError, match=rf"{rule}{message}$"):
        SerialNetwork(top, DIVISOR)


def test_equals_golden_model(line_levels, line_bytes) -> None:
    network = small_network()
    inputs, outputs = (
        dense_layers(network)[0].weight.shape[0],
        dense_layers(network)[-1].neurons.size,
    )
    raster = np.random.default_rng(1).random((2, 6, inputs)) < 0.4
    expected = run_fixed(network, raster).output
    assert 0 < expected.sum() < expected.size
    data = encode_events(raster_to_events(raster), inputs)
    answer_bytes = len(encode_events(raster_to_events(expected), outputs))
    dut = SerialNetwork(NetworkTop(network, 2), DIVISOR)
    sent, spikes, errors = run(dut, line_levels(data, DIVISOR), 10 * DIVISOR * (answer_bytes + 10))
    answer = decode_events(line_bytes(sent, DIVISOR), outputs)
    assert np.array_equal(events_to_raster(answer, 6, outputs), expected)
    assert spikes == expected.sum()
    assert not any(errors)


def test_weights_come_over_the_line(line_levels, line_bytes) -> None:
    network = small_network()
    first, second = (each.weight for each in dense_layers(network))
    raster = np.random.default_rng(2).random((1, 4, 10)) < 0.4
    expected = run_fixed(network, raster).output
    assert expected.any()
    top = NetworkTop(network, (4, 3), (WeightStore.LOADED_BLOCK, WeightStore.SPRAM))
    with pytest.raises(ValueError, match="events of 5 bits must be of so many, not 8"):
        SerialNetwork(top, DIVISOR)
    wide = replace(network, inputs={"input": FixedInput(shape=(10,), high=15)})
    top = NetworkTop(wide, (4, 3), (WeightStore.LOADED_BLOCK, WeightStore.SPRAM))
    weights = [
        int(weight[k, lane] if lane < weight.shape[1] else 0)
        for weight, lanes in ((first, 4), (second, 3))
        for row in range(-(-weight.shape[1] // lanes))
        for k in range(len(weight))
        for lane in range(row * lanes, row * lanes + lanes)
    ]
    events = [(WEIGHT, (w & 255) >> 4, w & 15) for w in weights]
    loading = encode_events(events, 10, 15)
    assert weight_bytes(top) == loading
    data = loading + encode_events(raster_to_events(raster), 10, 15)
    dut = SerialNetwork(top, DIVISOR)
    sent, _, errors = run(dut, line_levels(data, DIVISOR), 10 * DIVISOR * 40)
    answer = decode_events(line_bytes(sent, DIVISOR), 3)
    assert np.array_equal(events_to_raster(answer, 4, 3), expected)
    assert not any(errors)


@pytest.mark.parametrize(
    "levels",
    [
        pytest.param("illegal", id="illegal event"),
        pytest.param("framing", id="no stop bit"),
    ],
)
def test_error(line_levels, levels: str) -> None:
    if levels == "illegal":
        wave = line_levels(encode_events([(3, 0, 0)], 10), DIVISOR)
    else:
        wave = [0] * 10 * DIVISOR
    dut = SerialNetwork(NetworkTop(small_network(), 2), DIVISOR)
    _, _, errors = run(dut, wave, 40)
    assert errors[0] == 0
    assert errors[-10:] == [1] * 10


def test_queue_takes_what_it_promises(line_levels) -> None:
    """512 bytes wait, those that are soon too many are lost, and ``error`` says so."""
    dut = SerialNetwork(Deaf(), DIVISOR)
    data = encode_events([(1, 0, 0)] * (512 // 2 + 4), 64)
    _, _, errors = run(dut, line_levels(data, DIVISOR), 40)
    assert not any(errors[: 10 * DIVISOR * 512 + 40])
    assert errors[-1] == 1
