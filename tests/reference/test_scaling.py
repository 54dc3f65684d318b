"""Scales of populations: by hand, and weights with factors as matrices."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spikeloom.reference.maps import Convolution, Dense, Diagonal, Map, Pool, Reshape, dense_of
from spikeloom.reference.network import (
    Connection,
    FixedInput,
    FloatNetwork,
    FloatPopulation,
    LateBias,
)
from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.precision import Precision, Scale
from spikeloom.reference.profile import Decay, InputGain, Profile, Reset
from spikeloom.reference.scaling import (
    MOST_FRACTION,
    PopulationScale,
    is_sum,
    largest_weights,
    plan_scales,
    scaled_connection,
    total_gain,
    with_weights,
)
from spikeloom.reference.simulate import Recording

PLAIN = Profile(name="plain", decay=Decay.NONE, input_gain=InputGain.ONE)
SUBTRACT = Profile(name="sub", decay=Decay.NONE, input_gain=InputGain.ONE, reset=Reset.SUBTRACT)
NEURON = FloatNeuron(profile=PLAIN, v_th=1.0)
# An exact integrator, and one that keeps nothing: what it sends is the sum that arrives.
HOLDS = FloatNeuron(profile=PLAIN, v_th=None, tau=None)
EULER = Profile(name="euler")
SUM = FloatNeuron(profile=EULER, v_th=None, tau=1.0)


def dense(weight: Any, source: str = "in", **options: Any) -> Connection:
    return Connection(source=source, maps=(Dense(np.array(weight, float)),), **options)


def population(neuron: FloatNeuron, *connections: Connection, **options: Any) -> FloatPopulation:
    (size,) = connections[0].maps[-1].output_shape
    return FloatPopulation(shape=(size,), neuron=neuron, connections=connections, **options)


def plan(
    populations: dict[str, FloatPopulation],
    precision: Precision,
    *,
    inputs: FixedInput | None = None,
    run: Recording | None = None,
    outputs: tuple[str, ...] = (),
) -> dict[str, tuple[Any, int, int]]:
    """Weight scale, fraction and width of each population."""
    first = next(iter(populations.values())).connections[0]
    shape = first.maps[0].input_shape
    network = FloatNetwork(
        {"in": shape}, populations, {name: name for name in outputs or [*populations][-1:]}
    )
    scales = plan_scales(network, precision, {"in": inputs or FixedInput(shape=shape)}, run)
    return {
        name: (each.weight.tolist(), each.fraction, each.width) for name, each in scales.items()
    }


def test_state_units() -> None:
    scale = PopulationScale(np.array([3.0, 0.5]), 4, 16)
    assert scale.state.tolist() == [48.0, 8.0]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"v_th": None}, True),
        ({"v_th": 1.0}, False),
        ({"v_th": None, "tau": 2.0}, False),
        ({"v_th": None, "tau": np.array([1.0, 2.0])}, False),
        ({"v_th": None, "tau_syn": 1.0}, False),
        ({"v_th": None, "tau": None}, False),
    ],
)
def test_is_sum(options: dict[str, Any], expected: bool) -> None:
    """With Euler's rule and ``tau`` of a step nothing is left of the potential."""
    assert is_sum(FloatNeuron(profile=EULER, **options)) is expected


def test_total_gain() -> None:
    """``dt/tau`` of both time constants, times the resistance and the weight of the synapse."""
    profile = Profile(name="both", dt=0.5)
    neuron = FloatNeuron(profile=profile, v_th=1.0, tau=4.0, r=3.0, tau_syn=2.0, w_in=5.0)
    assert total_gain(neuron) == pytest.approx(0.5 / 4 * 3 * (0.5 / 2 * 5))


def test_with_weights() -> None:
    dense_map, pool = Dense(np.ones((2, 3))), Pool((1, 2, 2), (2, 2), (2, 2), (0, 0))
    assert with_weights((dense_map,), (3,)) == (dense_map,)
    first, one = with_weights((pool,), (1, 1, 1))
    assert first is pool
    assert isinstance(one, Diagonal)
    assert one.weight.tolist() == [[[1.0]]]
    (alone,) = with_weights((), (2,))
    assert isinstance(alone, Diagonal)
    assert alone.weight.tolist() == [1.0, 1.0]


