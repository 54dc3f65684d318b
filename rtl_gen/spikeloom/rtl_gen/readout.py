"""A decision out of a network's output, as soon as it is clear."""

from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, ceil_log2

from spikeloom.reference.latency import EarlyStop
from spikeloom.rtl_gen.events import EventKind, event_stream

__all__ = ["EarlyReadout", "decision_layout"]


class _Phase(enum.Enum):
    LISTEN = 0
    COMPARE = 1
    SEND = 2


def decision_layout(outputs: int, steps: int) -> data.StructLayout:
    """A decision: the number of an output, and after how many steps."""
    return data.StructLayout({"output": bits_for(outputs - 1), "steps": bits_for(steps)})


class EarlyReadout(wiring.Component):
    """Adds up what each output sends, and stops when one is clearly ahead.

    The golden realisation is :func:`spikeloom.reference.latency.decisions`: after the first step
    in which the largest sum is ahead of the second by the margin, at the latest after the last
    step, the number of the largest goes out, the first of equals. What comes until the next
    RESTART is taken and does not count. Sums start at 0 after a reset and at each RESTART.

    Parameters
    ----------
    outputs
        How many outputs there are, at least 2.
    stop
        When it stops.
    max_count, least
        The range of what an output sends in a step, as of
        :class:`~spikeloom.rtl_gen.events.EventLayout`.

    Attributes
    ----------
    latency : int
        Cycles from a step's tick to the decision.

    Raises
    ------
    ValueError
        If there are fewer than two outputs.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(
        self, *, outputs: int, stop: EarlyStop, max_count: int = 1, least: int = 0
    ) -> None:
        if outputs < 2:
            raise ValueError(f"outputs must be at least 2, not {outputs!r}")
        self.outputs, self.stop = outputs, stop
        self.width = ceil_log2(max(max_count, -least) + 1) + ceil_log2(stop.steps) + 1
        self.latency = outputs + 2
        super().__init__(
            {
                "i": In(event_stream(outputs, max_count, least)),
                "o": Out(stream.Signature(decision_layout(outputs, stop.steps))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sums = Array(Signal(signed(self.width), name=f"sum_{k}") for k in range(self.outputs))
        step = Signal(range(self.stop.steps + 1))
        done = Signal()
        phase = Signal(_Phase)
        place = Signal(range(self.outputs + 1))
        best = Signal(signed(self.width))
        second = Signal(signed(self.width))
        winner = Signal(range(self.outputs))
        event = self.i.payload
        m.d.comb += [
            self.i.ready.eq(phase == _Phase.LISTEN),
            self.o.valid.eq(phase == _Phase.SEND),
            self.o.payload.output.eq(winner),
            self.o.payload.steps.eq(step),
        ]
        with m.Switch(phase):
            with m.Case(_Phase.LISTEN):
                with m.If(self.i.valid):
                    with m.Switch(event.kind):
                        with m.Case(EventKind.SPIKE):
                            with m.If(~done):
                                total = sums[event.address]
                                m.d.sync += total.eq(total + event.count)
                        with m.Case(EventKind.TICK):
                            with m.If(~done):
                                m.d.sync += [step.eq(step + 1), place.eq(0)]
                                m.d.sync += phase.eq(_Phase.COMPARE)
                        with m.Case(EventKind.RESTART):
                            m.d.sync += [step.eq(0), done.eq(0)]
                            m.d.sync += [each.eq(0) for each in sums]
            with m.Case(_Phase.COMPARE):
                self._compare(m, sums, place, best, second, winner)
                m.d.sync += place.eq(place + 1)
                with m.If(place == self.outputs):
                    clear = (best - second >= self.stop.margin) | (step == self.stop.steps)
                    m.d.sync += [
                        done.eq(clear),
                        phase.eq(Mux(clear, _Phase.SEND, _Phase.LISTEN)),
                    ]
            with m.Case(_Phase.SEND):
                with m.If(self.o.ready):
                    m.d.sync += phase.eq(_Phase.LISTEN)
        return m

    def _compare(
        self, m: Module, sums: Array, place: Signal, best: Signal, second: Signal, winner: Signal
    ) -> None:
        """Take one more sum into account: the largest so far, and the second."""
        lowest = -(1 << (self.width - 1))
        total = Signal(signed(self.width))
        m.d.comb += total.eq(sums[place])
        with m.If(place == 0):
            m.d.sync += [best.eq(total), second.eq(lowest), winner.eq(0)]
        with m.Elif(place < self.outputs):
            with m.If(total > best):
                m.d.sync += [best.eq(total), second.eq(best), winner.eq(place)]
            with m.Elif(total > second):
                m.d.sync += second.eq(total)
