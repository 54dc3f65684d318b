"""Scenarios as words on the ports of a generated design, and back.

Every design of this project speaks through the same four streams: ``i``, ``o``, ``probe_i`` and
``probe_o``; those whose weights are loaded have ``load`` too. A testbench needs to know nothing
but which words to send, when to probe, and which words must come out.
"""

import enum
import math
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
from spikeloom.reference.memory_map import Layout
from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.neuron import NeuronArray

__all__ = [
    "Command",
    "Design",
    "Vectors",
    "Wait",
    "decode_outputs",
    "decode_rows",
    "loading",
    "vectors",
]

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
    LOAD = 3
    """Send the word to ``load``."""


class Wait(enum.Enum):
    """When a testbench waits until all that was sent is answered."""

    NEVER = enum.auto()
    """Steps follow each other as fast as the design takes them."""
    SAMPLE = enum.auto()
    """After each sample."""
    STEP = enum.auto()
    """After each step."""


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


def vectors(top: Design, scenario: Scenario, *, wait: Wait, probe: bool) -> Vectors:
    """Vectors for a design.

    Parameters
    ----------
    top
        The design.
    scenario
        Stimulus and expectation: spike counts for a network, currents for a neuron array.
    wait
        When the testbench waits for all answers.
    probe
        Whether all membrane potentials are read whenever it has waited.
    """
    if isinstance(top, NetworkTop):
        _check_ports(top)
        words, step_ends = _event_words(top.i.p.shape(), scenario.stimulus)
        outputs, output_ends = _event_words(top.o.p.shape(), scenario.spikes)
    else:
        words, step_ends = _row_words(top, scenario.stimulus, "current")
        outputs, output_ends = _row_words(top, scenario.spikes, "count")
    every = {Wait.NEVER: 0, Wait.SAMPLE: scenario.stimulus.shape[1], Wait.STEP: 1}[wait]
    if not every:
        return Vectors([(Command.SEND, word) for word in words], outputs, [])

    layouts = _layouts(top)
    sweeps = [(Command.PROBE, word) for word in _probe_words(top, layouts)] if probe else []
    commands: list[tuple[int, int]] = []
    start = 0
    ends = zip(step_ends[every - 1 :: every], output_ends[every - 1 :: every], strict=True)
    for end, awaited in ends:
        commands += [(Command.SEND, word) for word in words[start:end]]
        commands.append((Command.AWAIT, awaited))
        commands += sweeps
        start = end
    if not probe:
        return Vectors(commands, outputs, [])
    width = Shape.cast(top.probe_o.p.shape().elem_shape).width
    columns = [
        _packed_rows(v[:, every - 1 :: every], layout, width)
        for v, layout in zip(scenario.membrane, layouts, strict=True)
    ]
    rows = [word for step in zip(*columns, strict=True) for part in step for word in part]
    return Vectors(commands, outputs, rows)


def loading(top: Design) -> Vectors:
    """Vectors that load the weights of a design, none where they are part of it."""
    if not (isinstance(top, NetworkTop) and top.loads):
        return Vectors([], [], [])
    layout = top.load.p.shape()
    masks = {name: (field.offset, (1 << field.width) - 1) for name, field in layout}
    words = (
        sum((value & masks[name][1]) << masks[name][0] for name, value in word.items())
        for word in top.load_words()
    )
    return Vectors([(Command.LOAD, word) for word in words], [], [])


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
        shape = _output_shape(top)
        address = _flat_address(layout, array, shape)
        events = [_field(layout, "kind", array), address, _field(layout, "count", array)]
        raster = events_to_raster(np.stack(events, axis=1), steps, math.prod(shape))
        if len(raster) != samples:
            raise ValueError(f"words must be those of {samples} samples, not {len(raster)}")
        return raster.reshape(samples, steps, *shape)
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
    layouts = _layouts(top)
    layout = top.probe_o.p.shape()
    width = Shape.cast(layout.elem_shape).width
    rows = [each.rows for each in layouts]
    if len(words) != samples * steps * sum(rows):
        raise ValueError(f"words must be {samples * steps * sum(rows)}, not {len(words)}")
    values = _unpacked_rows(words, layout.length, width, signed=True)
    values = values.reshape(samples, steps, sum(rows), layout.length)
    parts = np.split(values, np.cumsum(rows)[:-1], axis=2)
    return tuple(
        each.from_rows(part[..., : each.lanes]).reshape(samples, steps, *each.shape)
        for part, each in zip(parts, layouts, strict=True)
    )


