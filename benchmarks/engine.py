"""Measure the generated hardware: cycles in Verilator, clock and size after place and route.

    pip install -e '.[sim,boards]'
    python benchmarks/engine.py                      # everything, about an hour
    python benchmarks/engine.py --only mnist.up5k    # one part

MNIST on 784-128-10, trained here and rate-coded in four steps, on an iCE40UP5K and an ECP5: all
10,000 test images through the RTL, every output and every final membrane potential beside the
golden model's. The same network with the image as a constant current. The two networks that other
people trained, cnn_sinabs and Braille, from their files.

It needs the folder of data sets ``shared`` beside the checkout, or where ``SPIKELOOM_SHARED`` says.
Writes ``benchmarks/results/engine.json``. Training goes by the processor's own sums, so that
weights, and with them accuracy, latency, size and clock rate, differ a little from machine to
machine; that the hardware equals the golden model does not.

Latencies are those of the network behind its stream ports: from an image's first event in to its
last one out, where each image waits for the one before. The serial line, which takes milliseconds
for an image at 1 Mbaud, is not in them; it is in logic cells, block RAMs and clock rate.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
from figures import RESULTS, SHARED, Array, Figures, read_figures, write_figures
from mlp import MLP, current_network, mnist, rate_network, train

from spikeloom.boards.board import BOARDS
from spikeloom.boards.flow import BuildResult, TimingError, build
from spikeloom.boards.plan import make_plan
from spikeloom.reference.coding import rate_code
from spikeloom.reference.network import FixedInput, FixedNetwork
from spikeloom.reference.nir_import import read_nir
from spikeloom.reference.nir_network import network_of
from spikeloom.reference.precision import Precision, Scale
from spikeloom.reference.profile import PROFILES, Reset
from spikeloom.reference.quantize import quantize
from spikeloom.reference.scenario import Scenario
from spikeloom.reference.simulate import run_fixed
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.timing import predict
from spikeloom.rtl_gen.weights import WeightStore
from spikeloom.sim.engine import EngineRun, run_engine
from spikeloom.sim.playback import play, write_player
from spikeloom.sim.vectors import Wait, decode_outputs, loading, vectors

STEPS = 4
RATE = 0.5
"""Spikes a step of a white pixel: half as many as there could be, for 0.1 % of accuracy."""
LEVELS = 15
"""What a pixel can be in a current."""
CHUNK = 1000
SEEDS = 4
"""Placements that are tried."""
AUTO, SPRAM = WeightStore.AUTO, WeightStore.SPRAM


@dataclass(frozen=True)
class Chip:
    """What the MNIST network is built for."""

    board: str
    lanes: tuple[int, int]
    stores: tuple[WeightStore, WeightStore]
    clock: float


CHIPS = {
    "up5k": Chip("icebreaker", (8, 1), (SPRAM, AUTO), 36e6),
    "ecp5": Chip("ulx3s-45f", (64, 5), (AUTO, AUTO), 100e6),
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
        "mnist": Coding(
            network(rate_network(trained, RATE), 1), lambda x: rate_code(RATE * x, STEPS)
        ),
        "mnist_current": Coding(network(current_network(trained, LEVELS), LEVELS), constant),
    }


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def images_through(
    top: NetworkTop, coding: Coding, images: Array, labels: Array, folder: Path
) -> dict[str, float]:
    """All images through the RTL in Verilator.

    Returns
    -------
    ``accuracy`` in percent, from what came out; ``mismatches``, chunks of images in which anything
    differed, be it an output or a final membrane potential; ``seconds`` from the network to the
    last comparison, the compilation of the Verilog included; ``cycles`` from one image's last
    output to the next's, mean, where each waits for the one before; ``stream_cycles``, where none
    does.
    """
    begin = time.monotonic()
    sources = write_player(top, folder, "iaf")
    loaded = loading(top)
    scenarios = []
    right, mismatches = 0, 0
    for start in range(0, len(images), CHUNK):
        part = images[start : start + CHUNK]
        scenarios.append(Scenario.of(coding.network, coding.encode(part)))
        probed = vectors(top, scenarios[-1], wait=Wait.SAMPLE, probe=True)
        seen = play("verilator", sources, loaded + probed, folder)
        if seen.difference:
            mismatches += 1
            progress(seen.difference)
        words = {stream: [int(word, 16) for word in each] for stream, each in seen.outputs.items()}
        (scores,) = decode_outputs(top, words, len(part), STEPS).values()
        right += int(np.sum(scores[:, -1].argmax(axis=1) == labels[start : start + CHUNK]))
        progress(f"{start + len(part)} images, {mismatches} differences")
    seconds = time.monotonic() - begin
    cycles = dict.fromkeys((Wait.SAMPLE, Wait.NEVER), 0)
    for scenario in scenarios:
        for wait in cycles:
            timed = vectors(top, scenario, wait=wait, probe=False)
            seen = play("verilator", sources, loaded + timed, folder)
            mismatches += bool(seen.difference)
            # A weight is loaded in each cycle before the first event.
            cycles[wait] += seen.cycles["o"][-1] - loaded.count
    return {
        "accuracy": 100 * right / len(images),
        "mismatches": mismatches,
        "seconds": seconds,
        "cycles": cycles[Wait.SAMPLE] / len(images),
        "stream_cycles": cycles[Wait.NEVER] / len(images),
    }


@cache
def trained_network() -> MLP:
    """The network that both codings and both chips share."""
    progress("training")
    return train(*mnist("train"), 12, levels=STEPS, jitter=1)


def mnist_figures(name: str, chip: str, folder: Path) -> Figures:
    """The network under one of the codings, on one of the chips."""
    key, target, coding = f"{name}.{chip}", CHIPS[chip], codings(trained_network())[name]
    images, labels = mnist("t10k")
    progress(f"{key}: Verilator")
    top = NetworkTop(coding.network, target.lanes, target.stores)
    run = images_through(top, coding, images, labels, folder / "rtl")
    progress(f"{key}: synthesis, place and route")
    built = in_time(coding.network, target, folder / "board")
    megahertz = built.frequency / 1e6
    figures: Figures = {
        f"{key}.accuracy": ("%", run["accuracy"]),
        f"{key}.latency_mean": ("us", run["cycles"] / megahertz),
        f"{key}.period_mean": ("us", run["stream_cycles"] / megahertz),
        f"{key}.clock": ("MHz", megahertz),
        f"{key}.fmax": ("MHz", built.fmax / 1e6),
        f"{key}.seed": ("", built.seed),
        f"{key}.lanes": ("lanes", target.lanes[0]),
        f"{key}.output_lanes": ("lanes", target.lanes[1]),
    }
    for resource, usage in built.usage.items():
        figures[f"{key}.{resource.replace(' ', '_').replace('-', '_').lower()}"] = (
            "count",
            usage.used,
        )
    about_rtl = {
        "rtl_images": ("images", len(images)),
        "rtl_mismatches": ("chunks of 1,000 images", run["mismatches"]),
        "rtl_seconds": ("s", run["seconds"]),
    }
    figures |= {f"{key}.{each}": figure for each, figure in about_rtl.items()}
    if key == "mnist.up5k":
        figures["mnist.ann_accuracy"] = "%", accuracy(trained_network(), images, labels)
        figures |= {f"mnist.{each}": figure for each, figure in about_rtl.items()}
    return figures


def in_time(network: FixedNetwork, chip: Chip, folder: Path) -> BuildResult:
    """The build of the first seed that meets the clock."""
    for seed in range(1, SEEDS):
        try:
            return build_with(network, chip, folder, seed)
        except TimingError as error:
            progress(f"seed {seed}: {error}")
    return build_with(network, chip, folder, SEEDS)


def build_with(network: FixedNetwork, chip: Chip, folder: Path, seed: int) -> BuildResult:
    top = NetworkTop(network, chip.lanes, chip.stores)
    return build(top, BOARDS[chip.board], folder, seed=seed, frequency=chip.clock)


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


def cnn_figures(folder: Path) -> Figures:
    """The convolutional network on the digit of N-MNIST."""
    digit = np.load(SHARED / "nir" / "cnn" / "nmnist_zero_10bins.npy")[None].astype(np.int64)
    graph = read_nir(SHARED / "nir" / "cnn" / "cnn_sinabs.nir").graph
    network = network_of(graph, PROFILES["sinabs"])
    inputs = {"input": FixedInput(shape=(2, 34, 34), high=int(digit.max()))}
    words = Precision(scale=Scale.NEURON, state_fraction=None, state_width=20)
    fixed = quantize(network, words, inputs=inputs, calibration=digit)
    scenario = Scenario.of(fixed, digit)
    plan = make_plan(fixed, digit)
    top = NetworkTop(fixed, plan.lanes, plan.stores)
    run = run_engine("verilator", top, scenario, folder, profile="sinabs")
    timing = predict(top, digit, run_fixed(fixed, digit))
    convolutions = list(timing.populations.values())[:3]
    # While a layer waits for the next to take a step, it is counted as busy here.
    could = sum(each.lanes * (each.busy + each.held) for each in convolutions)
    added = sum(each.accumulations for each in convolutions)
    return {
        "cnn_sinabs.cycles": ("cycles", cycles_of(run)),
        "cnn_sinabs.planned_cycles": ("cycles", plan.cycles[0]),
        "cnn_sinabs.lanes": ("lanes", sum(plan.lanes)),
        "cnn_sinabs.conv_utilisation": ("", added / could),
        "cnn_sinabs.mismatches": ("differences", not run.equal),
    }


def braille_figures(folder: Path) -> Figures:
    """The recurrent network on 100 samples of Braille, 64 of which choose its words."""
    samples = 100
    data = np.load(SHARED / "data" / "braille7_unique_samples.npz")["x"].astype(np.int64)
    file = read_nir(SHARED / "nir" / "braille" / "braille_noDelay_noBias_subtract.nir")
    network = network_of(file.graph, replace(PROFILES["norse"], reset=Reset.SUBTRACT))
    words = Precision(scale=Scale.NEURON, state_fraction=None, decay_fraction=12)
    fixed = quantize(network, words, calibration=data[:64])
    scenario = Scenario.of(fixed, data[:samples])
    plan = make_plan(fixed, data[:samples])
    top = NetworkTop(fixed, plan.lanes, plan.stores)
    timing = predict(top, data[:samples], run_fixed(fixed, data[:samples]))
    run = run_engine("verilator", top, scenario, folder, profile="norse")
    return {
        "braille.samples": ("samples", samples),
        "braille.cycles": ("cycles", cycles_of(run) / samples),
        "braille.planned_cycles": ("cycles", timing.cycles / samples),
        "braille.lanes": ("lanes", sum(plan.lanes)),
        "braille.mismatches": ("differences", not run.equal),
    }


PARTS: dict[str, Callable[[Path], Figures]] = {
    f"{name}.{chip}": partial(mnist_figures, name, chip)
    for name in ("mnist", "mnist_current")
    for chip in CHIPS
} | {"dense": dense_figures, "cnn_sinabs": cnn_figures, "braille": braille_figures}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--only",
        nargs="+",
        choices=PARTS,
        default=(),
        help="measure these parts and keep the figures of the others",
    )
    parser.add_argument("--output", type=Path, default=RESULTS / "engine.json")
    args = parser.parse_args()
    figures = read_figures(args.output) if args.only else {}
    for part in args.only or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            figures |= PARTS[part](Path(folder))
        write_figures(figures, args.output)


if __name__ == "__main__":
    main()
