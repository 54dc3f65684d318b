"""Figures of the host link: images through virtual boards, throughput, and nonsense on the line."""

import binascii
import random
import time
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path

import numpy as np
import serial
from figures import Figures

from spikeloom.boards.board import BOARDS
from spikeloom.boards.device import Device
from spikeloom.boards.flow import FLASH, build
from spikeloom.boards.top import HostLink
from spikeloom.boards.virtual import RunningBoard, compile_virtual
from spikeloom.cli.digits import DIGITS_LANES, load_digits_demo
from spikeloom.reference.fixed import QFormat
from spikeloom.reference.link_frames import (
    END,
    ESCAPE,
    ESCAPED_END,
    ESCAPED_ESCAPE,
    Answer,
    Frame,
    FrameReader,
    Order,
    order_bytes,
)
from spikeloom.reference.maps import Dense
from spikeloom.reference.network import (
    Connection,
    FixedInput,
    FixedNetwork,
    FixedPopulation,
)
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.quantize import quantize
from spikeloom.reference.simulate import run_fixed
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.weights import WeightStore

__all__ = ["FUZZ_FRAMES", "fuzz_figures", "image_figures", "netlist_figures", "speed_figures"]

BOARD = BOARDS["icebreaker"]
LOADED = (WeightStore.SPRAM, WeightStore.LOADED_BLOCK)

FUZZ_FRAMES = 100_000
_BURST = 16
"""Broken frames between two good ones."""
_BETWEEN_RUNS = 5_000
"""Broken frames between two samples whose spikes must be right."""

_PATIENCE = 60.0
"""Seconds after which a virtual board is taken for dead."""

_NETLIST_IMAGES = 20


def image_figures(folder: Path) -> Figures:
    """The digits test set over the serial pins: weights from the host, then from the flash."""
    digits = load_digits_demo()
    network = quantize(digits.network)
    expected = run_fixed(network, digits.stimulus).output
    figures: Figures = {"link.images": ("count", len(expected))}
    for key, flash in (("link.image_mismatches", False), ("link.flash_image_mismatches", True)):
        built = build(
            NetworkTop(network, DIGITS_LANES, LOADED),
            BOARD,
            folder / f"digits-{'flash' if flash else 'host'}",
            link=HostLink(flash=flash),
        )
        board = compile_virtual(built.folder, built.folder / "sim" / "virtual")
        with (
            board.run(flash=built.folder / FLASH if flash else None) as running,
            Device.open(running.path, built.folder, timeout=_PATIENCE) as device,
        ):
            found = device.run(digits.stimulus)
            status = running.status()
        figures[key] = "count", int(np.any(found != expected, axis=(1, 2)).sum())
        time_of_one = 1e3 * status.cycles / board.frequency / len(expected)
        figures[key.replace("mismatches", "time")] = "ms", time_of_one
    return figures


def netlist_figures(folder: Path) -> Figures:
    """Digits through the netlist of the synthesis, with the vendor's models of the cells."""
    digits = load_digits_demo()
    network = quantize(digits.network)
    images = digits.stimulus[:_NETLIST_IMAGES]
    expected = run_fixed(network, images).output
    built = build(NetworkTop(network, DIGITS_LANES), BOARD, folder / BOARD.name)
    board = compile_virtual(built.folder, built.folder / "sim" / "netlist", netlist=True)
    with (
        board.run() as running,
        Device.open(running.path, built.folder, timeout=_PATIENCE) as device,
    ):
        found = device.run(images)
    return {
        "netlist.images": ("count", _NETLIST_IMAGES),
        "netlist.image_mismatches": ("count", int(np.any(found != expected, axis=(1, 2)).sum())),
    }