def _event_words(layout: data.Layout, raster: NDArray[Any]) -> tuple[list[int], list[int]]:
    """Words of a raster's events, and the number of words up to the end of each step.

    Events come in the order of the hardware's rows: positions, and in each the channels.
    """
    samples, steps, *shape = raster.shape
    ordered = np.moveaxis(raster, 2, -1)
    events = raster_to_events(ordered.reshape(samples, steps, -1))
    kind, address, count = events.T
    word = kind << layout["kind"].offset
    places = np.unravel_index(address, ordered.shape[2:])
    names = {1: ("",), 2: ("x", "c"), 3: ("y", "x", "c")}[len(shape)]
    start = layout["address"].offset
    for name, place in zip(names, places, strict=True):
        inner = layout["address"].shape[name].offset if name else 0
        word = word | place << (start + inner)
    width = Shape.cast(layout["count"].shape).width
    word = word | (count & ((1 << width) - 1)) << layout["count"].offset
    ends = np.flatnonzero(events[:, 0] == TICK) + 1
    return word.tolist(), ends.tolist()


def _row_words(top: NeuronArray, values: NDArray[Any], field: str) -> tuple[list[int], list[int]]:
    """Words of rows of currents or of counts, and the number of words up to each step's end."""
    layout = (top.i if field == "current" else top.o).p.shape()
    width = Shape.cast(layout[field].shape.elem_shape).width
    samples, steps, _ = values.shape
    words = np.array(_packed_rows(values, top.layout, width), dtype=object)
    words = (words << layout[field].offset).reshape(samples, steps, top.rows)
    words[:, 0, 0] |= 1 << layout["restart"].offset
    if field == "count":
        words[:, :, -1] |= 1 << layout["last"].offset
    ends = (np.arange(samples * steps) + 1) * top.rows
    return words.ravel().tolist(), ends.tolist()


def _check_ports(top: NetworkTop) -> None:
    if len(top.input_layouts) > 1 or len(top.output_layouts) > 1:
        raise ValueError(
            "the testbench plays networks with one input and one output, not"
            f" {len(top.input_layouts)} and {len(top.output_layouts)}"
        )


def _output_shape(top: NetworkTop) -> tuple[int, ...]:
    (source,) = top.network.outputs.values()
    return top.network.shape(source)


def _layouts(top: Design) -> list[Layout]:
    """Where the neurons of each population lie."""
    if isinstance(top, NetworkTop):
        return [each.layout for each in top.populations]
    return [top.layout]


def _flat_address(layout: data.Layout, words: IntArray, shape: tuple[int, ...]) -> IntArray:
    """Numbers in the flat array that the addresses of events stand for."""
    address = _field(layout, "address", words)
    if len(shape) == 1:
        return address
    inner = layout["address"].shape
    places = [
        _field(inner, name, address)
        for name in ("c", "y", "x")[:1] + (("x",) if len(shape) == 2 else ("y", "x"))
    ]
    number = np.zeros_like(address)
    for place, size in zip(places, shape, strict=True):
        number = number * size + place
    return number


def _probe_words(top: Design, layouts: Iterable[Layout]) -> list[int]:
    """Words that ask for all rows of all populations."""
    layout = top.probe_i.p.shape() if isinstance(top, NetworkTop) else None
    return [
        row if layout is None else k << layout["population"].offset | row << layout["row"].offset
        for k, each in enumerate(layouts)
        for row in range(each.rows)
    ]


def _packed_rows(values: NDArray[Any], layout: Layout, width: int) -> list[list[int]]:
    """For each step of each sample one word a row."""
    samples, steps = values.shape[:2]
    rows = layout.by_row(values.reshape(samples * steps, -1)) & ((1 << width) - 1)
    words = np.zeros(rows.shape[:2], dtype=object)
    for lane in range(layout.lanes):
        words |= rows[..., lane].astype(object) << (width * lane)
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
    shape = Shape.cast(field.shape)
    value = words >> field.offset & ((1 << shape.width) - 1)
    half = 1 << (shape.width - 1)
    return (value ^ half) - half if shape.signed else value


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="ascii").splitlines()
