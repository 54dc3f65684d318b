"""``spikeloom quantize``: what integers cost a NIR file's network."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from rich.progress import Progress

from spikeloom.cli.model import add_model_arguments, read_network
from spikeloom.cli.options import add_arguments, from_arguments
from spikeloom.cli.precision import (
    PrecisionOptions,
    fixed_data,
    fixed_inputs,
    fixed_network,
    precision_of,
)
from spikeloom.cli.profile_options import required_profile
from spikeloom.cli.progress import print_json, print_table, progress, say
from spikeloom.cli.quantize_page import LossReport, render_loss
from spikeloom.cli.runs import batches, finite_numbers, in_batches
from spikeloom.cli.simulate import add_data_arguments
from spikeloom.cli.stimulus import Data, read_data
from spikeloom.reference.loss import (
    SEARCHED,
    WIDEST,
    LayerLoss,
    Loss,
    Trial,
    measure_loss,
    search_precision,
)
from spikeloom.reference.network import FixedInput, FixedNetwork, FloatNetwork
from spikeloom.reference.neuron_fixed import DecayRule
from spikeloom.reference.neuron_rounding import DECAY_RULES
from spikeloom.reference.precision import Precision
from spikeloom.reference.profile import Profile
from spikeloom.reference.simulate import count_outputs
from spikeloom.rtl_gen.output import check_output, whole_folder

__all__ = ["add_parser"]


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "quantize",
        help="tell what fixed point costs a NIR file's network, layer by layer",
        description="Rounds the network of a NIR file to integers and tells, layer by layer, what"
        " that does to weights and, with data, to potentials, spikes and accuracy. --search finds"
        " the narrowest words that keep an accuracy.",
    )
    add_model_arguments(parser)
    add_data_arguments(parser, optional=True)
    add_arguments(parser, PrecisionOptions)
    parser.add_argument(
        "--search",
        action="store_true",
        help="find the narrowest weights, then states, then decay multipliers, that keep --keep",
    )
    parser.add_argument("--keep", type=float, metavar="PERCENT", help="accuracy that is to be kept")
    parser.add_argument(
        "-o", "--output", type=Path, help="folder to write with report.json and report.html"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=_run)


@dataclass(frozen=True, eq=False)
class _Task:
    """A network with its data, and how its words are said."""

    network: FloatNetwork
    profile: Profile
    options: PrecisionOptions
    inputs: Mapping[str, FixedInput]
    data: Data | None

    def fixed(self, precision: Precision) -> FixedNetwork:
        return fixed_network(self.network, precision, self.inputs, self.data)


def _run(arguments: argparse.Namespace) -> int:
    profile = required_profile(arguments)
    options = from_arguments(PrecisionOptions, arguments)
    precision = precision_of(options)
    _check(arguments)
    if arguments.output is not None:
        check_output(arguments.output, "quantize")
    network, doubts = read_network(arguments.model, profile)
    data = None
    if arguments.data is not None:
        data = read_data(
            arguments.data,
            network.inputs,
            dt=profile.dt,
            labels=arguments.labels,
            limit=arguments.limit,
        )
    inputs = fixed_inputs(network, data, options, profile)
    task = _Task(network, profile, options, inputs, data)
    trials: list[Trial] = []
    with progress(quiet=arguments.json) as bars:
        if arguments.search:
            trials = _search(bars, task, precision, arguments.keep)
            precision = _best(trials, arguments.keep / 100)
        loss = _loss(bars, task, task.fixed(precision))
    report = LossReport(
        model=arguments.model.name,
        profile=profile.name,
        precision=precision,
        loss=loss,
        trials=tuple(trials),
        keep=arguments.keep,
        doubts=tuple(doubts),
    )
    if arguments.output is not None:
        with whole_folder(arguments.output, "quantize", editable=False) as folder:
            (folder / "report.json").write_text(_json(report))
            (folder / "report.html").write_text(render_loss(report), encoding="utf-8")
    if arguments.json:
        print_json(report.plain())
    else:
        _print(report)
        if arguments.output is not None:
            say(f"written: {arguments.output}/report.html, report.json")
    return 0


def _json(report: LossReport) -> str:
    return json.dumps(report.plain(), indent=1, allow_nan=False) + "\n"


def _check(arguments: argparse.Namespace) -> None:
    if arguments.search != (arguments.keep is not None):
        raise ValueError("--search and --keep must be given together, or neither")
    if arguments.keep is not None and not 0 <= arguments.keep <= 100:
        raise ValueError(f"--keep must be 0 to 100 percent, not {arguments.keep!r}")
    if arguments.data is None:
        for name in ("search", "labels", "limit"):
            if getattr(arguments, name):
                raise ValueError(f"--{name} must go with data, but there are none")


def _loss(bars: Progress, task: _Task, fixed: FixedNetwork) -> Loss:
    """What quantisation did on the data, or without data to the weights alone."""
    data = task.data
    if data is None:
        silence = {
            name: np.zeros((1, 1, *shape), dtype=np.uint8)
            for name, shape in task.network.inputs.items()
        }
        return replace(measure_loss(task.network, fixed, silence), samples=0)

    def measure(each: slice) -> Loss:
        part = data.part(each)
        with finite_numbers(task.network, part):
            return measure_loss(
                task.network,
                fixed,
                part.signals,
                fixed_stimulus=fixed_data(part, task.options),
                labels=part.labels,
            )

    groups = batches(task.network, data.samples, data.steps)
    return _joined(list(in_batches(bars, "floating and fixed point", groups, measure)))


def _joined(losses: Sequence[Loss]) -> Loss:
    """The loss on all samples, from those on groups of them."""

    def total(values: Sequence[int | None]) -> int | None:
        known = [each for each in values if each is not None]
        return sum(known) if known else None

    return Loss(
        layers=tuple(map(_joined_layer, zip(*(each.layers for each in losses), strict=True))),
        samples=sum(each.samples for each in losses),
        decisions_changed=sum(each.decisions_changed for each in losses),
        float_correct=total([each.float_correct for each in losses]),
        fixed_correct=total([each.fixed_correct for each in losses]),
    )


def _joined_layer(parts: Sequence[LayerLoss]) -> LayerLoss:
    sums = ("overflows", "float_spikes", "fixed_spikes", "counts_changed")
    return replace(
        parts[0],
        state_low=min(each.state_low for each in parts),
        state_high=max(each.state_high for each in parts),
        **{name: sum(getattr(each, name) for each in parts) for name in sums},
    )


def _search(bars: Progress, task: _Task, start: Precision, keep: float) -> list[Trial]:
    """All trials; the widest words come first."""
    data = task.data
    if data is None or data.labels is None:
        raise ValueError("--search must go with labels: y in the data's .npz, or --labels")
    bar = bars.add_task("searching", total=None)
    words = _searched(task.network)
    widest = replace(start, **{name: getattr(WIDEST, name) for name in words})
    trials: list[Trial] = []

    def advance(done: int) -> None:
        part = f"trial {len(trials) + 1}, {100 * done // data.samples} %"
        last = f"; {_trial(trials[-1])}" if trials else ""
        bars.update(bar, description=f"searching: {part}{last}")

    accuracy = partial(_accuracy, task, data, advance)
    for trial in search_precision(accuracy, keep / 100, widest, words):
        trials.append(trial)
        if trials[0].accuracy < keep / 100:
            raise ValueError(
                f"--keep must be at most the {100 * trial.accuracy:.2f} % of the widest words, not"
                f" {keep:g}"
            )
    bars.update(bar, total=1, completed=1, description=f"searching: {len(trials)} trials")
    return trials


def _searched(network: FloatNetwork) -> tuple[str, ...]:
    """The words that a search narrows: that of decays only where one is by a multiplier."""
    neurons = [each.neuron for each in network.populations.values()]
    multiplied = any(
        DECAY_RULES[each.profile.decay] is DecayRule.MULTIPLIER
        and (each.tau is not None or each.tau_syn is not None)
        for each in neurons
    )
    return SEARCHED if multiplied else tuple(n for n in SEARCHED if n != "decay_fraction")


def _accuracy(
    task: _Task, data: Data, advance: Callable[[int], None], precision: Precision
) -> float:
    fixed = task.fixed(precision)
    groups = batches(fixed, data.samples, data.steps)
    stimuli = (fixed_data(data.part(each), task.options) for each in groups)
    # Each is by the names of the inputs, which its type does not say.
    counts = count_outputs(fixed, stimuli)
    correct = 0
    for each, sums in zip(groups, counts, strict=True):
        decided = np.argmax(sums.reshape(len(sums), -1), axis=1)
        correct += int(np.sum(decided == cast(Any, data.labels)[each]))
        advance(each.stop)
    return correct / data.samples


def _best(trials: Sequence[Trial], least: float) -> Precision:
    return [trial for trial in trials if trial.accuracy >= least][-1].precision


def _words(precision: Precision) -> str:
    return (
        f"weights {precision.weight_width:2} bits, states {precision.state_width:2} bits, decays"
        f" {precision.decay_fraction:2} bits"
    )


def _trial(trial: Trial) -> str:
    return f"{_words(trial.precision)}: {100 * trial.accuracy:.2f} %"


def _print(report: LossReport) -> None:
    loss, seen = report.loss, report.loss.samples > 0
    for trial in report.trials:
        say(f"tried {_trial(trial)}")
    say(f"{report.model}, profile {report.profile}: {_words(report.precision)}")
    fraction = report.precision.state_fraction
    say(
        f"state fraction {'auto' if fraction is None else fraction}, scale"
        f" {report.precision.scale.value}, percentile {report.precision.percentile:g}"
    )
    titles = ["layer", "neurons", "weights", "used", "to 0", "at an end"]
    if seen:
        titles += ["state used", "overflows", "float spikes", "fixed spikes", "counts changed"]
    rows = []
    for each in loss.layers:
        row = [
            each.name,
            f"{each.neurons:,}",
            f"{each.weights:,}",
            f"{each.weight_low} to {each.weight_high}",
            f"{each.weights_lost:,}",
            f"{each.weights_at_ends:,}",
        ]
        if seen:
            row += [
                f"{each.state_low} to {each.state_high}",
                *(f"{n:,}" for n in (each.overflows, each.float_spikes, each.fixed_spikes)),
                f"{100 * each.counts_changed / (each.neurons * loss.samples):.1f} %",
            ]
        rows.append(row)
    print_table(titles, rows)
    if not seen:
        return
    say(f"decisions changed: {loss.decisions_changed:,} of {loss.samples:,}")
    if loss.float_correct is not None and loss.fixed_correct is not None:
        real, exact = (100 * n / loss.samples for n in (loss.float_correct, loss.fixed_correct))
        say(f"accuracy {real:.2f} % in floating point, {exact:.2f} % in fixed: {exact - real:+.2f}")
