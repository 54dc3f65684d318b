"""Time the golden model beside sinabs and snnTorch, and measure what rounding costs.

    pip install -e '.[sinabs,snntorch]'
    python benchmarks/golden.py

All three run the same network, 784-128-10 without leak, 16 steps, on the 10,000 test images of
MNIST, rate-coded beforehand; in one process, on the same cores, in turns, each at the batch size
that a first round found to be its best. The two others run in single precision. What it takes to
turn the raster's bytes into numbers counts for all three.

It needs the folder of data sets ``shared`` beside the checkout, or where ``SPIKELOOM_SHARED`` says.
Writes ``benchmarks/results/golden.json``; with ``--fuzz`` it runs ``fuzz_nir.py`` first, else that
one's figures are those of its last run.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from figures import RESULTS, SHARED, Array, Figures, write_figures
from mlp import mnist, train
from threadpoolctl import threadpool_info

from spikeloom.reference.ann import dense_ann
from spikeloom.reference.calibrate import Conversion, Normalisation
from spikeloom.reference.coding import rate_code
from spikeloom.reference.convert import convert
from spikeloom.reference.network import FixedNetwork, FloatNetwork
from spikeloom.reference.nir_import import read_nir
from spikeloom.reference.nir_network import network_of
from spikeloom.reference.precision import Precision, Scale
from spikeloom.reference.profile import PROFILES, Reset
from spikeloom.reference.quantize import quantize
from spikeloom.reference.simulate import count_outputs, run_float

SLOWING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Settings that keep NumPy from the processor's best product."""
STEPS = 16
BATCHES = (100, 200, 400, 1000, 1250, 2500)
Run = Callable[[int], Array]


def code(images: Array) -> Array:
    """The raster of images, a byte a step and pixel."""
    chunks = (rate_code(images[k : k + 500], STEPS) for k in range(0, len(images), 500))
    return np.concatenate(list(chunks))


def spiking(weights: Sequence[Array], biases: Sequence[Array], images: Array) -> FloatNetwork:
    """The network of dense layers whose rates are those of rectified-linear units."""
    options = Conversion(
        normalisation=Normalisation.PERCENTILE,
        max_spikes=1,
        bias_correction=False,
        weight_width=None,
    )
    return convert(dense_ann(weights, biases), images, options).network


def golden(network: FixedNetwork, raster: Array) -> Run:
    """The golden run in chunks of a size."""

    def run(batch: int) -> Array:
        chunks = (raster[k : k + batch] for k in range(0, len(raster), batch))
        return np.concatenate(list(count_outputs(network, chunks)))

    return run


def timed(run: Run, batch: int) -> float:
    start = time.perf_counter()
    run(batch)
    return time.perf_counter() - start


def compare(runs: dict[str, Run], labels: Array, repeats: int) -> Figures:
    """Time runs in turns, each at its best batch size."""
    decisions = {name: run(200).argmax(axis=1) for name, run in runs.items()}
    best: dict[str, int] = {}
    for name, run in runs.items():
        tried = {batch: min(timed(run, batch) for _ in range(4)) for batch in BATCHES}
        best[name] = min(tried, key=tried.__getitem__)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            times[name].append(timed(run, best[name]))
    figures: Figures = {}
    for name, taken in times.items():
        figures[f"{name}.seconds"] = "s", min(taken)
        figures[f"{name}.median_seconds"] = "s", float(np.median(taken))
        figures[f"{name}.batch"] = "images", best[name]
        figures[f"{name}.accuracy"] = "%", 100 * float(np.mean(decisions[name] == labels))
        if name != "golden":
            same = float(np.mean(decisions[name] == decisions["golden"]))
            figures[f"{name}.same_decisions"] = "%", 100 * same
            figures[f"golden.speedup_vs_{name}"] = "times", min(taken) / min(times["golden"])
    figures["golden.images_per_second"] = "images/s", len(labels) / min(times["golden"])
    return figures


