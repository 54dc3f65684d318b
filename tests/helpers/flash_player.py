"""A design that plays levels to its board's serial flash and tells what it hears."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Elaboratable, Module, Signal
from amaranth.lib.io import Buffer
from amaranth.lib.memory import Memory

from spikeloom.boards.board import Board
from spikeloom.boards.top import board_clock
from spikeloom.rtl_gen.link.uart import UARTReceiver, UARTTransmitter, uart_divisor

__all__ = ["FlashPlayer", "answer", "transfer"]

Step = tuple[int, int, int]
"""Whether the flash is selected, and its clock and input, for one cycle."""


def transfer(data: bytes, answers: int) -> list[Step]:
    """Steps that send bytes to the flash and clock so many out of it, two a bit."""
    bits = [byte >> k & 1 for byte in data + bytes(answers) for k in range(7, -1, -1)]
    steps = [(1, clock, bit) for bit in bits for clock in (0, 1)]
    return [*steps, (1, 0, 0), (0, 0, 0), (0, 0, 0)]


def answer(heard: bytes, sent: int, answers: int) -> bytes:
    """The bytes behind those that were sent, out of the levels of a transfer's steps."""
    bits = heard[1::2][8 * sent : 8 * (sent + answers)]
    return int("".join(map(str, bits)), 2).to_bytes(answers)


class FlashPlayer(Elaboratable):
    """Plays all steps whenever a byte comes over the serial line, and then sends the level of the
    flash's output in each step, as a byte 0 or 1."""

    def __init__(self, board: Board, steps: Sequence[Step]) -> None:
        self._pll = board_clock(board)
        self._divisor = uart_divisor(self._pll.frequency, board.baud)
        self._script = [sum(bit << k for k, bit in enumerate(step)) for step in steps]

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        pin = partial(platform.request, dir="-")
        uart, flash = pin("uart"), pin("spi_flash_1x")
        m.submodules.rx = rx = Buffer("i", uart.rx)
        m.submodules.tx = tx = Buffer("o", uart.tx)
        outputs = [Buffer("o", port) for port in (flash.cs, flash.clk, flash.copi)]
        m.submodules += outputs
        m.submodules.cipo = cipo = Buffer("i", flash.cipo)
        clock = Signal()
        m.submodules.pll = self._pll.create(pin(platform.default_clk), clock, Signal())
        m.domains.sync = ClockDomain(reset_less=True)
        m.d.comb += ClockSignal().eq(clock)

        m.submodules.receiver = receiver = UARTReceiver(self._divisor)
        m.submodules.transmitter = transmitter = UARTTransmitter(self._divisor)
        m.d.comb += [receiver.rx.eq(rx.i), receiver.o.ready.eq(1), tx.o.eq(transmitter.tx)]
        count = len(self._script)
        m.submodules.script = script = Memory(shape=3, depth=count, init=self._script)
        m.submodules.heard = heard = Memory(shape=1, depth=count, init=[])
        play, read, write = script.read_port(), heard.read_port(), heard.write_port()
        pins = Signal(3)
        m.d.comb += Cat(each.o for each in outputs).eq(pins)
        m.d.sync += pins.eq(play.data)
        m.d.comb += write.data.eq(cipo.i)
        # An address's levels are on the pins two cycles later.
        step, addresses = Signal(range(count)), [Signal(range(count)) for _ in range(2)]
        ways = [Signal() for _ in range(2)]
        playing = Signal()
        m.d.comb += [play.addr.eq(step), write.addr.eq(addresses[-1]), write.en.eq(ways[-1])]
        m.d.sync += Cat(addresses).eq(Cat(step, *addresses[:-1]))
        m.d.sync += Cat(ways).eq(Cat(playing, *ways[:-1]))
        place = Signal(range(count))
        m.d.comb += [read.addr.eq(place), transmitter.i.payload.eq(read.data)]
        with m.FSM():
            with m.State("REST"):
                with m.If(receiver.o.valid):
                    m.next = "PLAY"
            with m.State("PLAY"):
                m.d.comb += playing.eq(1)
                with m.If(step == count - 1):
                    m.next = "DRAIN"
                with m.Else():
                    m.d.sync += step.eq(step + 1)
            with m.State("DRAIN"):
                with m.If(~ways[-1]):
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.next = "TELL"
            with m.State("TELL"):
                m.d.comb += transmitter.i.valid.eq(1)
                with m.If(transmitter.i.ready):
                    m.d.sync += place.eq(place + 1)
                    m.next = "FETCH"
                    with m.If(place == count - 1):
                        m.next = "END"
            with m.State("END"):
                pass
        return m
