"""Rasters as events and back: by hand, by a naive loop and round trip."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from spikeloom.reference.events import (
    RESTART,
    SPIKE,
    TICK,
    events_to_raster,
    raster_to_events,
)


@st.composite
def rasters(draw: st.DrawFn) -> NDArray[np.int64]:
    shape = draw(st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(1, 5)))
    count = st.one_of(st.just(0), st.integers(0, 255), st.integers(-(1 << 23), 1 << 23))
    size = int(np.prod(shape))
    counts = draw(st.lists(count, min_size=size, max_size=size))
    return np.array(counts, dtype=np.int64).reshape(shape)


def test_kinds() -> None:
    assert (SPIKE, TICK, RESTART) == (0, 1, 2)


def test_raster_to_events_by_hand() -> None:
    raster = [[[0, 2, 0], [0, 0, 0]], [[1, 0, 255], [0, 0, 1]]]
    assert raster_to_events(raster).tolist() == [
        [RESTART, 0, 0],
        [SPIKE, 1, 2],
        [TICK, 0, 0],
        [TICK, 0, 0],
        [RESTART, 0, 0],
        [SPIKE, 0, 1],
        [SPIKE, 2, 255],
        [TICK, 0, 0],
        [SPIKE, 2, 1],
        [TICK, 0, 0],
    ]


@given(rasters())
def test_raster_to_events_is_a_plain_loop(raster: NDArray[np.int64]) -> None:
    expected = []
    for sample in raster.tolist():
        expected.append([RESTART, 0, 0])
        for step in sample:
            expected += [[SPIKE, n, count] for n, count in enumerate(step) if count]
            expected.append([TICK, 0, 0])
    assert raster_to_events(raster).tolist() == expected


@given(rasters())
def test_round_trip(raster: NDArray[np.int64]) -> None:
    _, steps, neurons = raster.shape
    again = events_to_raster(raster_to_events(raster), steps, neurons)
    assert again.shape == raster.shape
    assert np.array_equal(again, raster)


def test_order_of_addresses_does_not_matter() -> None:
    events = [[RESTART, 0, 0], [SPIKE, 2, 3], [SPIKE, 0, 1], [TICK, 0, 0]]
    assert events_to_raster(events, 1, 3).tolist() == [[[1, 0, 3]]]


@pytest.mark.parametrize("shape", [(3,), (2, 3), (1, 2, 3, 4)])
def test_wrong_raster(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^raster must be of shape \(samples, steps, neurons\)"):
        raster_to_events(np.zeros(shape, dtype=int))


def test_negative_values_by_hand() -> None:
    events = [[RESTART, 0, 0], [SPIKE, 0, 1], [SPIKE, 2, -128], [TICK, 0, 0]]
    assert raster_to_events([[[1, 0, -128]]]).tolist() == events
    assert events_to_raster(events, 1, 3).tolist() == [[[1, 0, -128]]]


def test_wrong_count() -> None:
    with pytest.raises(ValueError, match=r"^count must not be 0, but one is$"):
        events_to_raster([START, [SPIKE, 0, -1], [SPIKE, 1, 0], END], 1, 2)


START, END = [RESTART, 0, 0], [TICK, 0, 0]


@pytest.mark.parametrize("kind", [-1, 3])
def test_wrong_kind(kind: int) -> None:
    with pytest.raises(ValueError, match=rf"^kind must be 0, 1 or 2, but one is {kind}$"):
        events_to_raster([START, [kind, 0, 0], END], 1, 2)


@pytest.mark.parametrize("address", [-1, 2])
def test_wrong_address(address: int) -> None:
    with pytest.raises(ValueError, match=r"^address must be 0 to 1, but one is not$"):
        events_to_raster([START, [SPIKE, address, 1], END], 1, 2)


@pytest.mark.parametrize(
    "events",
    [
        [START, END, [SPIKE, 0, 1]],
        [START, END],
        [START],
        [START, END, END, START],
        [START, END, END, START, END],
    ],
)
def test_wrong_end(events: list[list[int]]) -> None:
    with pytest.raises(ValueError, match=r"^events must end with the tick of a sample's step 1$"):
        events_to_raster(events, 2, 2)


@pytest.mark.parametrize(
    "events",
    [
        [END, END],
        [START, START, END, END],
        [START, END, START, END],
        [START, END, END, END, START, END],
        [START, END, END, END, END],
        # A restart discards the spikes before it: it is not at the sample's start.
        [[SPIKE, 0, 1], START, END, END],
        [START, END, END, [SPIKE, 1, 1], START, END, END],
    ],
)
def test_wrong_restart(events: list[list[int]]) -> None:
    with pytest.raises(ValueError, match=r"^a restart must stand "):
        events_to_raster(events, 2, 2)


def test_wrong_repetition() -> None:
    spike = [SPIKE, 1, 1]
    message = r"^an address must come at most once in a step, but one comes twice$"
    with pytest.raises(ValueError, match=message):
        events_to_raster([START, spike, [SPIKE, 0, 1], spike, END], 1, 2)
    events = [START, spike, END, START, spike, END]
    assert events_to_raster(events, 1, 2).tolist() == [[[0, 1]], [[0, 1]]]
