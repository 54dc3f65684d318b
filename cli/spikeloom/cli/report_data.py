"""What a report tells, as plain data: filled by whoever ran something, drawn by the page."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Accuracy",
    "Layer",
    "Outcome",
    "Raster",
    "Report",
    "Resources",
    "Trace",
    "TransferCurve",
    "Verdict",
]

Array = NDArray[Any]


class Outcome(enum.Enum):
    """What a comparison with the golden model came to."""

    EQUAL = "equal"
    DIFFERENT = "different"
    NOT_RUN = "not run"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One engine against the golden model.

    Parameters
    ----------
    engine, version
        Which simulator or netlist or board.
    design
        What it ran, where there is more than one design.
    samples
        How many samples it ran.
    spikes, membranes
        How many spike counts and how many membrane potentials were compared.
    difference
        The first difference, or an empty string.
    seconds
        Wall time.
    cycles
        Clock cycles for all samples, or ``None`` where they were not counted.
    skipped
        Why the engine did not run, or an empty string. An engine that did not run has not passed.

    Raises
    ------
    ValueError
        If an engine that did not run claims a difference, or a number is negative.
    """

    engine: str
    version: str
    design: str = ""
    samples: int = 0
    spikes: int = 0
    membranes: int = 0
    difference: str = ""
    seconds: float = 0.0
    cycles: int | None = None
    skipped: str = ""

    def __post_init__(self) -> None:
        for name in ("samples", "spikes", "membranes", "seconds"):
            _at_least_zero(name, getattr(self, name))
        if self.skipped and self.difference:
            raise ValueError(
                f"difference must be empty for an engine that did not run, not {self.difference!r}"
            )

    @property
    def outcome(self) -> Outcome:
        """Equal only if something was compared and nothing differed."""
        if self.difference:
            return Outcome.DIFFERENT
        return Outcome.NOT_RUN if self.reason else Outcome.EQUAL

    @property
    def reason(self) -> str:
        """Why there is no verdict, or an empty string."""
        if self.skipped or self.difference or self.spikes + self.membranes:
            return self.skipped
        return "nothing was compared"


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """How many samples were classified correctly.

    Parameters
    ----------
    name
        What classified them: ``"float"``, ``"fixed"``, an engine, the network before conversion.
    correct, samples
        Of how many samples how many were right.

    Raises
    ------
    ValueError
        If there is no sample, or more are right than there are.
    """

    name: str
    correct: int
    samples: int

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ValueError(f"samples must be positive, not {self.samples!r}")
        if not 0 <= self.correct <= self.samples:
            raise ValueError(f"correct must be 0 to {self.samples}, not {self.correct!r}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """One neuron over time, in float, in fixed point, and in hardware.

    Parameters
    ----------
    title, note
        What is shown, and one sentence on what to see.
    current
        Input current of each step, shape (steps,), in real units.
    float_v, fixed_v, rtl_v
        Membrane potential after each step, shape (steps,), all in real units; the last is
        ``None`` where no hardware was run.
    threshold
        In the same units.
    float_spikes, fixed_spikes, rtl_spikes
        Spike counts of each step, shape (steps,).

    Raises
    ------
    ValueError
        If shapes do not agree or a number is not finite.
    """

    title: str
    current: Array
    float_v: Array
    fixed_v: Array
    rtl_v: Array | None = None
    threshold: float
    float_spikes: Array
    fixed_spikes: Array
    rtl_spikes: Array | None = None
    note: str = ""

    def __post_init__(self) -> None:
        steps = (len(self.current),)
        for name in ("current", "float_v", "fixed_v", "rtl_v"):
            _check(name, getattr(self, name), steps)
        for name in ("float_spikes", "fixed_spikes", "rtl_spikes"):
            _check(name, getattr(self, name), steps)


@dataclass(frozen=True, kw_only=True, eq=False)
class TransferCurve:
    """Spikes of a neuron against its constant input.

    Parameters
    ----------
    current
        Inputs in ascending order, shape (n,), in thresholds a step.
    float_counts, fixed_counts, rtl_counts
        Spikes in all steps, shape (n,); the last is ``None`` where no hardware was run.
    steps
        How many steps each input lasted.

    Raises
    ------
    ValueError
        If shapes do not agree or a number is not finite.
    """

    current: Array
    float_counts: Array
    fixed_counts: Array
    rtl_counts: Array | None = None
    steps: int

    def __post_init__(self) -> None:
        for name in ("current", "float_counts", "fixed_counts", "rtl_counts"):
            _check(name, getattr(self, name), (len(self.current),))


@dataclass(frozen=True, kw_only=True, eq=False)
class Raster:
    """One sample on its way through the network.

    Parameters
    ----------
    title
        What is shown.
    layers
        Name and spike counts, shape (steps, neurons), of the input and of each layer in order.
    membrane
        Membrane potentials of the output neurons after each step, shape (steps, outputs), in the
        units of the threshold.
    threshold
        Threshold of the output neurons.
    image
        The sample as a picture, shape (rows, columns), larger is more; ``None`` if it is none.
    label, decision
        The class that it is and the class that the network says: indices of output neurons.

    Raises
    ------
    ValueError
        If shapes do not agree or a number is not finite.
    """

    title: str
    layers: tuple[tuple[str, Array], ...]
    membrane: Array
    threshold: float
    image: Array | None = None
    label: int
    decision: int

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError("layers must hold the input at least, but there is none")
        steps = len(self.layers[0][1])
        for name, counts in self.layers:
            if counts.ndim != 2:
                raise ValueError(
                    f"layer {name!r} must be of shape (steps, neurons), not {counts.shape}"
                )
            _check(f"layer {name!r}", counts, (steps, counts.shape[1]))
        outputs = self.layers[-1][1].shape[1]
        _check("membrane", self.membrane, (steps, outputs))
        if self.image is not None:
            if self.image.ndim != 2:
                raise ValueError(f"image must be of shape (rows, columns), not {self.image.shape}")
            _check("image", self.image, self.image.shape)
        for field_name in ("label", "decision"):
            if getattr(self, field_name) not in range(outputs):
                raise ValueError(
                    f"{field_name} must be 0 to {outputs - 1}, not {getattr(self, field_name)!r}"
                )


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What synthesis and place and route made of the design.

    Parameters
    ----------
    board, chip
        For which board and FPGA.
    used
        For each kind of cell how many are used and how many the FPGA has.
    fmax_mhz, target_mhz
        Highest clock rate by the tool's own timing analysis, and the one asked for.
    critical_path
        The slowest path's cells and nets in order.
    bitstream, bitstream_bytes
        Name and size of the bitstream's file.
    seconds
        Wall time of each tool.
    skipped
        Why nothing was built, or an empty string.
    """

    board: str
    chip: str
    used: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    fmax_mhz: float = 0.0
    target_mhz: float = 0.0
    critical_path: tuple[str, ...] = ()
    bitstream: str = ""
    bitstream_bytes: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    skipped: str = ""

    @property
    def timing_met(self) -> bool:
        """Whether the design is at least as fast as asked for."""
        return self.fmax_mhz >= self.target_mhz > 0


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A population of neurons as it stands in the hardware.

    Parameters
    ----------
    name
        What it is called.
    inputs, neurons, lanes
        How many inputs and neurons it has, and how many neurons are computed at once.
    weight_bits, state_bits
        Widths of a weight and of a membrane potential.
    threshold
        Integer threshold of all neurons, or one of each.
    decay, reset
        The rule in words.
    """

    name: str
    inputs: int
    neurons: int
    lanes: int
    weight_bits: int
    state_bits: int
    threshold: int | tuple[int, ...]
    decay: str
    reset: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """All that a report tells. What is empty or ``None`` has no section on the page.

    Parameters
    ----------
    title
        Of the page.
    command
        The command line that made it.
    version
        Of this package.
    tools
        Name and version of each tool that took part.
    profile
        The discretisation profile: option and value.
    layers
        The network.
    accuracies, verdicts, traces, curve, raster, resources
        Results; see the classes.
    cycles_per_image
        Clock cycles from one image to the next, the mean of all.
    clock_mhz
        Clock rate at which cycles are turned into time.
    warnings
        Sentences that the reader must not miss.
    """

    title: str
    command: str
    version: str
    tools: Mapping[str, str] = field(default_factory=dict)
    profile: Mapping[str, str] = field(default_factory=dict)
    layers: tuple[Layer, ...] = ()
    accuracies: tuple[Accuracy, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    traces: tuple[Trace, ...] = ()
    curve: TransferCurve | None = None
    raster: Raster | None = None
    resources: Resources | None = None
    cycles_per_image: float | None = None
    clock_mhz: float = 0.0
    warnings: tuple[str, ...] = ()


def _at_least_zero(name: str, value: float) -> None:
    if not value >= 0:
        raise ValueError(f"{name} must be at least 0, not {value!r}")


def _check(name: str, values: Array | None, shape: tuple[int, ...]) -> None:
    if values is None:
        return
    if values.shape != shape or 0 in shape:
        raise ValueError(f"{name} must be of shape {shape} and not empty, not {values.shape}")
    if not np.all(np.isfinite(values)):
        raise ValueError(f"{name} must be finite, but holds NaN or infinity")
