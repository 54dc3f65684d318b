"""Bugs planted into what is proven: a proof that does not find its own proves nothing."""

import enum
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import stream

from spikeloom.reference.fixed import Overflow, Rounding
from spikeloom.reference.neuron_fixed import DecayRule, Emission, NeuronConfig
from spikeloom.reference.profile import Accumulation, Compared, Comparison, Order, Reset
from spikeloom.sim.formal.proof import Claim, Method, Proof
from spikeloom.sim.formal.update import Update, comparison_claim, event_claim, step_claim, update_of

__all__ = [
    "FLOOR_FAULT",
    "REFRACTORY_FAULT",
    "ROUNDING_FAULT",
    "STATE_FAULT",
    "SYNAPSE_FAULT",
    "Fault",
    "disturbed",
    "faulty_neurons",
    "planted_holder",
    "planted_progress",
    "planted_stream",
    "planted_update",
]

UpdateClaim = Callable[[Update, Update | None], Claim]

FLOOR_FAULT = "no floor"
REFRACTORY_FAULT = "a refractory step too many"
ROUNDING_FAULT = "another rounding of the state"
STATE_FAULT = "another overflow of the state"
SYNAPSE_FAULT = "another overflow of the synaptic current"
_COMPARISON = "another comparison with the threshold"
_BIAS = "another bias"


class Fault(enum.Enum):
    """What can be wrong with what a stream brings."""

    WITHDRAWN = "an offer is withdrawn while it waits"
    CHANGED_WAITING = "an offer changes while it waits"
    LOST = "the second element is lost"
    DOUBLED = "the second element comes twice"
    CHANGED = "the second element changes"
    SWAPPED = "the first two elements change places"
    STUCK = "nothing comes any more"


def disturbed(m: Module, end: Any, fault: Fault) -> Any:
    """The stream behind a fault.

    Parameters
    ----------
    m
        Where the fault is.
    end
        The stream before it.
    fault
        What is wrong.
    """
    out = stream.Signature(end.payload.shape()).create(path=("disturbed",))
    payload = Value.cast(out.payload)
    came = Value.cast(end.payload)
    waited = Signal()
    number = Signal(2)
    moves = out.valid & out.ready
    m.d.sync += waited.eq(out.valid & ~out.ready)
    m.d.comb += [payload.eq(came), out.valid.eq(end.valid), end.ready.eq(out.ready)]
    with m.If(moves & (number != 3)):
        m.d.sync += number.eq(number + 1)
    match fault:
        case Fault.WITHDRAWN:
            with m.If(waited):
                m.d.comb += [out.valid.eq(0), end.ready.eq(0)]
        case Fault.CHANGED_WAITING:
            m.d.comb += payload.eq(came ^ waited)
        case Fault.CHANGED:
            # The highest bit: the lowest ones of an event are its kind.
            m.d.comb += payload.eq(came ^ ((number == 1) << (len(came) - 1)))
        case Fault.LOST:
            with m.If(number == 1):
                m.d.comb += [out.valid.eq(0), end.ready.eq(1)]
                m.d.sync += number.eq(Mux(end.valid, 2, 1))
        case Fault.STUCK:
            m.d.comb += [out.valid.eq(0), end.ready.eq(0)]
        case Fault.DOUBLED:
            with m.If(number == 1):
                m.d.comb += end.ready.eq(0)
        case Fault.SWAPPED:
            first = Signal(len(came))
            with m.If(number == 0):
                m.d.comb += [out.valid.eq(0), end.ready.eq(1)]
                m.d.sync += [first.eq(came), number.eq(end.valid)]
            with m.If(number == 2):
                m.d.comb += [payload.eq(first), out.valid.eq(1), end.ready.eq(0)]
    return out


def faulty_neurons(config: NeuronConfig) -> dict[str, NeuronConfig]:
    """Neurons that compute something else, by what is wrong with them.

    Each differs for some input, as long as it is not said that a parameter has but one value.
    """
    wrong: dict[str, dict[str, Any]] = {}
    if config.emission is Emission.SPIKES:
        other = Comparison.GT if config.comparison is Comparison.GE else Comparison.GE
        wrong[_COMPARISON] = {"comparison": other}
    word = config.state
    wraps = word.overflow is Overflow.WRAP
    overflow = Overflow.SATURATE if wraps else Overflow.WRAP
    wrong[STATE_FAULT] = {"state": replace(word, overflow=overflow)}
    if config.refractory_steps and config.emission is Emission.SPIKES:
        wrong[REFRACTORY_FAULT] = {"refractory_steps": config.refractory_steps + 1}
    if config.floor is not None:
        wrong[FLOOR_FAULT] = {"floor": None}
    if config.decay_rule in (DecayRule.MULTIPLIER, DecayRule.SHIFT):
        floor = word.rounding is Rounding.FLOOR
        rounding = Rounding.NEAREST_EVEN if floor else Rounding.FLOOR
        wrong[ROUNDING_FAULT] = {"state": replace(word, rounding=rounding)}
    if config.decay_rule is DecayRule.MULTIPLIER and not config.staged_overflow:
        first = config.order is Order.DECAY_FIRST
        order = Order.INPUT_FIRST if first else Order.DECAY_FIRST
        wrong["another order of decay and input"] = {"order": order}
    if config.shift_at_least_one:
        wrong["a decay that stops above 0"] = {"shift_at_least_one": False}
    if config.synapse is not None:
        state = config.synapse.state
        wraps = state.overflow is Overflow.WRAP
        overflow = Overflow.SATURATE if wraps else Overflow.WRAP
        synapse = replace(config.synapse, state=replace(state, overflow=overflow))
        wrong[SYNAPSE_FAULT] = {"synapse": synapse}
    if isinstance(config.bias, int):
        wrong[_BIAS] = {"bias": config.bias + (1 if config.bias <= 0 else -1)}
    at_once = config.accumulation is not Accumulation.SPIKING_EVENT
    if at_once and config.reset is not Reset.NONE and config.max_spikes == 1:
        wrong["no reset"] = {"reset": Reset.NONE}
    if at_once and config.emission is Emission.SPIKES:
        new = config.compared is Compared.NEW
        wrong["the other potential compared"] = {"compared": Compared.OLD if new else Compared.NEW}
    return {name: replace(config, **changes) for name, changes in wrong.items()}