def mnist_figures(repeats: int) -> Figures:
    """The race."""
    # Not above: the process that measures the golden model's memory does without PyTorch.
    import rivals

    images, labels = mnist("train")
    trained = train(images, labels)
    network = spiking(trained.weights, trained.biases, images[:2000])
    fixed = quantize(network, Precision(weight_width=8))
    images, labels = mnist("t10k")
    decided = trained(images).argmax(axis=1)
    raster = code(images)
    runs = {
        "golden": golden(fixed, raster),
        "sinabs": rivals.of_sinabs(network, raster),
        "snntorch": rivals.of_snntorch(network, raster),
    }
    return {
        "relu.accuracy": ("%", 100 * float(np.mean(decided == labels))),
        **compare(runs, labels, repeats),
    }


def stream(passes: int) -> None:
    """Run the golden model on the test images several times over, and print the peak memory."""
    images, _ = mnist("t10k")
    rng = np.random.default_rng(0)
    weights = [rng.normal(0, 0.04, (784, 128)), rng.normal(0, 0.3, (128, 10))]
    network = spiking(weights, [np.zeros(128), np.zeros(10)], images[:500])
    chunks = (
        rate_code(images[k : k + 200], STEPS)
        for _ in range(passes)
        for k in range(0, len(images), 200)
    )
    total = sum(len(each) for each in count_outputs(quantize(network), chunks))
    # What getrusage calls the peak is no less than the parent's.
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print(total, int(peak) >> 10)


def memory_figures() -> Figures:
    figures: Figures = {}
    for passes in (1, 4):
        command = [sys.executable, "-c", f"import golden; golden.stream({passes})"]
        folder = Path(__file__).parent
        output = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        total, peak = output.stdout.split()
        name = "golden.peak_memory" + ("" if passes == 1 else f"_{total}")
        figures[name] = "MiB", int(peak)
    return figures


def braille_figures() -> Figures:
    """What 8-bit weights cost a recurrent network that another tool trained."""
    data = np.load(SHARED / "data" / "braille7_unique_samples.npz")
    x, y = data["x"], data["y"]
    file = read_nir(SHARED / "nir" / "braille" / "braille_noDelay_noBias_subtract.nir")
    network = network_of(file.graph, replace(PROFILES["norse"], reset=Reset.SUBTRACT))
    precision = Precision(scale=Scale.NEURON, state_fraction=None, decay_fraction=12)
    fixed = quantize(network, precision, calibration=x[:200])
    chunks = np.array_split(x.astype(np.uint8), 12)
    counts = np.concatenate(list(count_outputs(fixed, chunks)))
    decided = run_float(network, x, dtype=np.float32).decision
    return {
        "braille.accuracy_float": ("%", 100 * float(np.mean(decided == y))),
        "braille.accuracy_8bit": ("%", 100 * float(np.mean(counts.argmax(axis=1) == y))),
    }


def fuzz_figures(run: bool) -> Figures:
    """The figures that ``fuzz_nir.py`` has left."""
    path = RESULTS / "fuzz_nir.json"
    if run:
        subprocess.run([sys.executable, Path(__file__).with_name("fuzz_nir.py")], check=False)
    if not path.exists():
        sys.exit(f"{path} must exist: run benchmarks/fuzz_nir.py, or this with --fuzz")
    entries = json.loads(path.read_text(encoding="utf-8"))
    return {each["name"]: (each["unit"], each["value"]) for each in entries}


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=15, help="runs of each (%(default)s)")
    parser.add_argument("--fuzz", action="store_true", help="run fuzz_nir.py first")
    parser.add_argument("--output", type=Path, default=RESULTS / "golden.json")
    args = parser.parse_args()
    if any(name in os.environ for name in SLOWING):
        plain = {k: v for k, v in os.environ.items() if k not in SLOWING}
        os.execve(sys.executable, [sys.executable, *sys.argv], plain)
    for library in threadpool_info():
        if library["internal_api"] == "openblas":
            print("NumPy's products:", library["version"], library["architecture"])
    figures = {
        "cores": ("cores", len(os.sched_getaffinity(0))),
        **mnist_figures(args.repeats),
        **memory_figures(),
        **braille_figures(),
        **fuzz_figures(args.fuzz),
    }
    write_figures(figures, args.output)


if __name__ == "__main__":
    main()
