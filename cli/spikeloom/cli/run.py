"""``spikeloom run``: data through a board, or through a virtual one."""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikeloom.boards.device import Device
from spikeloom.boards.flow import FLASH
from spikeloom.boards.link_facts import LINK, LinkFacts
from spikeloom.boards.virtual import compile_virtual
from spikeloom.cli.board_page import render_board_run
from spikeloom.cli.precision import PrecisionOptions, fixed_data
from spikeloom.cli.progress import print_json, progress, say, task
from spikeloom.cli.simulate import add_data_arguments, sample_line
from spikeloom.cli.stimulus import Data, read_data
from spikeloom.reference.fixed import IntArray
from spikeloom.reference.recording_file import (
    check_recording_path,
    load_recording,
    save_recording,
)
from spikeloom.reference.simulate import Recording
from spikeloom.rtl_gen.output import write_whole

__all__ = ["add_parser"]

_SHOWN = 5
"""Samples whose sums are printed."""
_TIMEOUT, _VIRTUAL_TIMEOUT = 1.0, 60.0
"""Seconds after which a board is asked again: a virtual one may be a thousand times as slow."""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "run",
        help="send data to a board and take its spikes",
        description="Opens the board at which a build is, or a virtual one, verifies that it is"
        " this build, loads weights that it lacks, sends the data and takes what comes of them.",
    )
    parser.add_argument("folder", type=Path, help="folder that `spikeloom build` wrote")
    add_data_arguments(parser)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--port", help="serial port of the board, such as /dev/ttyUSB1")
    where.add_argument(
        "--virtual", action="store_true", help="the build's board in a simulator (Verilator)"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        metavar="SECONDS",
        help="how long a silent board is waited for before it is asked again, five times in all"
        f" (default {_TIMEOUT:g}, of a virtual one {_VIRTUAL_TIMEOUT:g})",
    )
    parser.add_argument(
        "--dt",
        type=float,
        default=1.0,
        metavar="TIME",
        help="length of a step, into which events of .h5 data are sorted (default 1)",
    )
    parser.add_argument(
        "--expect",
        type=Path,
        metavar="FILE",
        help="recording that must come out, as `simulate --fixed -o` writes it; else exit code 1",
    )
    parser.add_argument(
        "-o", "--output", type=Path, help="file to write what came out to: .npz, .h5 or .csv"
    )
    parser.add_argument("--plot", type=Path, metavar="OUT.html", help="page to draw a sample on")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=_run)


@dataclass(frozen=True, eq=False)
class _Result:
    """What a device made of data, and how long it took."""

    about: str
    spikes: IntArray
    seconds: float
    counters: dict[str, int] | None


def _run(arguments: argparse.Namespace) -> int:
    if arguments.timeout is not None and not 0 < arguments.timeout < float("inf"):
        raise ValueError(f"--timeout must be positive and finite, not {arguments.timeout:g}")
    facts = LinkFacts.load(arguments.folder / LINK)
    if facts.spi:
        raise ValueError(
            f"{arguments.folder} must have a serial line, but has SPI: give Device a SPILine"
        )
    _check_outputs(arguments, facts)
    data = read_data(
        arguments.data,
        {facts.input: facts.inputs},
        dt=arguments.dt,
        labels=arguments.labels,
        limit=arguments.limit,
    )
    expected = _expected(arguments.expect, facts, data)
    options = PrecisionOptions(input_fraction=facts.fraction_bits)
    raster = fixed_data(data, options)[facts.input]
    result = _through(arguments, raster)
    recording = Recording({}, {}, {}, {facts.output: result.spikes})
    if arguments.output is not None:
        save_recording(recording, arguments.output, dt=arguments.dt)
    if arguments.plot is not None:
        page = render_board_run(
            title=f"{arguments.folder.resolve().name}, sample 0",
            about=result.about,
            stimulus=raster[0],
            spikes=result.spikes[0],
            label=None if data.labels is None else int(data.labels[0]),
        )
        write_whole(arguments.plot, page)
    plain = _plain(arguments, result, recording, data, expected)
    if arguments.json:
        print_json(plain)
    else:
        _print(plain)
    return int(plain.get("different", 0) > 0)


def _check_outputs(arguments: argparse.Namespace, facts: LinkFacts) -> None:
    for path in (arguments.output, arguments.plot):
        if path is not None and (not path.parent.is_dir() or path.is_dir()):
            raise ValueError(f"{path} must be a file in a folder that exists")
    if arguments.output is not None:
        check_recording_path(arguments.output)
        if arguments.output.suffix == ".csv" and not _spiking(facts):
            raise ValueError(
                f"{arguments.output} must end with .npz or .h5: events are of an output that sends"
                " spikes"
            )


