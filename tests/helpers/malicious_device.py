"""Devices on a pseudo-terminal that send what no device would, and what the driver makes of it."""

import os
import random
import select
import threading
import tty
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from model_device import ModelDevice, board, golden, noise, samples, stack

from spikeloom.boards.device import Device, DeviceError
from spikeloom.boards.link_facts import LINK, WEIGHTS
from spikeloom.reference.link_frames import Answer, Frame, answer_bytes
from spikeloom.rtl_gen.weights import WeightStore

PATIENCE = 60.0
"""Seconds after which the driver is said to hang; a case takes a tenth."""
TIMEOUT = 0.01


class Malice:
    """What a device sends instead of what a model of it would.

    Parameters
    ----------
    begins
        Bytes from the host after which it begins; before, the device is a good one.
    """

    forges = False
    """Whether it may send right frames of wrong events, which nobody can tell from good ones."""
    endless = False
    """Whether it sends without being asked."""

    def __init__(self, rng: random.Random, model: ModelDevice, begins: int) -> None:
        self.rng, self.model, self.begins = rng, model, begins
        self.heard = 0

    def hear(self, data: bytes) -> bytes:
        """The answer to bytes from the host."""
        self.heard += len(data)
        self.model.feed(data)
        self.model.work(20)
        answer = self.model.sent()
        return answer if self.heard <= self.begins else self.spoilt(answer, data)

    def spoilt(self, answer: bytes, data: bytes) -> bytes:
        return self.more()

    def more(self) -> bytes:
        """What it sends of itself; endless ones are asked again and again."""
        return b""

    def frame(self, kind: int, payload: bytes = b"") -> bytes:
        return answer_bytes(Frame(kind, self.rng.randrange(16), payload))


class Silence(Malice):
    """Says nothing any more."""


class Hangup(Malice):
    """The terminal goes away, in the middle of an answer."""

    def spoilt(self, answer: bytes, data: bytes) -> bytes:
        raise EOFError


class Echo(Malice):
    def spoilt(self, answer: bytes, data: bytes) -> bytes:
        return data


class Parts(Malice):
    """Sends a part of each answer."""

    def spoilt(self, answer: bytes, data: bytes) -> bytes:
        first = self.rng.randrange(len(answer) + 1)
        return answer[first : first + self.rng.randrange(len(answer) + 1)]


class Noise(Malice):
    def spoilt(self, answer: bytes, data: bytes) -> bytes:
        return noise(self.rng, self.rng.choice([0.01, 0.1, 0.5]))(answer)


class Identities(Malice):
    """Is another at each question: shorter, longer, or of other bits."""

    def spoilt(self, answer: bytes, data: bytes) -> bytes:
        own = bytes.fromhex(self.model.facts.identity)
        place = self.rng.randrange(len(own))
        flipped = bytes([own[place] ^ 1 << self.rng.randrange(8)])
        self.model.identity = self.rng.choice(
            [own, own[:place], own + own * place, own[:place] + flipped + own[place + 1 :]]
        )
        return answer


class Replays(Malice):
    """Says again what it said before."""

    forges = True

    def __init__(self, rng: random.Random, model: ModelDevice, begins: int) -> None:
        super().__init__(rng, model, begins)
        self.said: list[bytes] = []

    def spoilt(self, answer: bytes, data: bytes) -> bytes:
        self.said.append(answer)
        return b"".join(self.rng.choices(self.said, k=self.rng.randrange(4)))


class Late(Malice):
    """Keeps its answers, and sends many at once."""

    def __init__(self, rng: random.Random, model: ModelDevice, begins: int) -> None:
        super().__init__(rng, model, begins)
        self.kept = b""

    def spoilt(self, answer: bytes, data: bytes) -> bytes:
        self.kept += answer
        if self.rng.random() < 0.7:
            return b""
        kept, self.kept = self.kept, b""
        return kept


class Bytes(Malice):
    endless = True

    def more(self) -> bytes:
        return self.rng.randbytes(1000)


class NoDelimiter(Malice):
    endless = True

    def more(self) -> bytes:
        return b"\x01" * 4000


class Fill(Malice):
    endless = True

    def more(self) -> bytes:
        return b"\xff\xc0" * 1000


class Frames(Malice):
    endless = True
    forges = True

    def more(self) -> bytes:
        payload = self.rng.randbytes(self.rng.choice([0, 1, 2, 16, 100]))
        return self.frame(self.rng.randrange(16), payload)


class Refusals(Malice):
    endless = True

    def more(self) -> bytes:
        return self.frame(Answer.REFUSED)


