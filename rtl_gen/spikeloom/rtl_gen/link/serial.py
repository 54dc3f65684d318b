"""A network behind a serial line."""

from typing import Protocol

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect

from spikeloom.rtl_gen.events import EventKind, EventLayout
from spikeloom.rtl_gen.link.codec import EventDecoder, EventEncoder
from spikeloom.rtl_gen.link.uart import UARTReceiver, UARTTransmitter

__all__ = ["QUEUE_BYTES", "EventNetwork", "SerialNetwork"]

QUEUE_BYTES = 512
"""Bytes that wait for the network: one block RAM of an iCE40."""


class EventNetwork(Protocol):
    """A component that takes and sends events; it may have other ports, which are not used.

    Members
    -------
    i, o
        Streams of events.
    error
        Set by the first illegal event until reset.
    """

    i: stream.Interface
    o: stream.Interface
    error: Signal

    def elaborate(self, platform: object) -> Module: ...


class SerialNetwork(wiring.Component):
    """A network that takes its input events from a serial line and answers on another.

    Bytes are events as :mod:`spikeloom.rtl_gen.link.codec` says. The line to the host is never
    overrun: the network waits for it. The line from the host cannot be made to wait. What the
    network has not taken waits in a queue of 512 bytes; a byte that finds it full is lost and
    ``error`` is set. The host is on the safe side if it has no more than 512 bytes of unanswered
    steps on the way, a step being answered when its tick comes back, or, where one step has more
    bytes than that, if it sends it when all before are answered: a network at rest takes a step
    at any rate.

    Parameters
    ----------
    network
        What computes.
    divisor
        Clock cycles of a bit, at least 8.

    Members
    -------
    rx, tx
        Lines from and to the host.
    spike
        High for one cycle for each spike that the network sends.
    error
        Set until reset, when results can no longer be trusted, by the first illegal event, byte
        without a stop bit, or byte lost in a full queue.

    Raises
    ------
    TypeError, ValueError
        If the divisor is not an integer of at least 8, or the network's streams are not of events.
    """

    rx: Signal
    tx: Signal
    spike: Signal
    error: Signal

    def __init__(self, network: EventNetwork, divisor: int) -> None:
        self.network = network
        self._receiver = UARTReceiver(divisor)
        self._decoder = EventDecoder(_layout(network, "i"))
        self._encoder = EventEncoder(_layout(network, "o"))
        self._transmitter = UARTTransmitter(divisor)
        super().__init__({"rx": In(1), "tx": Out(1), "spike": Out(1), "error": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = self._receiver
        m.submodules.queue = queue = SyncFIFOBuffered(width=8, depth=QUEUE_BYTES)
        m.submodules.decoder = decoder = self._decoder
        m.submodules.network = network = self.network
        m.submodules.encoder = encoder = self._encoder
        m.submodules.transmitter = transmitter = self._transmitter
        m.d.comb += receiver.rx.eq(self.rx)
        connect(m, receiver.o, queue.w_stream)
        connect(m, queue.r_stream, decoder.i)
        connect(m, decoder.o, network.i)
        connect(m, network.o, encoder.i)
        connect(m, encoder.o, transmitter.i)
        sent = network.o.valid & network.o.ready
        m.d.comb += [
            self.tx.eq(transmitter.tx),
            self.spike.eq(sent & (network.o.p.kind == EventKind.SPIKE)),
            self.error.eq(receiver.framing | receiver.overrun | network.error),
        ]
        return m


def _layout(network: EventNetwork, name: str) -> EventLayout:
    shape = getattr(network, name).p.shape()
    if not isinstance(shape, EventLayout):
        raise TypeError(f"port {name} of the network must carry events, not {shape!r}")
    return shape