def _spiking(facts: LinkFacts) -> bool:
    """Whether the output sends spikes, and not potentials."""
    return facts.least_out == 0


def _recorded(values: IntArray, facts: LinkFacts) -> IntArray:
    """What came out; spikes are of the type that they have in a golden recording."""
    if not _spiking(facts):
        return values
    return values.astype(np.uint8 if facts.most_out < 256 else np.uint16)


def _expected(path: Path | None, facts: LinkFacts, data: Data) -> IntArray | None:
    if path is None:
        return None
    outputs = load_recording(path).outputs
    shape = (data.samples, data.steps, *facts.outputs)
    if facts.output not in outputs:
        raise ValueError(f"{path} must hold output {facts.output!r}, not {', '.join(outputs)}")
    found = outputs[facts.output][: data.samples]
    if found.shape != shape:
        raise ValueError(f"{path} must hold an output of shape {shape}, not {found.shape}")
    return found


def _through(arguments: argparse.Namespace, raster: IntArray) -> _Result:
    with progress(quiet=arguments.json) as bars:
        timeout = arguments.timeout
        if timeout is None:
            timeout = _VIRTUAL_TIMEOUT if arguments.virtual else _TIMEOUT
        with _port(arguments, bars) as port:
            loading = bars.add_task("weights", total=None, visible=False)
            device = Device.open(
                port,
                arguments.folder,
                timeout=timeout,
                progress=lambda sent, total: bars.update(
                    loading, total=total, completed=sent, visible=True
                ),
            )
            bar = bars.add_task("samples", total=len(raster))
            with device:
                start = time.perf_counter()
                spikes = device.run(raster, lambda done: bars.update(bar, completed=done))
                seconds = time.perf_counter() - start
                counters = device.counters() if device.facts.monitor else None
                return _Result(device.about, _recorded(spikes, device.facts), seconds, counters)


@contextmanager
def _port(arguments: argparse.Namespace, bars: Any) -> Iterator[str]:
    """Where the device is."""
    if not arguments.virtual:
        yield arguments.port
        return
    with task(bars, "board in Verilator"):
        board = compile_virtual(arguments.folder, arguments.folder / "sim" / "virtual")
    with board.run(flash=arguments.folder / FLASH if board.flash else None) as running:
        yield str(running.path)


def _plain(
    arguments: argparse.Namespace,
    result: _Result,
    recording: Recording,
    data: Data,
    expected: IntArray | None,
) -> dict[str, Any]:
    decisions = recording.decision
    plain: dict[str, Any] = {
        "folder": str(arguments.folder),
        "device": result.about,
        "samples": data.samples,
        "steps": data.steps,
        # Potentials are of signed numbers.
        "spikes": int(result.spikes.sum()) if result.spikes.dtype.kind == "u" else None,
        "sums": recording.counts.reshape(data.samples, -1)[:_SHOWN].tolist(),
        "decisions": decisions.tolist(),
        "seconds": round(result.seconds, 6),
    }
    if data.labels is not None:
        correct = int(np.sum(decisions == data.labels))
        plain["accuracy"] = {"correct": correct, "samples": data.samples}
    if result.counters is not None:
        plain["counters"] = result.counters
    if expected is not None:
        plain["different"] = int(np.count_nonzero(result.spikes != expected))
    for name in ("output", "plot"):
        if getattr(arguments, name) is not None:
            plain[name] = str(getattr(arguments, name))
    return plain


def _print(plain: dict[str, Any]) -> None:
    say(f"{plain['device']}: {plain['samples']:,} samples of {plain['steps']:,} steps")
    for k, sums in enumerate(plain["sums"]):
        say(sample_line(k, sums, plain["decisions"][k]))
    if plain["spikes"] is not None:
        say(f"spikes       {plain['spikes']:,}")
    if "accuracy" in plain:
        correct, samples = plain["accuracy"]["correct"], plain["accuracy"]["samples"]
        say(f"accuracy     {100 * correct / samples:.1f} % ({correct:,} of {samples:,})")
    say(f"time         {1e3 * plain['seconds'] / plain['samples']:.2f} ms a sample, the line's too")
    if "counters" in plain:
        waits, cycles = plain["counters"]["waits"], max(1, plain["counters"]["cycles"])
        say(f"line         it was waited for in {100 * (1 - waits / cycles):.1f} % of all cycles")
    if "different" in plain:
        number = plain["different"]
        say("expected     all equal" if not number else f"expected     {number:,} are different")
    for name in ("output", "plot"):
        if name in plain:
            say(f"written      {plain[name]}")
