"""Measure the generated hardware: cycles in Verilator, clock and size after place and route.

    pip install -e '.[sim,boards]'
    python benchmarks/engine.py

MNIST on 784-128-10, trained here and rate-coded in four steps, on an iCE40UP5K and an ECP5: all
10,000 test images through the RTL, every output and every final membrane potential beside the
golden model's. The same network with the image as a constant current. The two networks that other
people trained, cnn_sinabs and Braille, from their files.

It needs the folder of data sets ``shared`` beside the checkout, or where ``SPIKELOOM_SHARED`` says.
Writes ``benchmarks/results/engine.json``. Training goes by the processor's own sums, so that
accuracies differ in the second decimal from machine to machine; nothing else does.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from figures import RESULTS, SHARED, Array, Figures, write_figures
from mlp import MLP, current_network, mnist, rate_network, train

from spikeloom.boards.board import BOARDS
from spikeloom.boards.flow import build
from spikeloom.reference.coding import rate_code
from spikeloom.reference.maps import Shape
from spikeloom.reference.network import Connection, FixedInput, FixedNetwork
from spikeloom.reference.nir_import import read_nir
from spikeloom.reference.nir_network import network_of
from spikeloom.reference.precision import Precision, Scale
from spikeloom.reference.profile import PROFILES, Reset
from spikeloom.reference.quantize import quantize
from spikeloom.reference.scenario import Scenario
from spikeloom.reference.simulate import run_fixed
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.weights import WeightStore
from spikeloom.sim.engine import EngineRun, run_engine
from spikeloom.sim.playback import play, write_player
from spikeloom.sim.vectors import Wait, decode_outputs, loading, vectors

STEPS = 4
LEVELS = 15
"""What a pixel can be in a current."""
CHUNK = 1000
AUTO, SPRAM = WeightStore.AUTO, WeightStore.SPRAM


@dataclass(frozen=True)
class Chip:
    """What the MNIST network is built for."""

    board: str
    lanes: tuple[int, int]
    stores: tuple[WeightStore, WeightStore]
    clock: float


CHIPS = {
    "up5k": Chip("icebreaker", (8, 2), (SPRAM, AUTO), 36e6),
    "ecp5": Chip("ulx3s-85f", (64, 5), (AUTO, AUTO), 100e6),
}


@dataclass(frozen=True)
class Coding:
    """How images come to the network."""

    network: FixedNetwork
    encode: Callable[[Array], Array]


def codings(trained: MLP) -> dict[str, Coding]:
    """By the names of their figures."""

    def network(floats, high: int) -> FixedNetwork:  # type: ignore[no-untyped-def]
        return quantize(floats, Precision(), inputs={"input": FixedInput(shape=(784,), high=high)})

    def constant(images: Array) -> Array:
        raster = np.zeros((len(images), STEPS, 784), np.uint8)
        raster[:, 0] = np.rint(images * LEVELS)
        return raster

    return {
        "mnist": Coding(network(rate_network(trained), 1), lambda x: rate_code(x, STEPS)),
        "mnist_current": Coding(network(current_network(trained, LEVELS), LEVELS), constant),
    }


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def images_through(
    top: NetworkTop, coding: Coding, images: Array, labels: Array, folder: Path
) -> dict[str, float]:
    """All images through the RTL in Verilator, one at a time.

    Returns
    -------
    ``accuracy`` in percent, from what came out; ``mismatches``, chunks of images in which anything
    differed; ``cycles`` from one image's last output to the next's, mean, where each waits for the
    one before; ``stream_cycles``, where none does.
    """
    sources = write_player(top, folder, "iaf")
    loaded = loading(top)
    right, mismatches, cycles, streamed = 0, 0, 0, 0
    for start in range(0, len(images), CHUNK):
        part = images[start : start + CHUNK]
        scenario = Scenario.of(coding.network, coding.encode(part))
        probed = vectors(top, scenario, wait=Wait.SAMPLE, probe=True)
        seen = play("verilator", sources, loaded + probed, folder)
        mismatches += bool(seen.difference)
        if seen.difference:
            progress(seen.difference)
        words = {stream: [int(word, 16) for word in each] for stream, each in seen.outputs.items()}
        (scores,) = decode_outputs(top, words, len(part), STEPS).values()
        right += int(np.sum(scores[:, -1].argmax(axis=1) == labels[start : start + CHUNK]))
        for wait in (Wait.SAMPLE, Wait.NEVER):
            timed = vectors(top, scenario, wait=wait, probe=False)
            seen = play("verilator", sources, loaded + timed, folder)
            mismatches += bool(seen.difference)
            # A weight is loaded in each cycle before the first event.
            taken = seen.cycles["o"][-1] - loaded.count
            if wait is Wait.SAMPLE:
                cycles += taken
            else:
                streamed += taken
        progress(f"{start + len(part)} images, {mismatches} differences")
    return {
        "accuracy": 100 * right / len(images),
        "mismatches": mismatches,
        "cycles": cycles / len(images),
        "stream_cycles": streamed / len(images),
    }


def mnist_figures(folder: Path) -> Figures:
    """The network on both chips."""
    progress("training")
    trained = train(*mnist("train"), 12, levels=STEPS, jitter=1)
    images, labels = mnist("t10k")
    figures: Figures = {"mnist.ann_accuracy": ("%", accuracy(trained, images, labels))}
    begin, mismatches, played = time.monotonic(), 0.0, 0
    runs = {}
    for name, coding in codings(trained).items():
        for chip, target in CHIPS.items():
            progress(f"{name} on {chip} in Verilator")
            top = NetworkTop(coding.network, target.lanes, target.stores)
            run = images_through(top, coding, images, labels, folder / f"{name}-{chip}")
            mismatches += run["mismatches"]
            played += len(images)
            runs[name, chip] = run
    seconds = time.monotonic() - begin
    for (name, chip), run in runs.items():
        target, network = CHIPS[chip], codings(trained)[name].network
        progress(f"{name} on {chip}: synthesis, place and route")
        built = build(
            NetworkTop(network, target.lanes, target.stores),
            BOARDS[target.board],
            folder / f"{name}-{chip}-build",
            frequency=target.clock,
        )
        megahertz = built.frequency / 1e6
        figures |= {
            f"{name}.{chip}.accuracy": ("%", run["accuracy"]),
            f"{name}.{chip}.latency_mean": ("us", run["cycles"] / megahertz),
            f"{name}.{chip}.period_mean": ("us", run["stream_cycles"] / megahertz),
            f"{name}.{chip}.clock": ("MHz", megahertz),
            f"{name}.{chip}.fmax": ("MHz", built.fmax / 1e6),
            f"{name}.{chip}.lanes": ("lanes", target.lanes[0]),
        }
        for key, resource in (
            ("logic_cells", "logic cells"),
            ("block_rams", "block RAMs"),
            ("dsps", "DSPs"),
        ):
            figures[f"{name}.{chip}.{key}"] = "count", built.usage[resource].used
    return figures | {
        "mnist.rtl_images": ("images", played),
        "mnist.rtl_mismatches": ("differences", mismatches),
        "mnist.rtl_seconds": ("s", seconds),
    }


def accuracy(trained: MLP, images: Array, labels: Array) -> float:
    return 100 * float(np.mean(trained(images).argmax(axis=1) == labels))


def dense_figures(folder: Path) -> Figures:
    """The share of its cycles in which a dense layer adds useful weights."""
    rng = np.random.default_rng(0)
    trained = MLP(
        (rng.normal(0, 0.1, (784, 128)), rng.normal(0, 0.3, (128, 10))),
        (np.zeros(128), np.zeros(10)),
        4.0,
    )
    network = codings(trained)["mnist"].network
    active, steps, lanes = 32, 200, 16
    raster = np.zeros((1, steps, 784), np.uint8)
    for step in range(steps):
        raster[0, step, rng.choice(784, active, replace=False)] = 1
    top = NetworkTop(network, (lanes, 10))
    run = run_engine("verilator", top, Scenario.of(network, raster), folder, profile="iaf")
    added = active * steps * 128
    return {
        "dense.active_sources": ("sources", active),
        "dense.utilisation": ("", added / (lanes * cycles_of(run))),
    }


def cycles_of(run: EngineRun) -> int:
    """Cycles of a run that came to its end."""
    if run.cycles is None:
        raise SystemExit(f"the run must end, but {run.difference}")
    return run.cycles


def added_by(connection: Connection, shape: Shape, spikes: Array) -> int:
    """How many weights the events of a connection add, given what its source of a shape sends."""
    reached = (spikes != 0).astype(np.int64).reshape(-1, *shape)
    for each in connection.maps:
        weight = getattr(each, "weight", None)
        counting = each if weight is None else each.with_weight(np.ones_like(weight))
        reached = counting.apply(reached)
    return int(reached.sum())


def cnn_figures(folder: Path) -> Figures:
    """The convolutional network on the digit of N-MNIST."""
    digit = np.load(SHARED / "nir" / "cnn" / "nmnist_zero_10bins.npy")[None].astype(np.int64)
    graph = read_nir(SHARED / "nir" / "cnn" / "cnn_sinabs.nir").graph
    network = network_of(graph, PROFILES["sinabs"])
    inputs = {"input": FixedInput(shape=(2, 34, 34), high=int(digit.max()))}
    words = Precision(scale=Scale.NEURON, state_fraction=None, state_width=20)
    fixed = quantize(network, words, inputs=inputs, calibration=digit)
    scenario = Scenario.of(fixed, digit)
    lanes = (4, 16, 8, 8, 1)
    run = run_engine("verilator", NetworkTop(fixed, lanes), scenario, folder, profile="sinabs")
    spikes = {"input": digit} | run_fixed(fixed, digit).spikes
    added = [
        added_by(connection, fixed.shape(connection.source), spikes[connection.source])
        for each in list(fixed.populations.values())[:3]
        for connection in each.connections
    ]
    return {
        "cnn_sinabs.cycles": ("cycles", cycles_of(run)),
        "cnn_sinabs.conv_utilisation": ("", sum(added) / (sum(lanes[:3]) * cycles_of(run))),
        "cnn_sinabs.mismatches": ("differences", not run.equal),
    }


def braille_figures(folder: Path, samples: int) -> Figures:
    """The recurrent network on the test set of Braille."""
    data = np.load(SHARED / "data" / "braille7_unique_samples.npz")["x"].astype(np.int64)
    file = read_nir(SHARED / "nir" / "braille" / "braille_noDelay_noBias_subtract.nir")
    network = network_of(file.graph, replace(PROFILES["norse"], reset=Reset.SUBTRACT))
    words = Precision(scale=Scale.NEURON, state_fraction=None, decay_fraction=12)
    fixed = quantize(network, words, calibration=data[:64])
    scenario = Scenario.of(fixed, data[:samples])
    run = run_engine("verilator", NetworkTop(fixed, (8, 2)), scenario, folder, profile="norse")
    return {
        "braille.samples": ("samples", samples),
        "braille.cycles": ("cycles", cycles_of(run) / samples),
        "braille.mismatches": ("differences", not run.equal),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=RESULTS / "engine.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = mnist_figures(folder)
        progress("other people's networks")
        figures |= dense_figures(folder / "dense")
        figures |= cnn_figures(folder / "cnn")
        figures |= braille_figures(folder / "braille", 100)
    write_figures(figures, args.output)


if __name__ == "__main__":
    main()
