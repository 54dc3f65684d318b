"""Plans: lanes that no combination beats, cycles to the last, and refusals."""

import math
import re
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest

from spikeloom.boards.board import BOARDS, Board
from spikeloom.boards.flow import BoardTooSmallError
from spikeloom.boards.placement import Placer
from spikeloom.boards.plan import Plan, _useful_lanes, make_plan
from spikeloom.reference.dense import FixedDense, fixed_stack
from spikeloom.reference.fixed import QFormat
from spikeloom.reference.maps import Convolution
from spikeloom.reference.network import Connection, FixedInput, FixedNetwork, FixedPopulation
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


def convolutions() -> FixedNetwork:
    """Three convolutions of which the first has half the inputs of the others."""
    rng, ones = np.random.default_rng(1), (1, 1)

    def population(source: str, inputs: int, outputs: int) -> FixedPopulation:
        kernel = rng.integers(-2, 9, (outputs, inputs, 3, 3))
        maps = (Convolution(kernel, (inputs, 4, 4), ones, ones, ones),)
        neurons = NeuronConfig(
            size=16 * outputs, state=QFormat(word_length=12), current_width=12, threshold=20
        )
        connections = (Connection(source=source, maps=maps),)
        return FixedPopulation(shape=(outputs, 4, 4), neurons=neurons, connections=connections)

    populations = {
        "a": population("input", 2, 4),
        "b": population("a", 4, 4),
        "c": population("b", 4, 4),
    }
    return FixedNetwork({"input": FixedInput(shape=(2, 4, 4))}, populations, {"output": "c"}, "t")


def branches() -> FixedNetwork:
    """Two branches with as much to do as each other: lanes for one alone are of no use."""
    both, out = stack(12, 16, 4), stack(16, 4)
    first = both.populations["layer_0"]
    last = both.populations["layer_1"]
    (heard,) = last.connections
    connections = tuple(replace(heard, source=name) for name in ("left", "right"))
    populations = {"left": first, "right": first, "out": replace(last, connections=connections)}
    return FixedNetwork(both.inputs, populations, {"output": "out"}, out.profile)


def exact(network: FixedNetwork, stimulus: np.ndarray, lanes: tuple[int, ...]) -> float:
    """Cycles of a sample, predicted, mean."""
    top = NetworkTop(network, lanes)
    cycles = [predict(top, each[None], run_fixed(network, each[None])).cycles for each in stimulus]
    return float(np.mean(cycles))


def channels(network: FixedNetwork) -> list[list[int]]:
    """Numbers of lanes that are of any use to each population."""
    return [_useful_lanes(each.shape[0]) for each in network.populations.values()]


