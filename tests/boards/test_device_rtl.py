"""The host driver against the hardware of a link, byte by byte in a simulator."""

import random
from collections import deque
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator
from general_networks import Make
from model_device import Clock, golden, image, noise, samples, sent_potentials, signed, stack

from spikeloom.boards import device as module
from spikeloom.boards.device import Device
from spikeloom.boards.link_facts import LinkFacts
from spikeloom.boards.top import HostLink
from spikeloom.reference.network import FixedNetwork
from spikeloom.reference.simulate import run_fixed
from spikeloom.rtl_gen.link.linked import LinkedNetwork, weight_bytes
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.weights import WeightStore

GAP = 5
"""Cycles of a byte to the device."""


class SimulatedLine:
    """A line to a simulated device, whose time passes as the line is read."""

    def __init__(self, linked: LinkedNetwork, clock: Clock, rng: random.Random, rate: float):
        self.clock, self.spoil = clock, noise(rng, rate)
        self.linked = linked
        self.coming: deque[int] = deque()
        self.sent = bytearray()
        self.simulator = Simulator(linked)
        self.simulator.add_clock(1e-6)
        self.simulator.add_testbench(self.host, background=True)

    async def host(self, ctx: Any) -> None:
        i, o = self.linked.i, self.linked.o
        ctx.set(o.ready, 1)
        wait = 0
        while True:
            if self.coming and not wait:
                ctx.set(i.payload, self.coming[0])
                ctx.set(i.valid, 1)
            _, _, ready, valid, byte = await ctx.tick().sample(i.ready, o.valid, o.payload)
            wait = max(0, wait - 1)
            if ctx.get(i.valid) and ready:
                self.coming.popleft()
                ctx.set(i.valid, 0)
                wait = GAP
            if valid:
                self.sent.append(byte)

    def write(self, data: bytes) -> None:
        self.coming.extend(self.spoil(data))

    def read_some(self) -> bytes:
        self.clock.now += 1e-3
        self.simulator.run_until(self.clock.now * 0.2)
        data = self.spoil(bytes(self.sent))
        self.sent.clear()
        return data

    def close(self) -> None:
        pass


def loaded(rng: random.Random) -> FixedNetwork:
    return stack(rng, high=15)


@pytest.mark.parametrize(
    ("make", "store", "rate"),
    [
        (loaded, WeightStore.SPRAM, 0),
        (loaded, WeightStore.SPRAM, 0.002),
        (signed, WeightStore.AUTO, 0),
        (image, WeightStore.AUTO, 0),
        (sent_potentials, WeightStore.AUTO, 0),
    ],
    ids=["loaded", "noise", "signed", "image", "potentials"],
)
def test_equals_golden_model(
    make: Make, store: WeightStore, rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    net = make(random.Random(3))
    top = NetworkTop(net, 2, store)
    facts = LinkFacts.of(top, HostLink(monitor=True), 1_000_000)
    line = SimulatedLine(LinkedNetwork(top, True), clock, random.Random(7), rate)
    raster = samples(net, 3, 4)
    with Device(line, facts, weight_bytes(top), timeout=0.05) as device:
        if not rate:
            counted = device.counters()
            assert counted["events_in"] == counted["events_out"] == 0
        assert np.array_equal(device.run(raster), golden(net, raster))
        membrane = run_fixed(net, raster).membrane
        for name, values in device.potentials().items():
            assert np.array_equal(values, membrane[name][-1, -1])
        assert not device.illegal()
        if not rate:
            counted = device.counters()
            spikes = np.count_nonzero(golden(net, raster))
            assert counted["events_in"] == 3 * 5 + np.count_nonzero(raster)
            assert counted["events_out"] == 3 * 5 + spikes
            assert counted["cycles"] > 0
