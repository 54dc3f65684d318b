"""Amaranth's own simulator: slow, but always there."""

import random
from collections.abc import Callable, Coroutine
from itertools import compress
from typing import Any

from amaranth.sim import Simulator

from spikeloom.sim.vectors import ALARMS, PROBE, Design, Vectors

__all__ = ["play_in_amaranth"]

_Bench = Callable[[Any], Coroutine[Any, Any, None]]


def play_in_amaranth(
    top: Design, vectors: Vectors, patience: int, settling: int, gap: int = 0
) -> tuple[dict[str, list[int]], str]:
    """Play vectors into a design, without a simulator installed.

    Parameters
    ----------
    top
        The design.
    vectors
        What to play.
    patience
        Cycles without a word in or out after which the design counts as stopped, or, if the last
        word has been sent, as done.
    settling
        Cycles without a word in or out before membrane potentials are asked for.
    gap
        Of 256 cycles, how many are idle at each input and how many refuse each output, by chance.

    Returns
    -------
    outputs
        For each stream out of the design its words.
    stopped
        Why the design counts as wrong whatever came out, or an empty string.
    """
    outputs: dict[str, list[int]] = {stream: [] for stream in vectors.outputs}
    sent = dict.fromkeys(vectors.stimulus, 0)
    chance = random.Random(1)
    patience, settling = (each * 256 // (256 - gap) for each in (patience, settling))
    still = 0
    wrong = ""

    def count() -> int:
        return sum(map(len, outputs.values())) + sent.get("load", 0)

    def moves(*besides: str) -> int:
        taken = sum(sent[name] for name in sent if name not in besides)
        return taken + sum(len(outputs[name]) for name in outputs if name not in besides)

    def source(name: str, words: list[tuple[int, int]]) -> _Bench:
        stream: Any = getattr(top, name)

        async def send(ctx: Any) -> None:
            for after, word in words:
                while count() < after or (name in PROBE and still < settling):
                    await ctx.tick()
                while chance.randrange(256) < gap:
                    await ctx.tick()
                ctx.set(_raw(stream), word)
                ctx.set(stream.valid, 1)
                await ctx.tick().until(stream.ready)
                ctx.set(stream.valid, 0)
                sent[name] += 1

        return send

    def sink(name: str) -> _Bench:
        stream: Any = getattr(top, name)

        async def take(ctx: Any) -> None:
            while True:
                ready = chance.randrange(256) >= gap
                ctx.set(stream.ready, ready)
                *_, valid, payload = await ctx.tick().sample(stream.valid, _raw(stream))
                if valid and ready:
                    outputs[name].append(payload)

        return take

    async def watch(ctx: Any) -> None:
        nonlocal wrong, still
        alarms = [name for name in ALARMS if name in top.signature.members]
        signals = [getattr(top, name) for name in alarms]
        events, moved, idle = 0, 0, 0
        while idle <= patience:
            _, _, *raised = await ctx.tick().sample(*signals)
            for name in compress(alarms, raised):
                wrong = ALARMS[name]
            idle = idle + 1 if moves() == moved else 0
            still = still + 1 if moves(*PROBE) == events else 0
            events, moved = moves(*PROBE), moves()
        if any(sent[name] < len(words) for name, words in vectors.stimulus.items()):
            wrong = "the design stopped before its last word came out"

    simulator = Simulator(top)
    simulator.add_clock(1e-8)
    for name, words in vectors.stimulus.items():
        simulator.add_testbench(source(name, words), background=True)
    for name in outputs:
        simulator.add_testbench(sink(name), background=True)
    simulator.add_testbench(watch)
    simulator.run()
    return outputs, wrong


def _raw(stream: Any) -> Any:
    payload = stream.payload
    return payload.as_value() if hasattr(payload, "as_value") else payload
