"""Frames of a link: those that are whole go on, the others leave no trace.

:mod:`spikeloom.reference.link_frames` is the host's side, ``docs/host_protocol.md`` the
specification.
"""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.crc.catalog import CRC16_IBM_3740  # type: ignore[import-untyped]
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikeloom.reference.link_frames import (
    END,
    ESCAPE,
    ESCAPED_END,
    ESCAPED_ESCAPE,
    MOST_PAYLOAD,
    Order,
)

__all__ = ["WORD", "FrameReceiver", "FrameSender"]

WORD = data.StructLayout({"byte": 8, "last": 1})
"""A byte of a frame, and whether it is the last."""

_MOST = 1 + MOST_PAYLOAD
"""Bytes of a frame that are kept: the header and the payload."""


class FrameReceiver(wiring.Component):
    """Frames out of a line's bytes.

    What is between two delimiters is written into a ring of memory as it comes, and counts only
    when its checksum is right and its number is the next one; the header and the payload of such a
    frame go on, the checksum does not. Anything else between delimiters, and a frame for which
    there is no room, is forgotten, and refused: the sender hears which number is expected. Frames
    of the orders IDENTIFY and RESET are taken whatever their number.

    Takes a byte a cycle, but for two cycles behind a delimiter, and gives one in two cycles.

    Parameters
    ----------
    depth
        Bytes of memory, a power of two of at least 512. Frames that wait take a byte more each.

    Members
    -------
    i
        Bytes of the line.
    broken
        High where a byte was lost on the line or was none; the frame is then refused.
    o
        Words of whole frames, header first.
    refused
        Valid from a refusal until it is taken; the payload is the number that is expected.
    """

    i: stream.Interface
    broken: Signal
    o: stream.Interface
    refused: stream.Interface

    def __init__(self, depth: int = 512) -> None:
        if depth < 512 or depth & (depth - 1):
            raise ValueError(f"depth must be a power of two of at least 512, not {depth!r}")
        self.depth = depth
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "broken": In(1),
                "o": Out(stream.Signature(WORD)),
                "refused": Out(stream.Signature(4)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory: Any = Memory(shape=8, depth=self.depth, init=[])
        m.submodules.memory = memory
        base = Signal(range(self.depth))
        self._write(m, memory.write_port(), base, self._read(m, memory.read_port(), base))
        return m

    def _write(self, m: Module, port: Any, base: Signal, read: Signal) -> None:
        """Write what comes behind the base, where the frame's length will be."""
        m.submodules.crc = crc = CRC16_IBM_3740(data_width=8).create()
        count = Signal(range(_MOST + 3))
        place = Signal(range(self.depth), init=1)
        header = Signal(8)
        expected = Signal(4)
        bad, escaped, ending = Signal(), Signal(), Signal()
        byte = Signal(8)
        legal_escape = (self.i.payload == ESCAPED_END) | (self.i.payload == ESCAPED_ESCAPE)
        number, kind = header[:4], header[4:]
        restarts = (kind == Order.IDENTIFY) | (kind == Order.RESET)
        whole = ~bad & ~escaped & crc.match_detected & (count >= 3)
        m.d.comb += [
            self.i.ready.eq(~ending),
            byte.eq(Mux(escaped, Mux(self.i.payload == ESCAPED_END, END, ESCAPE), self.i.payload)),
            crc.data.eq(byte),
            crc.start.eq((count == 0) & ~ending),
            port.addr.eq(Mux(ending, base, place)),
            port.data.eq(Mux(ending, count, byte)),
        ]
        with m.If(self.broken):
            m.d.sync += bad.eq(1)
        with m.If(self.refused.ready):
            m.d.sync += self.refused.valid.eq(0)
        with m.If(ending):
            m.d.sync += [ending.eq(0), count.eq(0), bad.eq(0), escaped.eq(0)]
            with m.If(whole & (restarts | (number == expected))):
                m.d.comb += port.en.eq(1)
                m.d.sync += [base.eq(place), place.eq(place + 1), expected.eq(number + 1)]
            with m.Else():
                m.d.sync += [self.refused.valid.eq(1), self.refused.payload.eq(expected)]
                m.d.sync += place.eq(base + 1)
        with m.Elif(self.i.valid):
            with m.If(self.i.payload == END):
                m.d.sync += ending.eq((count != 0) | bad | escaped)
            with m.Elif((self.i.payload == ESCAPE) & ~escaped):
                m.d.sync += escaped.eq(1)
            with m.Else():
                m.d.comb += crc.valid.eq(1)
                m.d.sync += escaped.eq(0)
                with m.If(count == 0):
                    m.d.sync += header.eq(byte)
                # Where the reader is, nothing may come; an empty ring is larger than a frame.
                with m.If((count == _MOST + 2) | (place == read) | (escaped & ~legal_escape)):
                    m.d.sync += bad.eq(1)
                with m.Else():
                    m.d.comb += port.en.eq(1)
                    m.d.sync += [count.eq(count + 1), place.eq(place + 1)]

    def _read(self, m: Module, port: Any, base: Signal) -> Signal:
        """Where the reader is: what lies from there to the base is still needed."""
        place = Signal(range(self.depth))
        left = Signal(range(_MOST + 3))
        fetched = Signal()
        m.d.comb += [
            port.addr.eq(place),
            self.o.p.byte.eq(port.data),
            self.o.p.last.eq(left == 3),
            # The checksum stays here.
            self.o.valid.eq(fetched & (left >= 3)),
        ]
        with m.If(~fetched):
            m.d.sync += fetched.eq(place != base)
        with m.Elif(self.o.ready | (left < 3)):
            m.d.sync += [place.eq(place + 1), fetched.eq(0)]
            m.d.sync += left.eq(Mux(left == 0, port.data, left - 1))
        return place


class _Phase(enum.Enum):
    BODY = 0
    HIGH = 1
    LOW = 2
    END = 3


class FrameSender(wiring.Component):
    """Frames as a line's bytes: escaped, with a checksum and a delimiter behind.

    Members
    -------
    i
        Words of frames, header first.
    o
        Bytes of the line.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(WORD)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = CRC16_IBM_3740(data_width=8).create()
        phase = Signal(_Phase)
        escaped, fresh = Signal(), Signal(init=1)
        byte = Signal(8)
        special, moves, passes = Signal(), Signal(), Signal()
        with m.Switch(phase):
            with m.Case(_Phase.BODY):
                m.d.comb += byte.eq(self.i.p.byte)
            with m.Case(_Phase.HIGH):
                m.d.comb += byte.eq(crc.crc[8:])
            with m.Default():
                m.d.comb += byte.eq(crc.crc[:8])
        m.d.comb += [
            special.eq(((byte == END) | (byte == ESCAPE)) & (phase != _Phase.END)),
            self.o.valid.eq((phase != _Phase.BODY) | self.i.valid),
            moves.eq(self.o.valid & self.o.ready),
            # A byte has passed when it, or the second half of its escape, is taken.
            passes.eq(moves & (escaped | ~special)),
            self.i.ready.eq(passes & (phase == _Phase.BODY)),
            crc.start.eq(fresh & (phase == _Phase.BODY)),
            crc.data.eq(self.i.p.byte),
            crc.valid.eq(self.i.ready),
        ]
        with m.If(phase == _Phase.END):
            m.d.comb += self.o.payload.eq(END)
        with m.Elif(~special):
            m.d.comb += self.o.payload.eq(byte)
        with m.Elif(~escaped):
            m.d.comb += self.o.payload.eq(ESCAPE)
        with m.Else():
            m.d.comb += self.o.payload.eq(Cat(byte == ESCAPE, Const(0, 1)) | Const(ESCAPED_END, 8))
        with m.If(moves):
            m.d.sync += escaped.eq(special & ~escaped)
        with m.If(passes):
            with m.Switch(phase):
                with m.Case(_Phase.BODY):
                    m.d.sync += fresh.eq(0)
                    with m.If(self.i.p.last):
                        m.d.sync += phase.eq(_Phase.HIGH)
                with m.Case(_Phase.HIGH):
                    m.d.sync += phase.eq(_Phase.LOW)
                with m.Case(_Phase.LOW):
                    m.d.sync += phase.eq(_Phase.END)
                with m.Case(_Phase.END):
                    m.d.sync += [phase.eq(_Phase.BODY), fresh.eq(1)]
        return m
