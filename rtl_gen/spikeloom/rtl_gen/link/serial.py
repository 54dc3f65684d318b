"""Lines between a host and a network that takes orders: an asynchronous one, and SPI."""

from typing import Any, Protocol

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect

from spikeloom.reference.link_frames import FILL
from spikeloom.rtl_gen.link.spi import SPIPeripheral
from spikeloom.rtl_gen.link.uart import UARTReceiver, UARTTransmitter

__all__ = ["Linked", "SPINetwork", "SerialNetwork"]

_STATE = ("spike", "error", "loaded")


class Linked(Protocol):
    """A :class:`~spikeloom.rtl_gen.link.linked.LinkedNetwork`, or one with something around it."""

    i: stream.Interface
    o: stream.Interface
    broken: Signal
    spike: Signal
    error: Signal
    loaded: Signal

    def elaborate(self, platform: object) -> Module: ...


class SerialNetwork(wiring.Component):
    """A network that takes orders from a serial line and answers on another.

    Parameters
    ----------
    linked
        The network.
    divisor
        Clock cycles of a bit, at least 8.

    Members
    -------
    rx, tx
        Lines from and to the host.
    spike, error, loaded
        As :class:`~spikeloom.rtl_gen.link.linked.LinkedNetwork`'s.

    Raises
    ------
    TypeError, ValueError
        If the divisor is not an integer of at least 8.
    """

    rx: Signal
    tx: Signal
    spike: Signal
    error: Signal
    loaded: Signal

    def __init__(self, linked: Linked, divisor: int) -> None:
        self._receiver = UARTReceiver(divisor)
        self._transmitter = UARTTransmitter(divisor)
        self.linked = linked
        super().__init__({"rx": In(1), "tx": Out(1), **{name: Out(1) for name in _STATE}})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = self._receiver
        m.submodules.transmitter = transmitter = self._transmitter
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx)]
        _connect(m, self, self.linked, receiver.o, transmitter.i, receiver.broken)
        return m


class SPINetwork(wiring.Component):
    """A network that is the peripheral of an SPI host, in mode 0.

    Where it has nothing to say it sends :data:`~spikeloom.reference.link_frames.FILL`.

    Parameters
    ----------
    linked
        The network.

    Members
    -------
    sck, copi, cs, cipo
        As :class:`~spikeloom.rtl_gen.link.spi.SPIPeripheral`'s.
    spike, error, loaded
        As :class:`~spikeloom.rtl_gen.link.linked.LinkedNetwork`'s.
    """

    sck: Signal
    copi: Signal
    cs: Signal
    cipo: Signal
    spike: Signal
    error: Signal
    loaded: Signal

    def __init__(self, linked: Linked) -> None:
        self._peripheral = SPIPeripheral(FILL)
        self.linked = linked
        pins = {"sck": In(1), "copi": In(1), "cs": In(1), "cipo": Out(1)}
        super().__init__({**pins, **{name: Out(1) for name in _STATE}})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.peripheral = peripheral = self._peripheral
        m.d.comb += [
            peripheral.sck.eq(self.sck),
            peripheral.copi.eq(self.copi),
            peripheral.cs.eq(self.cs),
            self.cipo.eq(peripheral.cipo),
        ]
        _connect(m, self, self.linked, peripheral.o, peripheral.i, peripheral.broken)
        return m


def _connect(
    m: Module,
    outer: Any,
    linked: Linked,
    received: stream.Interface,
    sent: stream.Interface,
    broken: Signal,
) -> None:
    m.submodules.linked = linked
    connect(m, received, linked.i)
    connect(m, linked.o, sent)
    m.d.comb += linked.broken.eq(broken)
    m.d.comb += [getattr(outer, name).eq(getattr(linked, name)) for name in _STATE]
