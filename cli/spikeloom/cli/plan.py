"""``spikeloom plan``: lanes and memories for a board, and the cycles, before any synthesis."""

import argparse
import json
import re
import shlex
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.hdl import UnusedElaboratable

from spikeloom.boards.board import BOARDS
from spikeloom.boards.plan import Plan, PopulationPlan, make_plan
from spikeloom.boards.resources import Memory
from spikeloom.cli.design import RANDOM_DENSITY, random_stimulus
from spikeloom.cli.generate import (
    add_design_arguments,
    design_words,
    network_top,
    read_design,
    read_tables,
)
from spikeloom.cli.options import VectorOptions, add_arguments, from_arguments, refuse_options
from spikeloom.cli.plan_file import plan_facts
from spikeloom.cli.precision import FixedOptions, fixed_data
from spikeloom.cli.progress import print_json, print_table, progress, say
from spikeloom.cli.stimulus import DATA_HELP, read_data
from spikeloom.reference.fixed import IntArray
from spikeloom.reference.network import FixedNetwork
from spikeloom.rtl_gen.output import write_whole

__all__ = ["add_parser", "add_stimulus_arguments", "read_stimulus"]

_SAMPLES = 4
"""Samples of data whose cycles are predicted."""

_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "plan",
        help="choose lanes and memories for a board, and predict the cycles",
        description="Chooses lanes and weight memories of each layer, so that a sample takes little"
        " time and the board holds them, and tells what that takes and how many cycles, to the last"
        " one, before anything is synthesised. `spikeloom build --plan` builds it.",
    )
    add_design_arguments(parser, lanes=False)
    add_stimulus_arguments(parser)
    parser.add_argument(
        "--board",
        choices=sorted(BOARDS),
        help="the board (default: the smallest that holds the network)",
    )
    parser.add_argument(
        "--lanes",
        type=_lanes,
        metavar="INT,...",
        help="lanes of each layer, or of all (default: chosen)",
    )
    parser.add_argument(
        "--latency",
        type=_seconds,
        metavar="TIME",
        help="mean time that a sample may take, such as 200us or 0.0002: lanes are added until it"
        " is reached, and taken back where it still is (default: added as long as that helps and"
        " the board holds them)",
    )
    parser.add_argument(
        "--frequency", type=float, metavar="MHZ", help="clock rate (default: the board's own)"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="PLAN.json", help="file to write the plan to"
    )
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")
    parser.set_defaults(run=_run)


