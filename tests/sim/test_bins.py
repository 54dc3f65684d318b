"""Situations are reached when they occur, and left out when they cannot."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from spikeloom.reference.fixed import Overflow, QFormat
from spikeloom.reference.maps import Dense
from spikeloom.reference.network import Connection, FixedInput, FixedNetwork, FixedPopulation
from spikeloom.reference.neuron_fixed import DecayRule, NeuronConfig
from spikeloom.reference.profile import Accumulation, Compared, Comparison, Order, Reset
from spikeloom.reference.scenario import Scenario
from spikeloom.sim.bins import Bin, golden_bins
from spikeloom.sim.campaign import corner_scenarios


def _network(weight: np.ndarray, **options: Any) -> FixedNetwork:
    size = weight.shape[1]
    plain = {"size": size, "state": QFormat(word_length=8), "current_width": 8, "threshold": 20}
    population = FixedPopulation(
        shape=(size,),
        neurons=NeuronConfig(**(plain | options)),
        connections=(Connection(source="in", maps=(Dense(weight),)),),
    )
    entry = FixedInput(shape=(len(weight),), low=-100, high=100)
    if options.get("accumulation", Accumulation.STEP) is not Accumulation.STEP:
        entry = FixedInput(shape=(len(weight),), high=100)
    return FixedNetwork({"in": entry}, {"a": population}, {"out": "a"}, "t")


def _bins(currents: Sequence[int], **options: Any) -> dict[str, Bin]:
    """Of one neuron to which one source sends what comes in."""
    network = _network(np.array([[1]]), **options)
    scenario = Scenario.of(network, np.array(currents).reshape(1, -1, 1))
    bins = golden_bins(network, [scenario])
    return {each.name.removeprefix("a: "): each for each in bins if each.name.startswith("a: ")}


def test_silence_reaches_nothing_at_a_floor_of_0():
    assert not _bins([0, 0, 0], floor=0)["the floor"].reached
    assert not _bins([5, -5], floor=0)["the floor"].reached
    assert _bins([5, -6], floor=0)["the floor"].reached


def test_the_end_of_a_word_is_no_saturation():
    high = {"threshold": 120, "comparison": Comparison.GT, "reset": Reset.NONE}
    assert not _bins([100, 27], **high)["saturation at the top"].reached
    assert _bins([100, 28], **high)["saturation at the top"].reached
    assert not _bins([-100, -28])["saturation at the bottom"].reached
    assert _bins([-100, -29])["saturation at the bottom"].reached
    # Above a floor, too.
    assert _bins([-100, -100], floor=-90)["the floor"].reached
    assert _bins([-100, -100], floor=-90)["saturation at the bottom"].reached


@pytest.mark.parametrize("compared", list(Compared))
@pytest.mark.parametrize("reset", list(Reset))
def test_the_reset_hides_nothing(compared, reset):
    """Of 19, 20 and 128, in words of eight bits."""
    at = "the potential exactly at the threshold"
    below = "the potential one below the threshold"
    options = {"compared": compared, "reset": reset, "threshold": 20}
    assert not _bins([18, 0], **options)[below].reached
    assert _bins([19, 0], **options)[below].reached
    assert not _bins([19, 0], **options)[at].reached
    assert _bins([20, 0], **options)[at].reached
    top = {"compared": compared, "reset": reset, "threshold": 127}
    assert not _bins([100, 27, 0], **top)["saturation at the top"].reached
    assert _bins([100, 28, 0], **top)["saturation at the top"].reached


def test_what_a_refractory_neuron_does_not_keep_has_not_happened():
    options = {"threshold": 50, "reset": Reset.TO_VALUE, "refractory_steps": 1}
    assert not _bins([100, -100, -100], **options)["saturation at the bottom"].reached
    assert not _bins([100, -100, -50], **options)["the refractory steps running out"].unreachable
    seen = _bins([100, -100, -50, -50, -50], **options)
    assert seen["saturation at the bottom"].reached
    assert seen["the refractory steps running out"].reached


@pytest.mark.parametrize(("second", "reached"), [(1, False), (10, True)])
def test_what_an_event_does_not_reach_has_not_happened(second, reached):
    """The first neuron is left at its threshold by an event; another event is of the second."""
    weight = np.array([[20, 0], [0, second]])
    network = _network(weight, threshold=10, accumulation=Accumulation.SPIKING_EVENT)
    bins = golden_bins(network, [Scenario.of(network, np.array([[[1, 1]]]))])
    (at,) = (each for each in bins if each.name.endswith("exactly at the threshold"))
    assert at.reached is reached


def test_leaks_of_negative_potentials():
    leak = "a leak of a negative potential"
    options = {"decay_rule": DecayRule.SHIFT, "decay": 1}
    assert not _bins([5, 5, -3], **options)[leak].reached
    assert _bins([5, 5, -9, 0], **options)[leak].reached
    # Above a floor of 0 only a sum can be negative, where it is what decays.
    assert _bins([5, -9, 0], floor=0, **options)[leak].unreachable
    assert _bins([5, -9, 0], floor=0, order=Order.INPUT_FIRST, **options)[leak].reached


@pytest.mark.parametrize(
    ("options", "what", "words"),
    [
        ({"state": QFormat(word_length=16)}, "", ""),
        (
            {"state": QFormat(word_length=16), "reset": Reset.TO_VALUE},
            "saturation at the top",
            "its sums are at most 119, whatever",
        ),
        ({"state": QFormat(word_length=16), "floor": -5}, "saturation at the bottom", "least -105"),
        ({"max_spikes": 7}, "the maximum count, 7", "no potential is enough"),
        ({"max_spikes": 3}, "", ""),
        ({"threshold": 127, "comparison": Comparison.GT}, "address 0", "this neuron never spikes"),
        (
            {"state": QFormat(word_length=8, overflow=Overflow.WRAP)},
            "saturation at the top",
            "its sums wrap",
        ),
        ({}, "the floor", "it has no floor"),
        ({}, "a leak of a negative potential", "it has no leak"),
        ({}, "the refractory steps running out", "it has no refractory steps"),
    ],
)
def test_what_cannot_be_is_left_out(options, what, words):
    """One source of -100 to 100."""
    bins = _bins([100, -100], **options)
    if what:
        assert words in bins[what].unreachable
        assert not bins[what].reached
    else:
        ends = ("saturation at the top", "saturation at the bottom", "the maximum count, 3")
        assert not any(bins[end].unreachable for end in ends if end in bins)
    never = {each.name for each in bins.values() if each.unreachable and each.reached}
    assert not never


SMALL = (
    {"floor": -5},
    {"max_spikes": 7},
    {"threshold": 60, "reset": Reset.TO_VALUE},
    {"compared": Compared.OLD},
    {"refractory_steps": 2, "reset": Reset.TO_VALUE},
    {"state": QFormat(word_length=24), "reset": Reset.TO_VALUE, "floor": -30},
    {"comparison": Comparison.GT, "decay_rule": DecayRule.MULTIPLIER, "decay": 200},
)


@pytest.mark.parametrize("options", SMALL)
def test_corners_of_small_networks_get_everywhere(options):
    weight = np.random.default_rng(1).integers(-15, 24, (5, 3))
    neurons = {"size": 3, "state": QFormat(word_length=8), "current_width": 8, "threshold": 20}
    population = FixedPopulation(
        shape=(3,),
        neurons=NeuronConfig(**(neurons | options)),
        connections=(Connection(source="in", maps=(Dense(weight),)),),
    )
    network = FixedNetwork({"in": FixedInput(shape=(5,))}, {"a": population}, {"out": "a"}, "t")
    bins = golden_bins(network, corner_scenarios(SimpleNamespace(network=network)))
    assert [each.name for each in bins if not (each.reached or each.unreachable)] == []
    assert [each.name for each in bins if each.reached and each.unreachable] == []
