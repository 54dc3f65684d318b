"""Amaranth's own simulator: slow, but always there."""

from collections.abc import Callable, Coroutine
from typing import Any

from amaranth.sim import Simulator

from spikeloom.sim.vectors import Command, Design, Vectors

__all__ = ["play_in_amaranth"]


def play_in_amaranth(top: Design, vectors: Vectors, patience: int) -> tuple[list[int], list[int]]:
    """Play vectors into a design, without a simulator installed.

    Parameters
    ----------
    top
        The design.
    vectors
        What to play.
    patience
        Cycles that are waited for further words after the last command.

    Returns
    -------
    outputs, rows
        Words that came out of ``o`` and of ``probe_o``.
    """
    outputs: list[int] = []
    rows: list[int] = []

    async def commands(ctx: Any) -> None:
        for command, word in vectors.commands:
            match command:
                case Command.AWAIT:
                    while len(outputs) < word:
                        await ctx.tick()
                case Command.SEND:
                    await _send(ctx, top.i, word)
                case Command.PROBE:
                    awaited = len(rows) + 1
                    await _send(ctx, top.probe_i, word)
                    while len(rows) < awaited:
                        await ctx.tick()
        await ctx.tick().repeat(patience)

    def monitor(stream: Any, words: list[int]) -> Callable[[Any], Coroutine[Any, Any, None]]:
        async def take(ctx: Any) -> None:
            ctx.set(stream.ready, 1)
            async for _, _, valid, payload in ctx.tick().sample(stream.valid, _raw(stream)):
                if valid:
                    words.append(payload)

        return take

    simulator = Simulator(top)
    simulator.add_clock(1e-8)
    simulator.add_testbench(commands)
    simulator.add_process(monitor(top.o, outputs))
    simulator.add_process(monitor(top.probe_o, rows))
    simulator.run()
    return outputs, rows


def _raw(stream: Any) -> Any:
    payload = stream.payload
    return payload.as_value() if hasattr(payload, "as_value") else payload


async def _send(ctx: Any, stream: Any, word: int) -> None:
    ctx.set(_raw(stream), word)
    ctx.set(stream.valid, 1)
    await ctx.tick().until(stream.ready)
    ctx.set(stream.valid, 0)
