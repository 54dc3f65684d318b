"""The rate code: how many spikes, and where."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.reference.coding import Coding, encode, rate_code


@pytest.mark.parametrize(
    ("value", "steps", "times"),
    [
        (0.0, 8, []),
        (1.0, 4, [0, 1, 2, 3]),
        (0.5, 8, [0, 2, 4, 6]),
        (0.25, 8, [1, 5]),
        (0.125, 8, [3]),
        (0.75, 4, [0, 1, 3]),
        (1.0, 1, [0]),
        (0.2, 5, [2]),
    ],
)
def test_by_hand(value: float, steps: int, times: list[int]) -> None:
    spikes = rate_code([[value]], steps)
    assert spikes.dtype == np.uint8
    assert np.nonzero(spikes[0, :, 0])[0].tolist() == times


@given(st.floats(0, 1), st.integers(1, 70))
def test_spikes_are_those_of_an_iaf_neuron(value: float, steps: int) -> None:
    """Threshold 1, start at 1/2, ``n / steps`` a step, subtracting reset; in exact fractions."""
    number = round(Fraction(value) * steps)
    v, expected = Fraction(1, 2), []
    for _ in range(steps):
        v += Fraction(number, steps)
        expected.append(int(v >= 1))
        v -= expected[-1]
    assert rate_code([[value]], steps)[0, :, 0].tolist() == expected
    assert sum(expected) == number


@given(st.floats(0, 1), st.integers(1, 100))
def test_spikes_are_evenly_spaced(value: float, steps: int) -> None:
    """The gaps between the spikes differ by one step at most."""
    times = np.nonzero(rate_code([[value]], steps)[0, :, 0])[0]
    gaps = np.diff(times)
    if len(gaps):
        assert gaps.max() - gaps.min() <= 1
        assert {*gaps.tolist()} <= {
            math.floor(steps / len(times)),
            math.ceil(steps / len(times)),
        }


def test_shape_and_independence() -> None:
    values = np.array([[0.0, 0.3, 1.0], [0.6, 0.5, 0.1]])
    spikes = rate_code(values, 10)
    assert spikes.shape == (2, 10, 3)
    assert spikes.sum(axis=1).tolist() == [[0, 3, 10], [6, 5, 1]]
    for sample, step in np.ndindex(2, 3):
        alone = rate_code(values[sample : sample + 1, step : step + 1], 10)
        assert np.array_equal(alone[0, :, 0], spikes[sample, :, step])


@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan, math.inf])
def test_wrong_value(value: float) -> None:
    with pytest.raises(
        ValueError, match=r"^values must be 0 to 1, but one is [-\d.naif]+; a const"
    ):
        rate_code([[0.5, value]], 10)


@pytest.mark.parametrize("steps", [0, -3])
def test_wrong_steps(steps: int) -> None:
    with pytest.raises(ValueError, match=rf"^steps must be positive, not {steps}$"):
        rate_code([[0.5]], steps)


def test_encode_by_hand() -> None:
    values = np.array([[[0.5, 1.0]], [[0.0, 0.25]]])
    constant = encode(values, 4)
    assert constant.shape == (2, 4, 1, 2)
    assert np.all(constant == values[:, None])
    first = encode(values, 4, Coding.FIRST_SPIKE)
    assert first[0, :, 0].tolist() == [[0, 1], [0, 0], [1, 0], [0, 0]]
    assert first[1, :, 0].tolist() == [[0, 0], [0, 0], [0, 0], [0, 1]]
    rate = encode(values, 4, Coding.RATE)
    assert np.array_equal(rate.reshape(2, 4, 2), rate_code(values.reshape(2, 2), 4))


def test_bernoulli_code() -> None:
    """0 never spikes and 1 always; in between the mean of 10,000 throws is right to 0.02."""
    values = np.array([[0.0, 1.0, 0.3]])
    spikes = encode(values, 10_000, Coding.BERNOULLI, seed=3)
    assert spikes.dtype == np.uint8
    assert spikes[0, :, 0].max() == 0
    assert spikes[0, :, 1].min() == 1
    assert spikes[0, :, 2].mean() == pytest.approx(0.3, abs=0.02)
    assert np.array_equal(spikes, encode(values, 10_000, Coding.BERNOULLI, seed=3))


@pytest.mark.parametrize("coding", [Coding.RATE, Coding.BERNOULLI, Coding.FIRST_SPIKE])
def test_wrong_values_to_encode(coding: Coding) -> None:
    with pytest.raises(
        ValueError, match=r"^values must be 0 to 1, but one is [-\d.naif]+; a const"
    ):
        encode([[1.5]], 4, coding)


@pytest.mark.parametrize("coding", Coding)
def test_wrong_steps_to_encode(coding: Coding) -> None:
    with pytest.raises(ValueError, match=r"^steps must be positive, not 0$"):
        encode([[0.5]], 0, coding)


@given(st.integers(1, 12), st.lists(st.integers(0, 64), min_size=1, max_size=4), st.integers(0, 5))
def test_encode_is_value_by_value(steps: int, parts: list[int], seed: int) -> None:
    """Of 64 parts a number, which floats hold exactly."""
    values = [part / 64 for part in parts]
    first = encode([values], steps, Coding.FIRST_SPIKE)
    for k, part in enumerate(parts):
        before_the_end = round(Fraction(part * steps, 64))
        expected = [int(before_the_end == steps - t) for t in range(steps)]
        assert first[0, :, k].tolist() == expected
    # Each sample has a chance of its own, whichever come with it.
    together = encode([values] * 3, steps, Coding.BERNOULLI, seed=seed, first=2)
    for k in range(3):
        alone = encode([values], steps, Coding.BERNOULLI, seed=seed, first=2 + k)
        assert np.array_equal(alone[0], together[k])


def test_chance_differs_from_sample_to_sample_and_seed_to_seed() -> None:
    values = np.full((2, 64), 0.5)
    one = encode(values, 9, Coding.BERNOULLI)
    assert not np.array_equal(one[0], one[1])
    assert not np.array_equal(one, encode(values, 9, Coding.BERNOULLI, seed=1))
    assert not np.array_equal(one, encode(values, 9, Coding.BERNOULLI, first=1))
    # Without a word about it they are the first samples of the seed 0.
    assert np.array_equal(one, encode(values, 9, Coding.BERNOULLI, seed=0, first=0))


def test_bernoulli_is_no_likelier_than_its_number() -> None:
    """The generator's very numbers as probabilities: none of them is below itself."""
    chance = np.random.default_rng([0, 0]).random((1, 50))
    assert not encode(chance, 1, Coding.BERNOULLI).any()
    assert encode(np.nextafter(chance, 2), 1, Coding.BERNOULLI).all()


@pytest.mark.parametrize("shape", [(), (2,), (2, 3), (2, 3, 4)])
@pytest.mark.parametrize("coding", Coding)
def test_encode_keeps_the_shape(coding: Coding, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).random((5, *shape))
    assert encode(values, 7, coding).shape == (5, 7, *shape)


def test_wrong_value_is_the_first_that_is_outside() -> None:
    """Beside the ends of the range, which are inside."""
    for wrong in (1.5, -0.5):
        with pytest.raises(ValueError, match=rf"^values must be 0 to 1, but one is {wrong}; "):
            rate_code([[0.0, 1.0, wrong, 7.0]], 4)


@pytest.mark.parametrize("shape", [(), (3,), (1, 2, 3)])
def test_wrong_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^values must be of shape \(samples, inputs\), not "):
        rate_code(np.zeros(shape), 4)


def test_wrong_kind_of_steps() -> None:
    for coding in Coding:
        with pytest.raises(TypeError, match=r"^steps must be an integer, not 4\.0$"):
            encode([[0.5]], 4.0, coding)  # type: ignore[arg-type]