def test_largest_weights_by_hand() -> None:
    connections = [dense([[1.0, -5.0], [-3.0, 2.0]]), dense([[-2.0, 2.0]], "b")]
    assert largest_weights(connections, (2,)).tolist() == [3.0, 5.0]
    assert largest_weights(connections, (2,), [1.0, 3.0]).tolist() == [6.0, 6.0]
    assert largest_weights(connections, (2,), [0.5, 0.25]).tolist() == [1.5, 2.5]
    assert largest_weights([], (2,)).tolist() == [0.0, 0.0]
    own = Connection(source="b", maps=(Diagonal(np.array([-4.0, 0.5])),))
    assert largest_weights([own], (2,)).tolist() == [4.0, 0.5]
    assert largest_weights([Connection(source="b")], (2,)).tolist() == [1.0, 1.0]


def test_largest_weights_of_channels() -> None:
    """Those of an output channel; where windows are summed over, the mean of equals is theirs."""
    weight = np.array([[[[1.0, -2.5]]], [[[0.25, 0.125]]]])
    conv = Convolution(weight, (1, 4, 5), (1, 1), (0, 0), (1, 1))
    pool = Pool((2, 4, 4), (2, 2), (2, 2), (1, 1))
    for maps, shape in (((conv,), (2, 4, 4)), ((conv, pool), (2, 3, 3))):
        found = largest_weights([Connection(source="in", maps=maps)], shape)
        assert found.shape == shape
        np.testing.assert_allclose(found[0], 2.5)
        np.testing.assert_allclose(found[1], 0.25)


def test_largest_weights_behind_other_maps() -> None:
    """Of windows over different numbers it is the mean; a reshaping moves them."""
    own = Diagonal(np.array([[[1.0, 3.0], [5.0, -7.0]]]))
    pool = Pool((1, 2, 2), (1, 2), (1, 2), (0, 0))
    flat = Reshape((1, 2, 1), (2,))
    found = largest_weights([Connection(source="in", maps=(own, pool, flat))], (2,))
    assert found.tolist() == [2.0, 6.0]


@pytest.mark.parametrize("percentile", [10.0, 50.0, 99.0])
def test_largest_weights_of_a_percentile(percentile: float) -> None:
    """Of those that are not 0: of each neuron, or of all together."""
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(7, 3)) * (rng.random((7, 3)) < 0.7)
    weight[:, 1] = 0
    used = [[abs(w) for w in column if w] for column in weight.T.tolist()]
    each = [np.percentile(u, percentile) if u else 0.0 for u in used]
    found = largest_weights([dense(weight)], (3,), percentile=percentile)
    np.testing.assert_allclose(found, each)
    found = largest_weights([dense(weight)], (3,), percentile=percentile, shared=True)
    np.testing.assert_allclose(found, np.percentile([w for u in used for w in u], percentile))
    nothing = largest_weights([dense(0 * weight)], (3,), percentile=percentile, shared=True)
    assert nothing.tolist() == [0.0, 0.0, 0.0]

    conv = Convolution(weight.T.reshape(3, 1, 7), (1, 8), (1,), (0,), (1,))
    found = largest_weights([Connection(source="in", maps=(conv,))], (3, 2), percentile=percentile)
    np.testing.assert_allclose(found, np.repeat(np.array(each)[:, None], 2, axis=1))
    own = Connection(source="in", maps=(Diagonal(weight[:, 0]),))
    found = largest_weights([own], (7,), percentile=percentile)
    np.testing.assert_allclose(found, np.abs(weight[:, 0]))


def factors(shape: tuple[int, ...], seed: int) -> NDArray[Any]:
    return np.random.default_rng(seed).uniform(0.5, 2.0, shape)


CONV = Convolution(factors((4, 1, 2, 2), 1), (2, 3, 3), (1, 1), (0, 0), (1, 1), 2)
CHANNEL = (slice(None), np.newaxis, np.newaxis)


