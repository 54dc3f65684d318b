"""Rows of the memories, cell by cell as their definition says."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.reference.memory_map import Layout, dense_rows

SIZES = [(1, 1), (5, 1), (1, 8), (3, 8), (8, 8), (9, 8), (16, 8), (10, 3), (7, 256)]
SHAPES = [
    *(((size,), lanes) for size, lanes in SIZES),
    *(((channels, 4), lanes) for channels, lanes in SIZES),
    ((3, 1), 2),
    *(((channels, 2, 3), lanes) for channels, lanes in SIZES),
    ((5, 3, 1), 2),
    ((4, 1, 1), 3),
]
every_shape = pytest.mark.parametrize(("shape", "lanes"), SHAPES)


@pytest.mark.parametrize(
    ("shape", "lanes", "positions", "groups", "present"),
    [
        ((1,), 1, 1, 1, 1),
        ((8,), 8, 1, 1, 8),
        ((9,), 8, 1, 2, 1),
        ((17,), 8, 1, 3, 1),
        ((2,), 3, 1, 1, 2),
        ((7, 5), 4, 5, 2, 3),
        ((8, 5), 4, 5, 2, 4),
        ((2, 3, 4), 8, 12, 1, 2),
        ((9, 3, 4), 4, 12, 3, 1),
    ],
)
def test_init(
    shape: tuple[int, ...], lanes: int, positions: int, groups: int, present: int
) -> None:
    layout = Layout(shape, lanes)
    assert (layout.channels, layout.positions, layout.groups) == (shape[0], positions, groups)
    assert (layout.rows, layout.present) == (positions * groups, present)
    assert layout == Layout(shape, lanes)


def cells(shape: tuple[int, ...], lanes: int) -> list[list[int]]:
    """Numbers of neurons by row and lane: positions in order, and in each the channels."""
    rows = []
    number = np.arange(math.prod(shape)).reshape(shape)
    for position in product(*(range(size) for size in shape[1:])):
        column = [int(number[(channel, *position)]) for channel in range(shape[0])]
        for start in range(0, shape[0], lanes):
            row = column[start : start + lanes]
            rows.append(row + [-1] * (lanes - len(row)))
    return rows


@every_shape
def test_neurons(shape: tuple[int, ...], lanes: int) -> None:
    layout = Layout(shape, lanes)
    assert layout.neurons.tolist() == cells(shape, lanes)
    assert layout.rows == len(cells(shape, lanes))
    absent = (layout.neurons[layout.groups - 1 :: layout.groups] < 0).sum(axis=1)
    assert absent.tolist() == [lanes - layout.present] * layout.positions


@every_shape
def test_by_row(shape: tuple[int, ...], lanes: int) -> None:
    values = np.random.default_rng(1).integers(-99, 99, math.prod(shape))
    rows = Layout(shape, lanes).by_row(values)
    expected = [[values[n] if n >= 0 else 0 for n in row] for row in cells(shape, lanes)]
    assert rows.tolist() == expected


def test_by_row_of_one_value() -> None:
    assert Layout((5,), 2).by_row(-7).tolist() == [[-7, -7], [-7, -7], [-7, 0]]
    assert Layout((1, 2), 2).by_row(3).tolist() == [[3, 0], [3, 0]]


@every_shape
def test_from_rows_inverts_by_row(shape: tuple[int, ...], lanes: int) -> None:
    """With leading axes; and what lies in lanes without a neuron does not matter."""
    layout = Layout(shape, lanes)
    values = np.random.default_rng(1).integers(-99, 99, (2, 3, math.prod(shape)))
    rows = layout.by_row(values)
    assert rows.shape == (2, 3, layout.rows, lanes)
    assert rows[1, 2].tolist() == layout.by_row(values[1, 2]).tolist()
    rows[..., layout.neurons < 0] = 77
    again = layout.from_rows(rows)
    assert again.shape == values.shape
    assert np.array_equal(again, values)


@pytest.mark.parametrize("inputs", [1, 2, 5])
@every_shape
def test_dense_rows(inputs: int, shape: tuple[int, ...], lanes: int) -> None:
    weight = np.random.default_rng(1).integers(-99, 99, (inputs, math.prod(shape)))
    expected = [
        [weight[source, n] if n >= 0 else 0 for n in row]
        for row in cells(shape, lanes)
        for source in range(inputs)
    ]
    assert dense_rows(weight, Layout(shape, lanes)).tolist() == expected


@given(st.lists(st.integers(1, 9), min_size=1, max_size=3), st.integers(1, 9), st.data())
def test_every_layout(sizes: list[int], lanes: int, data: st.DataObject) -> None:
    shape, layout = tuple(sizes), Layout(tuple(sizes), lanes)
    assert layout.neurons.tolist() == cells(shape, lanes)
    count = math.prod(shape)
    values = data.draw(st.lists(st.integers(-(1 << 62), 1 << 62), min_size=count, max_size=count))
    rows = layout.by_row(values)
    assert rows.tolist() == [[values[n] if n >= 0 else 0 for n in row] for row in layout.neurons]
    assert layout.from_rows(rows).tolist() == values
