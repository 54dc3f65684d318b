"""Scenarios as words on the streams of a generated design, and back.

Every design of this project speaks through streams: ``i``, or ``i_0``, ``i_1`` and so on where it
has several inputs, ``o`` likewise, ``probe_i`` and ``probe_o``; those whose weights are loaded have
``load`` too, and those with a read-out ``decision``. A testbench needs to know nothing but which
words to send, when, and which words must come out.
"""

import enum
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from amaranth.hdl import Shape
from amaranth.lib import data
from numpy.typing import NDArray

from spikeloom.reference.events import TICK, events_to_raster, raster_to_events
from spikeloom.reference.fixed import IntArray
from spikeloom.reference.latency import decisions
from spikeloom.reference.memory_map import Layout
from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.neuron import NeuronArray
from spikeloom.rtl_gen.readout import EarlyReadout

__all__ = [
    "ALARMS",
    "PROBE",
    "Design",
    "Vectors",
    "Wait",
    "decode_outputs",
    "decode_rows",
    "initially",
    "loading",
    "streams",
    "vectors",
]

Design = NetworkTop | NeuronArray
"""What the testbenches of this portion can play."""

PROBE = ("probe_i", "probe_o")
"""Streams of questions for membrane potentials and of the answers. A question is sent when no word
of another stream has moved for as many cycles as the design's description has as ``settling``."""

ALARMS = {
    "error": "the design took legal events for illegal ones",
    "weight_error": "the design took right weights for wrong ones",
    "state_error": "the design took right states for wrong ones",
}
"""Ports that are high where something is wrong, those that a design has, and what it is if they
are all the same."""

T = TypeVar("T")


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
    """What a testbench sends and what it must see.

    Attributes
    ----------
    stimulus
        For each stream into the design its words in order, each behind the number of words, of all
        streams, that must have come out, or have been loaded, before it is sent.
    outputs
        For each stream out of the design the words that must come, in order.
    """

    stimulus: dict[str, list[tuple[int, int]]]
    outputs: dict[str, list[int]]

    @property
    def count(self) -> int:
        """How many words come out or are loaded."""
        return sum(map(len, self.outputs.values())) + len(self.stimulus.get("load", ()))

    def __add__(self, after: Self) -> Self:
        """First these vectors, then, when all of their words have come out, others."""
        shifted = {
            stream: [(count + self.count, word) for count, word in words]
            for stream, words in after.stimulus.items()
        }
        return type(self)(
            _joined(self.stimulus, shifted),
            _joined(self.outputs, after.outputs),
        )

    def save(self, folder: Path) -> None:
        """Write a file for each stream, named after it; makes the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for stream, words in self.stimulus.items():
            _write_lines(folder / f"{stream}.hex", (f"{count:x} {word:x}" for count, word in words))
        for stream, expected in self.outputs.items():
            _write_lines(folder / f"{stream}.hex", (f"{word:x}" for word in expected))

    @classmethod
    def load(cls, folder: Path, sources: Iterable[str], sinks: Iterable[str]) -> Self:
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        folder
            The folder.
        sources, sinks
            Streams into the design and out of it.

        Raises
        ------
        ValueError
            If a file is missing or damaged.
        """
        try:
            return cls(
                {
                    name: [(count, word) for count, word in _numbers(folder, name)]
                    for name in sources
                },
                {name: [word for (word,) in _numbers(folder, name)] for name in sinks},
            )
        except (OSError, ValueError) as error:
            raise ValueError(f"{folder} must hold golden vectors, but {error}") from error


def streams(sidecar: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, int]]:
    """Streams into a design and out of it, by its description, with the widths of their words."""
    sources: dict[str, int] = {}
    sinks: dict[str, int] = {}
    for port in sidecar["ports"]:
        stream, _, part = port["name"].rpartition("__")
        if part == "payload":
            (sources if port["direction"] == "input" else sinks)[stream] = port["width"]
    return sources, sinks


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
        entries = {
            port: _event_words(top.input_layouts[name], scenario.inputs[name])
            for name, port in top.input_ports.items()
        }
        results = {
            port: _event_words(top.output_layouts[name], scenario.outputs[name])
            for name, port in top.output_ports.items()
        }
        if top.readout is not None:
            (output,) = scenario.outputs.values()
            results["decision"] = _decision_words(top.readout, output)
    else:
        entries = {"i": _row_words(top, scenario.stimulus, "current")}
        results = {"o": _row_words(top, scenario.spikes, "count")}
    samples, steps = scenario.stimulus.shape[:2]
    every = {Wait.NEVER: samples * steps, Wait.SAMPLE: steps, Wait.STEP: 1}[wait]
    layouts = _layouts(top)
    probing = probe and wait is not Wait.NEVER
    questions = _probe_words(top, layouts) if probing else []

    # Whenever all has come out, the questions are asked one by one, and then what is next is sent.
    came = np.sum([ends[every - 1 :: every] for _, ends in results.values()], axis=0)
    came = came + len(questions) * np.arange(len(came))
    asked = (came[:, None] + np.arange(len(questions))).ravel().tolist()
    sent = np.concatenate([[0], (came + len(questions))[:-1]])
    stimulus = {
        port: list(
            zip(
                np.repeat(sent, np.diff(ends[every - 1 :: every], prepend=0)).tolist(),
                words,
                strict=True,
            )
        )
        for port, (words, ends) in entries.items()
    }
    stimulus["probe_i"] = list(zip(asked, questions * len(came), strict=True))
    if isinstance(top, NetworkTop) and top.loads:
        stimulus["load"] = []
    outputs = {port: words for port, (words, _) in results.items()}
    outputs["probe_o"] = []
    if probing:
        width = Shape.cast(top.probe_o.p.shape().elem_shape).width
        columns = [
            _packed_rows(v[:, every - 1 :: every], layout, width)
            for v, layout in zip(scenario.membrane, layouts, strict=True)
        ]
        outputs["probe_o"] = [
            w for step in zip(*columns, strict=True) for part in step for w in part
        ]
    return Vectors(stimulus, outputs)


