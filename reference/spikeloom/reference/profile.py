"""Discretisation profiles: how continuous time becomes steps.

Two tools that read the same network give different spikes unless the rule of discretisation is
stated. A :class:`Profile` states it. It is made of general options only, so a rule that has no
preset can be written down too.
"""

import enum
import math
from dataclasses import dataclass

from spikeloom.reference.fixed import Overflow, Rounding, exact_integer

__all__ = [
    "TEXTBOOK_IAF",
    "TEXTBOOK_LIF",
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
    max_spikes
        The most spikes that one neuron can emit in one step: 1, or ``2**n - 1``.
    refractory_steps
        Steps after a spiking one in which the membrane potential is held and input is ignored.
    rounding, overflow
        The rule of the membrane potential's register in fixed point.

    Raises
    ------
    TypeError
        If an option is not of its enumeration, or a number not an integer.
    ValueError
        If the name is empty or not printable, ``dt`` is not positive and finite, or more than one
        spike a step is asked for without a subtracting reset.
    """

    name: str
    dt: float = 1.0
    decay: Decay = Decay.EULER
    input_gain: InputGain = InputGain.DT_OVER_TAU
    order: Order = Order.DECAY_FIRST
    comparison: Comparison = Comparison.GE
    compared: Compared = Compared.NEW
    reset: Reset = Reset.TO_VALUE
    max_spikes: int = 1
    refractory_steps: int = 0
    rounding: Rounding = Rounding.FLOOR
    overflow: Overflow = Overflow.SATURATE

    def __post_init__(self) -> None:
        kinds = {
            "decay": Decay,
            "input_gain": InputGain,
            "order": Order,
            "comparison": Comparison,
            "compared": Compared,
            "reset": Reset,
            "rounding": Rounding,
            "overflow": Overflow,
        }
        for name, kind in kinds.items():
            if not isinstance(getattr(self, name), kind):
                raise TypeError(f"{name} must be a {kind.__name__}, not {getattr(self, name)!r}")
        for name in ("max_spikes", "refractory_steps"):
            object.__setattr__(self, name, exact_integer(name, getattr(self, name)))
        if not (self.name and self.name.isprintable()):
            raise ValueError(f"name must be printable and not empty, not {self.name!r}")
        if not (math.isfinite(self.dt) and self.dt > 0):
            raise ValueError(f"dt must be positive and finite, not {self.dt!r}")
        check_spike_rule(self.reset, self.max_spikes, self.refractory_steps)


def check_spike_rule(reset: Reset, max_spikes: int, refractory_steps: int) -> None:
    """Refuse combinations of reset, spikes per step and refractory steps that mean nothing.

    Raises
    ------
    ValueError
        If ``max_spikes`` is not ``2**n - 1`` from 1 to 255 or needs a subtracting reset that is
        not there, or ``refractory_steps`` is outside 0 to 255.
    """
    if max_spikes not in {2**n - 1 for n in range(1, 9)}:
        raise ValueError(f"max_spikes must be 1, 3, 7, 15, 31, 63, 127 or 255, not {max_spikes!r}")
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
