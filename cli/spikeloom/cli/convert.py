"""``spikeloom convert``: a trained ReLU network as a spiking one."""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from spikeloom.cli.convert_page import ConversionReport, render_conversion
from spikeloom.cli.options import add_arguments, from_arguments
from spikeloom.cli.precision import (
    CALIBRATION,
    PrecisionOptions,
    fixed_data,
    fixed_inputs,
    fixed_network,
    precision_of,
)
from spikeloom.cli.progress import print_json, print_table, progress, say, task
from spikeloom.cli.runs import batches
from spikeloom.cli.stimulus import Data, check_labels
from spikeloom.reference.ann import activations
from spikeloom.reference.array_file import read_array, read_arrays
from spikeloom.reference.calibrate import Conversion, Normalisation
from spikeloom.reference.coding import Coding, encode
from spikeloom.reference.convert import Converted, convert
from spikeloom.reference.graph import Graph, Shape
from spikeloom.reference.latency import Progress as Course
from spikeloom.reference.latency import early_stop, measure_progress
from spikeloom.reference.network import FixedNetwork
from spikeloom.reference.nir_export import write_nir
from spikeloom.reference.precision import Scale
from spikeloom.reference.profile import IAF
from spikeloom.reference.simulate import trace_outputs
from spikeloom.reference.whole_file import whole_file
from spikeloom.rtl_gen.output import write_whole

__all__ = ["add_parser"]

Array = NDArray[Any]