@pytest.mark.parametrize(
    ("network", "board"),
    [(stack(12, 32, 8), ICEBREAKER), (convolutions(), ULX3S)],
    ids=["dense", "convolutional"],
)
def test_against_all_combinations(network: FixedNetwork, board: Board) -> None:
    """None that fits is faster; and where a latency is asked for, no population could do with its
    next fewer lanes."""
    stimulus = full(network, 2)[:1]
    placer = Placer(network)
    cycles = {
        lanes: exact(network, stimulus, lanes)
        for lanes in product(*channels(network))
        if not placer.place(board, lanes).lacks(0.9)
    }
    fastest = make_plan(network, stimulus, board)
    assert fastest.cycles == (cycles[fastest.lanes],) == (min(cycles.values()),)
    different = sorted(set(cycles.values()))
    for most in different[:: len(different) // 4]:
        plan = make_plan(network, stimulus, board, latency=(most + 0.5) / board.clock)
        assert cycles[plan.lanes] <= most
        for k, useful in enumerate(channels(network)):
            for lanes in [each for each in useful if each < plan.lanes[k]][-1:]:
                fewer = (*plan.lanes[:k], lanes, *plan.lanes[k + 1 :])
                assert cycles.get(fewer, math.inf) > most


def test_lanes_for_branches() -> None:
    network = branches()
    plan = make_plan(network, full(network, 2), ULX3S)
    assert plan.lanes[0] == plan.lanes[1] > 1


def test_lanes_that_shorten_the_way() -> None:
    """However fast the input, lanes go on to whatever is behind it."""
    network = stack(40, 12, 4)
    plan = make_plan(network, full(network), ULX3S)
    assert plan.lanes == (12, 4)


def test_period_is_that_of_samples_in_a_row() -> None:
    """The first layer's 12 sources take 8 rows each, whatever comes before or behind."""
    network = stack(12, 32, 8)
    for samples in (2, 5):
        stimulus = np.concatenate([full(network)] * 3)[:samples]
        plan = make_plan(network, stimulus, ULX3S, lanes=(4, 2))
        assert plan.lanes == (4, 2)
        assert plan.period == pytest.approx(6 * 32 * 4, rel=0.05)
        assert plan.throughput == plan.frequency / plan.period
        assert plan.populations[0].utilisation == pytest.approx(
            samples * 6 * 12 * 32 / (4 * sum(plan.cycles))
        )


def test_one_sample_has_no_period() -> None:
    network = stack(12, 32, 8)
    plan = make_plan(network, full(network)[:1], ULX3S)
    assert plan.period is None
    assert plan.throughput is None


def test_board_is_filled_within_its_limits() -> None:
    network = stack(64, 128, 10)
    plan = make_plan(network, full(network, 2), ICEBREAKER)
    assert set(plan.usage) == {"logic cells", "block RAMs", "DSPs", "SPRAMs"}
    assert all(each.used <= each.available for each in plan.usage.values())
    for name, usage in plan.usage.items():
        own = sum(each.usage.get(name, 0) for each in plan.populations)
        link = {"logic cells": ICEBREAKER.family.logic.link, "block RAMs": 2}.get(name, 0)
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
    # 39 cycles on 8 lanes: 1.6 us at the iCEBreaker's 24 MHz, 0.8 us at 48 MHz.
    assert board(stack(8, 8), latency=1e-6) == "hx8k"
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
    assert message.endswith("; the smallest that does is ULX3S 85F")


def test_lanes_are_what_would_fit() -> None:
    """All weights would, on fewer lanes."""
    message = refusal(stack(12, *[256] * 4), BOARDS["ulx3s-85f"], lanes=(256,) * 4)
    found = re.search(r"about (\d+) logic cells of 83640; no board does; about (\d+) of", message)
    assert int(found[2]) == 1024 * 83640 // int(found[1])
    assert message.endswith(" of its 1024 lanes would fit")


def test_more_than_there_is_by_estimate() -> None:
    """A board that is asked for is believed to hold a tenth more; the choice is not of one."""
    network, lanes = stack(8, 30, 30, 30, 30), (8, 8, 6, 6)
    plan = make_plan(network, full(network, 1), ICEBREAKER, lanes=lanes)
    assert plan.usage["logic cells"].used > 5280
    assert not plan.fits
    chosen = make_plan(network, full(network, 1), lanes=lanes)
    assert chosen.fits
    assert chosen.board.logic_cells > 5280


def test_too_slow() -> None:
    network = stack(8, 8)
    message = refusal(network, ICEBREAKER, latency=1e-6)
    assert message.startswith("iCEBreaker needs ")
    smallest = "iCE40-HX8K Breakout Board"
    assert message.endswith(f"at 24 MHz, and not 1 us; the smallest that does is {smallest}")
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
    # The iCE40's loop goes no higher than 275 MHz, Gowin's to 600 MHz.
    assert make_plan(network, full(network), frequency=300e6).board.name == "tang-nano-9k"


def test_a_board_that_is_not_built_here_is_never_chosen() -> None:
    """The Arty has more block RAMs than all that are smaller, and is taken if it is asked for."""
    network = wide(700, 200)
    assert make_plan(network, full(network, 1), BOARDS["arty-a7-35t"]).fits
    chosen = make_plan(network, full(network, 1)).board
    assert chosen.logic_cells > BOARDS["arty-a7-35t"].logic_cells


@pytest.mark.parametrize(
    ("board", "megahertz", "complaint"),
    [
        (ICEBREAKER, 300, "frequency must be 16 to 275 MHz, not 300 MHz; the smallest that does"),
        (ICEBREAKER, 5000, "frequency must be 16 to 275 MHz, not 5000 MHz; no board does; another"),
        (ULX3S, 5, "baud must be at most 1/8 of the clock"),
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
