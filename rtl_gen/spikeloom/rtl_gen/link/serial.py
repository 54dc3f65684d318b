"""A network behind a serial line."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from spikeloom.rtl_gen.link.linked import EventNetwork, LinkedNetwork
from spikeloom.rtl_gen.link.uart import UARTReceiver, UARTTransmitter

__all__ = ["SerialNetwork"]


class SerialNetwork(wiring.Component):
    """A network that takes orders from a serial line and answers on another.

    Parameters
    ----------
    network, monitor
        As :class:`~spikeloom.rtl_gen.link.linked.LinkedNetwork`'s.
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
        If the divisor is not an integer of at least 8, or as
        :class:`~spikeloom.rtl_gen.link.linked.LinkedNetwork`.
    """

    rx: Signal
    tx: Signal
    spike: Signal
    error: Signal
    loaded: Signal

    def __init__(self, network: EventNetwork, divisor: int, monitor: bool = False) -> None:
        self._receiver = UARTReceiver(divisor)
        self._transmitter = UARTTransmitter(divisor)
        self.linked = LinkedNetwork(network, monitor)
        super().__init__(
            {"rx": In(1), "tx": Out(1), "spike": Out(1), "error": Out(1), "loaded": Out(1)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = self._receiver
        m.submodules.transmitter = transmitter = self._transmitter
        m.submodules.linked = linked = self.linked
        connect(m, receiver.o, linked.i)
        connect(m, linked.o, transmitter.i)
        m.d.comb += [
            receiver.rx.eq(self.rx),
            self.tx.eq(transmitter.tx),
            linked.broken.eq(receiver.broken),
            self.spike.eq(linked.spike),
            self.error.eq(linked.error),
            self.loaded.eq(linked.loaded),
        ]
        return m
