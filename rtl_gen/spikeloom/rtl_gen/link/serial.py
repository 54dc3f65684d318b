"""A network behind a serial line."""

from typing import Any, Protocol

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from spikeloom.reference.digest import digest
from spikeloom.reference.link_codec import encode_numbers
from spikeloom.reference.link_frames import IDENTITY_BYTES, VERSION, Answer, Order
from spikeloom.rtl_gen.events import EventKind, EventLayout
from spikeloom.rtl_gen.link.codec import EventDecoder, EventEncoder, event_bytes
from spikeloom.rtl_gen.link.frames import WORD, FrameReceiver, FrameSender
from spikeloom.rtl_gen.link.loader import WeightLoader
from spikeloom.rtl_gen.link.uart import UARTReceiver, UARTTransmitter
from spikeloom.rtl_gen.network import NetworkTop

__all__ = [
    "QUEUE_BYTES",
    "WEIGHT",
    "EventNetwork",
    "SerialNetwork",
    "identity",
    "weight_bytes",
    "weight_room",
]

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


def _code(answer: Answer) -> Const:
    return Const(int(answer), 4)


def _answer_to(order: Value) -> Value:
    others = Mux(order == Order.STATUS, _code(Answer.STATUS), _code(Answer.DONE))
    return Mux(order == Order.IDENTIFY, _code(Answer.IDENTITY), others)


def identity(network: EventNetwork) -> bytes:
    """What a device says of itself.

    Sixteen bytes: the version of the protocol; whether weights are loaded; bytes of an event to
    the network and from it; two bytes for the size of the queue, the highest first; two that are
    0; and the first eight of :func:`~spikeloom.reference.digest.digest` over the network, its
    lanes and what its weight memories are made of, 0 where it is no
    :class:`~spikeloom.rtl_gen.network.NetworkTop`.
    """
    loads, known = False, bytes(8)
    if isinstance(network, NetworkTop):
        loads = network.loads
        lanes = [each.lanes for each in network.populations]
        stores = [each.weights.store.word for each in network.populations]
        known = digest(network.network, lanes, stores)[:8]
    lengths = [event_bytes(_layout(network, port)) for port in "io"]
    return bytes([VERSION, int(loads), *lengths, *QUEUE_BYTES.to_bytes(2), 0, 0]) + known


class _Phase(enum.Enum):
    HEADER = 0
    EVENTS = 1
    SKIP = 2
    ANSWER = 3


