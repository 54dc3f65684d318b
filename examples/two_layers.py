"""A random two-layer network: golden run, Verilog, and both compared in Amaranth's simulator."""

from pathlib import Path

import numpy as np

from spikeloom.reference.dense import FixedDense, fixed_stack
from spikeloom.reference.fixed import QFormat
from spikeloom.reference.neuron_fixed import DecayRule, NeuronConfig
from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.sim.engine import run_engine


def leaky(size: int) -> NeuronConfig:
    """Neurons that lose a sixteenth of their potential in each step."""
    return NeuronConfig(
        size=size,
        state=QFormat(word_length=16),
        current_width=8,
        threshold=200,
        decay_rule=DecayRule.SHIFT,
        decay=4,
    )


def main() -> None:
    rng = np.random.default_rng(0)
    network = fixed_stack(
        (
            FixedDense(weight=rng.integers(-40, 60, (20, 12)), weight_width=8, neurons=leaky(12)),
            FixedDense(weight=rng.integers(-40, 90, (12, 4)), weight_width=8, neurons=leaky(4)),
        ),
        "example",
    )
    scenario = Scenario.of(network, rng.random((2, 50, 20)) < 0.2)
    print("golden spikes of each output:", scenario.spikes.sum(axis=1).tolist())
    run = run_engine(
        "amaranth", NetworkTop(network, (4, 2)), scenario, Path("."), profile="example"
    )
    print("RTL equals the golden model:", run.equal)


if __name__ == "__main__":
    main()
