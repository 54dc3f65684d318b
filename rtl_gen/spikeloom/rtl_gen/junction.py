"""Where the connections of a population come together: delays, loops, and one address for all."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from spikeloom.reference.maps import Shape
from spikeloom.reference.network import Connection
from spikeloom.reference.scatter import three_sizes
from spikeloom.rtl_gen.delay import EventQueue, StepDelay, StepMerge, add_offsets, loop_depth
from spikeloom.rtl_gen.events import EventLayout, flat_address

__all__ = ["Flattener", "Junction", "Source", "joined_layout"]


@dataclass(frozen=True)
class Source:
    """What a connection hears.

    Attributes
    ----------
    connection
        The connection.
    shape
        Shape of its source.
    least, most
        Range of what the source sends in a step.
    loop
        Whether the connection closes a loop, so that a step's events arrive after the step before.
    """

    connection: Connection
    shape: Shape
    least: int
    most: int
    loop: bool

    @property
    def event(self) -> EventLayout:
        """Layout of its events."""
        return EventLayout(self.shape, self.most, self.least)


class Flattener(wiring.Component):
    """Turns the coordinates of addresses into flat numbers; no latency."""

    i: stream.Interface
    o: stream.Interface

    def __init__(self, source: Source) -> None:
        self.shape = source.shape
        flat = EventLayout(math.prod(source.shape), source.most, source.least)
        super().__init__(
            {"i": In(stream.Signature(source.event)), "o": Out(stream.Signature(flat))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [
            self.o.p.kind.eq(self.i.p.kind),
            self.o.p.address.eq(flat_address(self.i.p.address, self.shape)),
            self.o.p.count.eq(self.i.p.count),
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready),
        ]
        return m


class Junction(wiring.Component):
    """Brings the events of all connections into one stream, each in the step in which it acts.

    Parameters
    ----------
    sources
        What the connections hear.
    flat
        Whether the joined addresses are flat numbers; else they have coordinates, each of which
        counts on from one connection to the next.

    Attributes
    ----------
    event : EventLayout
        Layout of the joined events.

    Members
    -------
    i_0, i_1, …
        Events of each connection's source.
    o
        Joined events.
    """

    o: stream.Interface

    def __init__(self, sources: Sequence[Source], *, flat: bool) -> None:
        self.sources = list(sources)
        self.flat = flat
        self.event, self.offsets = joined_layout(sources, flat=flat)
        streams = {f"i_{k}": In(stream.Signature(each.event)) for k, each in enumerate(sources)}
        super().__init__({**streams, "o": Out(stream.Signature(self.event))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ends = [self._lead(m, k) for k in range(len(self.sources))]
        if len(ends) == 1:
            (end,) = ends
            m.d.comb += [
                self.o.p.kind.eq(end.p.kind),
                *add_offsets(self.o.p.address, end.p.address, (0, 0, 0)),
                self.o.p.count.eq(end.p.count),
                self.o.valid.eq(end.valid),
                end.ready.eq(self.o.ready),
            ]
            return m
        m.submodules.merge = merge = StepMerge(
            [end.payload.shape() for end in ends],
            self.offsets,
            [each.loop for each in self.sources],
            self.event,
        )
        for k, end in enumerate(ends):
            connect(m, end, getattr(merge, f"i_{k}"))
        connect(m, merge.o, flipped(self.o))
        return m

    def _lead(self, m: Module, k: int) -> stream.Interface:
        """A connection's events, late as they must be."""
        source = self.sources[k]
        end = flipped(getattr(self, f"i_{k}"))
        delay = np.asarray(source.connection.delay)
        if source.loop:
            queue = EventQueue(source.event, loop_depth(math.prod(source.shape)))
            m.submodules[f"queue_{k}"] = queue
            connect(m, end, queue.i)
            end, delay = queue.o, delay - 1
        if np.any(delay):
            steps = int(delay) if delay.ndim == 0 else delay.ravel().tolist()
            m.submodules[f"delay_{k}"] = later = StepDelay(source.event, source.shape, steps)
            connect(m, end, later.i)
            end = later.o
        if self.flat and len(source.shape) > 1:
            m.submodules[f"flat_{k}"] = flattener = Flattener(source)
            connect(m, end, flattener.i)
            end = flattener.o
        return end


def joined_layout(
    sources: Sequence[Source], *, flat: bool
) -> tuple[EventLayout, list[tuple[int, int, int]]]:
    """Layout of the events of all sources, and what is added to the addresses of each."""
    shapes = [three_sizes(each.shape) for each in sources]
    if flat:
        shapes = [(math.prod(each), 1, 1) for each in shapes]
    totals = tuple(sum(each) for each in zip(*shapes, strict=True))
    starts = [tuple(np.cumsum([0, *axis])[:-1].tolist()) for axis in zip(*shapes, strict=True)]
    least = min(each.least for each in sources)
    # A list of sources, too, has room for a count of 1.
    most = max(1, *(each.most for each in sources))
    event = EventLayout(totals[0] if flat else totals, most, least)
    return event, list(zip(*starts, strict=True))
