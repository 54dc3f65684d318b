"""A network behind a serial line."""

from typing import Protocol

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect

from spikeloom.reference.link_codec import encode_numbers
from spikeloom.rtl_gen.events import EventKind, EventLayout
from spikeloom.rtl_gen.link.codec import EventDecoder, EventEncoder
from spikeloom.rtl_gen.link.loader import WeightLoader
from spikeloom.rtl_gen.link.uart import UARTReceiver, UARTTransmitter
from spikeloom.rtl_gen.network import NetworkTop

__all__ = ["QUEUE_BYTES", "WEIGHT", "EventNetwork", "SerialNetwork", "weight_bytes", "weight_room"]

WEIGHT = 3
"""Kind of what comes over the line to be loaded into the weight memories, one weight each."""

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
        What computes. Where its weights are loaded, they come before all events, in the order of
        :class:`~spikeloom.rtl_gen.link.loader.WeightLoader`, each like an event of the kind
        :data:`WEIGHT` with the weight in the lowest bits.
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
        If the divisor is not an integer of at least 8, the network has several inputs or outputs,
        its streams are not of events, or a weight is wider than address and count of an event.
    """

    rx: Signal
    tx: Signal
    spike: Signal
    error: Signal

    def __init__(self, network: EventNetwork, divisor: int) -> None:
        if isinstance(network, NetworkTop):
            inputs, outputs = len(network.input_ports), len(network.output_ports)
            if inputs > 1 or outputs > 1:
                raise ValueError(
                    "a network on a serial line must have one input and one output, not"
                    f" {inputs} and {outputs}"
                )
        self.network = network
        self._receiver = UARTReceiver(divisor)
        self._decoder = EventDecoder(_layout(network, "i"))
        self._encoder = EventEncoder(_layout(network, "o"))
        self._transmitter = UARTTransmitter(divisor)
        self._loader = None
        if isinstance(network, NetworkTop) and network.loads:
            self._loader = _loader(network)
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
        self._connect_input(m, decoder.o)
        connect(m, network.o, encoder.i)
        connect(m, encoder.o, transmitter.i)
        sent = network.o.valid & network.o.ready
        m.d.comb += [
            self.tx.eq(transmitter.tx),
            self.spike.eq(sent & (network.o.p.kind == EventKind.SPIKE)),
            self.error.eq(receiver.framing | receiver.overrun | network.error),
        ]
        return m

    def _connect_input(self, m: Module, events: stream.Interface) -> None:
        network, loader = self.network, self._loader
        if loader is None:
            connect(m, events, network.i)
            return
        # The kind that no event has stands for a weight, which lies in the lowest bits.
        m.submodules.loader = loader
        is_weight = Value.cast(events.p.kind) == WEIGHT
        m.d.comb += [
            network.i.p.eq(events.p),
            network.i.valid.eq(events.valid & ~is_weight),
            loader.i.p.eq(Cat(events.p.count, Value.cast(events.p.address))),
            loader.i.valid.eq(events.valid & is_weight),
            events.ready.eq(Mux(is_weight, loader.i.ready, network.i.ready)),
        ]
        connect(m, loader.o, network.load)  # type: ignore[attr-defined]


def weight_bytes(network: EventNetwork) -> bytes:
    """What a host sends before all events to load the weights; nothing where none are loaded.

    Each weight is an event of the kind :data:`WEIGHT` in the format of
    :mod:`spikeloom.rtl_gen.link.codec`, in the order of :meth:`NetworkTop.load_words`.
    """
    if not (isinstance(network, NetworkTop) and network.loads):
        return b""
    width = network.load.p.shape()["weight"].width
    weights = np.array([word["weight"] for word in network.load_words()]) & ((1 << width) - 1)
    events = _layout(network, "i")
    return encode_numbers(WEIGHT << weight_room(events) | weights, events.size)


def weight_room(events: EventLayout) -> int:
    """Bits of a weight that comes over the line in the place of an event."""
    return events.size - events["kind"].width


def _loader(network: NetworkTop) -> WeightLoader:
    layout = network.load.p.shape()
    width = layout["weight"].width
    room = weight_room(_layout(network, "i"))
    if room < width:
        raise ValueError(
            f"weights that are loaded with the events of {room} bits must be of so many,"
            f" not {width}"
        )
    memories = [
        (k, len(p.weights.rows), p.lanes)
        for k, p in enumerate(network.populations)
        if p.weights.store.loaded
    ]
    return WeightLoader(layout, memories)


def _layout(network: EventNetwork, name: str) -> EventLayout:
    shape = getattr(network, name).p.shape()
    if not isinstance(shape, EventLayout):
        raise TypeError(f"port {name} of the network must carry events, not {shape!r}")
    return shape