@pytest.mark.parametrize(
    ("maps", "begin", "end", "sources", "targets"),
    [
        ((Dense(factors((3, 4), 0)),), (3,), (4,), factors((3,), 1), factors((4,), 2)),
        ((Dense(factors((3, 4), 0)),), (3,), (4,), 2.0, 0.5),
        ((), (3,), (3,), factors((3,), 1), factors((3,), 2)),
        ((CONV,), (2, 3, 3), (4, 2, 2), factors((2, 1, 1), 1), factors((4, 1, 1), 2)),
        (
            (Pool((2, 4, 4), (2, 2), (2, 2), (0, 0)), Reshape((2, 2, 2), (8,)), Dense(np.eye(8))),
            (2, 4, 4),
            (8,),
            factors((2, 1, 1), 1),
            factors((8,), 2),
        ),
    ],
)
def test_scaled_connection_is_a_product_of_matrices(
    maps: tuple[Map, ...], begin: tuple[int, ...], end: tuple[int, ...], sources: Any, targets: Any
) -> None:
    connection = Connection(source="in", maps=maps, delay=3)
    scaled = scaled_connection(connection, end, sources=sources, targets=targets)
    before = np.broadcast_to(sources, begin).reshape(-1, 1)
    after = np.broadcast_to(targets, end).reshape(1, -1)
    np.testing.assert_allclose(dense_of(scaled.maps, begin), before * dense_of(maps, begin) * after)
    assert (scaled.source, scaled.delay) == ("in", 3)
    np.testing.assert_allclose(
        dense_of(scaled_connection(connection, end).maps, begin), dense_of(maps, begin)
    )


def test_scaled_connection_wrong_factors() -> None:
    """Weights of a convolution are shared over its places."""
    connection = Connection(source="in", maps=(CONV,))
    for options in ({"sources": factors((2, 3, 3), 1)}, {"targets": factors((4, 2, 2), 1)}):
        with pytest.raises(ValueError, match=r"^the weights from 'in' are shared by units whose "):
            scaled_connection(connection, (4, 2, 2), **options)


TWO = {
    "a": population(NEURON, dense([[1.0, 0.5], [-0.25, 0.125]])),
    "b": population(NEURON, dense([[4.0], [1.0]], "a")),
}


@pytest.mark.parametrize(
    ("scale", "a", "b"),
    [
        (Scale.LAYER, 7.0, 7 / 4),
        # Both columns' largest fill the word.
        (Scale.NEURON, [7.0, 14.0], [7 / 4]),
        (Scale.NETWORK, 7 / 4, 7 / 4),
    ],
)
def test_plan_of_each_scale(scale: Scale, a: Any, b: Any) -> None:
    precision = Precision(weight_width=4, scale=scale, state_fraction=3, state_width=12)
    assert plan(TWO, precision) == {"a": (a, 3, 12), "b": (b, 3, 12)}


def test_plan_leaves_room_for_a_threshold() -> None:
    """Of 8 bits half the range, less the places asked for and one: thresholds to 2**(6 - f)."""
    weight = dense([[1 / 1024, 1.0, 0.0]])
    precision = Precision(weight_width=4, scale=Scale.NEURON, state_width=8, state_fraction=2)
    # 2**(8 - 1 - 3) = 16 units at most for the threshold of 1; no weights fill the word with 1.
    assert plan({"a": population(NEURON, weight)}, precision) == {"a": ([16.0, 7.0, 1.0], 2, 8)}
    negative = FloatNeuron(profile=PLAIN, v_th=-0.5)
    assert plan({"a": population(negative, weight)}, precision)["a"][0] == [32.0, 7.0, 1.0]


def test_plan_without_weights() -> None:
    silent = population(NEURON, dense([[0.0]]))
    assert plan({"a": silent}, Precision(weight_width=4))["a"] == (1.0, 0, 16)


def test_plan_counts_the_gain() -> None:
    """``dt/tau`` of a half, whatever its sign."""
    for r in (1.0, -1.0):
        neuron = FloatNeuron(profile=EULER, v_th=1.0, tau=2.0, r=r)
        found = plan({"a": population(neuron, dense([[1.0]]))}, Precision(weight_width=4))
        assert found["a"][0] == 14.0


def run_of(membrane: Any, spikes: Any = None, synapse: Any = None) -> Recording:
    """A recording of a population ``a``, one sample."""
    kept = {"spikes": spikes, "membrane": membrane, "synapse": synapse}
    arrays = {key: {} if value is None else {"a": np.array([value])} for key, value in kept.items()}
    return Recording(**arrays, outputs={})


