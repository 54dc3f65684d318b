"""Amaranth's own simulator: slow, but always there."""

import random
from collections.abc import Callable, Coroutine
from typing import Any

from amaranth.hdl import Signal
from amaranth.sim import Simulator

from spikeloom.rtl_gen.neuron import NeuronArray
from spikeloom.sim.vectors import Command, Design, Vectors

__all__ = ["play_in_amaranth"]


class _StoppedError(Exception):
    """Nothing went in or came out for too long."""


def play_in_amaranth(
    top: Design, vectors: Vectors, patience: int, gap: int = 0
) -> tuple[list[int], list[int], str]:
    """Play vectors into a design, without a simulator installed.

    Parameters
    ----------
    top
        The design.
    vectors
        What to play.
    patience
        Cycles without a word in or out after which the design counts as stopped, and that are
        waited for further words after the last command.
    gap
        Of 256 cycles, how many are idle at the input and how many refuse the output, by chance.

    Returns
    -------
    outputs, rows
        Words that came out of ``o`` and of ``probe_o``.
    stopped
        Why the design counts as wrong whatever came out, or an empty string.
    """
    outputs: list[int] = []
    rows: list[int] = []
    chance = random.Random(1)
    patience = patience * 256 // (256 - gap)

    async def wait(ctx: Any, done: Callable[[], bool]) -> None:
        moved, waited = len(outputs), 0
        while not done():
            await ctx.tick()
            waited = 0 if len(outputs) > moved else waited + 1
            moved = len(outputs)
            if waited > patience:
                raise _StoppedError

    async def send(ctx: Any, stream: Any, word: int) -> None:
        while chance.randrange(256) < gap:
            await ctx.tick()
        ctx.set(_raw(stream), word)
        ctx.set(stream.valid, 1)
        for _ in range(patience):
            *_, taken = await ctx.tick().sample(stream.ready)
            if taken:
                break
        else:
            raise _StoppedError
        ctx.set(stream.valid, 0)

    async def commands(ctx: Any) -> None:
        for command, word in vectors.commands:
            match command:
                case Command.AWAIT:
                    await wait(ctx, lambda: len(outputs) >= word)  # noqa: B023
                case Command.SEND:
                    await send(ctx, top.i, word)
                case Command.LOAD:
                    await send(ctx, top.load, word)  # type: ignore[union-attr]
                case Command.PROBE:
                    awaited = len(rows) + 1
                    await send(ctx, top.probe_i, word)
                    await wait(ctx, lambda: len(rows) >= awaited)  # noqa: B023
        await ctx.tick().repeat(patience)

    def monitor(stream: Any, words: list[int]) -> Callable[[Any], Coroutine[Any, Any, None]]:
        async def take(ctx: Any) -> None:
            while True:
                ready = chance.randrange(256) >= gap
                ctx.set(stream.ready, ready)
                *_, valid, payload = await ctx.tick().sample(stream.valid, _raw(stream))
                if valid and ready:
                    words.append(payload)

        return take

    simulator = Simulator(top)
    simulator.add_clock(1e-8)
    simulator.add_testbench(commands)
    simulator.add_testbench(monitor(top.o, outputs), background=True)
    simulator.add_testbench(monitor(top.probe_o, rows), background=True)
    error = Signal() if isinstance(top, NeuronArray) else top.error
    wrong = ""

    async def watch(ctx: Any) -> None:
        nonlocal wrong
        while True:
            *_, raised = await ctx.tick().sample(error)
            if raised:
                wrong = "the design took legal events for illegal ones"

    simulator.add_testbench(watch, background=True)
    try:
        simulator.run()
    except _StoppedError:
        wrong = "the design stopped before its last word came out"
    return outputs, rows, wrong


def _raw(stream: Any) -> Any:
    payload = stream.payload
    return payload.as_value() if hasattr(payload, "as_value") else payload
