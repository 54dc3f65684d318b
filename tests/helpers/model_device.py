"""Devices in Python that obey ``docs/host_protocol.md``, and lines to them."""

import math
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from general_networks import convolution, dense, draw_values, network, population, potentials

from spikeloom.boards.link_facts import LinkFacts
from spikeloom.boards.top import HostLink
from spikeloom.reference.fixed import IntArray
from spikeloom.reference.link_frames import (
    END,
    Answer,
    Frame,
    FrameReader,
    Order,
    answer_bytes,
)
from spikeloom.reference.memory_map import Layout
from spikeloom.reference.network import Connection, FixedInput, FixedNetwork
from spikeloom.reference.simulate import run_fixed
from spikeloom.rtl_gen.link.linked import QUEUE_BYTES, weight_bytes
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.protection import UNGUARDED, Protection
from spikeloom.rtl_gen.weights import WeightStore

SPIKE, TICK, RESTART, WEIGHT = range(4)


class Clock:
    """Time that passes when a line has nothing to say; stands in for the module ``time``."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class EventFormat:
    """Widths of events, worked out anew."""

    def __init__(self, shape: tuple[int, ...], least: int, most: int) -> None:
        self.shape = shape
        self.signed = least < 0
        self.coordinates = [max(1, math.ceil(math.log2(each))) for each in shape]
        # A signed number of n bits reaches from -2**(n-1) to 2**(n-1) - 1.
        self.count = next(
            n
            for n in range(1, 64)
            if (-(2 ** (n - 1)) <= least and most < 2 ** (n - 1) if self.signed else most < 2**n)
        )
        self.address = sum(self.coordinates)
        self.digits = math.ceil((2 + self.address + self.count) / 7)

    def flat(self, packed: int) -> int:
        place, size = 0, 1
        for length, bits in zip(reversed(self.shape), reversed(self.coordinates), strict=True):
            place += packed % (1 << bits) * size
            packed, size = packed >> bits, size * length
        return place

    def packed(self, flat: int) -> int:
        places = np.unravel_index(flat, self.shape)
        number = 0
        for place, bits in zip(places, self.coordinates, strict=True):
            number = number << bits | int(place)
        return number

    def long(self, kind: int, flat: int = 0, count: int = 0) -> bytes:
        """Bytes of an event, as a device sends it."""
        number = kind << self.address | self.packed(flat)
        number = number << self.count | count % (1 << self.count)
        digits = [number >> 7 * k & 127 for k in reversed(range(self.digits))]
        return bytes([digits[0] | 128, *digits[1:]])


class Decoder:
    """Events out of bytes, one at a time."""

    def __init__(self, form: EventFormat) -> None:
        self.form = form
        self.digits = [0] * form.digits
        self.received = 0

    def take(self, byte: int) -> tuple[int, int, int] | None:
        """``kind, address, count`` of the event that ends with this byte, with bits as they are."""
        form = self.form
        if not self.received and byte < 128:
            number = self.number()
            moved = (number >> form.count) + byte & (1 << form.address) - 1
            above = number >> form.count + form.address
            number = (above << form.address | moved) << form.count | number % (1 << form.count)
            self.digits = [number >> 7 * k & 127 for k in reversed(range(form.digits))]
        else:
            self.digits = [*self.digits[1:], byte & 127]
            self.received = 1 if byte >= 128 else self.received + 1
            if self.received < form.digits:
                return None
            self.received = 0
        number = self.number()
        address = number >> form.count & (1 << form.address) - 1
        return number >> form.count + form.address & 3, address, number % (1 << form.count)

    def number(self) -> int:
        return sum(digit << 7 * k for k, digit in enumerate(reversed(self.digits)))


class ModelDevice:
    """A device that computes with the golden model.

    Orders wait in its queue until :meth:`work` carries them out.

    Attributes
    ----------
    loads
        How often all weights have come.
    taken
        How many orders of each kind have been carried out.
    most_used
        The most bytes that its queue has held.
    """

    def __init__(self, top: NetworkTop, facts: LinkFacts) -> None:
        self.top, self.facts = top, facts
        ((name, entry),) = top.network.inputs.items()
        ((self.output, source),) = top.network.outputs.items()
        self.i = EventFormat(tuple(entry.shape), *top.network.sent(name))
        self.o = EventFormat(tuple(top.network.shape(source)), *top.network.sent(source))
        self.identity = bytes.fromhex(facts.identity)
        self.weights = self._weights(weight_bytes(top))
        self.loaded = not self.weights
        self.loads, self.most_used = 0, 0
        self.taken: Counter[int] = Counter()
        self.reader = FrameReader(2 * QUEUE_BYTES, orders=True)
        self.queue: deque[Frame] = deque()
        self.expected: int | None = None
        self.refused = False
        self.out = bytearray()
        self.renew()

    def _weights(self, data: bytes) -> list[int]:
        decoder = Decoder(self.i)
        events = [event for event in map(decoder.take, data) if event]
        return [address << self.i.count | count for _, address, count in events]

    def renew(self) -> None:
        self.step_number = 0
        """Begin anew, as RESET has it."""
        self.decoder = Decoder(self.i)
        self.place = 0
        self.sound = True
        self.error, self.begun = False, False
        self.wrong_weight = self.lost_state = False
        self.steps: list[IntArray] = []
        self.step: IntArray = np.zeros(math.prod(self.i.shape), dtype=np.int64)
        self.counts = Counter(events_in=0, waits=7, events_out=0, cycles=70_000)

    def feed(self, data: bytes) -> None:
        """Bytes from the host."""
        *parts, rest = data.split(bytes([END]))
        for part in parts:
            broken = self.reader.broken
            for frame in self.reader.feed(part + bytes([END])):
                self._accept(frame)
            self.refused |= self.reader.broken > broken
        list(self.reader.feed(rest))

    def _accept(self, frame: Frame) -> None:
        used = sum(len(each.payload) + 2 for each in [*self.queue, frame])
        restarts = frame.kind in (Order.IDENTIFY, Order.RESET)
        if used >= QUEUE_BYTES or not (restarts or frame.number == self.expected):
            self.refused = True
            return
        self.most_used = max(self.most_used, used)
        self.expected = (frame.number + 1) % 16
        self.queue.append(frame)

    def work(self, orders: int = 1) -> None:
        """Say what is refused, and carry out so many orders."""
        if self.refused:
            self.say(Answer.REFUSED, self.expected or 0)
            self.refused = False
        for _ in range(min(orders, len(self.queue))):
            self._obey(self.queue.popleft())

    def say(self, kind: int, number: int, payload: bytes = b"") -> None:
        self.out += answer_bytes(Frame(kind, number, payload))

    def sent(self) -> bytes:
        """Bytes to the host since the last call."""
        data = bytes(self.out)
        self.out.clear()
        return data

    def _obey(self, order: Frame) -> None:
        kind, payload = order.kind, order.payload
        self.taken[kind] += 1
        answer, body = Answer.DONE, b""
        if kind == Order.IDENTIFY:
            answer, body = Answer.IDENTITY, self.identity
        elif kind == Order.RESET:
            self.renew()
        elif kind == Order.EVENTS:
            for event in map(self.decoder.take, payload):
                if event:
                    self._event(*event)
        elif kind == Order.STATUS:
            bits = (self.error, not self.loaded, self.wrong_weight, self.lost_state)
            answer, body = Answer.STATUS, bytes([sum(bit << k for k, bit in enumerate(bits))])
        elif kind == Order.POTENTIALS and self.facts.monitor:
            if not self.begun:
                answer, body = Answer.POTENTIALS, self._row(int.from_bytes(payload))
        elif kind == Order.COUNTERS and self.facts.monitor:
            values = [self.counts[name] for name in ("events_in", "waits", "events_out", "cycles")]
            answer, body = Answer.COUNTERS, b"".join(each.to_bytes(4) for each in values)
        self.say(answer, order.number, body)

    def _event(self, kind: int, address: int, count: int) -> None:
        if kind == WEIGHT:
            self._weight(address << self.i.count | count)
            return
        self.counts["events_in"] += 1
        self.begun = kind != TICK
        flat = self.i.flat(address)
        if kind == SPIKE and flat < self.step.size and not self.step[flat]:
            self.step[flat] = count - (count >> self.i.count - 1 << self.i.count) * self.i.signed
        elif kind == TICK and self.loaded:
            self.steps.append(self.step)
            self.step = np.zeros_like(self.step)
            self._send_step()
        elif kind == RESTART:
            self.steps = []
            self._send(self.o.long(RESTART))
        else:
            self.error = True

    def _weight(self, weight: int) -> None:
        self.sound &= weight == self.weights[self.place]
        self.place += 1
        if self.place == len(self.weights):
            assert self.sound, "weights were wrong"
            self.loaded, self.place = True, 0
            self.loads += 1

    def recording(self) -> Any:
        raster = np.stack(self.steps).reshape(1, len(self.steps), *self.i.shape)
        return run_fixed(self.top.network, raster)

    def _send_step(self) -> None:
        spikes = self.recording().outputs[self.output][0, -1].ravel().tolist()
        events = [self.o.long(SPIKE, flat, count) for flat, count in enumerate(spikes) if count]
        self._send(*events, self.o.long(TICK))

    def _send(self, *events: bytes) -> None:
        self.counts["events_out"] += len(events)
        self.say(Answer.EVENTS, self.step_number, b"".join(events))
        self.step_number = (self.step_number + 1) % 16

    def _row(self, asked: int) -> bytes:
        facts = self.facts
        bits = max(1, (len(facts.populations) - 1).bit_length())
        population = facts.populations[asked % (1 << bits)]
        membrane = self.recording().membrane[population.name][0, -1]
        lanes = Layout(population.shape, population.lanes).by_row(membrane.ravel())[asked >> bits]
        lanes = np.pad(lanes, (0, facts.lanes - len(lanes))).tolist()
        return b"".join(each.to_bytes(facts.potential_bytes, signed=True) for each in lanes)


class MemoryLine:
    """A line to a device in memory, on which time passes whenever nothing comes.

    Parameters
    ----------
    spoil
        What the line makes of bytes, in both directions.
    orders
        How many orders the device carries out whenever it is read.
    """

    def __init__(
        self,
        device: ModelDevice,
        clock: Clock,
        spoil: Callable[[bytes], bytes] = bytes,
        orders: int = 1,
    ) -> None:
        self.device, self.clock, self.spoil, self.orders = device, clock, spoil, orders
        self.closed = False
        self.writes = 0

    def write(self, data: bytes) -> None:
        self.writes += 1
        self.device.feed(self.spoil(data))

    def read_some(self) -> bytes:
        self.device.work(self.orders)
        data = self.spoil(self.device.sent())
        if not data:
            self.clock.now += 0.01
        return data

    def close(self) -> None:
        self.closed = True


def noise(rng: random.Random, rate: float) -> Callable[[bytes], bytes]:
    """A line on which of so many bytes one is lost, flipped, doubled, or made up."""

    def spoil(data: bytes) -> bytes:
        found = bytearray()
        for byte in data:
            if rng.random() >= rate:
                found.append(byte)
                continue
            found += rng.choice(
                [b"", bytes([byte ^ 1 << rng.randrange(8)]), bytes([byte] * 2), rng.randbytes(1)]
            )
        return bytes(found)

    return spoil


def stack(rng: random.Random, low: int = 0, high: int = 1, outputs: int = 3) -> FixedNetwork:
    hidden = population(rng, (6,), dense(rng, "in", 10, 6))
    out = population(rng, (outputs,), dense(rng, "hidden", 6, outputs), max_spikes=3)
    entry = FixedInput(shape=(10,), low=low, high=high)
    return network({"in": entry}, {"hidden": hidden, "out": out}, "out")


def signed(rng: random.Random) -> FixedNetwork:
    return stack(rng, -5, 6)


def counts(rng: random.Random) -> FixedNetwork:
    return stack(rng, 0, 15)


def image(rng: random.Random) -> FixedNetwork:
    shape = (2, 3, 5)
    a = population(rng, shape, Connection(source="in", maps=(convolution(rng, shape, 2),)))
    return network({"in": FixedInput(shape=shape, high=2)}, {"a": a}, "a")


def sent_potentials(rng: random.Random) -> FixedNetwork:
    net = potentials(rng)
    return replace(net, outputs={"out a": "a"})


def board(
    net: FixedNetwork,
    *,
    monitor: bool = False,
    store: WeightStore = WeightStore.AUTO,
    protection: Protection = UNGUARDED,
) -> tuple[ModelDevice, LinkFacts, bytes]:
    top = NetworkTop(net, 2, store, protection=protection)
    facts = LinkFacts.of(top, HostLink(monitor=monitor), 1_000_000)
    return ModelDevice(top, facts), facts, weight_bytes(top)


def samples(net: FixedNetwork, count: int, steps: int) -> IntArray:
    ((_, entry),) = net.inputs.items()
    return draw_values(random.Random(1), entry, count, steps)


def golden(net: FixedNetwork, raster: IntArray) -> IntArray:
    output = run_fixed(net, raster).output
    assert np.count_nonzero(output) > 0
    return output
