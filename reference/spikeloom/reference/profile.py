"""Discretisation profiles: how continuous time becomes steps.

Two tools that read the same network give different spikes unless the rule of discretisation is
stated. A :class:`Profile` states it. It is made of general options only, so a rule that has no
preset can be written down too.
"""

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from spikeloom.reference.fixed import Overflow, Rounding, exact_integer

__all__ = [
    "IAF",
    "PROFILES",
    "TEXTBOOK_IAF",
    "TEXTBOOK_LIF",
    "Accumulation",
    "Compared",
    "Comparison",
    "Decay",
    "InputGain",
    "Order",
    "Profile",
    "Reset",
    "check_spike_rule",
]


class Decay(enum.Enum):
    """How much of the membrane potential is left after one step."""

    EULER = "euler"
    """``1 - dt/tau``: forward Euler."""
    EXPONENTIAL = "exponential"
    """``exp(-dt/tau)``: the exact solution between two inputs."""
    SHIFT = "shift"
    """``1 - 2**-k`` with ``k`` the integer nearest to ``log2(tau/dt)``: no multiplier needed."""
    CONSTANT = "constant"
    """Everything, less a constant leak ``v_leak * dt/tau``: the IAF neuron."""
    NONE = "none"
    """Everything."""


class InputGain(enum.Enum):
    """The factor on the input ``R * I`` of a step."""

    DT_OVER_TAU = "dt/tau"
    ONE_MINUS_ALPHA = "1-alpha"
    ONE = "one"
    DT = "dt"
    """``dt``, for neurons without a time constant: NIR's ``dv/dt = R I``."""
    INTO_THRESHOLD = "into-threshold"
    """1 on ``I``; threshold, reset and leak are divided by ``R dt/tau`` instead.

    ``dt/tau`` for neurons without a threshold.
    """


class Accumulation(enum.Enum):
    """How the events of a step are summed."""

    STEP = "step"
    """Exactly, and overflow is applied once: the order of events does not matter."""
    EVENT = "event"
    """Each event overflows by itself, in ascending order of address, input by input."""
    SPIKING_EVENT = "spiking-event"
    """Each event goes to the potential by itself, which may spike at once: once an event."""


class Order(enum.Enum):
    """Whether the decay acts on the step's input."""

    DECAY_FIRST = "decay-first"
    """``v = decay(v) + input``."""
    INPUT_FIRST = "input-first"
    """``v = decay(v + input)``."""


class Comparison(enum.Enum):
    """When the membrane potential has reached the threshold."""

    GE = ">="
    GT = ">"


class Compared(enum.Enum):
    """Which membrane potential is compared with the threshold."""

    NEW = "new"
    """The one after decay and input: the spike and its cause share a step."""
    OLD = "old"
    """The one left by the step before: compare and reset, then decay and integrate."""


