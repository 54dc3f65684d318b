"""Plans: lanes that are needed and no others, cycles to the last, and refusals."""

import re
from itertools import pairwise, product

import numpy as np
import pytest

from spikeloom.boards.board import BOARDS, Board
from spikeloom.boards.flow import BoardTooSmallError
from spikeloom.boards.plan import Plan, make_plan
from spikeloom.reference.dense import FixedDense, fixed_stack
from spikeloom.reference.fixed import QFormat
from spikeloom.reference.network import FixedInput, FixedNetwork
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.simulate import run_fixed
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.timing import predict
from spikeloom.rtl_gen.weights import WeightStore

ICEBREAKER, ULX3S = BOARDS["icebreaker"], BOARDS["ulx3s-45f"]


def stack(*sizes: int) -> FixedNetwork:
    """Neurons that spike in each step in which anything does: weights and thresholds are 1."""
    layers = [
        FixedDense(
            weight=np.where(np.arange(a * b) % 3, 1, 2).reshape(a, b),
            weight_width=8,
            neurons=NeuronConfig(
                size=b, state=QFormat(word_length=12), current_width=8, threshold=1
            ),
        )
        for a, b in pairwise(sizes)
    ]
    return fixed_stack(layers, "test")


def wide(inputs: int, size: int) -> FixedNetwork:
    """A layer of weights of which each bit changes."""
    weight = np.random.default_rng(0).integers(-128, 128, (inputs, size))
    neurons = NeuronConfig(size=size, state=QFormat(word_length=16), current_width=8, threshold=9)
    return fixed_stack([FixedDense(weight=weight, weight_width=8, neurons=neurons)], "test")


def full(network: FixedNetwork, steps: int = 6) -> np.ndarray:
    """All inputs active in all steps."""
    (entry,) = network.inputs.values()
    return np.ones((2, steps, *entry.shape), np.int64)


def exact(network: FixedNetwork, stimulus: np.ndarray, lanes: tuple[int, ...]) -> float:
    """Cycles of a sample, predicted, mean."""
    top = NetworkTop(network, lanes)
    cycles = [predict(top, each[None], run_fixed(network, each[None])).cycles for each in stimulus]
    return float(np.mean(cycles))


def test_lanes_are_balanced() -> None:
    """12 active sources of 32 neurons, 32 of 8: no fewer lanes in all reach as much."""
    network, latency = stack(12, 32, 8), 5.8e-6
    stimulus = full(network)
    plan = make_plan(network, stimulus, ULX3S, latency=latency)
    assert plan.lanes == (6, 4)
    assert [each.work for each in plan.populations] == [12 * 6, 32 * 2]
    assert plan.bottleneck.name == "layer_0"
    for first, second in product(range(1, 10), range(1, 9)):
        if first + second < sum(plan.lanes):
            assert exact(network, stimulus[:1], (first, second)) > latency * plan.frequency


@pytest.mark.parametrize("latency", [30e-6, 10e-6, 5e-6, 3e-6])
def test_latency_is_met_and_no_lane_is_idle(latency: float) -> None:
    """Any population on its next fewer lanes misses it, if anything is to be missed."""
    network = stack(12, 32, 8)
    stimulus = full(network)
    plan = make_plan(network, stimulus, ULX3S, latency=latency)
    assert np.mean(plan.cycles) == exact(network, stimulus, plan.lanes)
    assert plan.latency <= latency
    useful = {0: [1, 2, 3, 4, 5, 6, 7, 8, 11, 16, 32], 1: [1, 2, 3, 4, 8]}
    for k, lanes in enumerate(plan.lanes):
        fewer = [each for each in useful[k] if each < lanes]
        if fewer and plan.populations[k] is plan.bottleneck:
            less = tuple(fewer[-1] if j == k else each for j, each in enumerate(plan.lanes))
            assert exact(network, stimulus, less) / plan.frequency > latency


def test_as_fast_as_the_input() -> None:
    """Beyond the 40 events of the input and a tick, one a cycle, no lane is of use: one row of the
    first layer, and two of the second, whose 12 sources would take 48 cycles on one lane."""
    network = stack(40, 12, 4)
    plan = make_plan(network, full(network), ULX3S)
    assert plan.lanes == (12, 2)
    # Both samples, and the last step's way through.
    assert 6 * 41 <= plan.period < 6 * 41 + 64


def test_period_is_that_of_samples_in_a_row() -> None:
    network = stack(12, 32, 8)
    stimulus = full(network)
    plan = make_plan(network, stimulus, ULX3S, lanes=(4, 2))
    top = NetworkTop(network, (4, 2))
    assert plan.lanes == (4, 2)
    assert plan.period == predict(top, stimulus, run_fixed(network, stimulus)).cycles / 2
    assert plan.populations[0].utilisation == pytest.approx(
        2 * 6 * 12 * 32 / (4 * sum(plan.cycles))
    )


def test_board_is_filled_within_its_limits() -> None:
    network = stack(64, 128, 10)
    plan = make_plan(network, full(network, 2), ICEBREAKER)
    assert set(plan.usage) == {"logic cells", "block RAMs", "DSPs", "SPRAMs"}
    assert all(each.used <= each.available for each in plan.usage.values())
    for name, usage in plan.usage.items():
        own = sum(each.usage.get(name, 0) for each in plan.populations)
        link = {"logic cells": ICEBREAKER.family.logic.link, "block RAMs": 1}.get(name, 0)
        assert usage.used == own + link


