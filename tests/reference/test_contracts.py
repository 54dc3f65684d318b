"""What configurations and results have in common: they do not change, and say how they compare."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spikeloom.reference.dense import FixedDense, FloatDense
from spikeloom.reference.fixed import QFormat
from spikeloom.reference.latency import EarlyStop, Progress
from spikeloom.reference.link_frames import Frame
from spikeloom.reference.maps import Convolution, Dense, Diagonal, Pool, Reshape
from spikeloom.reference.memory_map import Layout
from spikeloom.reference.network import (
    Connection,
    FixedInput,
    FixedNetwork,
    FixedPopulation,
    FloatNetwork,
    FloatPopulation,
    LateBias,
)
from spikeloom.reference.neuron_fixed import NeuronConfig, SynapseConfig
from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.precision import Precision
from spikeloom.reference.profile import IAF, Profile
from spikeloom.reference.scaling import PopulationScale
from spikeloom.reference.scatter import ScatterTables
from spikeloom.reference.simulate import Recording, Trace

ONES = np.ones((1, 1), dtype=np.int64)


def neurons() -> NeuronConfig:
    return NeuronConfig(size=1, state=QFormat(word_length=8), current_width=8, threshold=5)


def population() -> FixedPopulation:
    return FixedPopulation(shape=(1,), neurons=neurons(), connections=(Connection(source="in"),))


def float_population() -> FloatPopulation:
    neuron = FloatNeuron(profile=IAF, v_th=1.0)
    return FloatPopulation(shape=(1,), neuron=neuron, connections=(Connection(source="in"),))


# What two of the same values are: equal where all is plain, else each is one of its own.
EQUAL: list[Callable[[], Any]] = [
    lambda: QFormat(word_length=8),
    lambda: SynapseConfig(state=QFormat(word_length=8)),
    neurons,
    lambda: Layout((2,), 1),
    lambda: FixedInput(shape=(1,)),
    lambda: Profile(name="mine"),
    Precision,
    lambda: EarlyStop(steps=1, margin=1),
    lambda: Frame(1, 2),
]
UNEQUAL: list[Callable[[], Any]] = [
    lambda: FloatDense(np.ones((1, 1)), FloatNeuron(profile=IAF, v_th=1.0)),
    lambda: FixedDense(weight=ONES, weight_width=8, neurons=neurons()),
    lambda: Dense(ONES),
    lambda: Diagonal(ONES),
    lambda: Convolution(np.ones((1, 1, 1)), (1, 1), (1,), (0,), (1,)),
    lambda: Pool((1, 1), (1,), (1,), (0,)),
    lambda: Reshape((1,), (1, 1)),
    lambda: ScatterTables((0,), (0,), (1,), [[(0, 0)]], [[(0, 0)]], ONES),
    lambda: Connection(source="in"),
    lambda: LateBias(0, ONES),
    population,
    float_population,
    lambda: FixedNetwork({"in": FixedInput(shape=(1,))}, {"a": population()}, {"o": "a"}, "p"),
    lambda: FloatNetwork({"in": (1,)}, {"a": float_population()}, {"o": "a"}),
    lambda: Recording({}, {}, {}, {}),
    lambda: Trace(ONES, {}),
    lambda: PopulationScale(ONES, 0, 8),
    lambda: Progress(ONES, ONES, ONES, 1),
]
KEYWORDS_ONLY = (
    *(QFormat, SynapseConfig, NeuronConfig, FixedDense, Connection, FixedPopulation, FixedInput),
    *(FloatPopulation, Profile, Precision, EarlyStop),
)


@pytest.mark.parametrize("make", [*EQUAL, *UNEQUAL])
def test_nothing_can_be_changed(make: Callable[[], Any]) -> None:
    one = make()
    for each in dataclasses.fields(one):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(one, each.name, getattr(one, each.name))


@pytest.mark.parametrize("make", EQUAL)
def test_equal_where_all_is_plain(make: Callable[[], Any]) -> None:
    assert make() == make()
    assert hash(make()) == hash(make())


@pytest.mark.parametrize("make", UNEQUAL)
def test_one_of_its_own_where_there_are_arrays(make: Callable[[], Any]) -> None:
    """So it has a hash, and can be told from others without a look at its arrays."""
    one, other = make(), make()
    assert one == one
    assert one != other
    if not isinstance(one, FloatNetwork):
        assert len({one, other, one}) == 2


@pytest.mark.parametrize("kind", KEYWORDS_ONLY)
def test_parameters_have_names(kind: type[Any]) -> None:
    with pytest.raises(TypeError, match="positional argument"):
        kind(*range(len(dataclasses.fields(kind))))