class Answers(Malice):
    """Says that all orders are done, at once."""

    endless = True

    def more(self) -> bytes:
        kind = self.rng.choice([Answer.DONE, Answer.STATUS, Answer.IDENTITY])
        payload = {Answer.DONE: b"", Answer.STATUS: self.rng.choice([b"", b"\x00", b"\x02"])}
        return self.frame(kind, payload.get(kind, self.model.identity))


class Events(Malice):
    """Restarts, ticks and spikes without end."""

    endless = True
    forges = True
    number = -1

    def frame(self, payload: bytes) -> bytes:
        self.number = (self.number + 1) % 16
        return answer_bytes(Frame(Answer.EVENTS, self.number, payload))

    def more(self) -> bytes:
        form = self.model.o
        spikes = [form.long(0, k, self.rng.randrange(4)) for k in range(3)]
        ends = self.rng.choice([form.long(1), form.long(1), form.long(2), b""])
        payload = b"".join(spikes) * self.rng.randrange(2) + ends
        return self.frame(payload)


class Restarts(Events):
    def more(self) -> bytes:
        return self.frame(self.model.o.long(2))


class LongEvents(Events):
    """Frames of as many events as the driver takes."""

    def more(self) -> bytes:
        many = self.model.o.long(0, 1, 1) + b"\x01" * self.rng.choice([0, 50, 500, 5000])
        return self.frame(many + self.model.o.long(1))


MALICE: list[type[Malice]] = [
    *(Silence, Hangup, Echo, Parts, Noise, Identities, Replays, Late, Bytes, NoDelimiter, Fill),
    *(Frames, Refusals, Answers, Events, Restarts, LongEvents),
]


class Terminal:
    """A pseudo-terminal that a device serves, in a thread, until the block is left."""

    def __init__(self, malice: Malice) -> None:
        self._malice = malice
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = Path(os.ttyname(self._slave))
        self._ended, self._end = os.pipe()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._end)
        self._thread.join()
        os.close(self._ended)

    def _serve(self) -> None:
        try:
            self._talk()
        except EOFError:
            pass
        finally:
            os.close(self._slave)
            os.close(self._master)

    def _talk(self) -> None:
        malice, out = self._malice, b""
        while True:
            if not out and malice.endless and malice.heard > malice.begins:
                out = malice.more()
            sends = [self._master] if out else []
            readable, writable, _ = select.select([self._master, self._ended], sends, [])
            if self._ended in readable:
                return
            if self._master in readable:
                # What a terminal has no room for is lost, as on a line.
                out = out[:10_000] + malice.hear(os.read(self._master, 4096))
            elif writable:
                out = out[os.write(self._master, out) :]


def fuzz_driver(cases: int, folder: Path, first: int = 0) -> Counter[str]:
    """How the driver ended with so many malicious devices.

    Case ``n`` is the same each time, but for what depends on the time of the two threads.

    Parameters
    ----------
    cases
        How many devices.
    folder
        Where a build folder is written.
    first
        Number of the first case.

    Returns
    -------
    How often there were ``right`` results, an ``error`` as it should be, and ``forged`` results of
    a device that can make them up; and what must not be: ``wrong`` results, ``hang``, and other
    exceptions, by name.
    """
    net = stack(random.Random(3), high=15)
    good, facts, weights = board(net, monitor=True, store=WeightStore.SPRAM)
    (folder / LINK).write_text(facts.text())
    (folder / WEIGHTS).write_bytes(weights)
    raster = samples(net, 4, 3)
    expected = golden(net, raster)
    ends: Counter[str] = Counter()
    for case in range(first, first + cases):
        rng = random.Random(case)
        model = ModelDevice(good.top, facts)
        begins = rng.choice([0, 10, 30, 100, 300, 400, 500, 600])
        malice = MALICE[case % len(MALICE)](rng, model, begins)
        with Terminal(malice) as terminal:
            ends[_end(lambda terminal=terminal: _drive(terminal, folder, raster, expected))] += 1
        if malice.forges and ends["wrong"]:
            ends["forged"] += ends.pop("wrong")
    return ends


def _drive(terminal: Terminal, folder: Path, raster: np.ndarray, expected: np.ndarray) -> str:
    try:
        with Device.open(terminal.path, folder, timeout=TIMEOUT) as device:
            results = [device.run(raster) for _ in range(2)]
            device.potentials()
            device.counters()
            device.illegal()
    except DeviceError as error:
        return "error" if str(error) else "no words"
    return "right" if all(np.array_equal(each, expected) for each in results) else "wrong"


def _end(drive: Callable[[], str]) -> str:
    """How it ends, or that it does not."""
    ends: list[str] = []

    def run() -> None:
        try:
            ends.append(drive())
        except BaseException as error:
            ends.append(f"{type(error).__name__}: {error}")

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return ends[0] if ends else "hang"
