"""Neurons with the options that those of the profiles do not have, alone and together."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from spikeloom.reference.fixed import Overflow, Rounding
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.profile import (
    IAF,
    PROFILES,
    TEXTBOOK_IAF,
    TEXTBOOK_LIF,
    Decay,
    Order,
    Profile,
    Reset,
)
from spikeloom.sim.formal.planted import (
    FLOOR_FAULT,
    REFRACTORY_FAULT,
    ROUNDING_FAULT,
    STATE_FAULT,
    SYNAPSE_FAULT,
)
from spikeloom.sim.formal.presets import quantized

__all__ = ["Variant", "option_neurons"]

_TAU = 4.0
_WAITS = 5
"""Refractory steps: one more takes no more bits, so that only the number shows."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """Neurons, and the bug that is planted into them.

    Attributes
    ----------
    label
        What they are, for people to read.
    config
        What they compute.
    fault
        A name of :func:`~spikeloom.sim.formal.planted.faulty_neurons`, planted where it shows.
    """

    label: str
    config: NeuronConfig
    fault: str


def option_neurons(width: int) -> Iterator[Variant]:
    """Neurons with a state of so many bits that have what no profile's have.

    A floor, refractory steps, a potential that wraps, rounding to the nearest, a membrane that
    decays behind its input, and spikes without a reset; with one and many spikes a step, with and
    without a synapse, and with each accumulation.
    """
    for label, neuron, fault in _neurons():
        yield Variant(label=label, config=quantized(neuron, width), fault=fault)


def _neurons() -> Iterator[tuple[str, FloatNeuron, str]]:
    nearest, toward_zero, wrap = Rounding.NEAREST_EVEN, Rounding.TOWARD_ZERO, Overflow.WRAP
    held = replace(TEXTBOOK_LIF, refractory_steps=_WAITS)
    yield "LIF neurons with floor and refractory steps", _lif(held, v_min=-1.0), FLOOR_FAULT
    held = replace(PROFILES["norse"], dt=1.0, refractory_steps=_WAITS)
    yield (
        "LIF neurons behind a synapse, with refractory steps",
        _lif(held, tau_syn=_TAU),
        REFRACTORY_FAULT,
    )
    yield (
        "IF neurons that wrap, with a floor",
        _lif(replace(IAF, overflow=wrap), tau=None, v_min=-1.0),
        STATE_FAULT,
    )
    yield (
        "IAF neurons that wrap and spike many times, with floor and refractory steps",
        _lif(replace(TEXTBOOK_IAF, overflow=wrap, refractory_steps=_WAITS), v_min=-1.0),
        REFRACTORY_FAULT,
    )
    yield (
        "LIF neurons behind a synapse that all wrap and round to the nearest",
        _lif(
            replace(TEXTBOOK_LIF, rounding=nearest, overflow=wrap, synapse_overflow=wrap),
            tau_syn=_TAU,
        ),
        STATE_FAULT,
    )
    yield (
        "LIF neurons that round to the nearest, with refractory steps",
        _lif(replace(PROFILES["spyx"], dt=1.0, rounding=nearest, refractory_steps=_WAITS)),
        ROUNDING_FAULT,
    )
    shifted = replace(
        TEXTBOOK_LIF,
        decay=Decay.SHIFT,
        rounding=nearest,
        order=Order.INPUT_FIRST,
        reset=Reset.NONE,
    )
    yield (
        "LIF neurons with no reset that decay behind their input by a shift to the nearest",
        _lif(shifted),
        ROUNDING_FAULT,
    )
    late = replace(PROFILES["sinabs"], order=Order.INPUT_FIRST)
    yield (
        "LIF neurons that decay behind their input and spike many times, with a floor",
        _lif(late, v_min=-1.0),
        FLOOR_FAULT,
    )
    yield (
        "leaky integrators with refractory steps that round to the nearest",
        _lif(replace(TEXTBOOK_LIF, rounding=nearest, refractory_steps=_WAITS), v_th=None),
        ROUNDING_FAULT,
    )
    yield from _one_by_one(nearest, toward_zero, wrap)


def _one_by_one(
    nearest: Rounding, toward_zero: Rounding, wrap: Overflow
) -> Iterator[tuple[str, FloatNeuron, str]]:
    """Those whose events act one by one."""
    xylo, speck = PROFILES["xylo"], PROFILES["speck"]
    held = replace(xylo, rounding=nearest, refractory_steps=_WAITS, staged_overflow=False)
    yield (
        "LIF neurons event by event that round to the nearest, with floor and refractory steps",
        _lif(held, v_min=-1.0),
        REFRACTORY_FAULT,
    )
    wrapping = replace(xylo, rounding=toward_zero, overflow=wrap, synapse_overflow=wrap)
    yield (
        "LIF neurons event by event behind a synapse that all wrap and round toward zero",
        _lif(wrapping, tau_syn=_TAU, v_min=-1.0),
        SYNAPSE_FAULT,
    )
    yield (
        "IF neurons spiking event by event, with a floor",
        _lif(speck, tau=None, v_min=-1.0),
        FLOOR_FAULT,
    )
    yield (
        "IF neurons spiking event by event that wrap",
        _lif(replace(speck, overflow=wrap), tau=None),
        STATE_FAULT,
    )


def _lif(profile: Profile, **options: float | None) -> FloatNeuron:
    chosen: dict[str, float | None] = {"v_th": 1.0, "tau": _TAU, "v_leak": 0.5}
    return FloatNeuron(profile=profile, **(chosen | options))  # type: ignore[arg-type]