class Reset(enum.Enum):
    """What a spike does to the membrane potential."""

    TO_VALUE = "to-value"
    SUBTRACT = "subtract"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A rule of discretisation.

    Parameters
    ----------
    name
        Stated in reports and in the header of the generated Verilog.
    dt
        Length of a step, in the unit in which the network states ``tau``.
    decay, input_gain, order, comparison, compared, reset
        The rule of one step; see the enumerations.
    decay_at_least_one
        Makes a shift decay in fixed point take at least 1 from what is positive.
    integrator_gain
        The factor on the input of neurons without a time constant: ``ONE`` or ``DT``.
    synapse_gain, synapse_order
        Gain and order of the synaptic current of neurons that have one; its decay is ``decay``.
    max_spikes
        The most spikes that one neuron can emit in one step: 1, or ``2**n - 1``.
    max_output_spikes
        The same for neurons that lead to outputs alone, or ``None``.
    max_input_count
        What a count of an input is clipped to, or ``None``.
    refractory_steps
        Steps after a spiking one in which the membrane potential is held, whatever reaches it; a
        synaptic current goes on.
    floor
        Lowest membrane potential of neurons that spike, in thresholds, or ``None``; at most 0.
    integrator_floor
        The same for neurons without a time constant.
    input_delay, layer_delay, recurrent_delay
        Steps between a spike and its effect: on the way from an input, from one population to a
        later one, and on a way that closes a loop, at least 1.
    recurrent_bias_at_start
        Whether the bias of a connection that closes a loop acts before its first spikes can.
    accumulation
        How the events of a step are summed.
    rounding, overflow
        The rule of the membrane potential's register in fixed point.
    synapse_overflow
        The overflow of the synaptic current's register.
    staged_overflow
        Whether leak plus current, that plus bias, and the potential plus that overflow each.

    Raises
    ------
    TypeError
        If an option is not of its enumeration, or a number not an integer.
    ValueError
        If the name is empty or not printable, ``dt`` is not positive and finite, a number is
        outside its range, or options contradict each other.
    """

    name: str
    dt: float = 1.0
    decay: Decay = Decay.EULER
    decay_at_least_one: bool = False
    input_gain: InputGain = InputGain.DT_OVER_TAU
    integrator_gain: InputGain = InputGain.ONE
    synapse_gain: InputGain = InputGain.DT_OVER_TAU
    order: Order = Order.DECAY_FIRST
    synapse_order: Order = Order.DECAY_FIRST
    comparison: Comparison = Comparison.GE
    compared: Compared = Compared.NEW
    reset: Reset = Reset.TO_VALUE
    max_spikes: int = 1
    max_output_spikes: int | None = None
    max_input_count: int | None = None
    refractory_steps: int = 0
    floor: float | None = None
    integrator_floor: float | None = None
    input_delay: int = 0
    layer_delay: int = 0
    recurrent_delay: int = 1
    recurrent_bias_at_start: bool = True
    accumulation: Accumulation = Accumulation.STEP
    rounding: Rounding = Rounding.FLOOR
    overflow: Overflow = Overflow.SATURATE
    synapse_overflow: Overflow = Overflow.SATURATE
    staged_overflow: bool = False

    def __post_init__(self) -> None:
        self._check_kinds()
        if not (self.name and self.name.isprintable()):
            raise ValueError(f"name must be printable and not empty, not {self.name!r}")
        if not (math.isfinite(self.dt) and self.dt > 0):
            raise ValueError(f"dt must be positive and finite, not {self.dt!r}")
        for most in (self.max_spikes, self.max_output_spikes):
            if most is not None:
                check_spike_rule(self.reset, most, self.refractory_steps)
        if self.max_input_count is not None and not 1 <= self.max_input_count <= 255:
            raise ValueError(f"max_input_count must be 1 to 255, not {self.max_input_count!r}")
        for name in ("floor", "integrator_floor"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value <= 0):
                raise ValueError(f"{name} must be at most 0, or None, not {value!r}")
        for name, least in (("input_delay", 0), ("layer_delay", 0), ("recurrent_delay", 1)):
            if not least <= getattr(self, name) <= 255:
                raise ValueError(f"{name} must be {least} to 255, not {getattr(self, name)!r}")
        self._check_agreement()

    def _check_kinds(self) -> None:
        kinds = {
            "decay": Decay,
            "input_gain": InputGain,
            "integrator_gain": InputGain,
            "synapse_gain": InputGain,
            "order": Order,
            "synapse_order": Order,
            "comparison": Comparison,
            "compared": Compared,
            "reset": Reset,
            "accumulation": Accumulation,
            "rounding": Rounding,
            "overflow": Overflow,
            "synapse_overflow": Overflow,
        }
        for name, kind in kinds.items():
            if not isinstance(getattr(self, name), kind):
                raise TypeError(f"{name} must be a {kind.__name__}, not {getattr(self, name)!r}")
        optional = ("max_output_spikes", "max_input_count")
        delays = ("input_delay", "layer_delay", "recurrent_delay")
        for name in ("max_spikes", "refractory_steps", *delays, *optional):
            value = getattr(self, name)
            if value is not None or name not in optional:
                object.__setattr__(self, name, exact_integer(name, value))

    def _check_agreement(self) -> None:
        if self.integrator_gain not in (InputGain.ONE, InputGain.DT):
            raise ValueError(
                f"integrator_gain must be 'one' or 'dt', not {self.integrator_gain.value!r}"
            )
        for name in ("input_gain", "synapse_gain"):
            gain = getattr(self, name)
            if gain is InputGain.DT or (
                name == "synapse_gain" and gain is InputGain.INTO_THRESHOLD
            ):
                raise ValueError(f"{name} must be 'dt/tau', '1-alpha' or 'one', not {gain.value!r}")
        if self.decay_at_least_one and self.decay is not Decay.SHIFT:
            raise ValueError(
                f"decay_at_least_one must go with a shift decay, not {self.decay.value!r}"
            )
        if self.accumulation is Accumulation.SPIKING_EVENT and not (
            self.compared is Compared.NEW
            and self.reset is not Reset.NONE
            and self.refractory_steps == 0
        ):
            raise ValueError(
                "accumulation 'spiking-event' must go with the new potential compared, a reset and"
                " no refractory steps"
            )


def check_spike_rule(reset: Reset, max_spikes: int, refractory_steps: int) -> None:
    """Refuse combinations of reset, spikes per step and refractory steps that mean nothing.

    Raises
    ------
    ValueError
        If ``max_spikes`` is not ``2**n - 1`` from 1 to 1023 or needs a subtracting reset that is
        not there, or ``refractory_steps`` is outside 0 to 255.
    """
    if max_spikes not in {2**n - 1 for n in range(1, 11)}:
        raise ValueError(
            f"max_spikes must be 1, 3, 7, 15, 31, 63, 127, 255, 511 or 1023, not {max_spikes!r}"
        )
    if max_spikes > 1 and reset is not Reset.SUBTRACT:
        raise ValueError(
            f"max_spikes must be 1 where the reset is not by subtraction, not {max_spikes!r}"
        )
    if refractory_steps not in range(256):
        raise ValueError(f"refractory_steps must be 0 to 255, not {refractory_steps!r}")


TEXTBOOK_LIF = Profile(name="textbook", compared=Compared.OLD)
"""Forward Euler of ``tau dv/dt = -v + R I``; the old potential is tested first, tau in steps."""

TEXTBOOK_IAF = Profile(
    name="textbook-iaf", decay=Decay.CONSTANT, reset=Reset.SUBTRACT, max_spikes=255
)
"""Constant leak, ``tau dv/dt = -v_leak + R I``; reset by subtraction, many spikes a step."""

IAF = Profile(name="iaf", decay=Decay.NONE, input_gain=InputGain.ONE, reset=Reset.SUBTRACT)
"""Integrate and fire without leak; its spike rate is the rectified-linear unit of its input."""


_NORSE = Profile(name="norse", dt=1e-4, comparison=Comparison.GT, recurrent_bias_at_start=False)
_SINABS = Profile(
    name="sinabs",
    decay=Decay.EXPONENTIAL,
    input_gain=InputGain.ONE,
    synapse_gain=InputGain.ONE,
    synapse_order=Order.INPUT_FIRST,
    reset=Reset.SUBTRACT,
    max_spikes=1023,
    integrator_floor=-1.0,
)
_LAVA = Profile(
    name="lava",
    dt=1e-4,
    input_gain=InputGain.INTO_THRESHOLD,
    synapse_gain=InputGain.ONE,
    comparison=Comparison.GT,
    rounding=Rounding.TOWARD_ZERO,
    synapse_overflow=Overflow.WRAP,
    input_delay=1,
    layer_delay=1,
)


def _derived(base: Profile, name: str, **changes: Any) -> Profile:
    return replace(base, name=name, **changes)


PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        each.name: each
        for each in (
            TEXTBOOK_LIF,
            TEXTBOOK_IAF,
            IAF,
            _NORSE,
            _derived(_NORSE, "snntorch", input_gain=InputGain.INTO_THRESHOLD),
            _derived(_NORSE, "spinnaker2", input_gain=InputGain.INTO_THRESHOLD),
            _derived(
                _NORSE,
                "nengo",
                decay=Decay.EXPONENTIAL,
                input_gain=InputGain.ONE_MINUS_ALPHA,
            ),
            _derived(_NORSE, "spyx", compared=Compared.OLD, reset=Reset.SUBTRACT),
            _SINABS,
            _derived(
                _SINABS,
                "rockpool",
                dt=1e-4,
                input_gain=InputGain.DT_OVER_TAU,
                integrator_floor=None,
            ),
            _LAVA,
            _derived(_LAVA, "loihi"),
            Profile(
                name="xylo",
                decay=Decay.SHIFT,
                decay_at_least_one=True,
                input_gain=InputGain.ONE,
                synapse_gain=InputGain.ONE,
                synapse_order=Order.INPUT_FIRST,
                reset=Reset.SUBTRACT,
                max_spikes=31,
                max_output_spikes=1,
                max_input_count=15,
                layer_delay=1,
                accumulation=Accumulation.EVENT,
                staged_overflow=True,
            ),
            Profile(
                name="speck",
                decay=Decay.NONE,
                input_gain=InputGain.ONE,
                reset=Reset.SUBTRACT,
                max_spikes=255,
                integrator_floor=-1.0,
                accumulation=Accumulation.SPIKING_EVENT,
            ),
        )
    }
)
"""The rules of other tools by name.

Each was found in recordings that the tool made (``norse`` to ``xylo``: the NIR paper's LIF neuron
and networks, Intel's lava-dl, SynSense's XyloSim), save for ``speck``, which follows the data sheet
of DYNAP-CNN: additions event by event, at most one spike an event, no decay. ``dt`` is what the
recordings had; ``sinabs``, ``xylo`` and ``speck`` take time constants in steps.
"""
