"""Drivers and monitors for the streams of a generated design, under cocotb."""

import json
import random
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge

from spikeloom.sim.check import first_difference
from spikeloom.sim.vectors import ALARMS, PROBE, Vectors, streams

__all__ = ["Bench", "StreamDriver", "StreamMonitor"]


class StreamDriver:
    """Sends words into a stream, with idle cycles between them.

    Parameters
    ----------
    dut
        The design.
    name
        The stream's name; its ports are ``name__payload``, ``name__valid`` and ``name__ready``.
    idle
        Probability of an idle cycle before a word.
    chance
        Source of chance.

    Attributes
    ----------
    sent
        How many words have been sent.
    """

    def __init__(self, dut: Any, name: str, idle: float, chance: random.Random) -> None:
        self._clock = dut.clk
        self._payload = dut[f"{name}__payload"]
        self._valid = dut[f"{name}__valid"]
        self._ready = dut[f"{name}__ready"]
        self._idle = idle
        self._chance = chance
        self.reset()

    def reset(self) -> None:
        """Offer nothing, and forget what has been sent."""
        self.sent = 0
        self._valid.value = 0

    async def send(self, word: int) -> None:
        """Send a word; returns after the edge that transfers it."""
        while self._chance.random() < self._idle:
            await RisingEdge(self._clock)
        self._payload.value = word
        self._valid.value = 1
        ready = False
        while not ready:
            await ReadOnly()
            ready = bool(self._ready.value)
            await RisingEdge(self._clock)
        self._valid.value = 0
        self.sent += 1


class StreamMonitor:
    """Takes words out of a stream, with back-pressure, and keeps them.

    Also checks the handshake: while a word waits, it stays valid and does not change until a reset.

    Parameters
    ----------
    dut, name, chance
        As :class:`StreamDriver`'s.
    refuse
        Probability of not being ready in a cycle.

    Attributes
    ----------
    words
        What has come out, in hexadecimal.
    """

    def __init__(self, dut: Any, name: str, refuse: float, chance: random.Random) -> None:
        self._clock = dut.clk
        self._payload = dut[f"{name}__payload"]
        self._valid = dut[f"{name}__valid"]
        self._ready = dut[f"{name}__ready"]
        self._refuse = refuse
        self._chance = chance
        self._name = name
        self._reset = dut.rst
        self.words: list[str] = []
        self._ready.value = 0

    async def run(self) -> None:
        """Take words for ever."""
        waiting = None
        while True:
            ready = self._chance.random() >= self._refuse
            self._ready.value = ready
            await ReadOnly()
            valid = self._valid.value
            word = _hexadecimal(self._payload.value) if valid else None
            if waiting is not None:
                assert word == waiting, f"{self._name} changed {waiting} to {word} while it waited"
            waiting = word if valid and not ready and not self._reset.value else None
            if valid and ready:
                self.words.append(word or "")
            await RisingEdge(self._clock)


class Bench:
    """Plays vectors into a design and checks what comes out.

    Parameters
    ----------
    dut
        The design, or a netlist of it.
    folder
        The design's folder, with its sidecar and its golden vectors.
    idle, refuse
        Probabilities of idle cycles at each input and of refusal at each output.
    """

    def __init__(self, dut: Any, folder: Path, idle: float = 0.0, refuse: float = 0.0) -> None:
        chance = random.Random(cocotb.RANDOM_SEED)
        cocotb.log.info("seed %d, idle %s, refuse %s", cocotb.RANDOM_SEED, idle, refuse)
        self.dut = dut
        sidecar = json.loads((folder / f"{dut._name}.json").read_text())
        sources, sinks = streams(sidecar)
        self.vectors = Vectors.load(folder / "vectors", sources, sinks)
        self.patience, self._settling = (
            int(sidecar[name] / (1 - max(idle, refuse))) for name in ("patience", "settling")
        )
        self._still = 0
        self.drivers = {name: StreamDriver(dut, name, idle, chance) for name in sources}
        self.monitors = {name: StreamMonitor(dut, name, refuse, chance) for name in sinks}

    @property
    def count(self) -> int:
        """How many words have come out or have been loaded."""
        loaded = self.drivers["load"].sent if "load" in self.drivers else 0
        return sum(len(monitor.words) for monitor in self.monitors.values()) + loaded

    async def start(self) -> None:
        """Start the clock and the monitors, and reset the design."""
        Clock(self.dut.clk, 10, unit="ns").start()
        await self.reset()
        for monitor in self.monitors.values():
            cocotb.start_soon(monitor.run())

    async def reset(self) -> None:
        """Hold the reset for two cycles; what came out before is forgotten."""
        self.dut.rst.value = 1
        for driver in self.drivers.values():
            driver.reset()
        await ClockCycles(self.dut.clk, 2)
        self.dut.rst.value = 0
        for monitor in self.monitors.values():
            monitor.words.clear()

    async def play(self, count: int | None = None) -> None:
        """Play until so many words have come out or have been loaded, or to the end."""
        tasks = [cocotb.start_soon(self._drive(name)) for name in self.drivers]
        goal = self.vectors.count if count is None else count
        events, moved, waited = 0, 0, 0
        while self.count < goal or (count is None and not all(task.done() for task in tasks)):
            await RisingEdge(self.dut.clk)
            waited = waited + 1 if self._moves() == moved else 0
            self._still = self._still + 1 if self._moves(*PROBE) == events else 0
            events, moved = self._moves(*PROBE), self._moves()
            if waited > self.patience:
                # What came out so far tells more than that something is missing.
                self._compare()
                raise AssertionError(f"no word went in or came out for {self.patience} cycles")
        for task in tasks:
            task.cancel()

    async def check(self) -> None:
        """Wait a little longer, and compare everything."""
        await ClockCycles(self.dut.clk, 200)
        self._compare()
        for alarm, text in ALARMS.items():
            assert not (hasattr(self.dut, alarm) and getattr(self.dut, alarm).value), text

    def _moves(self, *besides: str) -> int:
        sent = sum(self.drivers[name].sent for name in self.drivers if name not in besides)
        words = [self.monitors[name].words for name in self.monitors if name not in besides]
        return sent + sum(map(len, words))

    async def _drive(self, name: str) -> None:
        for after, word in self.vectors.stimulus[name]:
            while self.count < after or (name in PROBE and self._still < self._settling):
                await RisingEdge(self.dut.clk)
            await self.drivers[name].send(word)

    def _compare(self) -> None:
        seen = {name: monitor.words for name, monitor in self.monitors.items()}
        difference = first_difference(seen, self.vectors.outputs)
        assert not difference, difference


def _hexadecimal(value: Any) -> str:
    return f"{int(value):x}" if value.is_resolvable else str(value)
