"""Weights in order become weights with their places."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["WeightLoader"]


class WeightLoader(wiring.Component):
    """Gives each weight its place: population by population, row by row, lane by lane.

    Behind the last weight it begins again with the first.

    Parameters
    ----------
    layout
        Layout of weights with their places.
    memories
        For each memory that is loaded, in order: its population's number, rows and lanes.

    Members
    -------
    i
        Weights.
    o
        Weights with their places; no latency.
    last
        High while the next one is the last.
    """

    i: stream.Interface
    o: stream.Interface
    last: Signal

    def __init__(self, layout: data.StructLayout, memories: list[tuple[int, int, int]]) -> None:
        self.memories = memories
        super().__init__(
            {
                "i": In(stream.Signature(layout["weight"].shape)),
                "o": Out(stream.Signature(layout)),
                "last": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        place: Any = Signal(self.o.p.shape())
        memory = Signal(range(len(self.memories)))
        ends = Signal(3)
        last_lane, last_row, last_memory = ends
        with m.Switch(memory):
            for k, (population, rows, lanes) in enumerate(self.memories):
                with m.Case(k):
                    m.d.comb += [
                        self.o.p.population.eq(population),
                        last_lane.eq(place.lane == lanes - 1),
                        last_row.eq(place.row == rows - 1),
                        last_memory.eq(k == len(self.memories) - 1),
                    ]
        m.d.comb += [
            self.last.eq(ends.all()),
            self.o.p.weight.eq(self.i.p),
            self.o.p.lane.eq(place.lane),
            self.o.p.row.eq(place.row),
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += place.lane.eq(Mux(last_lane, 0, place.lane + 1))
            with m.If(last_lane):
                m.d.sync += place.row.eq(Mux(last_row, 0, place.row + 1))
            with m.If(ends[:2].all()):
                m.d.sync += memory.eq(Mux(last_memory, 0, memory + 1))
        return m
