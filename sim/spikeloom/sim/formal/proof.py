"""A proof that can be run, and what came of it."""

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from amaranth.hdl import Module, Value

from spikeloom.sim.evidence import Evidence, Strength

__all__ = ["Claim", "Method", "Outcome", "Proof", "Verdict"]


@dataclass(frozen=True)
class Claim:
    """A circuit that asserts something.

    Attributes
    ----------
    module
        The circuit, with assertions and assumptions.
    inputs
        What may be anything in each cycle, besides the reset; and constants of unknown value.
    """

    module: Module
    inputs: Sequence[Value]


class Method(enum.Enum):
    """How a claim is proven."""

    COMBINATIONAL = "for all inputs; there are no registers"
    INDUCTION = "by induction over the cycles"
    BOUNDED = "for all inputs, in so many cycles from reset"


@dataclass(frozen=True, kw_only=True)
class Proof:
    """A proof that can be run.

    Attributes
    ----------
    name
        The statement.
    claim
        Makes the circuit that asserts it.
    method
        How it is proven.
    depth
        Cycles that an induction looks back, or that are looked at. One suffices where there are no
        registers.
    any_memory
        Whether memories, those that are never written too, may hold anything at the start, rather
        than what they begin with.
    resets
        Whether a reset may come in any cycle, rather than never.
    detail
        What else must be known of it, such as bounds and assumptions.
    twin
        The same with a bug planted, which must fail.

    Raises
    ------
    ValueError
        If the depth is below 1.
    """

    name: str
    claim: Callable[[], Claim]
    method: Method
    depth: int = 1
    any_memory: bool = False
    resets: bool = True
    detail: str = ""
    twin: "Proof | None" = None

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise ValueError(f"the depth of a proof must be at least 1, not {self.depth}")


class Verdict(enum.Enum):
    """What came of a proof."""

    PROVEN = "proven"
    FAILED = "a counterexample was found"
    UNKNOWN = "neither proven nor refuted"
    TIMEOUT = "not finished in time"
    ERROR = "the tools failed"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a proof.

    Attributes
    ----------
    proof
        The proof.
    verdict
        What came of it.
    cycle
        The cycle in which the counterexample breaks the statement.
    broken
        The assertion that it breaks, or where an induction gets no further.
    trace
        The counterexample, or what an induction cannot rule out: a VCD file.
    seconds
        How long it took.
    log
        What the tools said.
    """

    proof: Proof
    verdict: Verdict
    cycle: int | None = None
    broken: str = ""
    trace: Path | None = None
    seconds: float = 0.0
    log: str = field(default="", repr=False)

    @property
    def inductive(self) -> bool:
        """Whether the statement is proven for any number of cycles."""
        return self.verdict is Verdict.PROVEN and self.proof.method is not Method.BOUNDED

    def evidence(self) -> Evidence:
        """The outcome as a piece of evidence."""
        proof = self.proof
        strength = Strength.BOUNDED if proof.method is Method.BOUNDED else Strength.INDUCTIVE
        return Evidence(
            group="proofs",
            name=proof.name,
            strength=strength,
            passed=self.verdict is Verdict.PROVEN,
            detail="; ".join(part for part in (self._seen(), proof.detail) if part),
            seconds=self.seconds,
        )

    def _seen(self) -> str:
        proof = self.proof
        match self.verdict:
            case Verdict.PROVEN if proof.method is Method.BOUNDED:
                return f"{proof.depth} cycles from reset"
            case Verdict.PROVEN if proof.method is Method.INDUCTION:
                return f"by induction, {proof.depth} cycles back"
            case Verdict.PROVEN:
                return ""
            case Verdict.FAILED:
                which = f" of {self.broken!r}" if self.broken else ""
                when = "" if proof.method is Method.COMBINATIONAL else f" in cycle {self.cycle}"
                return f"a counterexample{which}{when}: {self.trace}"
            case Verdict.UNKNOWN if self.broken:
                return f"neither proven nor refuted: the induction breaks {self.broken!r}"
            case _:
                return self.verdict.value
