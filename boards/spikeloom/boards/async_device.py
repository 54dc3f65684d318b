"""A network on a board, from the host, for programs that do other things meanwhile."""

import asyncio
import queue
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from spikeloom.boards.device import Device, DeviceError, open_line
from spikeloom.boards.line import Line
from spikeloom.boards.link_facts import LinkFacts
from spikeloom.reference.fixed import IntArray

__all__ = ["AsyncDevice"]

_T = TypeVar("_T")
_AHEAD = 16
"""Samples of a stream that are on their way, or whose results nobody has taken yet."""


class _StoppedError(Exception):
    """Nobody waits any more for what is under way."""


class _StoppableLine:
    """A line on which another thread can end what is under way."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self.stop = threading.Event()

    def write(self, data: bytes) -> None:
        self._check()
        self._line.write(data)

    def read_some(self) -> bytes:
        self._check()
        return self._line.read_some()

    def close(self) -> None:
        self._line.close()

    def _check(self) -> None:
        if self.stop.is_set():
            raise _StoppedError


class AsyncDevice:
    """A :class:`~spikeloom.boards.device.Device` that is waited for without blocking.

    It works in one thread of its own, and calls wait for each other. To cancel a call ends it
    within some milliseconds, or at the latest when the line's write times out, and leaves the line
    open: the next call works, as after an interrupt. :meth:`open` and :meth:`over` make one; where
    they are cancelled the line is closed.

    Attributes
    ----------
    facts : LinkFacts
        The build.
    about : str
        What the device says of itself in words.
    """

    facts: LinkFacts
    about: str

    def __init__(self, line: _StoppableLine, worker: ThreadPoolExecutor) -> None:
        self._line = line
        self._worker = worker
        self._lock = asyncio.Lock()
        self._streaming: asyncio.Task[None] | None = None
        self._device: Device

    @classmethod
    async def open(
        cls,
        port: str | Path,
        build: Path,
        *,
        timeout: float = 1.0,
        progress: Callable[[int, int], None] = lambda sent, total: None,
    ) -> Self:
        """Open a serial port at which a build is.

        Parameters
        ----------
        port, build, timeout, progress
            As :meth:`Device.open <spikeloom.boards.device.Device.open>`'s; ``progress`` is called
            in the device's thread.

        Raises
        ------
        DeviceError, ValueError
            As there.
        """
        opening = asyncio.ensure_future(asyncio.to_thread(open_line, port, build, timeout))
        try:
            line, facts, weights = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close)
            raise
        return await cls.over(line, facts, weights, timeout=timeout, progress=progress)

    @classmethod
    async def over(
        cls,
        line: Line,
        facts: LinkFacts,
        weights: bytes = b"",
        *,
        timeout: float = 1.0,
        progress: Callable[[int, int], None] = lambda sent, total: None,
    ) -> Self:
        """Talk to a device over a line that is open.

        Parameters
        ----------
        line, facts, weights, timeout, progress
            As :class:`~spikeloom.boards.device.Device`'s; ``progress`` is called in the device's
            thread.

        Raises
        ------
        DeviceError, ValueError
            As there.
        """
        stoppable = _StoppableLine(line)
        self = cls(stoppable, ThreadPoolExecutor(1, "device"))

        def job() -> Device:
            return Device(stoppable, facts, weights, timeout=timeout, progress=progress)

        try:
            self._device = await self._call(job)
        except BaseException:
            stoppable.close()
            self._worker.shutdown(wait=False)
            raise
        self.facts, self.about = facts, self._device.about
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End a stream that is under way, and close the line."""
        await self._call(self._device.close)
        self._worker.shutdown(wait=False)

    async def reset(self) -> None:
        """As :meth:`Device.reset <spikeloom.boards.device.Device.reset>`."""
        await self._call(self._device.reset)

    async def illegal(self) -> bool:
        """As :meth:`Device.illegal <spikeloom.boards.device.Device.illegal>`."""
        return await self._call(self._device.illegal)

    async def weight_error(self) -> bool:
        """As :meth:`Device.weight_error <spikeloom.boards.device.Device.weight_error>`."""
        return await self._call(self._device.weight_error)

    async def state_error(self) -> bool:
        """As :meth:`Device.state_error <spikeloom.boards.device.Device.state_error>`."""
        return await self._call(self._device.state_error)

    async def counters(self) -> dict[str, int]:
        """As :meth:`Device.counters <spikeloom.boards.device.Device.counters>`."""
        return await self._call(self._device.counters)

    async def potentials(self) -> dict[str, IntArray]:
        """As :meth:`Device.potentials <spikeloom.boards.device.Device.potentials>`."""
        return await self._call(self._device.potentials)

    async def run(
        self, raster: ArrayLike, progress: Callable[[int], None] = lambda samples: None
    ) -> IntArray:
        """As :meth:`Device.run <spikeloom.boards.device.Device.run>`.

        ``progress`` is called in the device's thread.
        """
        return await self._call(lambda: self._device.run(raster, progress))

    async def stream(
        self, samples: AsyncIterable[ArrayLike] | Iterable[ArrayLike]
    ) -> AsyncIterator[IntArray]:
        """Send samples as they come, and give what comes of each as soon as it is there.

        At most sixteen samples are taken whose results have not been. Any other call ends the
        stream, which then raises a :class:`DeviceError` where its next result is asked for.

        Parameters
        ----------
        samples
            Integers of shape (steps, \\*inputs), the steps of each its own.

        Returns
        -------
        For each sample in order counts of shape (steps, \\*outputs), or potentials.

        Raises
        ------
        TypeError, ValueError, DeviceError
            As :meth:`Device.stream <spikeloom.boards.device.Device.stream>`.
        """
        loop = asyncio.get_running_loop()
        room = asyncio.Semaphore(_AHEAD)
        coming: queue.SimpleQueue[ArrayLike | None] = queue.SimpleQueue()
        results: asyncio.Queue[IntArray | None] = asyncio.Queue()

        async def feed() -> None:
            async for sample in _each(samples):
                await room.acquire()
                coming.put(np.asarray(sample))
            coming.put(None)

        def job() -> None:
            for result in self._device.stream(_arrived(coming)):
                loop.call_soon_threadsafe(results.put_nowait, result)

        def end(task: asyncio.Task[None]) -> None:
            # Samples that end well have results that are still to come.
            if task is work or task.cancelled() or task.exception():
                results.put_nowait(None)

        self._end_stream()
        feeder = asyncio.ensure_future(feed())
        self._streaming = work = asyncio.ensure_future(self._in_turn(job))
        try:
            for task in (feeder, work):
                task.add_done_callback(end)
            while (result := await results.get()) is not None:
                yield result
                room.release()
            if feeder.done():
                await feeder
            if work.cancelled() or work.cancelling():
                raise DeviceError("a stream must end before other calls, but one came between")
            await work
        finally:
            feeder.cancel()
            work.cancel()
            await asyncio.gather(feeder, work, return_exceptions=True)

    def _end_stream(self) -> None:
        if self._streaming is not None:
            self._streaming.cancel()
            self._streaming = None

    async def _call(self, job: Callable[[], _T]) -> _T:
        self._end_stream()
        return await self._in_turn(job)

    async def _in_turn(self, job: Callable[[], _T]) -> _T:
        """Do a job in the device's thread; end it if nobody waits any more."""
        stop = threading.Event()

        def begin() -> _T:
            self._line.stop = stop
            return job()

        async with self._lock:
            future = asyncio.get_running_loop().run_in_executor(self._worker, begin)
            # Its error is known to whom it concerns, even if nobody waits any more.
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            try:
                return await asyncio.shield(future)
            except asyncio.CancelledError:
                stop.set()
                await asyncio.wait([future])
                raise


def _close(opened: "asyncio.Future[tuple[Line, LinkFacts, bytes]]") -> None:
    """Close a line that nobody waits for any more, if it was opened."""
    if not opened.cancelled() and opened.exception() is None:
        opened.result()[0].close()


def _arrived(coming: "queue.SimpleQueue[ArrayLike | None]") -> Iterator[ArrayLike | None]:
    """Samples that have come; nothing while there is none; until one is None."""
    while True:
        try:
            sample = coming.get_nowait()
        except queue.Empty:
            yield None
            continue
        if sample is None:
            return
        yield sample


async def _each(
    samples: AsyncIterable[ArrayLike] | Iterable[ArrayLike],
) -> AsyncIterator[ArrayLike]:
    if isinstance(samples, AsyncIterable):
        async for sample in samples:
            yield sample
    else:
        for sample in samples:
            yield sample
