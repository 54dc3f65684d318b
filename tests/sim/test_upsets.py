"""Bits that flip: what the hardware makes of them, against the golden model of what they leave."""

import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from general_networks import dense, draw_stimulus, network, population

from spikeloom.reference.maps import Dense
from spikeloom.reference.network import FixedInput, FixedNetwork
from spikeloom.reference.scenario import Scenario
from spikeloom.reference.simulate import run_fixed
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.protection import Protection
from spikeloom.rtl_gen.weights import WeightStore
from spikeloom.sim.evidence import Strength
from spikeloom.sim.runner import SimulationError
from spikeloom.sim.upset_player import Flip, Part, Trial, UpsetPlayer
from spikeloom.sim.upsets import Fate, Kind, Upsets, inject, kind_of

pytestmark = [
    pytest.mark.skipif(shutil.which("g++") is None, reason="g++ was not found"),
    # What one test builds, the next finds built.
    pytest.mark.xdist_group("upsets"),
]

INPUTS, HIDDEN, LANES = 7, 5, 2


def small() -> FixedNetwork:
    """Seven inputs, five neurons that keep what they have, three that say what it was."""
    rng = random.Random(5)
    hidden = population(rng, (HIDDEN,), dense(rng, "in", INPUTS, HIDDEN))
    out = population(rng, (3,), dense(rng, "hidden", HIDDEN, 3))
    return network({"in": FixedInput(shape=(INPUTS,))}, {"hidden": hidden, "out": out}, "out")


def stimulus(net: FixedNetwork) -> np.ndarray:
    """Three samples in which input 2 is silent."""
    values = draw_stimulus(random.Random(7), net, 3, 5)["in"]
    values[:, :, 2] = 0
    return values


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("upsets")


@pytest.fixture(scope="module")
def guarded(folder: Path) -> tuple[NetworkTop, Scenario, Path]:
    net = small()
    stores = (WeightStore.SPRAM, WeightStore.AUTO)
    top = NetworkTop(net, LANES, stores, protection=Protection(parity=True, ecc=True))
    return top, Scenario.of(net, stimulus(net)), folder / "guarded"


@pytest.fixture(scope="module")
def plain(folder: Path) -> tuple[NetworkTop, Scenario, Path]:
    net = small()
    return NetworkTop(net, LANES), Scenario.of(net, stimulus(net)), folder / "plain"


def numbered(player: UpsetPlayer, name: str) -> int:
    return [each.name for each in player.parts].index(name)


