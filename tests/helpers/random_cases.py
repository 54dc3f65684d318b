"""Random cases of a network, a profile, words and stimuli, for the simulators."""

from dataclasses import dataclass

import numpy as np

from spikeloom.reference.fixed import IntArray
from spikeloom.reference.graph import (
    IF,
    LIF,
    Affine,
    Array,
    Conv2d,
    CubaLIF,
    Flatten,
    Graph,
    Input,
    Linear,
    Node,
    Output,
    SumPool2d,
)
from spikeloom.reference.network import FixedInput, FixedNetwork
from spikeloom.reference.nir_network import network_of
from spikeloom.reference.precision import Precision, Scale
from spikeloom.reference.profile import PROFILES, Decay, Profile
from spikeloom.reference.quantize import quantize
from spikeloom.reference.scenario import Scenario
from spikeloom.reference.simulate import run_fixed

__all__ = ["STIMULI", "Case", "draw_case"]

STIMULI = 4
"""Stimuli that go through each network, each a case of its own."""
_TRIES = 200
_GAPS = (0, 40, 128, 200)
"""Of 256 cycles, how many are idle at the input and how many refuse the output."""


@dataclass(frozen=True)
class Case:
    """A network and what goes through it.

    Attributes
    ----------
    profile
        Name of the profile.
    network
        The network.
    lanes
        Of each population.
    scenarios
        Stimuli with what must come of them.
    gaps
        For each stimulus, as :func:`~spikeloom.sim.engine.run_engine`'s.
    """

    profile: str
    network: FixedNetwork
    lanes: tuple[int, ...]
    scenarios: tuple[Scenario, ...]
    gaps: tuple[int, ...]


def draw_case(seed: int) -> Case:
    """The case of a seed: one in whose outputs there are both spikes and silence."""
    rng = np.random.default_rng(seed)
    profile = list(PROFILES.values())[seed % len(PROFILES)]
    for _ in range(_TRIES):
        most = int(rng.choice([1, 1, 3, 15]))
        try:
            network = network_of(_graph(rng, profile), profile)
            inputs = {
                name: FixedInput(shape=shape, high=most) for name, shape in network.inputs.items()
            }
            full = (2, int(rng.integers(3, 12)), *next(iter(network.inputs.values())))
            stimuli = [_raster(rng, full, most) for _ in range(STIMULI)]
            fixed = quantize(network, _precision(rng), inputs=inputs, calibration=stimuli[0])
        except ValueError:
            continue  # it does not fit its words, or the profile has no such neurons
        output = run_fixed(fixed, np.concatenate(stimuli)).output
        if 0.02 < np.mean(output != 0) < 0.98:
            return Case(
                profile.name,
                fixed,
                tuple(int(n) for n in rng.integers(1, 6, len(fixed.populations))),
                tuple(Scenario.of(fixed, each) for each in stimuli),
                tuple(int(n) for n in rng.permutation(_GAPS)),
            )
    raise AssertionError(f"no network of seed {seed} spikes now and then")


def _raster(rng: np.random.Generator, full: tuple[int, ...], most: int) -> IntArray:
    """Silent, sparse and full steps."""
    each_step = (*full[:2], *[1] * (len(full) - 2))
    density = rng.choice([0.0, 0.2, 0.6, 1.0], each_step, p=[0.1, 0.4, 0.3, 0.2])
    return rng.integers(1, most + 1, full) * (rng.random(full) < density)


def _precision(rng: np.random.Generator) -> Precision:
    return Precision(
        weight_width=int(rng.integers(3, 11)),
        state_width=int(rng.integers(8, 25)),
        state_fraction=int(rng.integers(0, 4)) if rng.random() < 0.5 else None,
        decay_fraction=int(rng.integers(4, 13)),
        scale=Scale.LAYER if rng.random() < 0.5 else Scale.NEURON,
    )


def _graph(rng: np.random.Generator, profile: Profile) -> Graph:
    """Layers one behind the other, some recurrent; or a convolution before them."""
    nodes: dict[str, Node] = {}
    chain = ["input"]

    def add(name: str, node: Node) -> None:
        nodes[name] = node
        chain.append(name)

    size = int(rng.integers(1, 9))
    loops = []
    if rng.random() < 0.35:
        shape = (int(rng.integers(1, 3)), int(rng.integers(4, 7)), int(rng.integers(4, 7)))
        nodes["input"] = Input(shape)
        outputs = int(rng.integers(1, 5))
        kernel = rng.normal(0.2, 0.6, (outputs, shape[0], 3, 3))
        conv = Conv2d(kernel, 0.1 * rng.normal(size=outputs), (1, 1), (1, 1), (1, 1), 1)
        add("conv", conv)
        shape = (outputs, *shape[1:])
        add("first", _neurons(rng, shape, profile))
        if rng.random() < 0.5:
            pool = SumPool2d((2, 2), (2, 2), (0, 0))
            add("pool", pool)
            shape = pool.output_shape(shape)
        add("flatten", Flatten(0, -1))
        size = int(np.prod(shape))
    else:
        nodes["input"] = Input((size,))
    for k in range(int(rng.integers(1, 3))):
        after = int(rng.integers(1, 9))
        add(f"dense_{k}", Affine(_weights(rng, after, size), 0.1 * rng.normal(size=after)))
        add(f"layer_{k}", _neurons(rng, (after,), profile))
        if rng.random() < 0.3:
            nodes[f"own_{k}"] = Linear(0.5 * _weights(rng, after, after))
            loops += [(f"layer_{k}", f"own_{k}"), (f"own_{k}", f"layer_{k}")]
        size = after
    nodes["output"] = Output((size,))
    edges = list(zip(chain, [*chain[1:], "output"], strict=True))
    return Graph(nodes, tuple(edges + loops))


def _weights(rng: np.random.Generator, after: int, before: int) -> Array:
    return rng.normal(0.3, 1.0, (after, before)) / np.sqrt(before)


def _neurons(rng: np.random.Generator, shape: tuple[int, ...], profile: Profile) -> Node:
    """Neurons of a kind that the profile may have, all alike or each its own."""

    def values(low: float, high: float) -> Array:
        own = rng.uniform(low, high, shape)
        return own if rng.random() < 0.5 else np.full(shape, own.flat[0])

    threshold, zero, one = values(0.3, 1.2), np.zeros(shape), np.ones(shape)
    leaky = profile.decay not in (Decay.NONE, Decay.CONSTANT)
    if not leaky or rng.random() < 0.3:
        return IF(one, threshold, zero)
    dt = profile.dt
    if rng.random() < 0.4:
        return CubaLIF(values(2, 20) * dt, values(3, 40) * dt, one, zero, threshold, zero, one)
    return LIF(values(3, 40) * dt, one, zero, threshold, zero)
