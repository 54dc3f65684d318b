"""The words of a fixed-point network: what they may be."""

from typing import Any

import numpy as np
import pytest

from spikeloom.reference.precision import DEFAULT, Precision, Scale

RANGES = {
    "weight_width": (2, 16),
    "state_width": (4, 32),
    "state_fraction": (0, 24),
    "decay_fraction": (1, 16),
}


def test_init() -> None:
    assert Precision() == DEFAULT
    assert (DEFAULT.weight_width, DEFAULT.state_width, DEFAULT.state_fraction) == (8, 16, 0)
    assert (DEFAULT.decay_fraction, DEFAULT.percentile) == (8, 100.0)
    assert DEFAULT.scale is Scale.LAYER
    assert Precision(state_fraction=None).state_fraction is None
    assert [each.value for each in Scale] == ["network", "layer", "neuron"]


@pytest.mark.parametrize("name", RANGES)
def test_ranges(name: str) -> None:
    least, most = RANGES[name]
    for value in (least, most):
        assert getattr(Precision(**{name: value}), name) == value
        kept = getattr(Precision(**{name: np.int16(value)}), name)
        assert type(kept) is int
    for value in (least - 1, most + 1):
        with pytest.raises(ValueError, match=f"^{name} must be {least} to {most}, not {value}$"):
            Precision(**{name: value})
    for wrong in (1.0, True, "8"):
        with pytest.raises(TypeError, match=f"^{name} must be an integer, not "):
            Precision(**{name: wrong})


@pytest.mark.parametrize("name", sorted(RANGES.keys() - {"state_fraction"}))
def test_wrong_none(name: str) -> None:
    with pytest.raises(TypeError, match=f"^{name} must be an integer, not None$"):
        Precision(**{name: None})


def test_wrong_scale() -> None:
    wrong: Any = "layer"
    with pytest.raises(TypeError, match=r"^scale must be a Scale, not 'layer'$"):
        Precision(scale=wrong)


def test_wrong_percentile() -> None:
    for good in (100, 100.0, 0.5, 1e-9):
        assert Precision(percentile=good).percentile == good
    for wrong in (0, 0.0, -1.0, 100.001, float("nan")):
        with pytest.raises(ValueError, match=r"^percentile must be above 0 and up to 100, not "):
            Precision(percentile=wrong)
