"""Drivers and monitors for the streams of a generated design, under cocotb."""

import json
import random
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge

from spikeloom.sim.check import check_words
from spikeloom.sim.vectors import Command, Vectors

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
    patience
        Cycles in which the design must take a word.
    """

    def __init__(
        self, dut: Any, name: str, idle: float, chance: random.Random, patience: int
    ) -> None:
        self._name = name
        self._patience = patience
        self._clock = dut.clk
        self._payload = dut[f"{name}__payload"]
        self._valid = dut[f"{name}__valid"]
        self._ready = dut[f"{name}__ready"]
        self._idle = idle
        self._chance = chance
        self._valid.value = 0

    async def send(self, word: int) -> None:
        """Send a word; returns after the edge that transfers it."""
        while self._chance.random() < self._idle:
            await RisingEdge(self._clock)
        self._payload.value = word
        self._valid.value = 1
        for _ in range(self._patience):
            await ReadOnly()
            ready = self._ready.value
            await RisingEdge(self._clock)
            if ready:
                break
        else:
            raise AssertionError(f"{self._name} took no word for {self._patience} cycles")
        self._valid.value = 0


class StreamMonitor:
    """Takes words out of a stream, with back-pressure, and keeps them.

    Also checks the handshake: while a word waits, it stays valid and does not change.

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
            waiting = word if valid and not ready else None
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
        Probabilities of idle cycles at the input and of refusal at the output.
    """

    def __init__(self, dut: Any, folder: Path, idle: float = 0.0, refuse: float = 0.0) -> None:
        chance = random.Random(cocotb.RANDOM_SEED)
        cocotb.log.info("seed %d, idle %s, refuse %s", cocotb.RANDOM_SEED, idle, refuse)
        self.dut = dut
        self.vectors = Vectors.load(folder / "vectors")
        sidecar = json.loads((folder / f"{dut._name}.json").read_text())
        self.patience = int(sidecar["patience"] / (1 - max(idle, refuse)))
        self.input = StreamDriver(dut, "i", idle, chance, self.patience)
        self.probe = StreamDriver(dut, "probe_i", idle, chance, self.patience)
        if hasattr(dut, "load__payload"):
            self.load = StreamDriver(dut, "load", idle, chance, self.patience)
        self.output = StreamMonitor(dut, "o", refuse, chance)
        self.rows = StreamMonitor(dut, "probe_o", refuse, chance)

    async def start(self) -> None:
        """Start the clock and the monitors, and reset the design."""
        Clock(self.dut.clk, 10, unit="ns").start()
        await self.reset()
        cocotb.start_soon(self.output.run())
        cocotb.start_soon(self.rows.run())

    async def reset(self) -> None:
        """Hold the reset for two cycles; what came out before is forgotten."""
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 2)
        self.dut.rst.value = 0
        self.output.words.clear()
        self.rows.words.clear()

    async def play(self, commands: int | None = None) -> None:
        """Carry out the first ``commands`` commands, or all."""
        probed = 0
        for command, word in self.vectors.commands[:commands]:
            match command:
                case Command.SEND:
                    await self.input.send(word)
                case Command.AWAIT:
                    await self._reach(self.output, word)
                case Command.LOAD:
                    await self.load.send(word)
                case Command.PROBE:
                    await self.probe.send(word)
                    probed += 1
                    await self._reach(self.rows, probed)

    async def check(self) -> None:
        """Wait for the last word, a little longer, and compare everything."""
        await self._reach(self.output, len(self.vectors.outputs))
        await ClockCycles(self.dut.clk, 200)
        check_words("o", self.output.words, self.vectors.outputs)
        check_words("probe_o", self.rows.words, self.vectors.rows)
        if hasattr(self.dut, "error"):
            assert not self.dut.error.value, "the design took legal events for illegal ones"

    async def _reach(self, monitor: StreamMonitor, words: int) -> None:
        seen, waited = len(monitor.words), 0
        while len(monitor.words) < words:
            await RisingEdge(self.dut.clk)
            waited = 0 if len(monitor.words) > seen else waited + 1
            seen = len(monitor.words)
            if waited > self.patience:
                # What came out so far tells more than that something is missing.
                check_words("o", self.output.words, self.vectors.outputs)
                raise AssertionError(f"no word came out for {self.patience} cycles")


def _hexadecimal(value: Any) -> str:
    return f"{int(value):x}" if value.is_resolvable else str(value)