_FRACTION = 8
"""Fraction bits of what comes in as a constant."""
_SHOWN = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Numbers of steps that are printed; the page and --json have all."""


@dataclass(frozen=True, kw_only=True)
class ConversionOptions:
    """Conversion: what a spike stands for."""

    steps: Annotated[int, "time steps that the conversion is calibrated for"] = Conversion.steps
    normalisation: Annotated[
        Normalisation, "what decides the activation that a neuron can say at most"
    ] = Conversion.normalisation
    percentile: Annotated[float, "percentile of the activations, where that decides"] = (
        Conversion.percentile
    )
    per_channel: Annotated[bool, "whether each channel has its own"] = Conversion.per_channel
    max_spikes: Annotated[int, "most spikes of a neuron in a step, 2**n - 1"] = (
        Conversion.max_spikes
    )
    v_init: Annotated[float, "potential at the first step, in thresholds"] = Conversion.v_init
    bias_correction: Annotated[bool, "whether biases make up for what rates lack"] = (
        Conversion.bias_correction
    )
    coding: Annotated[Coding, "how inputs become steps"] = Conversion.coding
    seed: Annotated[int, "seed of a coding by chance"] = Conversion.seed
    weight_width: Annotated[int, "bits of the weights that the hardware will have"] = 8


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "convert",
        help="turn a trained ReLU network, an ONNX file, into a spiking one",
        description="Turns a trained network of rectified-linear units into neurons that integrate"
        " and fire, as a NIR file for --profile iaf. With labels it tells what is lost, step by"
        " step, in fixed point as the hardware computes it.",
    )
    parser.add_argument("model", type=Path, metavar="MODEL.onnx", help="ONNX file of the network")
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="inputs of the network: .npz (array x, labels y) or .npy, of shape (samples, ...)",
    )
    parser.add_argument("--labels", type=Path, help="labels, .npy, one integer a sample")
    parser.add_argument(
        "--calibration",
        type=int,
        default=256,
        metavar="INT",
        help="the first so many samples calibrate, the others measure (default 256)",
    )
    parser.add_argument(
        "--limit", type=int, help="take the first so many samples only", metavar="INT"
    )
    parser.add_argument(
        "--until", type=int, default=32, metavar="INT", help="steps to measure (default 32)"
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="MODEL.nir", help="file to write"
    )
    parser.add_argument(
        "--stimulus",
        type=Path,
        metavar="OUT.npz",
        help="file to write with all samples, step by step, for the other commands",
    )
    parser.add_argument("--page", type=Path, metavar="OUT.html", help="page to draw the result on")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    add_arguments(parser, ConversionOptions)
    parser.set_defaults(run=_run)


@dataclass(frozen=True, eq=False)
class _Samples:
    """All inputs and labels; the first so many calibrate, and those from another on measure."""

    every: Array
    labels: Array | None
    calibrating: int
    measured_from: int

    @property
    def calibration(self) -> Array:
        return self.every[: self.calibrating]

    @property
    def x(self) -> Array:
        return self.every[self.measured_from :]

    @property
    def y(self) -> Array | None:
        return None if self.labels is None else self.labels[self.measured_from :]


def _run(arguments: argparse.Namespace) -> int:
    given = from_arguments(ConversionOptions, arguments)
    options = Conversion(**{each.name: getattr(given, each.name) for each in fields(Conversion)})
    _check(arguments)
    samples = _read_samples(arguments)
    with progress(quiet=arguments.json) as bars:
        with task(bars, f"reading {arguments.model.name}"):
            ann = _read_ann(arguments.model, samples.x.shape[1:])
        with task(bars, f"calibrating with {len(samples.calibration):,} samples"):
            converted = convert(ann, samples.calibration, options)
        report = None
        if samples.y is not None:
            report = _measure(bars, arguments, converted, given, samples)
        write_nir(converted.graph, arguments.output)
    if arguments.stimulus is not None:
        coded = encode(samples.every, arguments.until, options.coding, seed=options.seed)
        labels: dict[str, Any] = {} if samples.labels is None else {"y": samples.labels}
        with whole_file(arguments.stimulus) as part, part.open("wb") as file:
            np.savez_compressed(file, x=coded, **labels)
    if report is not None and arguments.page is not None:
        write_whole(arguments.page, render_conversion(report))
    if arguments.json:
        print_json({"output": str(arguments.output)} | ({} if report is None else report.plain()))
    else:
        _print(arguments, given, samples, report)
    return 0


def _check(arguments: argparse.Namespace) -> None:
    if arguments.model.suffix != ".onnx":
        raise ValueError(
            f"{arguments.model} must end with .onnx; a PyTorch module is exported to one by"
            " torch.onnx.export, or converted from Python by spikeloom.reference.torch_ann"
        )
    for name in ("calibration", "until"):
        if getattr(arguments, name) < 1:
            raise ValueError(f"--{name} must be positive, not {getattr(arguments, name)}")
    if arguments.limit is not None and arguments.limit < 1:
        raise ValueError(f"--limit must be positive, not {arguments.limit}")
    written = [p for p in (arguments.output, arguments.stimulus, arguments.page) if p is not None]
    for path in written:
        if not path.parent.is_dir() or path.is_dir():
            raise ValueError(f"{path} must be a file in a folder that exists")
    read = [p for p in (arguments.model, arguments.data, arguments.labels) if p is not None]
    places = [each.resolve() for each in (*read, *written)]
    for path in written:
        if places.count(path.resolve()) > 1:
            raise ValueError(f"{path} must be a file of its own, but is named twice")
    if arguments.output.suffix != ".nir":
        raise ValueError(f"{arguments.output} must end with .nir")
    if arguments.stimulus is not None and arguments.stimulus.suffix != ".npz":
        raise ValueError(f"{arguments.stimulus} must end with .npz")


def _read_ann(path: Path, shape: Shape) -> Graph:
    try:
        from spikeloom.reference.onnx_ann import ann_from_onnx
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{path} must be read by the package onnx, which is missing ({error}):"
            " pip install 'spikeloom[onnx]'"
        ) from None
    return ann_from_onnx(path, shape)


def _read_samples(arguments: argparse.Namespace) -> _Samples:
    path: Path = arguments.data
    arrays: dict[str, Array] = {}
    if path.suffix == ".npz":
        arrays = read_arrays(path, {"x", "y"})
    elif path.suffix == ".npy":
        arrays = {"x": read_array(path)}
    else:
        raise ValueError(f"{path} must end with .npz or .npy")
    if "x" not in arrays:
        raise ValueError(f"{path} must hold an array 'x', but does not")
    x = arrays["x"][: arguments.limit]
    if x.ndim < 2 or not x.size or x.dtype.kind not in "biuf":
        raise ValueError(
            f"x in {path} must be numbers of shape (samples, ...), not {x.dtype} of shape {x.shape}"
        )
    with np.errstate(over="ignore"):
        x = x.astype(np.float32)
    if not np.all(np.isfinite(x)):
        raise ValueError(f"x in {path} must be finite in single precision, but is not everywhere")
    y = arrays.get("y") if arguments.labels is None else read_array(arguments.labels)
    if y is not None:
        if y.shape != arrays["x"].shape[:1] or y.dtype.kind not in "iu":
            raise ValueError(
                f"labels must be {len(arrays['x'])} integers, one a sample, not {y.dtype} of shape"
                f" {y.shape}"
            )
        y = y[: arguments.limit]
    if y is None and arguments.page is not None:
        raise ValueError("--page must go with labels: y in the data's .npz, or --labels")
    some = arguments.calibration if len(x) > arguments.calibration else 0
    return _Samples(x, y, some or len(x), some)


def _fixed(
    converted: Converted, options: ConversionOptions, samples: _Samples, until: int
) -> FixedNetwork:
    """The network as the other commands make it of the file with the words that are printed."""
    (name,) = converted.ann.network.inputs
    words = _words(options)
    some = encode(samples.calibration[:CALIBRATION], until, options.coding, seed=options.seed)
    ranges = samples.every[:, None] if options.coding is Coding.CONSTANT else some
    inputs = fixed_inputs(converted.network, Data({name: ranges}), words, IAF)
    return fixed_network(converted.network, precision_of(words), inputs, Data({name: some}))


def _words(options: ConversionOptions) -> PrecisionOptions:
    """How the hardware says the numbers."""
    return PrecisionOptions(
        weight_width=options.weight_width,
        # Weights of a 256th of the threshold still fill their word.
        state_width=min(32, 12 + options.weight_width),
        scale=Scale.NEURON,
        state_fraction=None,
        input_fraction=_FRACTION if options.coding is Coding.CONSTANT else 0,
    )


def _measure(
    bars: Progress,
    arguments: argparse.Namespace,
    converted: Converted,
    options: ConversionOptions,
    samples: _Samples,
) -> ConversionReport:
    fixed = _fixed(converted, options, samples, arguments.until)
    labels: Any = samples.y
    (output,) = fixed.outputs.values()
    check_labels(labels, math.prod(fixed.shape(output)))
    groups = batches(fixed, len(samples.x), arguments.until)
    bar = bars.add_task("running in fixed point", total=len(samples.x))
    words = _words(options)
    scores: list[Array] = []

    def stimuli() -> Iterator[Array]:
        for each in groups:
            some = samples.x[each]
            scores.append(next(reversed(activations(converted.ann, some).values())))
            first = samples.measured_from + each.start
            coded: Any = encode(
                some, arguments.until, options.coding, seed=options.seed, first=first
            )
            (integers,) = fixed_data(Data({"x": coded}), words).values()
            yield integers
            bars.update(bar, completed=each.start)

    course = measure_progress(fixed, trace_outputs(fixed, stimuli()), labels)
    bars.update(bar, completed=len(samples.x))
    decided = np.concatenate(scores).reshape(len(labels), -1).argmax(axis=1)
    return ConversionReport(
        model=arguments.model.name,
        options=converted.options,
        samples=len(labels),
        ann_correct=int(np.sum(decided == labels)),
        correct=course.correct.tolist(),
        operations=course.operations.tolist(),
        stops=_stops(course, labels),
    )


def _stops(course: Course, labels: Array) -> list[tuple[int, float, int]]:
    """For margins of the lead: mean steps, and samples decided rightly."""
    top = np.sort(course.sums[:, -1], axis=1)
    largest = int((top[:, -1] - top[:, -2]).max(initial=1))
    found = []
    for margin in np.unique(np.geomspace(1, max(1, largest), 24).astype(np.int64)).tolist():
        steps, decisions = early_stop(course.sums, margin)
        found.append((int(margin), float(steps.mean()), int(np.sum(decisions == labels))))
    return found


def _print(
    arguments: argparse.Namespace,
    options: ConversionOptions,
    samples: _Samples,
    report: ConversionReport | None,
) -> None:
    if report is not None:
        say(
            f"{report.model}: {100 * report.ann_correct / report.samples:.2f} % of"
            f" {report.samples:,} samples; as spikes with weights of"
            f" {report.options.weight_width} bits:"
        )
        if not samples.measured_from:
            say("(the same samples calibrate and measure: --calibration is fewer of more)")
        rows = [
            [
                f"{t}",
                f"{100 * report.correct[t - 1] / report.samples:.2f} %",
                f"{100 * (report.ann_correct - report.correct[t - 1]) / report.samples:.2f}",
                f"{report.operations[t - 1]:,.0f}",
            ]
            for t in sorted({*_SHOWN, options.steps, arguments.until})
            if t <= arguments.until
        ]
        print_table(["steps", "accuracy", "points lost", "synaptic operations"], rows, words=0)
        early = report.early
        if early is not None:
            margin, steps, correct = early
            say(
                f"stopped at a lead of {margin:,}: {steps:.1f} steps on average,"
                f" {100 * correct / report.samples:.2f} %"
            )
    say(f"written: {arguments.output}")
    fixed = _words(options)
    words = f"--profile iaf --scale neuron --state-width {fixed.state_width} --state-fraction auto"
    if fixed.input_fraction:
        words += f" --input-fraction {fixed.input_fraction}"
    if fixed.weight_width != PrecisionOptions.weight_width:
        words += f" --weight-width {fixed.weight_width}"
    model, data = arguments.output, arguments.stimulus or "STEPS.npz"
    say(f"next: spikeloom simulate {model} {data} --fixed {words}")
    folder = model.with_suffix("")
    say(f"or: spikeloom generate {model} --calibration {data} {words} -o {folder}")