def test_weights_go_to_spram() -> None:
    """784 x 128 weights are 200 block RAMs, or 4 SPRAMs of two weights a word."""
    network = stack(784, 128, 10)
    plan = make_plan(network, full(network, 1), ICEBREAKER, lanes=(8, 1))
    assert plan.stores == (WeightStore.SPRAM, WeightStore.AUTO)
    assert (plan.usage["SPRAMs"].used, plan.usage["SPRAMs"].available) == (4, 4)
    assert plan.populations[0].memories["weights"].cell.name == "SPRAM"


def test_smallest_board() -> None:
    def board(network: FixedNetwork, **options) -> str:
        return make_plan(network, full(network, 1), **options).board.name

    assert board(stack(8, 8)) == "icebreaker"
    assert board(stack(8, 8), latency=1e-6) == "ulx3s-45f"
    assert board(wide(700, 250)) == "ulx3s-45f"
    assert board(wide(700, 400)) == "ulx3s-85f"


def refusal(network: FixedNetwork, *arguments, **options) -> str:
    with pytest.raises(BoardTooSmallError) as caught:
        make_plan(network, full(network, 1), *arguments, **options)
    return str(caught.value)


def test_too_big() -> None:
    """A million weights of 8 bits are 1953.1 block RAMs of an iCE40; it holds 30, and 256 more of
    SPRAM."""
    assert refusal(wide(700, 250), ICEBREAKER).endswith("; the smallest that does is ULX3S 45F")
    assert refusal(wide(700, 400), ICEBREAKER).endswith("; the smallest that does is ULX3S 85F")
    message = refusal(wide(1000, 1000), ICEBREAKER)
    found = re.fullmatch(
        r"the network is too big for iCEBreaker: it needs (\d+) block RAMs of 30; no board does;"
        r" about (\d+) of its 1000000 weights would fit",
        message,
    )
    assert 1954 <= int(found[1]) < 1980
    assert int(found[2]) == 1_000_000 * (30 + 256) // int(found[1])
    assert refusal(wide(1000, 1000)).startswith("the network is too big for ULX3S 85F: it needs ")


def test_too_many_lanes() -> None:
    message = refusal(stack(12, 256, 256), ICEBREAKER, lanes=(256, 256))
    assert "it needs about " in message
    assert " logic cells of 5280" in message


def test_too_slow() -> None:
    network = stack(8, 8)
    message = refusal(network, ICEBREAKER, latency=1e-6)
    assert message.startswith("iCEBreaker needs ")
    assert message.endswith("at 24 MHz, and not 1 us; the smallest that does is ULX3S 45F")
    message = refusal(network, ICEBREAKER, latency=1e-9)
    assert message.endswith("; no board does; a faster clock or fewer spikes may")
    message = refusal(network, ULX3S, latency=0.6e-6, lanes=(1,))
    assert "with 1 lanes at 100 MHz" in message


def test_frequency() -> None:
    network = stack(8, 8)
    plan = make_plan(network, full(network), ULX3S, lanes=(2,), frequency=50e6)
    assert plan.latency == np.mean(plan.cycles) / 50e6
    # What the loop makes of 12 MHz.
    plan = make_plan(network, full(network), ICEBREAKER, lanes=(2,), frequency=20e6)
    assert plan.frequency == 12e6 * 53 / 32
    # The iCE40's loop goes no higher than 275 MHz.
    assert make_plan(network, full(network), frequency=300e6).board is ULX3S


@pytest.mark.parametrize(
    ("board", "megahertz", "complaint"),
    [
        (ICEBREAKER, 300, "frequency must be 16 to 275 MHz, not 300 MHz; the smallest that does"),
        (ICEBREAKER, 5000, "frequency must be 16 to 275 MHz, not 5000 MHz; no board does; another"),
        (ULX3S, 5, "baud must be at most clock / 8"),
    ],
)
def test_clock_that_cannot_be_made(board: Board, megahertz: float, complaint: str) -> None:
    network = stack(8, 8)
    with pytest.raises(ValueError, match=rf"^{board.title} cannot be clocked so: {complaint}"):
        make_plan(network, full(network), board, frequency=megahertz * 1e6)


@pytest.mark.parametrize("name", ["latency", "frequency"])
@pytest.mark.parametrize("value", [0, -1.0, float("inf"), float("nan")])
def test_wrong_number(name: str, value: float) -> None:
    network = stack(8, 8)
    with pytest.raises(ValueError, match=rf"^{name} must be positive and finite, not {value!r}$"):
        make_plan(network, full(network), **{name: value})


@pytest.mark.parametrize(
    ("lanes", "complaint"),
    [
        ((1, 2), r"^lanes must be 1, one a population, not 2$"),
        ((0,), r"^lanes must be 1 to 256, not 0$"),
    ],
)
def test_wrong_lanes(lanes: tuple[int, ...], complaint: str) -> None:
    network = stack(8, 8)
    with pytest.raises(ValueError, match=complaint):
        make_plan(network, full(network), ULX3S, lanes=lanes)


def test_wrong_inputs() -> None:
    one = stack(8, 8)
    inputs = {**one.inputs, "other": FixedInput(shape=(2,))}
    network = FixedNetwork(inputs, one.populations, one.outputs, "test")
    with pytest.raises(ValueError, match=r"must have one input and one output, not 2 and 1$"):
        make_plan(network, full(one))


def test_plan_is_plain() -> None:
    network = stack(8, 8)
    plan = make_plan(network, full(network))
    assert isinstance(plan, Plan)
    assert (plan.samples, plan.steps, len(plan.cycles)) == (2, 6, 2)
    assert len(plan.populations[0].step_cycles) == 2 * 5
