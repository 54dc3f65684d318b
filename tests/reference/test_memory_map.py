"""Rows of the memories, cell by cell as their definition says."""

import numpy as np
import pytest

from spikeloom.reference.memory_map import by_lane, sweep_rows, weight_rows

SHAPES = [(1, 1), (5, 1), (1, 8), (3, 8), (8, 8), (9, 8), (16, 8), (10, 3), (7, 256)]


@pytest.mark.parametrize(
    ("size", "lanes", "rows"), [(1, 1, 1), (8, 8, 1), (9, 8, 2), (16, 8, 2), (17, 8, 3), (2, 3, 1)]
)
def test_sweep_rows(size: int, lanes: int, rows: int) -> None:
    assert sweep_rows(size, lanes) == rows


@pytest.mark.parametrize(("size", "lanes"), SHAPES)
def test_by_lane(size: int, lanes: int) -> None:
    values = np.random.default_rng(1).integers(-99, 99, size)
    rows = by_lane(values, size, lanes)
    assert rows.shape == (-(-size // lanes), lanes)
    for n in range(rows.size):
        # Beyond the last neuron: its value again.
        assert rows[n // lanes, n % lanes] == values[min(n, size - 1)]


def test_by_lane_of_one_value() -> None:
    assert by_lane(-7, 5, 2).tolist() == [[-7, -7]] * 3


@pytest.mark.parametrize("inputs", [1, 2, 5])
@pytest.mark.parametrize(("size", "lanes"), SHAPES)
def test_weight_rows(inputs: int, size: int, lanes: int) -> None:
    weight = np.random.default_rng(1).integers(-99, 99, (inputs, size))
    rows = weight_rows(weight, lanes)
    sweeps = -(-size // lanes)
    assert rows.shape == (sweeps * inputs, lanes)
    for sweep, source, lane in np.ndindex(sweeps, inputs, lanes):
        neuron = sweep * lanes + lane
        expected = weight[source, neuron] if neuron < size else 0
        assert rows[sweep * inputs + source, lane] == expected
