"""What an SPI flash holds, read from an address on when the hardware starts."""

import math

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["FlashReader"]

# Commands that the flashes of all our boards know: Winbond W25Q128JV data sheet, "Instruction Set
# Table 1". It takes 3 us to fall asleep and 3 us to wake up (tDP and tRES1 there); ten times that
# costs no logic and suits slower ones.
_WAKE, _READ = 0xAB, 0x03
_PAUSE = 30e-6
_ADDRESS_BITS = 24


class _Phase(enum.Enum, shape=3):
    # The lowest bit is high where the flash is selected.
    ASLEEP = 0b000
    WAKE = 0b001
    WAKING = 0b010
    COMMAND = 0b011
    READ = 0b101
    DONE = 0b100


class FlashReader(wiring.Component):
    """Bytes of an SPI flash, in order, from reset on.

    Wakes the flash, which an iCE40 leaves in deep power-down behind its configuration, waits until
    it has woken up, and reads until it is told to stop, or to the end. While a byte is not taken,
    sck rests.

    ``sck`` has half the frequency of the clock, and runs while chip select is high too. A bit is
    sampled by the clock edge that makes sck fall, a whole period behind the fall that made the
    flash send it: from the clock through the flash to the pin it may take almost two cycles. Of a
    flash whose plain read bears 50 MHz the clock may have up to 100 MHz.

    Throughput is a byte in 17 cycles.

    Parameters
    ----------
    address
        Where the first byte is.
    length
        Bytes after which it ends if nothing stopped it before.
    frequency
        Clock frequency in Hz.

    Attributes
    ----------
    length : int
        Bytes that it reads at most: the length, rounded up to a multiple of an eighth of
        :attr:`pause`, so that one counter does for all.
    pause : int
        Cycles, a power of two, before and behind the waking; 30 us at least.

    Members
    -------
    sck, copi, cs
        The lines to the flash; chip select is active when low. Chip select and sck come from
        flip-flops.
    cipo
        The line from the flash.
    o
        Bytes.
    stop
        Ends the reading, in the middle of a byte too.
    done
        High from the end on, as soon as the last byte has been taken.

    Raises
    ------
    TypeError, ValueError
        If address or length are no integers or do not fit into 24 bits, or the frequency is no
        positive finite number.
    """

    sck: Signal
    copi: Signal
    cipo: Signal
    cs: Signal
    o: stream.Interface
    stop: Signal
    done: Signal

    def __init__(self, address: int, length: int, frequency: float) -> None:
        for name, value in (("address", address), ("length", length)):
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name} must be an integer, not {value!r}")
        if not 0 <= address < 1 << _ADDRESS_BITS:
            raise ValueError(f"address must have at most 24 bits, not {address!r}")
        if not 1 <= length <= (1 << _ADDRESS_BITS) - address:
            raise ValueError(
                f"length must be 1 to what is behind the address, {(1 << 24) - address}, not"
                f" {length!r}"
            )
        if not isinstance(frequency, int | float) or isinstance(frequency, bool):
            raise TypeError(f"frequency must be a number of Hz, not {frequency!r}")
        if not 0 < frequency < math.inf:
            raise ValueError(f"frequency must be positive and finite, not {frequency!r}")
        self.address = address
        # The bit of the counter that ends a pause is above the one that ends the command's 32 bits.
        self._pause_bit = max(7, math.ceil(math.log2(frequency * _PAUSE)))
        self.pause = 1 << self._pause_bit
        unit = self.pause // 8
        self.length = -(-length // unit) * unit
        super().__init__(
            {
                "sck": Out(1),
                "copi": Out(1),
                "cipo": In(1),
                "cs": Out(1),
                "o": Out(stream.Signature(8)),
                "stop": In(1),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Half periods of sck, up to a power of two: below its start's lowest bit all phases count.
        end = (16 * self.length - 1).bit_length()
        count = Signal(end + 1, init=(1 << end) - 16 * self.length)
        phase = Signal(_Phase)
        byte = Signal(8, reset_less=True)
        ends = Signal()
        runs = Signal()
        m.d.comb += [
            self.sck.eq(count[0]),
            self.o.payload.eq(byte),
            self.cs.eq(~Value.cast(phase)[0]),
            self.copi.eq(self._command(Value.cast(phase)[1], count[1:6])),
            runs.eq(~self.o.valid & (phase != _Phase.DONE)),
            self.done.eq(~self.o.valid & (phase == _Phase.DONE)),
        ]
        with m.Switch(phase):
            for each, following, ending in (
                (_Phase.ASLEEP, _Phase.WAKE, count[self._pause_bit]),
                (_Phase.WAKE, _Phase.WAKING, count[4]),
                (_Phase.WAKING, _Phase.COMMAND, count[self._pause_bit]),
                (_Phase.COMMAND, _Phase.READ, count[6]),
                (_Phase.READ, _Phase.DONE, count[end] | self.stop),
            ):
                with m.Case(each):
                    m.d.comb += ends.eq(ending)
                    with m.If(ends):
                        m.d.sync += phase.eq(following)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(ends):
            m.d.sync += count.eq(count.init)
        with m.Elif(runs):
            m.d.sync += count.eq(count + 1)
            with m.If(count[0]):
                m.d.sync += byte.eq(Cat(self.cipo, byte[:7]))
            with m.If(count[:4].all() & (phase == _Phase.READ)):
                m.d.sync += self.o.valid.eq(1)
        return m

    def _command(self, reads: Value, place: Value) -> Value:
        """The bit of a command; where none is sent, it does not matter."""
        read = Const(_READ << _ADDRESS_BITS | self.address, 32)
        wake = Const(_WAKE, 8)
        return Mux(reads, read.bit_select(~place, 1), wake.bit_select(~place[:3], 1))
