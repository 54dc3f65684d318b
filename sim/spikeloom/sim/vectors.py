"""Scenarios as words on the ports of a generated design, and back.

Every design of this project speaks through the same four streams: ``i``, ``o``, ``probe_i`` and
``probe_o``. A testbench needs to know nothing but which words to send, when to probe, and which
words must come out.
"""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from amaranth.hdl import Shape
from amaranth.lib import data
from numpy.typing import NDArray

from spikeloom.reference.events import TICK, events_to_raster, raster_to_events
from spikeloom.reference.fixed import IntArray
from spikeloom.reference.memory_map import sweep_rows
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.neuron import NeuronArray

__all__ = ["Command", "Design", "Vectors", "decode_outputs", "decode_rows", "vectors"]

Design = NetworkTop | NeuronArray
"""What the testbenches of this portion can play."""


class Command(enum.IntEnum):
    """What a testbench does next."""

    SEND = 0
    """Send the word to ``i``."""
    AWAIT = 1
    """Wait until so many words in all have come out of ``o``."""
    PROBE = 2
    """Send the word to ``probe_i``, and wait for the answer."""


@dataclass(frozen=True, eq=False)
class Vectors:
    """What a testbench does and what it must see.

    Attributes
    ----------
    commands
        Pairs of a command and its word (for ``AWAIT``, a number of words).
    outputs
        Words that must come out of ``o``, in order.
    rows
        Words that must come out of ``probe_o``, in order.
    """

    commands: list[tuple[int, int]]
    outputs: list[int]
    rows: list[int]

    def __add__(self, after: Self) -> Self:
        """First these vectors, then others."""
        awaited = len(self.outputs)
        shifted = [
            (command, word + awaited if command == Command.AWAIT else word)
            for command, word in after.commands
        ]
        return type(self)(
            self.commands + shifted, self.outputs + after.outputs, self.rows + after.rows
        )

    def save(self, folder: Path) -> None:
        """Write ``stimulus.hex``, ``outputs.hex`` and ``rows.hex``; makes the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        commands = (f"{command:d} {word:x}" for command, word in self.commands)
        _write_lines(folder / "stimulus.hex", commands)
        _write_lines(folder / "outputs.hex", (f"{word:x}" for word in self.outputs))
        _write_lines(folder / "rows.hex", (f"{word:x}" for word in self.rows))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ValueError
            If a file is missing or damaged.
        """
        try:
            pairs = [line.split() for line in _lines(folder / "stimulus.hex")]
            return cls(
                [(int(command), int(word, 16)) for command, word in pairs],
                [int(line, 16) for line in _lines(folder / "outputs.hex")],
                [int(line, 16) for line in _lines(folder / "rows.hex")],
            )
        except (OSError, ValueError) as error:
            raise ValueError(f"{folder} must hold golden vectors, but {error}") from error


def vectors(top: Design, scenario: Scenario, *, probe: bool) -> Vectors:
    """Vectors for a design.

    Parameters
    ----------
    top
        The design.
    scenario
        Stimulus and expectation: spike counts for a network, currents for a neuron array.
    probe
        Whether all membrane potentials are read after each step. Without, the steps follow each
        other as fast as the design takes them.
    """
    if isinstance(top, NetworkTop):
        words, step_ends = _event_words(top.i.p.shape(), scenario.stimulus)
        outputs, output_ends = _event_words(top.o.p.shape(), scenario.spikes)
        populations = [(p.layer.neurons, p.lanes) for p in top.populations]
    else:
        words, step_ends = _row_words(top, scenario.stimulus, "current")
        outputs, output_ends = _row_words(top, scenario.spikes, "count")
        populations = [(top.config, top.lanes)]
    if not probe:
        return Vectors([(Command.SEND, word) for word in words], outputs, [])

    sweeps = [(Command.PROBE, word) for word in _probe_words(top, populations)]
    commands: list[tuple[int, int]] = []
    start = 0
    for end, awaited in zip(step_ends, output_ends, strict=True):
        commands += [(Command.SEND, word) for word in words[start:end]]
        commands.append((Command.AWAIT, awaited))
        commands += sweeps
        start = end
    width = Shape.cast(top.probe_o.p.shape().elem_shape).width
    columns = [
        _packed_rows(v, lanes, width)
        for v, (_, lanes) in zip(scenario.membrane, populations, strict=True)
    ]
    rows = [word for step in zip(*columns, strict=True) for part in step for word in part]
    return Vectors(commands, outputs, rows)


