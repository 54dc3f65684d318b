"""``spikeloom simulate``: a NIR file's network on data, in floating or in fixed point."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from spikeloom.cli.model import add_model_arguments, read_network
from spikeloom.cli.options import add_arguments, from_arguments, refuse_options
from spikeloom.cli.precision import (
    PrecisionOptions,
    fixed_data,
    fixed_inputs,
    fixed_network,
    precision_of,
)
from spikeloom.cli.profile_options import required_profile
from spikeloom.cli.progress import print_json, print_table, progress, say, task
from spikeloom.cli.run_page import render_run
from spikeloom.cli.runs import Tally, batches, in_batches, join_recordings, run_finite
from spikeloom.cli.stimulus import DATA_HELP, Data, read_data
from spikeloom.reference.network import FixedNetwork, FloatNetwork
from spikeloom.reference.profile import Profile
from spikeloom.reference.recording_file import check_recording_path, save_recording
from spikeloom.reference.simulate import Recording, run_fixed
from spikeloom.rtl_gen.output import write_whole

__all__ = ["add_data_arguments", "add_parser", "sample_line"]

_FORMS = {"float": "floating point", "fixed": "fixed point"}

_SHOWN = 5
"""Samples whose outputs are printed."""
_MOST_OUTPUTS = 32
"""Outputs of a sample that are printed."""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "simulate",
        help="run a NIR file's network on data, in floating or in fixed point",
        description="Runs the network of a NIR file on data, in floating point or, with --fixed,"
        " as the golden model of the hardware in integers, and tells spikes, rates and accuracy.",
    )
    add_model_arguments(parser)
    add_data_arguments(parser)
    parser.add_argument("--fixed", action="store_true", help="run in fixed point")
    add_arguments(parser, PrecisionOptions)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        help="file to write the recording to: .npz, .h5 (NIR data) or .csv (events of the output)",
    )
    parser.add_argument("--plot", type=Path, metavar="OUT.html", help="page to draw a sample on")
    parser.add_argument(
        "--sample", type=int, default=0, help="sample to draw (default 0)", metavar="INT"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=_run)


def add_data_arguments(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """Add what says which data are meant."""
    parser.add_argument("data", type=Path, nargs="?" if optional else None, help=DATA_HELP)
    parser.add_argument("--labels", type=Path, help="labels, .npy, one integer a sample")
    parser.add_argument(
        "--limit", type=int, help="take the first so many samples only", metavar="INT"
    )


def _check_folder_of(path: Path | None) -> None:
    """Refuse a file whose folder is not there, before anything has taken its time.

    Raises
    ------
    ValueError
        If it is not.
    """
    if path is not None and (not path.parent.is_dir() or path.is_dir()):
        raise ValueError(f"{path} must be a file in a folder that exists")


@dataclass(frozen=True, eq=False)
class _Runner:
    """A network made ready to run on parts of data, and the form that it runs in."""

    form: str
    network: FloatNetwork | FixedNetwork
    run: Callable[[Data], Recording]


def _run(arguments: argparse.Namespace) -> int:
    profile = required_profile(arguments)
    _check_outputs(arguments)
    network, doubts = read_network(arguments.model, profile)
    _check_events(arguments.output, network)
    data = read_data(
        arguments.data,
        network.inputs,
        dt=profile.dt,
        labels=arguments.labels,
        limit=arguments.limit,
    )
    if not 0 <= arguments.sample < data.samples:
        raise ValueError(f"--sample must be 0 to {data.samples - 1}, not {arguments.sample}")
    runner = _runner(arguments, network, data, profile)
    with progress(quiet=arguments.json) as bars:
        tally, kept = _run_all(bars, runner, data, keep=arguments.output is not None)
        if arguments.output is not None:
            with task(bars, f"writing {arguments.output.name}"):
                save_recording(join_recordings(kept), arguments.output, dt=profile.dt)
    if arguments.plot is not None:
        _write_plot(arguments, network, runner, data, profile)
    result = _result(arguments, profile, runner.form, data, tally)
    if arguments.json:
        print_json(result | {"doubts": doubts})
    else:
        _print(result)
    return 0


def _check_outputs(arguments: argparse.Namespace) -> None:
    if not arguments.fixed:
        names = [each.name for each in fields(PrecisionOptions)]
        refuse_options(
            {PrecisionOptions: names}, arguments, {}, "a run in floating point, without --fixed"
        )
    if arguments.output is not None:
        check_recording_path(arguments.output)
    _check_folder_of(arguments.output)
    _check_folder_of(arguments.plot)
    if arguments.plot is None and arguments.sample:
        raise ValueError("--sample has no effect without --plot; leave it out")


def _check_events(path: Path | None, network: FloatNetwork) -> None:
    """Refuse a file of events that could not say what the network sends."""
    if path is None or path.suffix != ".csv":
        return
    (source, *others) = network.outputs.values()
    population = network.populations.get(source)
    if others or population is None or population.neuron.v_th is None:
        raise ValueError(
            f"{path} must end with .npz or .h5: events are of one output that sends spikes"
        )


def _runner(
    arguments: argparse.Namespace, network: FloatNetwork, data: Data, profile: Profile
) -> _Runner:
    if not arguments.fixed:
        return _Runner("float", network, lambda part: run_finite(network, part.signals))
    options = from_arguments(PrecisionOptions, arguments)
    inputs = fixed_inputs(network, data, options, profile)
    fixed = fixed_network(network, precision_of(options), inputs, data)
    return _Runner("fixed", fixed, lambda part: run_fixed(fixed, fixed_data(part, options)))


def _run_all(
    bars: Progress, runner: _Runner, data: Data, *, keep: bool
) -> tuple[Tally, list[Recording]]:
    """What all samples come to, and, if they are to be kept, their recordings."""
    groups = batches(runner.network, data.samples, data.steps)
    tally, kept = Tally(), []
    for recording in in_batches(
        bars, _FORMS[runner.form], groups, lambda each: runner.run(data.part(each))
    ):
        tally.add(recording)
        if keep:
            kept.append(recording)
    return tally, kept


def _write_plot(
    arguments: argparse.Namespace,
    network: FloatNetwork,
    runner: _Runner,
    data: Data,
    profile: Profile,
) -> None:
    """The page; its sample is run again, in floating point too."""
    one = data.part(slice(arguments.sample, arguments.sample + 1))
    fixed = runner.network if isinstance(runner.network, FixedNetwork) else None
    page = render_run(
        title=f"{arguments.model.name}, sample {arguments.sample}",
        profile=profile.name,
        network=network,
        stimulus=one.signals,
        real=run_finite(network, one.signals),
        fixed=None if fixed is None else (fixed, runner.run(one)),
        label=None if one.labels is None else int(one.labels[0]),
    )
    write_whole(arguments.plot, page)


def _result(
    arguments: argparse.Namespace, profile: Profile, form: str, data: Data, tally: Tally
) -> dict[str, Any]:
    populations = {}
    for name, neurons in tally.neurons.items():
        total = tally.spikes.get(name)
        populations[name] = {
            "neurons": neurons,
            "spikes": total,
            "spikes_per_neuron_and_step": None if total is None else total / tally.numbers[name],
            "overflows": tally.overflows[name] if form == "fixed" else None,
        }
    decisions = np.concatenate(tally.decisions)
    result: dict[str, Any] = {
        "model": str(arguments.model),
        "profile": profile.name,
        "form": form,
        "samples": data.samples,
        "steps": data.steps,
        "populations": populations,
        "outputs": {
            name: np.concatenate(sums)[:_SHOWN].tolist() for name, sums in tally.sums.items()
        },
        "decisions": decisions.tolist(),
    }
    if data.labels is not None:
        correct = int(np.sum(decisions == data.labels))
        result["accuracy"] = {"correct": correct, "samples": data.samples}
        result["labels"] = data.labels.tolist()
    for name in ("output", "plot"):
        if getattr(arguments, name) is not None:
            result[name] = str(getattr(arguments, name))
    return result


def _print(result: dict[str, Any]) -> None:
    say(
        f"{result['model']}, profile {result['profile']}, {_FORMS[result['form']]}:"
        f" {result['samples']:,} samples of {result['steps']:,} steps"
    )
    overflows = result["form"] == "fixed"
    titles = ["population", "neurons", "spikes", "per neuron and step"]
    rows = []
    for name, each in result["populations"].items():
        spiking = each["spikes"] is not None
        rows.append(
            [
                name,
                f"{each['neurons']:,}",
                f"{each['spikes']:,}" if spiking else "none",
                f"{each['spikes_per_neuron_and_step']:.4f}" if spiking else "-",
                *([f"{each['overflows']:,}"] if overflows else []),
            ]
        )
    print_table([*titles, *(["overflows"] if overflows else [])], rows)
    for name, sums in result["outputs"].items():
        say(f"sums of output {name} over all steps:")
        for k, row in enumerate(sums):
            label = f", label {result['labels'][k]}" if "labels" in result else ""
            say(sample_line(k, row, result["decisions"][k]) + label)
    if "accuracy" in result:
        correct, samples = result["accuracy"]["correct"], result["accuracy"]["samples"]
        say(f"accuracy {100 * correct / samples:.1f} % ({correct:,} of {samples:,})")
    for name in ("output", "plot"):
        if name in result:
            say(f"written: {result[name]}")


def sample_line(sample: int, sums: Sequence[float], decision: int) -> str:
    """A sample's outputs in words: the sums of the first of them, and which has the most."""
    numbers = " ".join(f"{value:g}" for value in sums[:_MOST_OUTPUTS])
    more = f" and {len(sums) - _MOST_OUTPUTS} more" if len(sums) > _MOST_OUTPUTS else ""
    return f"  sample {sample}: {numbers}{more}; most: {decision}"