def mnist_like(rng: np.random.Generator) -> FixedNetwork:
    """A network of 784-128-10 whose weights are chance: the line does not see them."""

    def layer(source: str, before: int, after: int) -> FixedPopulation:
        maps = (Dense(rng.integers(-127, 128, (before, after))),)
        neurons = NeuronConfig(
            size=after, state=QFormat(word_length=20), current_width=18, threshold=2000
        )
        return FixedPopulation(
            shape=(after,), neurons=neurons, connections=(Connection(source=source, maps=maps),)
        )

    populations = {"hidden": layer("in", 784, 128), "out": layer("hidden", 128, 10)}
    return FixedNetwork({"in": FixedInput(shape=(784,))}, populations, {"out": "out"}, "iaf")


def speed_figures(folder: Path) -> Figures:
    """How long the line takes for a step of 784 inputs that all spike, and its share of the time.

    The share is that of the cycles from the first event in to the last one out in which no event
    waited for the network.
    """
    network = mnist_like(np.random.default_rng(1))
    stores = (WeightStore.SPRAM, WeightStore.AUTO)
    samples = np.ones((3, 4, 784), np.uint8)
    expected = run_fixed(network, samples).output
    figures: Figures = {}
    for name, baud in (("1mbaud", 1_000_000), ("fastest", BOARD.fastest_baud)):
        built = build(
            NetworkTop(network, (8, 1), stores),
            BOARD,
            folder / f"784-128-10-{name}",
            link=HostLink(baud=baud, monitor=True),
        )
        board = compile_virtual(built.folder, built.folder / "sim" / "virtual")
        with (
            board.run() as running,
            Device.open(running.path, built.folder, timeout=_PATIENCE) as device,
        ):
            found = device.run(samples)
            counters = device.counters()
        if not np.array_equal(found, expected):
            raise RuntimeError(f"the virtual board at {baud} baud is not the golden model")
        steps = samples.shape[0] * samples.shape[1]
        figures[f"link.step_of_784_{name}"] = (
            "ms",
            1e3 * counters["cycles"] / board.frequency / steps,
        )
        share = 1 - counters["waits"] / counters["cycles"]
        figures[f"link.share_{name}"] = "%", 100 * share
        figures[f"link.baud_{name}"] = "baud", baud
    return figures


def fuzz_figures(folder: Path, frames: int = FUZZ_FRAMES, seed: int = 1) -> Figures:
    """Nonsense for a device: whether it answers the next good order, with its weights unharmed."""
    rng = random.Random(seed)
    network = quantize(load_digits_demo().network)
    images = load_digits_demo().stimulus[:2]
    expected = run_fixed(network, images).output
    top = NetworkTop(network, DIGITS_LANES, LOADED)
    link = HostLink(baud=BOARD.fastest_baud, monitor=True)
    built = build(top, BOARD, folder / "fuzz", link=link)
    board = compile_virtual(built.folder, built.folder / "sim" / "virtual")
    sent = failures = 0
    with board.run() as running:
        while sent < frames:
            with Device.open(running.path, built.folder, timeout=_PATIENCE) as device:
                failures += not np.array_equal(device.run(images), expected)
            until = min(frames, sent + _BETWEEN_RUNS)
            failures += fuzz(running, rng, until - sent, bytes.fromhex(device.facts.identity))
            sent = until
        with Device.open(running.path, built.folder, timeout=_PATIENCE) as device:
            failures += not np.array_equal(device.run(images), expected)
    return {"link.fuzz_frames": ("count", sent), "link.fuzz_failures": ("count", failures)}


