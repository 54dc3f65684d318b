"""The claim that a network goes on: none of its parts waits for ever for another."""

from typing import Any

from amaranth.hdl import Assert, Assume, Module, Signal, Value

from spikeloom.rtl_gen.events import EventKind
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.sim.formal.proof import Claim
from spikeloom.sim.formal.streams import Behind, free_inputs, keeps_handshake, unchanged

__all__ = ["progress_claim"]


def progress_claim(
    top: NetworkTop, *, within: int, patience: int, behind: Behind = unchanged
) -> Claim:
    """Whatever goes in, a network answers each tick, and takes each event.

    Parameters
    ----------
    top
        The network.
    within
        Cycles in which it must take an event that is offered; and in which an output must send a
        tick where a step of it is under way and no tick of another is.
    patience
        Cycles in which each of those who listen is ready at least once.
    behind
        What stands behind the outputs: a fault, to see that it is found.
    """
    m = Module()
    m.submodules.top = top
    inputs = [getattr(top, port) for port in top.input_ports.values()]
    for k, i in enumerate(inputs):
        m.d.comb += Assume(keeps_handshake(m, i), "an input holds what it offers")
        waits = _count(m, f"input_{k}_waits", i.valid & ~i.ready, within)
        m.d.comb += Assert(waits < within, "an event is taken in time")
    for end in (top.probe_i, *([top.load] if top.loads else [])):
        m.d.comb += Assume(~end.valid, "nothing is probed or loaded")
    outputs = [behind(m, getattr(top, port)) for port in top.output_ports.values()]
    listeners = [*outputs, top.probe_o, *([top.decision] if top.readout else [])]
    for k, o in enumerate(listeners):
        delays = _count(m, f"listener_{k}_delays", ~o.ready, patience)
        m.d.comb += Assume(delays < patience, "who listens is ready in time")
    for k, o in enumerate(outputs):
        # A step is under way once all inputs have sent its tick.
        under_way = Value.cast(1)
        for n, i in enumerate(inputs):
            ahead = Signal(8, name=f"steps_{n}_before_{k}")
            m.d.sync += ahead.eq(ahead + _ticks(i) - _ticks(o))
            under_way = under_way & (ahead != 0)
        waits = _count(m, f"output_{k}_waits", under_way & ~_ticks(o), within)
        m.d.comb += Assert(waits < within, "a tick is answered in time")
    faulty = behind is not unchanged
    ready = [o.ready for o in listeners] if faulty else []
    return Claim(m, [*free_inputs(top, without_ready=faulty), *ready])


def _ticks(end: Any) -> Value:
    return end.valid & end.ready & (end.p.kind == EventKind.TICK)


def _count(m: Module, name: str, condition: Value, most: int) -> Signal:
    """In how many cycles on end a condition has held."""
    count = Signal(range(most + 2), name=name)
    with m.If(~condition):
        m.d.sync += count.eq(0)
    with m.Elif(count <= most):
        m.d.sync += count.eq(count + 1)
    return count
