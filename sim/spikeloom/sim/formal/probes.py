"""Claims that probes are answered one at a time, each by the population that it asks."""

from typing import Any

from amaranth.hdl import Assert, Assume, Cat, Fragment, Module, Signal, Value
from amaranth.lib.wiring import Out

from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.sim.formal.proof import Claim
from spikeloom.sim.formal.streams import Behind, free_inputs, keeps_handshake, unchanged

__all__ = ["answers_at_once", "probes_claim"]


def answers_at_once(m: Module, i: Any, o: Any) -> Value:
    """Whether an answer is there from the cycle behind a probe until it is taken, and only then.

    Parameters
    ----------
    m
        Where they are watched; a reset begins anew.
    i, o
        Probes and answers.
    """
    waited = Signal()
    asked = Signal()
    m.d.sync += [waited.eq(o.valid & ~o.ready), asked.eq(i.valid & i.ready)]
    return o.valid == (asked | waited)


def probes_claim(top: NetworkTop, behind: Behind = unchanged) -> Claim:
    """Whatever its populations do that keep to their own claims, so does a network with probes.

    The populations are cut out of it: each holds its answer until it is taken, and has one from the
    cycle behind a probe on. What the network then offers them, and what it answers, holds too; and
    an answer is that of the population that was asked. ``behind`` is a fault behind the answers, to
    see that it is found.
    """
    m = Module()
    fragment: Any = Fragment.get(top, None)
    names = {f"population_{k}" for k in range(len(top.populations))}
    fragment.subfragments = [each for each in fragment.subfragments if each[1] not in names]
    m.submodules.network = fragment
    inputs = free_inputs(top, without_ready=behind is not unchanged)
    i, o = top.probe_i, behind(m, top.probe_o)
    inputs += [o.ready] if o is not top.probe_o else []
    asked = Signal.like(i.p.population)
    with m.If(i.valid & i.ready):
        m.d.sync += asked.eq(i.p.population)
    m.d.comb += [
        Assume(keeps_handshake(m, i), "probes hold what they offer"),
        Assert(keeps_handshake(m, o), "probe_o holds what it offers"),
        Assert(answers_at_once(m, i, o), "each probe has one answer, at once"),
    ]
    for k, population in enumerate(top.populations):
        inputs += [
            Value.cast(value)
            for _, member, value in population.signature.flatten(population)
            if member.flow is Out
        ]
        ask, answer = population.probe_i, population.probe_o
        lanes = [answer.p[lane] if lane < population.lanes else 0 for lane in range(len(o.p))]
        right = Cat(found == lane for found, lane in zip(o.p, lanes, strict=True)).all()
        m.d.comb += [
            Assume(keeps_handshake(m, answer), f"population {k} holds what it answers"),
            Assume(answers_at_once(m, ask, answer), f"population {k} answers at once"),
            Assert(keeps_handshake(m, ask), f"population {k} is asked until it hears it"),
            Assert(
                ~(o.valid & (asked == k)) | right, f"an answer is population {k}'s if that is asked"
            ),
            Assert(~answer.valid | (asked == k), "invariant: only the one asked answers"),
        ]
    return Claim(m, inputs)