def loading(top: Design) -> Vectors:
    """Vectors that load the weights of a design, none where they are part of it."""
    if not (isinstance(top, NetworkTop) and top.loads):
        return Vectors({}, {})
    layout = top.load.p.shape()
    masks = {name: (field.offset, (1 << field.width) - 1) for name, field in layout}
    words = (
        sum((value & masks[name][1]) << masks[name][0] for name, value in word.items())
        for word in top.load_words()
    )
    return Vectors({"load": [(0, word) for word in words]}, {})


def initially(top: Design) -> Vectors:
    """Vectors that read all membrane potentials before the first step."""
    layouts = _layouts(top)
    questions = _probe_words(top, layouts)
    width = Shape.cast(top.probe_o.p.shape().elem_shape).width
    configs = [p.neurons for p in top.populations] if isinstance(top, NetworkTop) else [top.config]
    answers = [
        word
        for config, layout in zip(configs, layouts, strict=True)
        for word in _packed_rows(
            np.broadcast_to(np.asarray(config.v_init), (1, 1, config.size)), layout, width
        )[0]
    ]
    return Vectors({"probe_i": list(enumerate(questions))}, {"probe_o": answers})


def decode_outputs(
    top: Design, words: Mapping[str, Sequence[int]], samples: int, steps: int
) -> dict[str, IntArray]:
    """What words out of the outputs stand for.

    Parameters
    ----------
    top
        The design.
    words
        Words out of each stream.
    samples, steps
        How many there must be.

    Returns
    -------
    As :class:`~spikeloom.reference.scenario.Scenario`'s ``outputs``.

    Raises
    ------
    ValueError
        If the words are not those of so many samples and steps.
    """
    if isinstance(top, NetworkTop):
        return {
            name: _decoded_events(
                top.output_layouts[name],
                words[top.output_ports[name]],
                (samples, steps, *top.network.shape(source)),
            )
            for name, source in top.network.outputs.items()
        }
    rows = words["o"]
    if len(rows) != samples * steps * top.rows:
        raise ValueError(f"words must be {samples * steps * top.rows}, not {len(rows)}")
    counts = _unpacked_rows(rows, top.lanes, top.config.count_width, signed=False)
    return {"spikes": counts.reshape(samples, steps, -1)[:, :, : top.config.size]}


def _decoded_events(layout: data.Layout, words: Sequence[int], shape: tuple[int, ...]) -> IntArray:
    """A raster of shape (samples, steps, \\*neurons)."""
    samples, steps, *inner = shape
    array = np.array(words, dtype=np.int64)
    address = _flat_address(layout, array, tuple(inner))
    events = [_field(layout, "kind", array), address, _field(layout, "count", array)]
    raster = events_to_raster(np.stack(events, axis=1), steps, math.prod(inner))
    if len(raster) != samples:
        raise ValueError(f"words must be those of {samples} samples, not {len(raster)}")
    return raster.reshape(shape)


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


def _event_words(layout: data.Layout, raster: NDArray[Any]) -> tuple[list[int], IntArray]:
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
    return word.tolist(), ends


def _decision_words(readout: EarlyReadout, output: IntArray) -> tuple[list[int], IntArray]:
    """Words of decisions, and the number of words up to the end of each step."""
    taken, decided = decisions(output, readout.stop)
    layout = readout.o.p.shape()
    words = decided << layout["output"].offset | taken << layout["steps"].offset
    made = np.zeros(output.shape[:2], dtype=np.int64)
    there = np.flatnonzero(taken)
    made[there, taken[there] - 1] = 1
    return words[there].tolist(), made.ravel().cumsum()


def _row_words(top: NeuronArray, values: NDArray[Any], field: str) -> tuple[list[int], IntArray]:
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
    return words.ravel().tolist(), ends


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


def _joined(first: Mapping[str, list[T]], second: Mapping[str, list[T]]) -> dict[str, list[T]]:
    """The lists of both, one behind the other."""
    return {name: [*first.get(name, []), *second.get(name, [])] for name in {**first, **second}}


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")


def _numbers(folder: Path, stream: str) -> Iterator[list[int]]:
    """The hexadecimal numbers of each line of a stream's file."""
    for line in (folder / f"{stream}.hex").read_text(encoding="ascii").splitlines():
        yield [int(number, 16) for number in line.split()]
