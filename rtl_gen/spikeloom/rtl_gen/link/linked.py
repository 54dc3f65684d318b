"""A network that takes orders as bytes and answers as bytes."""

from typing import Any, Protocol

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import enum, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect

from spikeloom.reference.digest import digest
from spikeloom.reference.link_codec import encode_numbers
from spikeloom.reference.link_frames import VERSION, Answer, Order
from spikeloom.rtl_gen.events import EventKind, EventLayout
from spikeloom.rtl_gen.link.codec import EventDecoder, EventEncoder, event_bytes, event_room
from spikeloom.rtl_gen.link.frames import WORD, FrameReceiver, FrameSender
from spikeloom.rtl_gen.link.loader import WeightLoader
from spikeloom.rtl_gen.link.monitor import Counters, Potentials
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.protection import UNGUARDED, Protection

__all__ = [
    "QUEUE_BYTES",
    "WEIGHT",
    "EventNetwork",
    "LinkedNetwork",
    "identity",
    "protection_of",
    "weight_bytes",
    "weight_width",
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


def identity(network: EventNetwork, monitor: bool = False) -> bytes:
    """What a device says of itself.

    Sixteen bytes: the version of the protocol; bit 0 if weights are loaded, bit 1 if there is a
    monitor, bit 2 if weights have a parity, bit 3 if states are stored in a code; bytes of an event
    to the network and from it; two bytes for the size of the queue, the highest first; two that are
    0; and the first eight of :func:`~spikeloom.reference.digest.digest` over the network, its lanes
    and what its weight memories are made of. Behind them profile, shapes and widths in words. The
    last nine and what follows are 0 and nothing where it is no
    :class:`~spikeloom.rtl_gen.network.NetworkTop`.
    """
    loads, known, words = False, bytes(8), ""
    lengths = (
        event_bytes(_layout(network, "i"), weight_width(network)),
        event_bytes(_layout(network, "o")),
    )
    if isinstance(network, NetworkTop):
        loads = network.loads
        lanes = [each.lanes for each in network.populations]
        stores = [each.weights.store.word for each in network.populations]
        known = digest(network.network, lanes, stores)[:8]
        words = _words_of(network)
    guarded = protection_of(network)
    flags = int(loads) | monitor << 1 | guarded.parity << 2 | guarded.ecc << 3
    head = bytes([VERSION, flags, *lengths, *QUEUE_BYTES.to_bytes(2), 0, 0])
    return head + known + words.encode()


def _words_of(network: NetworkTop) -> str:
    """Profile, shapes, and the widths of weights and states, of all populations if they differ."""
    shapes = [each.shape for each in network.network.inputs.values()]
    shapes += [each.population.shape for each in network.populations]
    weights = [each.population.weight_width for each in network.populations]
    states = [each.neurons.state.word_length for each in network.populations]
    return (
        f"{network.network.profile} {'-'.join('x'.join(map(str, each)) for each in shapes)}"
        f" weights {_widths(weights)} states {_widths(states)}"
    )


def _widths(bits: list[int]) -> str:
    return ",".join(map(str, bits if len(set(bits)) > 1 else bits[:1]))


class _Phase(enum.Enum):
    HEADER = 0
    EVENTS = 1
    ROW = 2
    SKIP = 3
    ANSWER = 4


class LinkedNetwork(wiring.Component):
    """A network behind a line.

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
    monitor
        Whether potentials and counters can be read, at the cost of some logic.

    Attributes
    ----------
    identity : bytes
        As :func:`identity`'s.

    Members
    -------
    i, o
        Bytes from and to the host.
    broken
        High where a byte was lost on the line; the frame that it belonged to is refused.
    forget
        As :class:`~spikeloom.rtl_gen.link.frames.FrameReceiver`'s.
    spike
        High for one cycle for each spike that the network sends.
    error
        Set by the first illegal event until a reset, or by an error of a guarded memory.
    loaded
        High when all weights are there.

    Raises
    ------
    TypeError, ValueError
        If the network has several inputs or outputs, its streams are not of events, or there is
        nothing that a monitor could read.
    """

    i: stream.Interface
    o: stream.Interface
    broken: Signal
    forget: Signal
    spike: Signal
    error: Signal
    loaded: Signal

    def __init__(self, network: EventNetwork, monitor: bool = False) -> None:
        if isinstance(network, NetworkTop):
            inputs, outputs = len(network.input_ports), len(network.output_ports)
            if inputs > 1 or outputs > 1:
                raise ValueError(
                    "a network on a line must have one input and one output, not"
                    f" {inputs} and {outputs}"
                )
        elif monitor:
            raise ValueError("a monitor must have a NetworkTop whose potentials it reads")
        self.network = network
        self.identity = identity(network, monitor)
        self._frames = FrameReceiver(QUEUE_BYTES)
        self._decoder = EventDecoder(_layout(network, "i"), weight_width(network))
        self._encoder = EventEncoder(_layout(network, "o"))
        self._sender = FrameSender()
        self._loader = None
        if isinstance(network, NetworkTop) and network.loads:
            self._loader = _loader(network)
        self._potentials, self._counters = None, None
        if monitor and isinstance(network, NetworkTop):
            self._potentials, self._counters = Potentials(network), Counters()
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(8)),
                **{"broken": In(1), "forget": In(1)},
                **{"spike": Out(1), "error": Out(1), "loaded": Out(1)},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        begin_anew = Signal()
        renew = ResetInserter(begin_anew)
        m.submodules.frames = frames = self._frames
        m.submodules.decoder = renew(self._decoder)
        m.submodules.network = renew(self.network)
        m.submodules.encoder = renew(self._encoder)
        m.submodules.sender = sender = self._sender
        connect(m, wiring.flipped(self.i), frames.i)
        connect(m, sender.o, wiring.flipped(self.o))
        self._connect_input(m, renew)
        sent = self.network.o.valid & self.network.o.ready
        m.d.comb += [
            frames.broken.eq(self.broken),
            frames.forget.eq(self.forget),
            self.spike.eq(sent & (self.network.o.p.kind == EventKind.SPIKE)),
            self.error.eq(Cat(self._errors).any() if self._guarded else self.network.error),
        ]
        if self._counters is not None:
            m.submodules.counters = renew(self._counters)
            events = self.network.i
            m.d.comb += [
                self._counters.taken.eq(events.valid & events.ready),
                self._counters.waits.eq(events.valid & ~events.ready),
                self._counters.sent.eq(sent),
            ]
        if self._potentials is not None:
            m.submodules.potentials = renew(self._potentials)
            top: Any = self.network
            connect(m, self._potentials.probe_o, top.probe_i)
            connect(m, top.probe_o, self._potentials.probe_i)
            m.d.comb += [
                self._potentials.taken.eq(top.i.valid & top.i.ready),
                self._potentials.ends.eq(top.i.p.kind == EventKind.TICK),
                self._potentials.sent.eq(sent),
                self._potentials.ended.eq(top.o.p.kind == EventKind.TICK),
            ]
        in_events = Signal()
        sends = in_events | self._encoder.o.valid
        number = Signal(4)
        self._answer(m, self._obey(m, begin_anew, sends), in_events, number)
        with m.If(begin_anew):
            m.d.sync += number.eq(0)
        return m

    def _obey(self, m: Module, begin_anew: Signal, sends: Value) -> Any:
        """Carry frames out one by one; a stream of headers of what is to be answered.

        A RESET waits while the network sends a frame, which then ends.
        """
        frames, decoder, potentials = self._frames, self._decoder, self._potentials
        phase = Signal(_Phase)
        done = stream.Signature(8).create(path=("done",))
        kind = frames.o.p.byte[4:]
        last_taken = frames.o.valid & frames.o.ready & frames.o.p.last
        m.d.comb += decoder.i.payload.eq(frames.o.p.byte)
        payload = Mux(kind == Order.EVENTS, _Phase.EVENTS, _Phase.SKIP)
        ready = ~decoder.o.valid
        if potentials is not None:
            asked = done.payload[4:] == Answer.POTENTIALS
            m.d.comb += [
                potentials.row.payload.eq(frames.o.p.byte),
                potentials.ask.eq((phase == _Phase.ANSWER) & asked),
            ]
            payload = Mux(kind == Order.POTENTIALS, _Phase.ROW, payload)
            # Until they are there, steps that are under way must get out.
            ready = ready & (~asked | potentials.o.valid)
        with m.If(last_taken):
            m.d.sync += phase.eq(_Phase.ANSWER)
        with m.Switch(phase):
            with m.Case(_Phase.HEADER):
                m.d.comb += frames.o.ready.eq(~((kind == Order.RESET) & sends))
                with m.If(frames.o.valid & frames.o.ready):
                    m.d.sync += done.payload.eq(Cat(frames.o.p.byte[:4], self._answer_to(kind)))
                    m.d.comb += begin_anew.eq(kind == Order.RESET)
                    with m.If(~frames.o.p.last):
                        m.d.sync += phase.eq(payload)
            with m.Case(_Phase.EVENTS):
                m.d.comb += [
                    decoder.i.valid.eq(frames.o.valid),
                    frames.o.ready.eq(decoder.i.ready),
                ]
            with m.Case(_Phase.ROW):
                if potentials is not None:
                    m.d.comb += potentials.row.valid.eq(frames.o.valid)
                m.d.comb += frames.o.ready.eq(1)
            with m.Case(_Phase.SKIP):
                m.d.comb += frames.o.ready.eq(1)
            with m.Case(_Phase.ANSWER):
                m.d.comb += done.valid.eq(ready)
                with m.If(done.valid & done.ready):
                    m.d.sync += phase.eq(_Phase.HEADER)
        return done

    def _answer_to(self, order: Value) -> Value:
        """Kind of the answer: that the order is done, if it has no other."""
        answers = {Order.IDENTIFY: Answer.IDENTITY, Order.STATUS: Answer.STATUS}
        if self._potentials is not None:
            answers[Order.POTENTIALS] = Answer.POTENTIALS
            answers[Order.COUNTERS] = Answer.COUNTERS
        found: Value = _code(Answer.DONE)
        for each, answer in answers.items():
            chosen = order == each
            if answer is Answer.POTENTIALS and self._potentials is not None:
                chosen = chosen & ~self._potentials.open
            found = Mux(chosen, _code(answer), found)
        return found

    def _answer(self, m: Module, done: Any, in_events: Signal, number: Signal) -> None:
        """Send refusals, answers and the network's events, a numbered frame at a time."""
        encoder, network = self._encoder, self.network
        words = self._words(m)
        frames = self._frames
        connect(m, network.o, encoder.i)
        body = Signal()
        byte, last = words.p.byte, words.p.last
        taken = words.valid & words.ready
        with m.If(in_events):
            ends = encoder.i.valid & encoder.i.ready & (network.o.p.kind != EventKind.SPIKE)
            m.d.comb += [
                words.valid.eq(encoder.o.valid),
                encoder.o.ready.eq(words.ready),
                byte.eq(encoder.o.payload),
                last.eq(ends),
            ]
            with m.If(taken & last):
                m.d.sync += in_events.eq(0)
        with m.Elif(body):
            self._connect_body(m, done.payload[4:], words)
            with m.If(taken & last):
                m.d.sync += body.eq(0)
                m.d.comb += done.ready.eq(1)
        with m.Elif(frames.refused):
            m.d.comb += [
                words.valid.eq(1),
                byte.eq(Cat(frames.expected, _code(Answer.REFUSED))),
                last.eq(1),
                frames.heard.eq(taken),
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
            m.d.comb += [words.valid.eq(1), byte.eq(Cat(number, _code(Answer.EVENTS)))]
            with m.If(taken):
                m.d.sync += [in_events.eq(1), number.eq(number + 1)]

    def _connect_body(self, m: Module, kind: Value, words: Any) -> None:
        """Give the bytes behind an answer's header; in a context that holds while they last."""
        m.submodules.identity = name = _Text(self.identity)
        sources = {Answer.IDENTITY: name.o}
        if self._potentials is not None and self._counters is not None:
            sources[Answer.POTENTIALS] = self._potentials.o
            sources[Answer.COUNTERS] = self._counters.o
        m.d.comb += [
            words.valid.eq(1),
            words.p.byte.eq(self._status()),
            words.p.last.eq(1),
        ]
        for answer, source in sources.items():
            with m.If(kind == answer):
                m.d.comb += [
                    words.valid.eq(source.valid),
                    words.payload.eq(source.payload),
                    source.ready.eq(words.ready),
                ]

    @property
    def _guarded(self) -> bool:
        return protection_of(self.network) != UNGUARDED

    @property
    def _errors(self) -> list[Value]:
        """An illegal event, a wrong weight, a lost state; 0 for those that are not noticed."""
        network: Any = self.network
        guarded = protection_of(network)
        return [
            network.error,
            network.weight_error if guarded.parity else Const(0),
            network.state_error if guarded.ecc else Const(0),
        ]

    def _status(self) -> Value:
        """The byte of STATUS."""
        if not self._guarded:
            return Cat(self.error, ~self.loaded)
        illegal, *lost = self._errors
        return Cat(illegal, ~self.loaded, *lost)

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

    def _connect_input(self, m: Module, renew: ResetInserter) -> None:
        network, loader, events = self.network, self._loader, self._decoder.o
        if loader is None:
            connect(m, events, network.i)
            m.d.comb += self.loaded.eq(1)
            return
        m.submodules.loader = renew(loader)
        # The kind that no event has stands for a weight, which lies in the lowest bits.
        is_weight = Value.cast(events.p.kind) == WEIGHT
        m.d.comb += [
            network.i.p.eq(events.p),
            network.i.valid.eq(events.valid & ~is_weight),
            loader.i.p.eq(self._decoder.low),
            loader.i.valid.eq(events.valid & is_weight),
            events.ready.eq(Mux(is_weight, loader.i.ready, network.i.ready)),
        ]
        connect(m, loader.o, network.load)  # type: ignore[attr-defined]
        # They outlast a RESET.
        with m.If(loader.o.valid & loader.o.ready & loader.last):
            m.d.sync += self.loaded.eq(1)


class _Text(wiring.Component):
    """Sends bytes again and again; they lie in a block RAM, which is never written."""

    o: stream.Interface

    def __init__(self, text: bytes) -> None:
        self._text = text
        super().__init__({"o": Out(stream.Signature(WORD))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory: Any = Memory(
            shape=8, depth=len(self._text), init=self._text, attrs={"ram_style": "block"}
        )
        m.submodules.memory = memory
        read = memory.read_port()
        place = Signal(range(len(self._text)))
        m.d.comb += [
            read.addr.eq(place),
            self.o.p.byte.eq(read.data),
            self.o.p.last.eq(place == len(self._text) - 1),
        ]
        m.d.sync += self.o.valid.eq(~(self.o.valid & self.o.ready))
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += place.eq(Mux(self.o.p.last, 0, place + 1))
        return m


def protection_of(network: EventNetwork) -> Protection:
    """What of a network's memories is guarded."""
    return network.protection if isinstance(network, NetworkTop) else UNGUARDED


def weight_bytes(network: EventNetwork) -> bytes:
    """What a host sends before all events to load the weights; nothing where none are loaded.

    Each weight is an event of the kind :data:`WEIGHT` in the format of
    :mod:`spikeloom.rtl_gen.link.codec`, in the order of :meth:`NetworkTop.load_words`.
    """
    if not (isinstance(network, NetworkTop) and network.loads):
        return b""
    width = weight_width(network)
    weights = np.array([word["weight"] for word in network.load_words()]) & ((1 << width) - 1)
    room = max(width, event_room(_layout(network, "i")))
    return encode_numbers(WEIGHT << room | weights, 2 + room)


def weight_width(network: EventNetwork) -> int:
    """Bits of a weight that is loaded; 0 where none are."""
    if not (isinstance(network, NetworkTop) and network.loads):
        return 0
    width: int = network.load.p.shape()["weight"].width
    return width


def _loader(network: NetworkTop) -> WeightLoader:
    memories = [
        (k, len(p.weights.rows), p.lanes)
        for k, p in enumerate(network.populations)
        if p.weights.store.loaded
    ]
    return WeightLoader(network.load.p.shape(), memories)


def _code(answer: Answer) -> Const:
    return Const(int(answer), 4)


def _layout(network: EventNetwork, name: str) -> EventLayout:
    shape = getattr(network, name).p.shape()
    if not isinstance(shape, EventLayout):
        raise TypeError(f"port {name} of the network must carry events, not {shape!r}")
    return shape