class SerialNetwork(wiring.Component):
    """A network that takes orders from a serial line and answers on another.

    The specification is ``docs/host_protocol.md``. Nothing that is broken on the line has an
    effect. An order is answered when it has been carried out, for events when the network has
    taken the last of them; its answer tells the host that the order's bytes are free again in the
    queue of 512.

    Parameters
    ----------
    network
        What computes. Where its weights are loaded, they come as events of the kind
        :data:`WEIGHT` with the weight in the lowest bits, in the order of
        :class:`~spikeloom.rtl_gen.link.loader.WeightLoader`, which begins anew after a RESET.
    divisor
        Clock cycles of a bit, at least 8.

    Members
    -------
    rx, tx
        Lines from and to the host.
    spike
        High for one cycle for each spike that the network sends.
    error
        Set by the first illegal event until a reset.

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
        self.identity = identity(network)
        self._receiver = UARTReceiver(divisor)
        self._frames = FrameReceiver(QUEUE_BYTES)
        self._decoder = EventDecoder(_layout(network, "i"))
        self._encoder = EventEncoder(_layout(network, "o"))
        self._sender = FrameSender()
        self._transmitter = UARTTransmitter(divisor)
        self._loader = None
        if isinstance(network, NetworkTop) and network.loads:
            self._loader = _loader(network)
        super().__init__({"rx": In(1), "tx": Out(1), "spike": Out(1), "error": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        begin_anew = Signal()
        renew = ResetInserter(begin_anew)
        m.submodules.receiver = receiver = self._receiver
        m.submodules.frames = frames = self._frames
        m.submodules.decoder = renew(self._decoder)
        m.submodules.network = renew(self.network)
        m.submodules.encoder = renew(self._encoder)
        m.submodules.sender = sender = self._sender
        m.submodules.transmitter = transmitter = self._transmitter
        m.d.comb += receiver.rx.eq(self.rx)
        connect(m, receiver.o, frames.i)
        connect(m, sender.o, transmitter.i)
        if self._loader is not None:
            m.submodules.loader = renew(self._loader)
        self._connect_input(m)
        sent = self.network.o.valid & self.network.o.ready
        m.d.comb += [
            frames.broken.eq(receiver.broken),
            self.tx.eq(transmitter.tx),
            self.spike.eq(sent & (self.network.o.p.kind == EventKind.SPIKE)),
            self.error.eq(self.network.error),
        ]
        self._answer(m, self._obey(m, begin_anew))
        return m

    def _obey(self, m: Module, begin_anew: Signal) -> Any:
        """Carry frames out one by one; a stream of headers of what is to be answered."""
        frames, decoder = self._frames, self._decoder
        phase = Signal(_Phase)
        done = stream.Signature(8).create(path=("done",))
        kind = frames.o.p.byte[4:]
        m.d.comb += decoder.i.payload.eq(frames.o.p.byte)
        with m.Switch(phase):
            with m.Case(_Phase.HEADER):
                m.d.comb += frames.o.ready.eq(1)
                with m.If(frames.o.valid):
                    # What the number belongs to is done, if nothing else is said below.
                    m.d.sync += done.payload.eq(Cat(frames.o.p.byte[:4], _answer_to(kind)))
                    m.d.sync += phase.eq(
                        Mux(
                            frames.o.p.last,
                            _Phase.ANSWER,
                            Mux(kind == Order.EVENTS, _Phase.EVENTS, _Phase.SKIP),
                        )
                    )
                    m.d.comb += begin_anew.eq(kind == Order.RESET)
            with m.Case(_Phase.EVENTS):
                m.d.comb += [
                    decoder.i.valid.eq(frames.o.valid),
                    frames.o.ready.eq(decoder.i.ready),
                ]
                with m.If(frames.o.valid & frames.o.ready & frames.o.p.last):
                    m.d.sync += phase.eq(_Phase.ANSWER)
            with m.Case(_Phase.SKIP):
                m.d.comb += frames.o.ready.eq(1)
                with m.If(frames.o.valid & frames.o.p.last):
                    m.d.sync += phase.eq(_Phase.ANSWER)
            with m.Case(_Phase.ANSWER):
                m.d.comb += done.valid.eq(~decoder.o.valid)
                with m.If(done.valid & done.ready):
                    m.d.sync += phase.eq(_Phase.HEADER)
        return done

    def _answer(self, m: Module, done: Any) -> None:
        """Send refusals, answers and the network's events, a frame at a time."""
        encoder, network = self._encoder, self.network
        words = self._words(m)
        refused = self._frames.refused
        connect(m, network.o, encoder.i)
        body, events = Signal(), Signal()
        place = Signal(range(IDENTITY_BYTES))
        byte, last = words.p.byte, words.p.last
        taken = words.valid & words.ready
        with m.If(events):
            ends = encoder.i.valid & encoder.i.ready & (network.o.p.kind != EventKind.SPIKE)
            m.d.comb += [
                words.valid.eq(encoder.o.valid),
                encoder.o.ready.eq(words.ready),
                byte.eq(encoder.o.payload),
                last.eq(ends),
            ]
            with m.If(taken & last):
                m.d.sync += events.eq(0)
        with m.Elif(body):
            with m.Switch(place):
                for k, value in enumerate(self.identity):
                    with m.Case(k):
                        m.d.comb += byte.eq(value)
            m.d.comb += last.eq(place == IDENTITY_BYTES - 1)
            with m.If(done.payload[4:] == Answer.STATUS):
                m.d.comb += [byte.eq(network.error), last.eq(1)]
            m.d.comb += words.valid.eq(1)
            with m.If(taken):
                m.d.sync += place.eq(place + 1)
                with m.If(last):
                    m.d.sync += [body.eq(0), place.eq(0)]
                    m.d.comb += done.ready.eq(1)
        with m.Elif(refused.valid):
            m.d.comb += [
                words.valid.eq(1),
                byte.eq(Cat(refused.payload, _code(Answer.REFUSED))),
                last.eq(1),
                refused.ready.eq(taken),
            ]
        with m.Elif(done.valid):
            m.d.comb += [
                words.valid.eq(1),
                byte.eq(done.payload),
                last.eq(done.payload[4:] == Answer.DONE),
                done.ready.eq(taken & last),
            ]
            with m.If(taken & ~last):
                m.d.sync += body.eq(1)
        with m.Elif(encoder.o.valid):
            m.d.comb += [words.valid.eq(1), byte.eq(Answer.EVENTS << 4)]
            with m.If(taken):
                m.d.sync += events.eq(1)

    def _words(self, m: Module) -> Any:
        """A stream to the sender, with a register between: a word in two cycles at most."""
        words = stream.Signature(WORD).create(path=("words",))
        sent = self._sender.i
        m.d.comb += words.ready.eq(~sent.valid)
        with m.If(words.ready):
            m.d.sync += [sent.valid.eq(words.valid), sent.payload.eq(words.payload)]
        with m.Elif(sent.ready):
            m.d.sync += sent.valid.eq(0)
        return words

    def _connect_input(self, m: Module) -> None:
        network, loader, events = self.network, self._loader, self._decoder.o
        if loader is None:
            connect(m, events, network.i)
            return
        # The kind that no event has stands for a weight, which lies in the lowest bits.
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