def add_stimulus_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says which input the cycles are predicted for."""
    parser.add_argument(
        "data",
        type=Path,
        nargs="?",
        help=f"{DATA_HELP}; by default --calibration's, or random spikes",
    )
    add_arguments(parser, VectorOptions)
    parser.add_argument(
        "--limit",
        type=int,
        metavar="INT",
        help=f"take the first so many samples of the data (default {_SAMPLES})",
    )


def _lanes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(each) for each in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be integers with commas between, not {text!r}"
        ) from None


def _seconds(text: str) -> float:
    number, unit = re.fullmatch(r"(.*?)\s*(s|ms|us|ns|)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    try:
        return float(number) * _UNITS[unit or "s"]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be a time such as 200us, 0.2ms or 0.0002, not {text!r}"
        ) from None


def _run(arguments: argparse.Namespace) -> int:
    output = arguments.output
    if output is not None and (not output.parent.is_dir() or output.is_dir()):
        raise ValueError(f"{output} must be a file in a folder that exists")
    # The hardware is looked at, and never made.
    warnings.simplefilter("ignore", UnusedElaboratable)
    tables = read_tables(arguments)
    design = read_design(arguments, tables)
    top = network_top(design, "a neuron array has no layers to plan")
    network = top.network
    stimulus, source = read_stimulus(arguments, tables, network, design.dt)
    lanes = arguments.lanes
    if lanes is not None and len(lanes) == 1:
        lanes *= len(network.populations)
    with progress(quiet=arguments.json) as bars:
        bar = bars.add_task("", total=None)
        plan = make_plan(
            network,
            stimulus,
            BOARDS.get(arguments.board),
            lanes=lanes,
            latency=arguments.latency,
            frequency=None if arguments.frequency is None else arguments.frequency * 1e6,
            protection=top.protection,
            progress=lambda stage: bars.update(bar, description=stage),
        )
        bars.update(bar, total=1, completed=1, description="planned")
    facts = plan_facts(plan) | {"stimulus": source}
    if output is not None:
        write_whole(output, json.dumps(facts, indent=1, allow_nan=False) + "\n")
    if arguments.json:
        print_json(facts)
    else:
        _print(plan, source, arguments)
    return 0


def read_stimulus(
    arguments: argparse.Namespace, tables: dict[str, Any], network: FixedNetwork, dt: float
) -> tuple[IntArray, str]:
    """What comes in, and what that is in words.

    Raises
    ------
    ValueError
        If the network has several inputs, or the data or an option is wrong.
    """
    if len(network.inputs) != 1:
        raise ValueError(
            f"a network for a board must have one input, not {', '.join(network.inputs)}"
        )
    source = arguments.data or arguments.calibration
    if source is None:
        if arguments.limit is not None:
            raise ValueError("--limit has no effect without data; leave it out")
        vectors = from_arguments(VectorOptions, arguments, tables.get("vectors"))
        density = f"{100 * RANDOM_DENSITY:g} % of the inputs active in a step"
        (stimulus,) = random_stimulus(network, vectors).values()
        return stimulus, f"random, {density}"
    names = [each.name for each in fields(VectorOptions)]
    refuse_options({VectorOptions: names}, arguments, {}, "a plan with data")
    limit = _SAMPLES if arguments.limit is None else arguments.limit
    shapes = {name: each.shape for name, each in network.inputs.items()}
    options = from_arguments(FixedOptions, arguments, tables.get("fixed"))
    data = read_data(source, shapes, dt=dt, limit=limit)
    (signal,) = fixed_data(data, options).values()
    return signal, str(source)


def _print(plan: Plan, source: str, arguments: argparse.Namespace) -> None:
    titles = ["layer", "weights", "neurons", "lanes", "rows", "block RAMs", "DSPs", "logic cells"]
    titles += ["cycles a step", "worst", "utilisation"]
    print_table(titles, [_row(each) for each in plan.populations], words=2)
    say()
    where = "" if plan.board.built else ", not built here"
    say(f"{plan.board.title}, {plan.board.chip}, at {plan.frequency / 1e6:g} MHz{where}")
    for name, usage in plan.usage.items():
        about = "about " if name == "logic cells" else ""
        say(f"  {name:<12} {about}{usage.used:,} of {usage.available:,}")
    if not plan.fits:
        say(f"it may not fit {plan.board.title}: logic cells are good for about a tenth")
    samples = f"{plan.samples:,} sample{'s' * (plan.samples > 1)}"
    say(f"input: {source}; {samples} of {plan.steps:,} steps")
    row = "" if plan.throughput is None else f"; in a row {plan.throughput:,.0f} a second"
    say(
        f"a sample takes {np.mean(plan.cycles):,.0f} cycles, {1e6 * plan.latency:,.1f} us"
        f" (worst {max(plan.cycles):,}){row}"
    )
    say(f"{plan.bottleneck.name} has the most to do")
    if (output := arguments.output) is not None:
        folder = output.with_name(f"{output.stem}_{plan.board.name}")
        build = ["spikeloom", "build", *design_words(arguments), "--board", plan.board.name]
        say(f"next: {shlex.join([*build, '--plan', str(output), '-o', str(folder)])}")


def _row(each: PopulationPlan) -> list[str]:
    steps = each.step_cycles
    return [
        each.name,
        _made_of(each.memories["weights"]),
        f"{each.neurons:,}",
        str(each.lanes),
        f"{each.rows:,}",
        str(each.usage.get("block RAMs", 0)),
        str(each.usage.get("DSPs", 0)),
        f"about {each.usage['logic cells']:,}",
        f"{np.mean(steps):,.1f}" if steps else "-",
        f"{max(steps):,}" if steps else "-",
        f"{100 * each.utilisation:.0f} %",
    ]


def _made_of(memory: Memory) -> str:
    """A weight memory in words."""
    kind = "ROM" if memory.shape.rom else "loaded"
    if memory.cell is None:
        return f"logic, {kind}"
    return f"{memory.count} {memory.cell.name}{'s' * (memory.count > 1)}, {kind}"