def decode_outputs(top: Design, words: Sequence[int], samples: int, steps: int) -> IntArray:
    """Spike counts that words out of ``o`` stand for.

    Returns
    -------
    Integers of shape (samples, steps, neurons).

    Raises
    ------
    ValueError
        If the words are not those of so many samples and steps.
    """
    layout = top.o.p.shape()
    if isinstance(top, NetworkTop):
        array = np.array(words, dtype=np.int64)
        events = [_field(layout, name, array) for name in ("kind", "address", "count")]
        raster = events_to_raster(
            np.stack(events, axis=1), steps, top.network.layers[-1].neurons.size
        )
        if len(raster) != samples:
            raise ValueError(f"words must be those of {samples} samples, not {len(raster)}")
        return raster
    if len(words) != samples * steps * top.rows:
        raise ValueError(f"words must be {samples * steps * top.rows}, not {len(words)}")
    counts = _unpacked_rows(words, top.lanes, top.config.count_width, signed=False)
    return counts.reshape(samples, steps, -1)[:, :, : top.config.size]


def decode_rows(
    top: Design, words: Sequence[int], samples: int, steps: int
) -> tuple[IntArray, ...]:
    """Membrane potentials that words out of ``probe_o`` stand for.

    Returns
    -------
    For each population integers of shape (samples, steps, neurons).

    Raises
    ------
    ValueError
        If the words are not those of so many samples and steps.
    """
    if isinstance(top, NetworkTop):
        sizes = [(p.layer.neurons.size, p.lanes) for p in top.populations]
    else:
        sizes = [(top.config.size, top.lanes)]
    layout = top.probe_o.p.shape()
    width = Shape.cast(layout.elem_shape).width
    rows = [sweep_rows(size, lanes) for size, lanes in sizes]
    if len(words) != samples * steps * sum(rows):
        raise ValueError(f"words must be {samples * steps * sum(rows)}, not {len(words)}")
    values = _unpacked_rows(words, layout.length, width, signed=True)
    values = values.reshape(samples, steps, sum(rows), layout.length)
    parts = np.split(values, np.cumsum(rows)[:-1], axis=2)
    return tuple(
        part[..., :lanes].reshape(samples, steps, -1)[:, :, :size]
        for part, (size, lanes) in zip(parts, sizes, strict=True)
    )


def _event_words(layout: data.Layout, raster: NDArray[Any]) -> tuple[list[int], list[int]]:
    """Words of a raster's events, and the number of words up to the end of each step."""
    events = raster_to_events(raster)
    word = sum(
        column << layout[name].offset
        for name, column in zip(("kind", "address", "count"), events.T, strict=True)
    )
    ends = np.flatnonzero(events[:, 0] == TICK) + 1
    return word.tolist(), ends.tolist()


def _row_words(top: NeuronArray, values: NDArray[Any], field: str) -> tuple[list[int], list[int]]:
    """Words of rows of currents or of counts, and the number of words up to each step's end."""
    layout = (top.i if field == "current" else top.o).p.shape()
    width = Shape.cast(layout[field].shape.elem_shape).width
    samples, steps, _ = values.shape
    words = np.array(_packed_rows(values, top.lanes, width), dtype=object)
    words = (words << layout[field].offset).reshape(samples, steps, top.rows)
    words[:, 0, 0] |= 1 << layout["restart"].offset
    if field == "count":
        words[:, :, -1] |= 1 << layout["last"].offset
    ends = (np.arange(samples * steps) + 1) * top.rows
    return words.ravel().tolist(), ends.tolist()


def _probe_words(top: Design, populations: Iterable[tuple[NeuronConfig, int]]) -> list[int]:
    """Words that ask for all rows of all populations."""
    layout = top.probe_i.p.shape() if isinstance(top, NetworkTop) else None
    return [
        row if layout is None else k << layout["population"].offset | row << layout["row"].offset
        for k, (neurons, lanes) in enumerate(populations)
        for row in range(sweep_rows(neurons.size, lanes))
    ]


def _packed_rows(values: NDArray[Any], lanes: int, width: int) -> list[list[int]]:
    """For each step of each sample one word a row; neuron ``n`` in lane ``n % lanes``."""
    samples, steps, size = values.shape
    rows = sweep_rows(size, lanes)
    padded = np.zeros((samples * steps, rows * lanes), dtype=np.int64)
    padded[:, :size] = values.reshape(-1, size)
    unsigned = padded & ((1 << width) - 1)
    words = np.zeros((samples * steps, rows), dtype=object)
    for lane in range(lanes):
        words |= unsigned[:, lane::lanes].astype(object) << (width * lane)
    return words.tolist()


def _unpacked_rows(words: Sequence[int], lanes: int, width: int, *, signed: bool) -> IntArray:
    array = np.array(words, dtype=object)
    mask = (1 << width) - 1
    columns = [(array >> (width * lane) & mask).astype(np.int64) for lane in range(lanes)]
    values = np.stack(columns, axis=1)
    half = 1 << (width - 1)
    return (values ^ half) - half if signed else values


def _field(layout: data.Layout, name: str, words: IntArray) -> IntArray:
    field = layout[name]
    return words >> field.offset & ((1 << Shape.cast(field.shape).width) - 1)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="ascii").splitlines()
