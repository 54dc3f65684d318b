"""That the neurons that are proven have all options that there are, and all bugs planted."""

import enum
from collections.abc import Iterable

import pytest

from spikeloom.reference.fixed import Overflow, Rounding
from spikeloom.reference.neuron_fixed import DecayRule, Emission, NeuronConfig
from spikeloom.reference.profile import Accumulation, Compared, Comparison, Order, Reset
from spikeloom.sim.formal.options import option_neurons
from spikeloom.sim.formal.planted import faulty_neurons
from spikeloom.sim.formal.prove import preset_proofs

ENUMS = (
    *(Accumulation, Compared, Comparison, DecayRule, Emission),
    *(Order, Overflow, Reset, Rounding),
)


def proven(width: int) -> list[NeuronConfig]:
    """What is proven, as the proofs have it."""
    return [proof.claim.args[0].config for proof in preset_proofs([width])]


def values(config: NeuronConfig) -> Iterable[object]:
    """All options of a neuron's membrane."""
    yield from (vars(config) | vars(config.state)).values()


def find_unproven(configs: list[NeuronConfig]) -> list[enum.Enum]:
    seen = [value for config in configs for value in values(config)]
    return [member for kind in ENUMS for member in kind if not any(member is each for each in seen)]


@pytest.mark.parametrize("width", [8, 16, 24])
def test_each_option_is_proven(width: int) -> None:
    configs = proven(width)
    assert {config.state.word_length for config in configs} == {width}
    assert find_unproven(configs) == []
    # Options that are no enumerations, or that two registers or rules have.
    spiking = [each for each in configs if each.emission is Emission.SPIKES]
    assert {each.floor is None for each in spiking} == {True, False}
    assert {each.refractory_steps > 0 for each in spiking} == {True, False}
    assert {each.max_spikes > 1 for each in spiking} == {True, False}
    assert {each.reset for each in spiking} == set(Reset)
    assert {each.staged_overflow for each in configs} == {True, False}
    assert {each.shift_at_least_one for each in configs} == {True, False}
    synapses = [each.synapse for each in configs if each.synapse is not None]
    for kind in (Overflow, Rounding):
        assert {getattr(each.state, kind.__name__.lower()) for each in synapses} == set(kind)
    assert {each.order for each in synapses} == set(Order)
    assert {each.decay_rule for each in synapses} == set(DecayRule)
    for rule in (DecayRule.MULTIPLIER, DecayRule.SHIFT):
        rounded = {each.state.rounding for each in configs if each.decay_rule is rule}
        assert rounded == set(Rounding)
    for accumulation in Accumulation:
        alike = [each for each in configs if each.accumulation is accumulation]
        assert {each.floor is None for each in alike} == {True, False}
        assert {each.state.overflow for each in alike} == set(Overflow)


def test_an_option_that_is_forgotten_is_found() -> None:
    rest = [each for each in proven(8) if each.state.rounding is not Rounding.NEAREST_EVEN]
    assert find_unproven(rest) == [Rounding.NEAREST_EVEN]


def test_each_bug_is_planted() -> None:
    widths = [8, 16, 24]
    planted = {proof.twin.name.rpartition(": ")[2] for proof in preset_proofs(widths)}
    known = {name for width in widths for each in proven(width) for name in faulty_neurons(each)}
    assert planted == known


@pytest.mark.parametrize("width", [8, 16, 24])
def test_the_bug_of_an_option_is_planted(width: int) -> None:
    twins = [proof.twin.name for proof in preset_proofs([width])]
    for each in option_neurons(width):
        assert any(name.startswith(each.label) and name.endswith(each.fault) for name in twins)