def fuzz(running: RunningBoard, rng: random.Random, frames: int, identity: bytes) -> int:
    """Bursts of broken frames, three good orders behind each; how many had not their answers.

    Those say that it is the device, that no event was illegal behind a RESET, and that all weights
    are there.
    """
    failures = 0
    with serial.Serial(str(running.path), timeout=0.01) as line:
        heard = _answers(line)
        for burst in range(-(-frames // _BURST)):
            count = min(_BURST, frames - burst * _BURST)
            number = rng.randrange(16)
            line.write(b"".join(broken_frame(rng) for _ in range(count)))
            kinds = (Order.IDENTIFY, Order.RESET, Order.STATUS)
            good = (Frame(kind, (number + k) % 16) for k, kind in enumerate(kinds))
            line.write(bytes([END]) + b"".join(map(order_bytes, good)))
            failures += not (
                _comes(heard, Frame(Answer.IDENTITY, number, identity))
                and _comes(heard, Frame(Answer.STATUS, (number + 2) % 16, b"\0"))
            )
    return failures


def _answers(line: serial.Serial) -> Iterator[Frame | None]:
    """Answers as they come; nothing where there is none at the moment."""
    reader = FrameReader(4096)
    while True:
        yield from reader.feed(line.read(max(1, line.in_waiting)))
        yield None


def _comes(heard: Iterator[Frame | None], wanted: Frame) -> bool:
    deadline = time.monotonic() + _PATIENCE
    return any(
        answer == wanted for answer in takewhile(lambda _: time.monotonic() < deadline, heard)
    )


def good_order(rng: random.Random) -> bytes:
    """An order of any kind, its number and its payload by chance."""
    kind = rng.randrange(16)
    payload = rng.randbytes(rng.choice([0, 1, 3, 20]))
    return order_bytes(Frame(kind, rng.randrange(16), payload))


def broken_frame(rng: random.Random) -> bytes:
    """Bytes that are no order: chance, a cut, flipped bits, two orders in one another, a length."""
    order = bytearray(good_order(rng))
    kind = rng.choice(list(BROKEN))
    return bytes(BROKEN[kind](rng, order))


def _random(rng: random.Random, order: bytearray) -> bytes:
    return bytes([END]) + rng.randbytes(rng.randrange(40)) + bytes([END])


def _cut(rng: random.Random, order: bytearray) -> bytes:
    """Without its last delimiter and at least one byte before it: the next frame's begins."""
    return bytes(order[: rng.randrange(1, len(order) - 2)]) + bytes([END])


def _flipped(rng: random.Random, order: bytearray) -> bytes:
    """Up to three bits, which the checksum finds for certain; delimiters stay, escapes too."""
    bits = rng.sample(range(8, 8 * (len(order) - 1)), rng.randint(1, 3))
    for bit in bits:
        order[bit // 8] ^= 1 << bit % 8
    return bytes(order)


def _interleaved(rng: random.Random, order: bytearray) -> bytes:
    other = good_order(rng)
    mixed = bytearray([END])
    for pair in zip(order[1:-1], other[1:-1], strict=False):
        mixed += bytes(pair)
    return bytes(mixed) + bytes([END])


def _wrong_length(rng: random.Random, order: bytearray) -> bytes:
    """The checksum is right, but the length is not that of what follows."""
    body = rng.randbytes(rng.randrange(1, 256))
    length = rng.choice([each for each in range(256) if each != len(body)] + [0] * 99)
    body = bytes([length]) + body
    body += binascii.crc_hqx(body, 0xFFFF).to_bytes(2)
    for byte, second in ((ESCAPE, ESCAPED_ESCAPE), (END, ESCAPED_END)):
        body = body.replace(bytes([byte]), bytes([ESCAPE, second]))
    return bytes([END]) + body + bytes([END])


def _whole(rng: random.Random, order: bytearray) -> bytes:
    """A right one, of the kinds that need not be of the right number or change nothing.

    Weights that are EVENTS of the right number would be loaded, as they should.
    """
    kinds = [Order.IDENTIFY, Order.RESET, Order.STATUS, Order.POTENTIALS, Order.COUNTERS, 9, 15]
    payload = rng.randbytes(rng.choice([0, 1, 3, 20]))
    return order_bytes(Frame(rng.choice(kinds), rng.randrange(16), payload))


def _long(rng: random.Random, order: bytearray) -> bytes:
    return bytes([END]) + rng.randbytes(rng.randrange(200, 700)) + bytes([END])


BROKEN: dict[str, Callable[[random.Random, bytearray], bytes]] = {
    "random": _random,
    "cut": _cut,
    "flipped": _flipped,
    "interleaved": _interleaved,
    "long": _long,
    "wrong length": _wrong_length,
    "whole": _whole,
}
