"""Bugs planted in the golden model, in the hardware and in the testbench are all seen.

``benchmarks/signoff.py`` counts them. A testbench that compares nothing is seen too: with it the
bugs in the hardware are not.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikeloom.reference.dense import FixedDense, fixed_stack
from spikeloom.reference.fixed import Overflow, QFormat, Rounding
from spikeloom.reference.network import FixedNetwork
from spikeloom.reference.neuron_fixed import DecayRule, NeuronConfig
from spikeloom.reference.neurons import Neurons
from spikeloom.reference.profile import Comparison
from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen import datapath
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.sim import player
from spikeloom.sim.engine import run_engine

Planter = Callable[[pytest.MonkeyPatch], None]


def network() -> FixedNetwork:
    """Two layers of leaky neurons, whose words are so short that they saturate."""
    rng = np.random.default_rng(1)
    layers = []
    for inputs, size in ((9, 7), (7, 5)):
        neurons = NeuronConfig(
            size=size,
            state=QFormat(word_length=8, rounding=Rounding.TOWARD_ZERO),
            current_width=8,
            threshold=30,
            decay_rule=DecayRule.MULTIPLIER,
            decay=13,
            decay_fraction=4,
            bias=-3,
            refractory_steps=1,
        )
        weight = rng.integers(-60, 64, (inputs, size))
        layers.append(FixedDense(weight=weight, weight_width=8, neurons=neurons))
    return fixed_stack(tuple(layers), "planted")


def golden(name: str, wrong: Callable[..., object]) -> Planter:
    """A method of the golden model's neurons, replaced; ``wrong`` is given the right one first."""
    right = getattr(Neurons, name)
    return lambda patch: patch.setattr(Neurons, name, lambda *args: wrong(right, *args))


def hardware(name: str, wrong: Callable[..., object]) -> Planter:
    """The same of a function of the neurons' hardware."""
    right = getattr(datapath, name)
    return lambda patch: patch.setattr(datapath, name, lambda *args: wrong(right, *args))


def bench(right: str, wrong: str) -> Planter:
    """Words of the player, replaced."""
    assert player._TEMPLATE.count(right) == 1
    template = player._TEMPLATE.replace(right, wrong)
    return lambda patch: patch.setattr(player, "_TEMPLATE", template)


def wrapping(word: QFormat) -> QFormat:
    return replace(word, overflow=Overflow.WRAP)


def above(config: NeuronConfig) -> NeuronConfig:
    return replace(config, comparison=Comparison.GT)


def golden_above(fire: Callable[..., object], self: Neurons, *rest: object) -> object:
    self.config = above(self.config)
    return fire(self, *rest)


BUGS = {
    "golden model: a potential at the threshold does not spike": golden("_fire", golden_above),
    "golden model: sums wrap": golden(
        "_fit", lambda fit, self, word, value: fit(self, wrapping(word), value)
    ),
    "golden model: the decay is a little less": golden(
        "_decayed",
        lambda decayed, self, config, decay, value: decayed(self, config, decay + 1, value),
    ),
    "hardware: a potential at the threshold does not spike": hardware(
        "fire", lambda fire, config, *rest: fire(above(config), *rest)
    ),
    "hardware: sums wrap": hardware("fit", lambda fit, value, word: fit(value, wrapping(word))),
    "hardware: what decays is rounded down": hardware(
        "shift_right", lambda shift, value, bits, rounding: shift(value, bits, Rounding.FLOOR)
    ),
    "testbench: what was not taken is not sent again": bench(
        "if (valid && ready) have = 0;", "if (valid) have = 0;"
    ),
    "testbench: what waits is taken for another word": bench(
        "if (valid && ready) begin\n            $fwrite", "if (valid) begin\n            $fwrite"
    ),
    "testbench: the lowest bit is not sent": bench(
        "payload <= word;\n        valid", "payload <= word & ~1;\n        valid"
    ),
}


def difference(folder: Path) -> str:
    """What the testbench says of the network's hardware, beside its golden model."""
    rng = np.random.default_rng(2)
    fixed = network()
    stimulus = rng.integers(0, 2, (4, 20, 9))
    scenario = Scenario.of(fixed, stimulus)
    top = NetworkTop(fixed, [2, 3])
    return run_engine("icarus", top, scenario, folder, profile="planted", gap=100).difference


@pytest.mark.parametrize("simulator", ["icarus"], indirect=True)
def test_no_bug(simulator: str, tmp_path: Path) -> None:
    assert difference(tmp_path) == ""


@pytest.mark.parametrize("simulator", ["icarus"], indirect=True)
@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_seen(
    simulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bug: str
) -> None:
    BUGS[bug](monkeypatch)
    assert difference(tmp_path) != ""