def test_parity_notices_each_weight(guarded) -> None:
    """Each bit of the loaded weights: noticed if its input was active, and then alone."""
    player = UpsetPlayer(*guarded)
    weights = numbered(player, "population_0 core synapses weights memory")
    part = player.parts[weights]
    assert (part.depth, part.memory) == (INPUTS * -(-HIDDEN // LANES), True)
    every = [(word, bit) for word in range(part.depth) for bit in range(part.width)]
    trials = [Trial(0, (Flip(0, weights, *each),), 2) for each in every]
    outcomes = player.play(trials)
    heard = guarded[1].stimulus.any(axis=(0, 1))
    assert heard.tolist() == [k != 2 for k in range(INPUTS)]
    place = player.alarms.index("weight_error")
    for (word, _), outcome in zip(every, outcomes, strict=True):
        assert outcome.alarms[place] == heard[word % INPUTS]
        assert sum(outcome.alarms) == heard[word % INPUTS]
        assert heard[word % INPUTS] or set(outcome.ends) == {"equal"}
    assert sum("wrong" in each.ends for each in outcomes) > len(every) // 4


def test_code_puts_each_state_right(guarded) -> None:
    """Each bit of all states, at several times; of two bits of a state nothing goes unnoticed."""
    player = UpsetPlayer(*guarded)
    state = numbered(player, "population_0 core neurons state")
    part = player.parts[state]
    times = range(10, player.cycles[1], player.cycles[1] // 4)
    every = [
        Flip(cycle, state, word, bit)
        for cycle in times
        for word in range(part.depth)
        for bit in range(part.width)
    ]
    for outcome in player.play([Trial(1, (each,), 0) for each in every]):
        assert outcome.ends == ("equal",)
        assert not any(outcome.alarms)
    width, rng = part.width // LANES, random.Random(1)
    pairs = []
    for each in every[::3]:
        lane = each.bit // width
        other = lane * width + (each.bit + rng.randrange(1, width)) % width
        pairs.append((each, replace(each, bit=other)))
    twice = player.play([Trial(1, pair, 0) for pair in pairs])
    noticed = [each.alarms[player.alarms.index("state_error")] for each in twice]
    assert any(noticed)
    for outcome, told in zip(twice, noticed, strict=True):
        assert told or outcome.ends == ("equal",)
    # One bit of each of two neurons of a row is one of each.
    apart = [(each, replace(each, bit=(each.bit + width) % part.width)) for each in every[::3]]
    for outcome in player.play([Trial(1, pair, 0) for pair in apart]):
        assert outcome.ends == ("equal",)


def test_flipped_weights_are_other_weights(plain) -> None:
    """What comes out is what the golden model makes of a network with that weight, as long as the
    accumulators, which are as wide as the right weights need, hold its sums."""
    top, scenario, _ = plain
    player = UpsetPlayer(*plain)
    weights = numbered(player, "population_0 core synapses weights memory")
    net, width = top.network, top.populations[0].weights.width
    rng = random.Random(2)
    flips, expected = [], []
    while len(flips) < 40:
        source, neuron, bit = rng.randrange(INPUTS), rng.randrange(HIDDEN), rng.randrange(width)
        hidden = net.populations["hidden"]
        (heard,) = hidden.connections
        weight = heard.maps[-1].weight.copy()
        word = (int(weight[source, neuron]) & ((1 << width) - 1)) ^ 1 << bit
        weight[source, neuron] = word - (word >> (width - 1) << width)
        column, held = weight[:, neuron], hidden.neurons.current
        if np.minimum(column, 0).sum() < held.min or np.maximum(column, 0).sum() > held.max:
            continue
        row = neuron // LANES * INPUTS + source
        flips.append(Flip(0, weights, row, neuron % LANES * width + bit))
        changed = replace(hidden, connections=(replace(heard, maps=(Dense(weight),)),))
        other = replace(net, populations={**net.populations, "hidden": changed})
        expected.append(run_fixed(other, scenario.stimulus).output)
    for outcome, output in zip(
        player.play([Trial(0, (each,), 2) for each in flips]), expected, strict=True
    ):
        equal = (output == scenario.spikes).all(axis=(1, 2)).tolist()
        assert outcome.ends == tuple("equal" if each else "wrong" for each in equal)
        assert list(outcome.decisions) == output.sum(axis=1).argmax(axis=1).tolist()


def test_control_hangs_or_loses_count(plain) -> None:
    """A tick that is forgotten hangs the network; a reset helps."""
    player = UpsetPlayer(*plain)
    filled = [numbered(player, f"population_1 core sources filled_{k}") for k in range(2)]
    trials = [
        Trial(0, (Flip(cycle, part, 0, 0),), 1)
        for part in filled
        for cycle in range(player.cycles[0])
    ]
    outcomes = player.play(trials)
    assert any("hung" in each.ends for each in outcomes)
    assert any(each.ends == ("equal", "equal") for each in outcomes)
    assert all(each.cured for each in outcomes)


def test_report(guarded, plain) -> None:
    """The same seed, the same report; what is not guarded is not said to be."""
    report = inject(*guarded, count=40, seed=3)
    assert [each.fate for each in report.upsets] == [
        each.fate for each in inject(*guarded, count=40, seed=3).upsets
    ]
    assert all(fates.total() == 40 for fates in report.fates.values())
    assert report.fates[Kind.STATE] == {Fate.MASKED: 40}
    assert [each.strength for each in report.evidence()] == [Strength.TESTED] * 4
    assert all(each.passed for each in report.evidence())
    figures = report.figures()
    assert figures["upsets.state.masked"] == ("%", 100)
    assert figures["upsets.weights.bits"][1] == report.bits[Kind.WEIGHTS]

    report = inject(*plain, count=40, seed=3)
    assert report.fates[Kind.STATE][Fate.TRANSIENT] > 0
    assert report.fates[Kind.WEIGHTS][Fate.LASTING] > 0
    strengths = [each.strength for each in report.evidence()]
    assert strengths == [Strength.TESTED] * 2 + [Strength.OMITTED] * 2
    assert not any(each.passed for each in report.evidence()[2:])


def test_evidence_tells_of_failures(guarded, plain) -> None:
    """What is said of guards does not hold of a network without."""
    report = inject(*plain, count=40, seed=3)
    claimed = replace(report, guarded={"parity": True, "ecc": True})
    for each in claimed.evidence()[2:]:
        assert each.strength is Strength.TESTED
        assert not each.passed
        assert "the first: bit" in each.detail


def test_accuracy(plain) -> None:
    """Nothing is lost by no flips that matter, and all weights flipped are others."""
    upsets = Upsets(*plain)
    samples = len(plain[1].stimulus)
    one = upsets.accuracy(Kind.WEIGHTS, 1, 1)
    assert one == upsets.accuracy(Kind.WEIGHTS, 1, 1)
    assert one.samples == samples
    every = upsets.accuracy(Kind.STATE, 100, 1)
    assert 0 <= every.right <= samples
    # The lowest bit of one state in each sample, of a twelve-bit word.
    assert upsets.accuracy(Kind.STATE, 1, 1, place=0).place == 0


@pytest.mark.parametrize(
    ("name", "memory", "kind"),
    [
        ("population_0 core synapses weights memory", True, Kind.WEIGHTS),
        ("population_1 core synapses rows weigher weights parity", True, Kind.WEIGHTS),
        ("population_0 core neurons state", True, Kind.STATE),
        ("population_0 core neurons parameters", True, Kind.TABLES),
        ("population_0 core synapses rows lookup table_channel", True, Kind.TABLES),
        ("population_0 core sorter table_0", True, Kind.LISTS),
        ("population_0 core sources memory", True, Kind.LISTS),
        ("population_0 core neurons fire_0_1_v", False, Kind.LANES),
        ("population_0 core neurons read__data$73", False, Kind.LANES),
        ("population_0 core synapses total_3", False, Kind.LANES),
        ("population_0 core neurons fire_0_restart", False, Kind.CONTROL),
        ("population_0 core sources level", False, Kind.CONTROL),
        ("guard_i spikes", False, Kind.CONTROL),
        ("error", False, Kind.CONTROL),
    ],
)
def test_kinds(name: str, memory: bool, kind: Kind) -> None:
    assert kind_of(Part(name, 1, 1, memory)) is kind


def test_wrong_count(plain) -> None:
    with pytest.raises(ValueError, match="count must be at least 1, not 0"):
        inject(*plain, count=0)


def test_wrong_design(plain) -> None:
    """What is not equal without flips is not looked at with them."""
    top, scenario, folder = plain
    outputs = {name: 1 - each for name, each in scenario.outputs.items()}
    with pytest.raises(SimulationError, match="must equal the golden model"):
        UpsetPlayer(top, replace(scenario, outputs=outputs), folder)
