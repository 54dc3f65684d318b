"""Events as bytes, and back.

An event is the number ``kind, address, count``, with the kind's two bits on top and the widths of
:class:`~spikeloom.rtl_gen.events.EventLayout`, in base 128: all events of a link have the same
number of bytes, the highest digit comes first, and bit 7 is set in the first byte of an event
alone. Bits above the kind are sent as 0 and not looked at, and so are those between kind and
address where weights need them.

To the hardware there is a short form: a byte without bit 7 where an event would begin is the event
before once more, so many addresses further. Neurons that spike alike need a byte each.

A first byte in the middle of an event discards the unfinished one and begins anew.
:mod:`spikeloom.reference.link_codec` is the host's side.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeloom.rtl_gen.events import EventLayout

__all__ = ["EventDecoder", "EventEncoder", "event_bytes", "event_room"]

_KIND_BITS = 2


def event_bytes(layout: EventLayout, room: int = 0) -> int:
    """Number of bytes of an event.

    Parameters
    ----------
    layout
        Layout of the events.
    room
        Bits below the kind at least.
    """
    return -(-(_KIND_BITS + max(room, event_room(layout))) // 7)


def event_room(layout: EventLayout) -> int:
    """Bits of an event below its kind."""
    return layout.size - _KIND_BITS


def _check_layout(layout: EventLayout) -> None:
    if not isinstance(layout, EventLayout):
        raise TypeError(f"layout must be an EventLayout, not {layout!r}")


class EventDecoder(wiring.Component):
    """Turns bytes into events.

    Takes a byte a cycle, except in the cycle of an event: no path leads from the ready of events
    to that of bytes. Kinds, addresses and counts are passed on as they come, legal or not; short
    forms add to the address modulo its range, and before the first event to zeros.

    Parameters
    ----------
    layout
        Layout of the events.
    room
        Bits below the kind at least.

    Attributes
    ----------
    latency : int
        Cycles from an event's last byte to the event.

    Members
    -------
    i
        Bytes.
    o
        Events.
    low
        All bits below the kind of the event in ``o``.

    Raises
    ------
    TypeError
        If the layout is not an event's.
    """

    i: stream.Interface
    o: stream.Interface
    low: Signal

    latency = 1

    def __init__(self, layout: EventLayout, room: int = 0) -> None:
        _check_layout(layout)
        self.layout = layout
        self.room = max(room, event_room(layout))
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(layout)),
                "low": Out(self.room),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        length = event_bytes(self.layout, self.room)
        digits = Signal(7 * length)
        received = Signal(range(length))
        address = Value.cast(self.o.p.address)
        place = len(self.o.p.count)
        at_address = digits[place : place + len(address)]

        m.d.comb += [
            Cat(self.o.p.count, address).eq(digits),
            Value.cast(self.o.p.kind).eq(digits[self.room :]),
            self.low.eq(digits),
            self.i.ready.eq(~self.o.valid),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            with m.If((received == 0) & ~self.i.payload[7]):
                m.d.sync += [at_address.eq(address + self.i.payload[:7]), self.o.valid.eq(1)]
            with m.Else():
                last = (received == length - 1) & ~self.i.payload[7] if length > 1 else Const(1)
                m.d.sync += [
                    digits.eq(Cat(self.i.payload[:7], digits)),
                    received.eq(Mux(last, 0, Mux(self.i.payload[7], 1, received + 1))),
                    self.o.valid.eq(last),
                ]
        return m


class EventEncoder(wiring.Component):
    """Turns events into bytes, one a cycle.

    Parameters
    ----------
    layout
        Layout of the events.

    Attributes
    ----------
    latency : int
        Cycles from an event to its first byte.

    Members
    -------
    i
        Events; one is taken together with its last byte.
    o
        Bytes.

    Raises
    ------
    TypeError
        If the layout is not an event's.
    """

    i: stream.Interface
    o: stream.Interface

    latency = 0

    def __init__(self, layout: EventLayout) -> None:
        _check_layout(layout)
        self.layout = layout
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        length = event_bytes(self.layout)
        number = Cat(self.i.p.count, self.i.p.address, Value.cast(self.i.p.kind))
        digits = Signal(7 * length)
        place = Signal(range(length))
        last = place == length - 1

        m.d.comb += [
            digits.eq(number),
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready & last),
        ]
        with m.Switch(place):
            for k in range(length):
                with m.Case(k):
                    digit = digits.word_select(length - 1 - k, 7)
                    m.d.comb += self.o.payload.eq(Cat(digit, Const(k == 0, 1)))
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += place.eq(Mux(last, 0, place + 1))
        return m
