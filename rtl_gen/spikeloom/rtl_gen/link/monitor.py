"""What a host can read of a network besides its events: potentials and counters."""

from typing import Any

from amaranth.hdl import Module, Mux, Shape, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeloom.rtl_gen.link.frames import WORD
from spikeloom.rtl_gen.network import NetworkTop

__all__ = ["COUNTERS", "Counters", "Potentials", "potential_bytes"]

COUNTERS = ("events_in", "waits", "events_out", "cycles")
"""What is counted, in the order in which it is sent."""

_COUNTER_BYTES = 4
_STEP_BITS = 16
"""Of a counter of steps under way, of which there are some for each population."""


def potential_bytes(width: int) -> int:
    """Bytes of a potential of so many bits."""
    return -(-width // 8)


class Potentials(wiring.Component):
    """Membrane potentials of a row, as bytes.

    Parameters
    ----------
    network
        The network.

    Members
    -------
    row
        Bytes of what is asked for, the highest first: ``population`` and ``row`` as they lie in
        the network's ``probe_i``, the population lowest; the first population where there is none
        of that number.
    ask
        High while an answer is wanted. It comes when all steps have ended.
    taken, ends
        High where the network takes an event, and where that is a tick.
    sent, ended
        The same of what it sends.
    open
        High while a step has events and no tick: it could not end before an answer.
    o
        The potentials of all lanes, the lowest lane first; each is sign-extended to whole bytes,
        the highest first.
    probe_o, probe_i
        To the network's ``probe_i``, and from its ``probe_o``.
    """

    row: stream.Interface
    ask: Signal
    taken: Signal
    ends: Signal
    sent: Signal
    ended: Signal
    open: Signal
    o: stream.Interface
    probe_o: stream.Interface
    probe_i: stream.Interface

    def __init__(self, network: NetworkTop) -> None:
        members = network.signature.members
        self._populations = len(network.populations)
        self._settling = network.settling
        super().__init__(
            {
                "row": In(stream.Signature(8, always_ready=True)),
                **{name: In(1) for name in ("ask", "taken", "ends", "sent", "ended")},
                "open": Out(1),
                "o": Out(stream.Signature(WORD)),
                "probe_o": members["probe_i"].flip(),
                "probe_i": members["probe_o"].flip(),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shape: Any = self.probe_i.p.shape()
        width = Shape.cast(shape.elem_shape).width
        length = potential_bytes(width)
        asked: Any = Signal(self.probe_o.p.shape())
        waiting = Signal()
        place = Signal(range(shape.length * length))
        with m.If(self.row.valid):
            m.d.sync += Value.cast(asked).eq((Value.cast(asked) << 8) | self.row.payload)
        exists = asked.population < self._populations
        m.d.comb += [
            self.probe_o.p.row.eq(asked.row),
            self.probe_o.p.population.eq(Mux(exists, asked.population, 0)),
            self.probe_o.valid.eq(self.ask & self._settled(m) & ~waiting & ~self.probe_i.valid),
        ]
        with m.If(self.probe_o.valid & self.probe_o.ready):
            m.d.sync += waiting.eq(1)
        with m.Switch(place):
            for k in range(shape.length * length):
                lane, byte = divmod(k, length)
                low = 8 * (length - 1 - byte)
                with m.Case(k):
                    # Beyond its width a signed value gives its sign.
                    potential = Value.cast(self.probe_i.p[lane]).as_signed() >> low
                    m.d.comb += self.o.p.byte.eq(potential)
        m.d.comb += [
            self.o.valid.eq(self.probe_i.valid),
            self.o.p.last.eq(place == shape.length * length - 1),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += place.eq(Mux(self.o.p.last, 0, place + 1))
            with m.If(self.o.p.last):
                m.d.comb += self.probe_i.ready.eq(1)
                m.d.sync += waiting.eq(0)
        return m

    def _settled(self, m: Module) -> Value:
        """Whether no step is under way; knows, too, which one has begun and does not end."""
        begun = self.taken & self.ends
        over = self.sent & self.ended
        steps = Signal(_STEP_BITS)
        m.d.sync += steps.eq(steps + begun - over)
        with m.If(self.taken):
            m.d.sync += self.open.eq(~self.ends)
        if not self._settling:
            return steps == 0
        still = Signal(range(self._settling + 1))
        with m.If(self.taken | self.sent):
            m.d.sync += still.eq(0)
        with m.Elif(still != self._settling):
            m.d.sync += still.eq(still + 1)
        return (steps == 0) & (still == self._settling)


class Counters(wiring.Component):
    """Four counters of 32 bits that begin anew with the network, as bytes.

    Members
    -------
    taken, waits, sent
        High in cycles in which the network takes an event, lets one wait, sends one.
    o
        Events taken, cycles in which one waited, events sent, and cycles from the first event taken
        to the last one sent, each highest byte first.
    """

    taken: Signal
    waits: Signal
    sent: Signal
    o: stream.Interface

    def __init__(self) -> None:
        super().__init__(
            {
                "taken": In(1),
                "waits": In(1),
                "sent": In(1),
                "o": Out(stream.Signature(WORD)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = 8 * _COUNTER_BYTES
        counters = {name: Signal(bits, name=name) for name in COUNTERS}
        age = Signal(bits)
        begun = Signal()
        place = Signal(range(len(COUNTERS) * _COUNTER_BYTES))
        counts = {"events_in": self.taken, "waits": self.waits, "events_out": self.sent}
        for name, each in counts.items():
            with m.If(each):
                m.d.sync += counters[name].eq(counters[name] + 1)
        with m.If(begun | self.taken):
            m.d.sync += [begun.eq(1), age.eq(age + 1)]
        with m.If(self.sent):
            m.d.sync += counters["cycles"].eq(age)
        with m.Switch(place):
            for k, counter in enumerate(counters.values()):
                for byte in range(_COUNTER_BYTES):
                    with m.Case(k * _COUNTER_BYTES + byte):
                        m.d.comb += self.o.p.byte.eq(
                            counter.word_select(_COUNTER_BYTES - 1 - byte, 8)
                        )
        m.d.comb += [self.o.valid.eq(1), self.o.p.last.eq(place.all())]
        with m.If(self.o.ready):
            m.d.sync += place.eq(place + 1)
        return m
