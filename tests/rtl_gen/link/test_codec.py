"""Events as bytes: the hardware against its software twin."""

import numpy as np
import pytest
from amaranth.hdl import Value
from amaranth.sim import Simulator

from spikeloom.reference.link_codec import decode_events, encode_events
from spikeloom.reference.link_codec import event_bytes as reference_event_bytes
from spikeloom.rtl_gen.events import EventLayout
from spikeloom.rtl_gen.link.codec import EventDecoder, EventEncoder, event_bytes

# One byte, two with and without spare bits, three, four.
LAYOUTS = [(2, 1), (16, 1), (64, 1), (1024, 3), (784, 15), (100_000, 255)]
layouts = pytest.mark.parametrize("layout", LAYOUTS, ids=str)


def pump(dut, items: list, *, busy: float, seed: int) -> list[tuple[int, int]]:
    """Send all through a component; both sides wait at random with probability ``busy``.

    Returns (cycle, bits) for each that came out, cycles counted from the first offer.
    """
    rng = np.random.default_rng(seed)
    seen = []
    left = len(items)

    async def source(ctx):
        nonlocal left
        for item in items:
            while rng.random() < busy:
                await ctx.tick()
            ctx.set(dut.i.payload, item)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)
            left -= 1

    async def sink(ctx):
        cycle = idle = 0
        while left or idle < 20:
            ready = rng.random() >= busy
            ctx.set(dut.o.ready, ready)
            await ctx.delay(0.1e-6)
            valid = ctx.get(dut.o.valid)
            if valid and ready:
                seen.append((cycle, ctx.get(Value.cast(dut.o.payload))))
            idle = 0 if valid else idle + 1
            cycle += 1
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(source)
    simulator.add_testbench(sink)
    simulator.run()
    return seen


def random_events(seed: int, layout: tuple[int, int]) -> list[list[int]]:
    """Events of every kind, addresses and counts up to what the fields hold."""
    fields = EventLayout(*layout)
    limits = [3, 1 << fields["address"].width, 1 << fields["count"].width]
    return np.random.default_rng(seed).integers(0, limits, (60, 3)).tolist()


def as_events(seen: list[tuple[int, int]], layout: tuple[int, int]) -> list[list[int]]:
    fields = [EventLayout(*layout)[name] for name in ("kind", "address", "count")]
    return [[bits >> f.offset & ((1 << f.width) - 1) for f in fields] for _, bits in seen]


def as_payloads(events: list[list[int]]) -> list[dict[str, int]]:
    return [dict(zip(("kind", "address", "count"), event, strict=True)) for event in events]


@pytest.mark.parametrize("block", [EventDecoder, EventEncoder])
def test_init(block) -> None:
    layout = EventLayout(64, 1)
    assert block(layout).layout == layout


@pytest.mark.parametrize("block", [EventDecoder, EventEncoder])
def test_wrong_layout(block) -> None:
    with pytest.raises(TypeError, match=r"^layout must be an EventLayout, not 9$"):
        block(9)


@pytest.mark.parametrize("size", [1, 2, 3, 16, 17, 64, 65, 128, 784, 1000, 5000])
@pytest.mark.parametrize("max_count", [1, 3, 15, 255])
def test_event_bytes(size: int, max_count: int) -> None:
    layout = EventLayout(size, max_count)
    length = event_bytes(layout)
    assert length == reference_event_bytes(size, max_count)
    assert 7 * (length - 1) < layout.size <= 7 * length


@layouts
@pytest.mark.parametrize("busy", [0, 0.5])
def test_encoder(layout: tuple[int, int], busy: float) -> None:
    events = random_events(5, layout)
    seen = pump(EventEncoder(EventLayout(*layout)), as_payloads(events), busy=busy, seed=6)
    data = bytes(byte for _, byte in seen)
    assert decode_events(data, *layout).tolist() == events
    assert len(data) == len(events) * reference_event_bytes(*layout)  # it has no short forms
    if not busy:
        assert [cycle for cycle, _ in seen] == list(range(EventEncoder.latency, len(seen)))


@layouts
@pytest.mark.parametrize("busy", [0, 0.5])
def test_decoder(layout: tuple[int, int], busy: float) -> None:
    events = random_events(7, layout)
    data = encode_events(events, *layout)
    seen = pump(EventDecoder(EventLayout(*layout)), list(data), busy=busy, seed=8)
    assert as_events(seen, layout) == events


@layouts
def test_decoder_latency(layout: tuple[int, int]) -> None:
    data = encode_events([(0, 1, 1)], *layout)
    seen = pump(EventDecoder(EventLayout(*layout)), list(data), busy=0, seed=9)
    assert [cycle for cycle, _ in seen] == [len(data) - 1 + EventDecoder.latency]


@layouts
@pytest.mark.parametrize("first", [0.1, 0.5, 0.9])
def test_decoder_garbage(layout: tuple[int, int], first: float) -> None:
    """Random bytes of which a given share begins an event."""
    rng = np.random.default_rng(10)
    data = rng.integers(0, 128, 400) | np.where(rng.random(400) < first, 128, 0)
    data = bytes(data.astype(np.uint8))
    expected = decode_events(data, *layout).tolist()
    seen = pump(EventDecoder(EventLayout(*layout)), list(data), busy=0.3, seed=11)
    assert as_events(seen, layout) == expected
