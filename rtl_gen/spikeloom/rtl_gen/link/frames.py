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
    FILL,
    Order,
)
from spikeloom.rtl_gen.memory import UNMET

__all__ = ["WORD", "FrameReceiver", "FrameSender"]

WORD = data.StructLayout({"byte": 8, "last": 1})
"""A byte of a frame, and whether it is the last."""


class _Part(enum.Enum):
    LENGTH = 0
    HEADER = 1
    REST = 2
    END = 3


class FrameReceiver(wiring.Component):
    """Frames out of a line's bytes.

    What is between two delimiters is written into a ring of memory as it comes, and counts only
    when its checksum is right and its number is the next one; the header and the payload of such a
    frame go on, length and checksum do not. Anything else between delimiters, and a frame for which
    there is no room, is forgotten, and refused: the sender hears which number is expected. Frames
    of the orders IDENTIFY and RESET are taken whatever their number, and until one has come they
    alone: who has not heard of a restart must not have the right number by chance.

    Takes a byte a cycle, but for a cycle behind a delimiter, and gives one in two cycles.

    Parameters
    ----------
    depth
        Bytes of memory, a power of two of at least 512. A frame that waits takes its length's byte
        besides header and payload; one byte of the memory stays free.

    Members
    -------
    i
        Bytes of the line.
    broken
        High where a byte was lost on the line or was none; the frame is then refused.
    forget
        High where another sender has the line from now on, who begins as after a restart.
    o
        Words of whole frames, header first.
    refused, heard
        High from a refusal on, until the other one is high.
    expected
        The number that the next frame must have.
    """

    i: stream.Interface
    broken: Signal
    forget: Signal
    o: stream.Interface
    refused: Signal
    heard: Signal
    expected: Signal

    def __init__(self, depth: int = 512) -> None:
        if depth < 512 or depth & (depth - 1):
            raise ValueError(f"depth must be a power of two of at least 512, not {depth!r}")
        self.depth = depth
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "broken": In(1),
                "forget": In(1),
                "o": Out(stream.Signature(WORD)),
                "refused": Out(1),
                "heard": In(1),
                "expected": Out(4),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory: Any = Memory(shape=8, depth=self.depth, init=[], attrs=UNMET)
        m.submodules.memory = memory
        base = Signal(range(self.depth))
        self._write(m, memory.write_port(), base, self._read(m, memory.read_port(), base))
        return m

    def _write(self, m: Module, port: Any, base: Signal, read: Signal) -> None:
        """Write from the base on; it moves behind a frame that counts."""
        m.submodules.crc = crc = CRC16_IBM_3740(data_width=8).create()
        part = Signal(_Part)
        left = Signal(8)
        place = Signal(range(self.depth))
        behind = Signal.like(place)
        number = Signal(4)
        restarts = Signal()
        known = Signal()
        bad = Signal()
        escaped = Signal()
        tail = Signal(2)
        byte = Signal(8)
        legal_escape = (self.i.payload == ESCAPED_END) | (self.i.payload == ESCAPED_ESCAPE)
        ending = part == _Part.END
        kept = (part != _Part.REST) | (left != 0)
        whole = crc.match_detected & (tail == 2) & ~bad & ~escaped
        m.d.comb += [
            self.i.ready.eq(~ending),
            byte.eq(Mux(escaped, Mux(self.i.payload[0], ESCAPE, END), self.i.payload)),
            behind.eq(place + 1),
            crc.data.eq(byte),
            crc.start.eq(part == _Part.LENGTH),
            port.addr.eq(place),
            port.data.eq(byte),
        ]
        with m.If(self.broken):
            m.d.sync += bad.eq(1)
        with m.If(self.heard):
            m.d.sync += self.refused.eq(0)
        with m.If(self.forget):
            m.d.sync += known.eq(0)
        with m.If(ending):
            m.d.sync += [part.eq(_Part.LENGTH), tail.eq(0), bad.eq(0), escaped.eq(0)]
            with m.If(whole & (restarts | (known & (number == self.expected)))):
                m.d.sync += [base.eq(place), self.expected.eq(number + 1), known.eq(1)]
            with m.Else():
                m.d.sync += [place.eq(base), self.refused.eq(1)]
        with m.Elif(self.i.valid):
            with m.If(self.i.payload == END):
                with m.If((part != _Part.LENGTH) | bad | escaped):
                    m.d.sync += part.eq(_Part.END)
            with m.Elif((self.i.payload == ESCAPE) & ~escaped):
                m.d.sync += escaped.eq(1)
            with m.Else():
                m.d.comb += crc.valid.eq(1)
                m.d.sync += escaped.eq(0)
                with m.If(escaped & ~legal_escape):
                    m.d.sync += bad.eq(1)
                with m.If(~kept):
                    with m.If(tail != 3):
                        m.d.sync += tail.eq(tail + 1)
                # The place before the reader's stays free: an empty ring is no full one.
                with m.Elif(behind == read):
                    m.d.sync += bad.eq(1)
                with m.Else():
                    m.d.comb += port.en.eq(1)
                    m.d.sync += [place.eq(behind), left.eq(left - 1)]
                with m.Switch(part):
                    with m.Case(_Part.LENGTH):
                        m.d.sync += [left.eq(byte), part.eq(_Part.HEADER)]
                        # There is a header at least, without which the reader would lose its way.
                        with m.If(byte == 0):
                            m.d.sync += bad.eq(1)
                    with m.Case(_Part.HEADER):
                        kind = byte[4:]
                        restart = (kind == Order.IDENTIFY) | (kind == Order.RESET)
                        m.d.sync += [number.eq(byte[:4]), restarts.eq(restart)]
                        m.d.sync += part.eq(_Part.REST)

    def _read(self, m: Module, port: Any, base: Signal) -> Signal:
        """Where the reader is: what lies from there to the base is still needed."""
        place = Signal(range(self.depth))
        left = Signal(8)
        fetched = Signal()
        # A register behind the memory, which is slow to answer.
        m.d.comb += port.addr.eq(place)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(~fetched):
            m.d.sync += fetched.eq(place != base)
        with m.Elif(left == 0):
            m.d.sync += [place.eq(place + 1), fetched.eq(0), left.eq(port.data)]
        with m.Elif(~self.o.valid | self.o.ready):
            m.d.sync += [
                *(place.eq(place + 1), fetched.eq(0), left.eq(left - 1)),
                *(self.o.valid.eq(1), self.o.p.byte.eq(port.data), self.o.p.last.eq(left == 1)),
            ]
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
        escaped = Signal()
        byte = Signal(8)
        special = Signal()
        moves = Signal()
        passes = Signal()
        body, end = phase == _Phase.BODY, phase == _Phase.END
        m.d.comb += [
            # A checksum of which its own high byte is taken moves up by a byte.
            byte.eq(Mux(body, self.i.p.byte, crc.crc[8:])),
            special.eq((byte == END) | (byte == ESCAPE) | (byte == FILL)),
            self.o.valid.eq(~body | self.i.valid),
            moves.eq(self.o.valid & self.o.ready),
            # A byte has passed when it, or the second half of its escape, is taken.
            passes.eq(moves & (escaped | ~special)),
            self.i.ready.eq(passes & body),
            crc.start.eq(end),
            crc.data.eq(byte),
            crc.valid.eq(passes & ~end),
        ]
        with m.If(end):
            m.d.comb += self.o.payload.eq(END)
        with m.Elif(~special):
            m.d.comb += self.o.payload.eq(byte)
        with m.Elif(~escaped):
            m.d.comb += self.o.payload.eq(ESCAPE)
        with m.Else():
            # Its two lowest bits are 0, 1 and 2 for the three.
            m.d.comb += self.o.payload.eq(Cat(byte[0] & ~byte[2], byte[2], Const(ESCAPED_END >> 2)))
        with m.If(moves & ~end):
            m.d.sync += escaped.eq(special & ~escaped)
        with m.Switch(phase):
            with m.Case(_Phase.BODY):
                with m.If(passes & self.i.p.last):
                    m.d.sync += phase.eq(_Phase.HIGH)
            with m.Case(_Phase.HIGH):
                with m.If(passes):
                    m.d.sync += phase.eq(_Phase.LOW)
            with m.Case(_Phase.LOW):
                with m.If(passes):
                    m.d.sync += phase.eq(_Phase.END)
            with m.Case(_Phase.END):
                with m.If(moves):
                    m.d.sync += phase.eq(_Phase.BODY)
        return m