@pytest.mark.parametrize(
    ("neuron", "run", "fraction"),
    [
        # The word's 2**7 over 1.25 times 7 units times the peak, in whole bits.
        (HOLDS, run_of([[1.0]]), 3),  # 14.6
        (HOLDS, run_of([[-1.0], [0.5]]), 3),
        (HOLDS, run_of([[1.8], [0.5]]), 3),  # 8.13
        (HOLDS, run_of([[1.84], [0.5]]), 2),  # 7.95
        (HOLDS, run_of([[100.0]]), 0),
        (HOLDS, run_of([[0.0]]), 7),
        (HOLDS, run_of([[0.001]]), MOST_FRACTION),
        # What a spike took away was there: 1 + 3 * 1.
        (FloatNeuron(profile=SUBTRACT, v_th=1.0), run_of([[1.0]], [[3]]), 1),  # 3.66
        # Twice the threshold at least.
        (NEURON, run_of([[0.0]], [[0]]), 2),  # 7.31
        (NEURON, run_of([[1.9]], [[0]]), 2),
        (NEURON, run_of([[3.7]], [[0]]), 1),  # 3.95
        # A synaptic current of 4 with the membrane's gain of 1/2 in it.
        (
            FloatNeuron(profile=EULER, v_th=None, tau=2.0, tau_syn=1.0),
            run_of([[0.5]], None, [[-4.0]]),
            1,  # 14 units: 128 / (1.25 * 14 * 2) = 3.66
        ),
    ],
)
def test_fraction_of_a_calibration(neuron: FloatNeuron, run: Recording, fraction: int) -> None:
    assert MOST_FRACTION == 8
    precision = Precision(weight_width=4, state_width=8, state_fraction=None)
    found = plan({"a": population(neuron, dense([[1.0]]))}, precision, run=run)
    assert found["a"][1:] == (fraction, 8)


def test_fraction_of_neurons_with_scales_of_their_own() -> None:
    """7 and 28 units for 1: the first peaks at 35, the second at 28."""
    precision = Precision(weight_width=4, state_width=8, state_fraction=None, scale=Scale.NEURON)
    one = population(HOLDS, dense([[1.0, 0.25]]))
    other = population(NEURON, dense([[1.0], [1.0]], "a"))
    found = plan({"a": one, "b": other}, precision, run=run_of([[5.0, 1.0]]))
    assert found["a"] == ([7.0, 28.0], 1, 8)  # 128 / (1.25 * 35) = 2.93


def test_wrong_calibration() -> None:
    with pytest.raises(ValueError, match=r"^calibration must be given where state_fraction is to"):
        plan(TWO, Precision(state_fraction=None))


def test_input_finer_than_spikes() -> None:
    """Weights of 1 count 1/4 each: four times the units; four bits of head for the threshold."""
    precision = Precision(weight_width=4, state_width=12)
    fine = FixedInput(shape=(1,), low=-8, high=7, fraction_bits=2)
    found = plan({"a": population(NEURON, dense([[1.0]]))}, precision, inputs=fine)
    # The unit of 1/4 makes 28 units for 1; the weight then fills the word with no place behind it.
    assert found["a"] == (28.0, 0, 14)
    held = plan({"a": population(HOLDS, dense([[1.0]]))}, precision, inputs=fine)
    assert held["a"] == (28.0, 0, 14)
    narrow = Precision(weight_width=4, state_width=4)
    assert plan({"a": population(NEURON, dense([[1.0]]))}, narrow, inputs=fine)["a"] == (
        28.0,
        0,
        6 + 4,  # 28 needs 6 bits
    )
    wide = Precision(weight_width=4, state_width=32)
    assert plan({"a": population(HOLDS, dense([[1.0]]))}, wide, inputs=fine)["a"][2] == 32


def test_finer_and_coarser_sources() -> None:
    """The coarser one's weights set the units; the finer one's get places to fill their word."""
    fine = FixedInput(shape=(1,), low=-8, high=7, fraction_bits=2)
    one = population(NEURON, dense([[1.0]]), dense([[1.0]], "a", delay=1))
    found = plan({"a": one}, Precision(weight_width=4, state_width=12), inputs=fine)
    # 7 units for 1, of which the finer weight takes 7/4: two places more make it 7.
    assert found["a"] == (7.0, 2, 14)


