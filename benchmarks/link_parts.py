"""Figures of the host link: images through virtual boards, throughput, and nonsense on the line."""

import random
import time
from collections.abc import Callable
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
    built = build(top, BOARD, folder / "fuzz", link=HostLink(baud=BOARD.fastest_baud))
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
    """Bursts of broken frames, a good order behind each; how many of those had no answer."""
    failures = 0
    with serial.Serial(str(running.path), timeout=0.01) as line:
        reader = FrameReader(4096)
        for burst in range(-(-frames // _BURST)):
            count = min(_BURST, frames - burst * _BURST)
            number = rng.randrange(16)
            line.write(b"".join(broken_frame(rng) for _ in range(count)))
            line.write(bytes([END]) + order_bytes(Frame(Order.IDENTIFY, number)))
            wanted = Frame(Answer.IDENTITY, number, identity)
            failures += not _comes(line, reader, wanted)
    return failures


def _comes(line: serial.Serial, reader: FrameReader, wanted: Frame) -> bool:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        for answer in reader.feed(line.read(max(1, line.in_waiting))):
            if answer == wanted:
                return True
    return False


def good_order(rng: random.Random) -> bytes:
    """An order of any kind but those that would have an effect, and its number by chance.

    Weights that are EVENTS of the right number would be loaded, as they should.
    """
    kind = rng.choice([Order.EVENTS, Order.STATUS, 9, 15])
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


def _long(rng: random.Random, order: bytearray) -> bytes:
    return bytes([END]) + rng.randbytes(rng.randrange(200, 700)) + bytes([END])


BROKEN: dict[str, Callable[[random.Random, bytearray], bytes]] = {
    "random": _random,
    "cut": _cut,
    "flipped": _flipped,
    "interleaved": _interleaved,
    "long": _long,
}
