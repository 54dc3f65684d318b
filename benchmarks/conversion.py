"""Convert trained networks, and compare them with what sinabs makes of the same ones.

    pip install -e '.[torch,onnx,sinabs]'
    python benchmarks/conversion.py                    all networks
    python benchmarks/conversion.py vgg-fashion ...    these; the others' figures stay

The networks are those of ``examples/trained``. Each is converted once, with the calibration for
``CALIBRATED`` steps, and run for 32 steps on all 10,000 test images by the golden model in fixed
point, weights of 8 bits; the accuracy of fewer steps is that of the sums so far. sinabs runs the
same network and images in single precision: ``from_model`` after ``normalize_weights``. That one
does not carry a layer's scale to the biases behind it, so ``from_model`` alone is measured too, as
``sinabs_plain_accuracy``. It also wants layers in a row: of the residual network
``sinabs_accuracy`` is ``from_model`` alone.

Needs the folder of data sets ``shared`` beside the checkout, or where ``SPIKELOOM_SHARED`` says.
Writes ``benchmarks/results/conversion.json``.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from figures import CHECKOUT, RESULTS, Array, Figures, data_set, write_figures

from spikeloom.reference.ann import activations, relu_network
from spikeloom.reference.calibrate import Conversion
from spikeloom.reference.convert import Converted, convert
from spikeloom.reference.graph import Graph
from spikeloom.reference.latency import Progress, early_stop, measure_progress
from spikeloom.reference.network import FixedInput, FixedNetwork
from spikeloom.reference.onnx_ann import ann_from_onnx
from spikeloom.reference.precision import Precision, Scale
from spikeloom.reference.quantize import quantize
from spikeloom.reference.simulate import trace_outputs

NETWORKS = {
    "mlp-mnist": "mnist",
    "lenet-mnist": "mnist",
    "lenet-fashion": "fashion-mnist",
    "residual-fashion": "fashion-mnist",
    "vgg-fashion": "fashion-mnist",
}
"""The data set of each network."""
STEPS = (4, 8, 16, 32)
CALIBRATED = 16
CALIBRATION = 256
OPTIONS = Conversion(steps=CALIBRATED)
BATCH = 50
OUTPUT = RESULTS / "conversion.json"


def fixed_network(converted: Converted, calibration: Array, width: int = 8) -> FixedNetwork:
    """The network in integers, for pixels in 256ths."""
    ((name, shape),) = converted.ann.network.inputs.items()
    some = calibration[:32]
    return quantize(
        converted.network,
        Precision(
            weight_width=width, state_width=12 + width, scale=Scale.NEURON, state_fraction=None
        ),
        inputs={name: FixedInput(shape=shape, high=256, fraction_bits=8)},
        calibration=np.broadcast_to(some[:, None], (len(some), CALIBRATED, *some.shape[1:])),
    )


def run(network: FixedNetwork, images: Array, labels: Array, steps: int) -> Progress:
    """The golden run, some images at a time, each the same in every step."""

    def stimuli() -> Iterator[Array]:
        for k in range(0, len(images), BATCH):
            some = np.rint(images[k : k + BATCH] * 256).astype(np.int64)
            yield np.broadcast_to(some[:, None], (len(some), steps, *some.shape[1:]))

    return measure_progress(network, trace_outputs(network, stimuli()), labels)


def scores(ann: Graph, images: Array) -> Array:
    """What the network of rectified-linear units says."""
    plain = relu_network(ann)
    parts = (images[k : k + 500] for k in range(0, len(images), 500))
    return np.concatenate([activations(plain, each)["output"] for each in parts])


def measure(name: str, limit: int | None) -> Figures:
    """All figures of a network."""
    # Not above: the golden model runs without PyTorch.
    import rivals

    path = CHECKOUT / "examples" / "trained" / f"{name}.onnx"
    ann = ann_from_onnx(path)
    train, _ = data_set(NETWORKS[name], "train")
    images, labels = data_set(NETWORKS[name], "t10k")
    images = (images[:limit, None] / np.float32(255)).astype(np.float32)
    labels = labels[:limit]
    calibration = (train[:CALIBRATION, None] / np.float32(255)).astype(np.float32)
    right = 100 * float(np.mean(scores(ann, images).argmax(axis=1) == labels))
    figures: Figures = {f"{name}.ann_accuracy": ("%", right)}
    converted = convert(ann, calibration, OPTIONS)
    fixed = fixed_network(converted, calibration)
    start = time.perf_counter()
    progress = run(fixed, images, labels, max(STEPS))
    figures[f"{name}.seconds"] = "s", time.perf_counter() - start
    add_accuracies(figures, f"{name}.snn_accuracy", progress.correct / len(labels))
    figures[f"{name}.synops.t16"] = "additions/image", float(progress.operations[15])
    figures |= stopped_early(name, progress, labels)
    if name == "lenet-mnist":
        converted = convert(ann, calibration, replace(OPTIONS, weight_width=4))
        narrow = run(fixed_network(converted, calibration, 4), images, labels, max(STEPS))
        add_accuracies(figures, f"{name}.snn_accuracy_4_bit", narrow.correct / len(labels))
    theirs = rivals.converted_by_sinabs(path, calibration, images, labels, max(STEPS))
    add_accuracies(figures, f"{name}.sinabs_accuracy", theirs.get("normalised", theirs["plain"]))
    if "normalised" in theirs:
        add_accuracies(figures, f"{name}.sinabs_plain_accuracy", theirs["plain"])
    return figures


def add_accuracies(figures: Figures, name: str, shares: Array) -> None:
    for steps in STEPS:
        figures[f"{name}.t{steps}"] = "%", 100 * float(shares[steps - 1])


def stopped_early(name: str, progress: Progress, labels: Array) -> Figures:
    """The least margin that loses no more than a tenth of a point against all steps."""
    full = progress.correct[-1]
    largest = int(progress.sums.max())
    for margin in np.unique(np.geomspace(1, max(2, largest), 60).astype(np.int64)).tolist():
        steps, decisions = early_stop(progress.sums, margin)
        correct = int(np.sum(decisions == labels))
        if full - correct <= len(labels) / 1000:
            break
    return {
        f"{name}.early_stop.margin": ("last places", margin),
        f"{name}.early_stop.steps": ("steps", float(steps.mean())),
        f"{name}.early_stop.accuracy": ("%", 100 * correct / len(labels)),
    }


def known_figures(path: Path) -> Figures:
    """The figures of earlier runs."""
    if not path.exists():
        return {}
    entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return {each["name"]: (each["unit"], each["value"]) for each in entries}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="*", help=", ".join(NETWORKS))
    parser.add_argument("--limit", type=int, help="test images, for a quick look")
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    figures = known_figures(arguments.output)
    for name in arguments.networks or NETWORKS:
        measured = measure(name, arguments.limit)
        kept = {n: f for n, f in figures.items() if not n.startswith(f"{name}.")}
        order = {each: k for k, each in enumerate(NETWORKS)}
        both = kept | measured
        figures = dict(sorted(both.items(), key=lambda each: order[each[0].partition(".")[0]]))
        write_figures(figures, arguments.output)


if __name__ == "__main__":
    main()
