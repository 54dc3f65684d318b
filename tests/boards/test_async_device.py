"""The driver for programs that do other things meanwhile."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_device import Clock, MemoryLine, ModelDevice, board, golden, image, samples, stack

from spikeloom.boards import device as module
from spikeloom.boards.async_device import AsyncDevice
from spikeloom.boards.device import DeviceError
from spikeloom.boards.link_facts import LINK
from spikeloom.reference.fixed import IntArray
from spikeloom.reference.link_frames import Order
from spikeloom.reference.simulate import run_fixed

NETWORK = stack(random.Random(3))
LONG = 1e9
"""Seconds that never pass."""


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Time that only the lines let pass."""
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def on_a_board(
    clock: Clock, talk: Callable[[AsyncDevice, MemoryLine], Coroutine[Any, Any, None]]
) -> ModelDevice:
    """Have a talk with a device, and close it."""
    model, facts, _ = board(NETWORK)
    line = MemoryLine(model, clock)

    async def main() -> None:
        async with await AsyncDevice.over(line, facts, timeout=LONG) as device:
            assert device.facts is facts
            assert device.about.startswith("test 10-6-3")
            await talk(device, line)

    asyncio.run(main())
    assert line.closed
    return model


def test_run(clock: Clock) -> None:
    raster = samples(NETWORK, 3, 4)
    done: list[int] = []

    async def talk(device: AsyncDevice, line: MemoryLine) -> None:
        both = await asyncio.gather(device.run(raster, done.append), device.run(raster[1:]))
        for found, given in zip(both, (raster, raster[1:]), strict=True):
            assert np.array_equal(found, golden(NETWORK, given))
        with pytest.raises(ValueError, match="raster must be of shape"):
            await device.run(raster[0])
        assert not await device.illegal()
        with pytest.raises(DeviceError, match="no monitor"):
            await device.counters()
        with pytest.raises(DeviceError, match="no monitor"):
            await device.potentials()
        await device.reset()

    assert on_a_board(clock, talk).taken[Order.RESET] == 2
    assert done == [1, 2, 3]


@pytest.mark.parametrize("of", [list, iter])
def test_stream_of_plain_samples(of: Callable[[Any], Any], clock: Clock) -> None:
    raster = samples(NETWORK, 40, 4)

    async def talk(device: AsyncDevice, line: MemoryLine) -> None:
        found = [each async for each in device.stream(of(raster))]
        assert np.array_equal(found, golden(NETWORK, raster))

    on_a_board(clock, talk)


def test_stream_gives_each_result_before_the_next_sample(clock: Clock) -> None:
    rasters = [samples(NETWORK, 1, steps)[0] for steps in (3, 1, 5)]

    async def talk(device: AsyncDevice, line: MemoryLine) -> None:
        taken: asyncio.Queue[None] = asyncio.Queue()

        async def source() -> AsyncIterator[IntArray]:
            for each in rasters:
                yield each
                await taken.get()

        found = []
        async for result in device.stream(source()):
            found.append(result)
            taken.put_nowait(None)
        for result, each in zip(found, rasters, strict=True):
            assert np.array_equal(result, run_fixed(NETWORK, each[None]).output[0])

    on_a_board(clock, talk)


def test_stream_takes_no_more_than_it_needs(clock: Clock) -> None:
    raster = samples(NETWORK, 100, 4)
    taken = []

    def source() -> Iterator[IntArray]:
        for k, each in enumerate(raster):
            taken.append(k)
            yield each

    async def talk(device: AsyncDevice, line: MemoryLine) -> None:
        results = 0
        async for _ in device.stream(source()):
            results += 1
            for _ in range(20):
                await asyncio.sleep(0)
            # One more is held by who waits for room.
            assert len(taken) <= results + 17
        assert results == 100

    on_a_board(clock, talk)


def test_stream_fails_with_its_samples(clock: Clock) -> None:
    raster = samples(NETWORK, 5, 4)

    async def source() -> AsyncIterator[IntArray]:
        yield raster[0]
        raise LookupError("no more images")

    async def talk(device: AsyncDevice, line: MemoryLine) -> None:
        with pytest.raises(LookupError, match="no more images"):
            async for _ in device.stream(source()):
                pass
        for wrong in (None, raster[0] + 9, raster):
            with pytest.raises(ValueError, match="raster must be of"):
                async for _ in device.stream([raster[0], wrong]):
                    pass
        assert np.array_equal(await device.run(raster), golden(NETWORK, raster))

    on_a_board(clock, talk)


@pytest.mark.parametrize("streams", [False, True])
def test_cancel(streams: bool, clock: Clock) -> None:
    """The device has gone away; nobody waits for it any more; it comes back."""
    raster = samples(NETWORK, 9, 4)
    long = np.tile(raster, (100, 1, 1))

    async def talk(device: AsyncDevice, line: MemoryLine) -> None:
        async def wait() -> None:
            if streams:
                async for _ in device.stream(long):
                    pass
            else:
                await device.run(long)

        line.orders = 1
        waits = asyncio.ensure_future(wait())
        while not line.device.taken[Order.EVENTS]:
            await asyncio.sleep(0)
        line.orders = 0
        waits.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waits
        line.orders = 2
        assert np.array_equal(await device.run(raster), golden(NETWORK, raster))
        line.orders = 0
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wait(), timeout=0.001)
        line.orders = 2
        assert np.array_equal(await device.run(raster[:2]), golden(NETWORK, raster[:2]))

    # The second had not begun.
    assert on_a_board(clock, talk).taken[Order.RESET] == 2


def test_other_call_ends_a_stream(clock: Clock) -> None:
    raster = samples(NETWORK, 30, 4)

    async def talk(device: AsyncDevice, line: MemoryLine) -> None:
        results = aiter(device.stream(raster))
        assert np.array_equal(await anext(results), golden(NETWORK, raster)[0])
        assert np.array_equal(await device.run(raster[:2]), golden(NETWORK, raster[:2]))
        with pytest.raises(DeviceError, match="must end before other calls, but one came between"):
            [each async for each in results]
        async for _ in device.stream(raster):
            break
        assert np.array_equal(await device.run(raster), golden(NETWORK, raster))

    on_a_board(clock, talk)


def test_cancel_while_it_opens(clock: Clock) -> None:
    model, facts, _ = board(NETWORK)
    line = MemoryLine(model, clock, orders=0)

    async def main() -> None:
        opens = asyncio.ensure_future(AsyncDevice.over(line, facts, timeout=LONG))
        while not model.queue:
            await asyncio.sleep(0)
        opens.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opens

    asyncio.run(main())
    assert line.closed


def test_other_device(clock: Clock) -> None:
    model, _, _ = board(NETWORK)
    _, facts, _ = board(image(random.Random(3)))
    line = MemoryLine(model, clock)
    with pytest.raises(DeviceError, match="the device must be network"):
        asyncio.run(AsyncDevice.over(line, facts))
    assert line.closed


def test_no_port(tmp_path: Path) -> None:
    _, facts, _ = board(NETWORK)
    (tmp_path / LINK).write_text(facts.text())
    with pytest.raises(DeviceError, match="nothing cannot be opened"):
        asyncio.run(AsyncDevice.open(tmp_path / "nothing", tmp_path))