def planted_update(
    label: str, claim: UpdateClaim, update: Update, fault: str | None = None
) -> Proof:
    """The proof of a claim about neurons that are faulty.

    Parameters
    ----------
    label
        Whose update it is.
    claim
        What is claimed of it.
    update
        The right update.
    fault
        What is wrong, a name of :func:`faulty_neurons`; where it does not show in the claim, or
        ``None``, one of those that do, by the label.
    """
    config = update.config
    if update.late_bias and claim is step_claim:
        # A faulty update is made of a configuration, which has no late biases.
        return _planted_update(f"{label}: no late biases", claim, update, config)
    faults = faulty_neurons(config)
    shown = _shown(claim, config)
    known = [name for name in faults if (name in shown) is (claim is not step_claim)]
    if config.accumulation is Accumulation.SPIKING_EVENT:
        # A step ends with the bias as its last event, and where that is 0 with none.
        ends = claim is step_claim and _BIAS in faults
        known = [_BIAS] if ends else [name for name in faults if name != _BIAS]
    if fault not in known:
        fault = known[zlib.crc32(label.encode()) % len(known)]
    return _planted_update(f"{label}: {fault}", claim, update, faults[fault])


def _planted_update(name: str, claim: UpdateClaim, update: Update, faulty: NeuronConfig) -> Proof:
    return Proof(
        name=name,
        claim=partial(claim, update, update_of(faulty)),
        method=Method.COMBINATIONAL,
    )


def _shown(claim: UpdateClaim, config: NeuronConfig) -> set[str]:
    """Faults that show in the claim about events or comparisons, or else in that about a step."""
    many, synapse = config.max_spikes > 1, config.synapse is not None
    comparisons = {_COMPARISON} if many else set()
    events = {SYNAPSE_FAULT if synapse else STATE_FAULT}
    if claim is step_claim:
        events -= {STATE_FAULT}
    if claim is comparison_claim:
        return comparisons
    if claim is event_claim:
        return events
    one_by_one = config.accumulation is Accumulation.EVENT
    return comparisons | (events if one_by_one else set())


def planted_stream(label: str, claim: Callable[..., Claim]) -> Proof:
    """The proof that streams keep to the handshake, with a fault behind each.

    Parameters
    ----------
    label
        Whose streams they are.
    claim
        The claim, which takes what is ``behind``.
    """
    return _planted(label, claim, (Fault.WITHDRAWN, Fault.CHANGED_WAITING), 20)


def planted_holder(label: str, claim: Callable[..., Claim], depth: int) -> Proof:
    """The proof that nothing is lost, doubled or swapped, with a fault behind what holds it.

    Parameters
    ----------
    label
        What holds it.
    claim
        The claim, which takes what is ``behind``.
    depth
        Cycles that are looked at.
    """
    faults = (Fault.LOST, Fault.DOUBLED, Fault.CHANGED, Fault.SWAPPED)
    return _planted(label, claim, faults, depth)


def planted_progress(label: str, claim: Callable[..., Claim], depth: int) -> Proof:
    """The proof that a network goes on, with outputs from which nothing comes.

    Parameters
    ----------
    label
        Which network it is.
    claim
        The claim, which takes what is ``behind``.
    depth
        Cycles that are looked at.
    """
    return _planted(label, claim, (Fault.STUCK,), depth)


def _planted(label: str, claim: Callable[..., Claim], faults: Sequence[Fault], depth: int) -> Proof:
    fault = faults[zlib.crc32(label.encode()) % len(faults)]

    def behind(m: Module, end: Any) -> Any:
        return disturbed(m, end, fault)

    return Proof(
        name=f"{label}: {fault.value}",
        claim=partial(claim, behind=behind),
        method=Method.BOUNDED,
        depth=depth,
        resets=False,
    )
