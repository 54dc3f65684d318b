"""What speaks for a design: what was proven, what was tested, and what was not."""

import enum
from dataclasses import dataclass

__all__ = ["Evidence", "Strength"]


class Strength(enum.Enum):
    """How much a piece of evidence says."""

    INDUCTIVE = "proven"
    """For all inputs, and any number of cycles."""
    BOUNDED = "proven up to a bound"
    """For all inputs, and as many cycles as the detail says."""
    TESTED = "tested"
    """For the inputs that were tried."""
    PARTIAL = "tested in part"
    """What was tried did not get everywhere; the detail says where not."""
    OMITTED = "not done"
    """The detail says why."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One thing that was looked at.

    Attributes
    ----------
    group
        What it belongs to, such as ``proofs`` or ``mutants``.
    name
        The statement, such as ``the update of hidden equals the specification``.
    strength
        How much it says.
    passed
        Whether the statement holds, as far as it was looked at; not of what was not done, or in
        part.
    detail
        What was seen, in words: bounds, counts, what a failure looks like.
    repeat
        What repeats it: a seed, or a command.
    seconds
        How long it took.
    """

    group: str
    name: str
    strength: Strength
    passed: bool
    detail: str = ""
    repeat: str = ""
    seconds: float = 0.0

    @property
    def open(self) -> bool:
        """Whether it says neither that the statement holds nor that it does not."""
        return self.strength in (Strength.PARTIAL, Strength.OMITTED)

    @property
    def fails(self) -> bool:
        """Whether it says that the statement does not hold."""
        return not self.passed and not self.open