def test_width_of_a_sum() -> None:
    """Every sum fits: of weights 7 units each, times counts to 15, and biases."""
    precision = Precision(weight_width=4, state_width=8)
    counts = FixedInput(shape=(2,), high=15)
    one = population(SUM, dense([[1.0], [-0.5]]))
    # Between -52.5 and 105 units: 8 bits.
    assert plan({"a": one}, precision, inputs=counts)["a"] == (7.0, 0, 8)
    # Beside a bias of 4, -3 or a late one of -4 there are 133, 126 or 133 units at most.
    for bias, late, width in ((4.0, (), 9), (-3.0, (), 8), (0.0, (-4.0,), 9)):
        biased = FloatNeuron(profile=EULER, v_th=None, tau=1.0, bias=bias)
        late_bias = tuple(LateBias(1, np.array([each])) for each in late)
        one = population(biased, dense([[1.0], [-0.5]]), late_bias=late_bias)
        assert plan({"a": one}, precision, inputs=counts)["a"] == (7.0, 0, width)


def test_potentials_that_are_heard() -> None:
    """A sum of 7 units for 1 is heard: its unit is 1/7, so the next has 49 for 1."""
    precision = Precision(weight_width=4, state_width=8)
    populations = {
        "b": population(NEURON, dense([[1.0]]), dense([[2.0]], "a")),
        "a": population(SUM, dense([[1.0]])),
    }
    found = plan(populations, precision, outputs=("b",))
    # a: 0 to 7 units, 4 bits. b: 7 units of the input's spikes; the sum's weight of 2 counts 2/7,
    # 2 of those units, so 1 place more fills the word; 3 bits more for the unit of 1/7.
    assert found == {"a": (7.0, 0, 4), "b": (7.0, 1, 11)}


def test_sum_of_potentials_is_as_wide_as_their_words() -> None:
    """What is heard has 4 bits, from -8 to 7 of its units of 1/7, each 7 of the sum's 49 for 1."""
    precision = Precision(weight_width=4, state_width=8)
    for weights, bias, width in (
        ([[1.0]], 0.0, 7),  # 7 * 8 = 56
        ([[-1.0]], 0.0, 7),
        ([[1.0]], 0.2, 8),  # 9.8 more are above 64
        ([[-1.0]], 0.2, 8),
        ([[1.0], [-1.0]], 0.0, 8),  # 7 * (8 + 7) = 105
        ([[1.0], [-1.0]], 0.5, 9),  # 24.5 more are above 128
    ):
        first = population(SUM, dense(np.ones((1, len(weights)))))
        neuron = FloatNeuron(profile=EULER, v_th=None, tau=1.0, bias=bias)
        found = plan({"a": first, "b": population(neuron, dense(weights, "a"))}, precision)
        assert found == {"a": (7.0, 0, 4), "b": (49.0, 0, width)}


def test_potentials_that_go_out_share_a_scale() -> None:
    precision = Precision(weight_width=4, scale=Scale.NEURON)
    held = {"a": population(HOLDS, dense([[1.0, 0.5]]))}
    assert plan(held, precision)["a"][0] == 7.0
    behind = held | {"b": population(NEURON, dense([[1.0], [1.0]], "a"))}
    assert plan(behind, precision)["a"][0] == [7.0, 14.0]
    assert plan(behind, precision, outputs=("a", "b"))["a"][0] == 7.0


def test_wrong_loop_of_potentials() -> None:
    for populations in (
        {"a": population(HOLDS, dense([[1.0]]), dense([[1.0]], "a", delay=1))},
        {
            "a": population(HOLDS, dense([[1.0]]), dense([[1.0]], "b", delay=1)),
            "b": population(SUM, dense([[1.0]], "a")),
        },
    ):
        with pytest.raises(ValueError, match=r"^'[ab]' must not hear its own potential, over "):
            plan(populations, Precision())
    spiking = {"a": population(NEURON, dense([[1.0]]), dense([[1.0]], "a", delay=1))}
    assert plan(spiking, Precision())["a"][0] == 127.0
