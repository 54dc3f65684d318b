"""What a network knows after each step, counted by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.reference.dense import FloatDense, float_stack
from spikeloom.reference.fixed import QFormat
from spikeloom.reference.latency import (
    EarlyStop,
    decisions,
    early_stop,
    measure_progress,
    synaptic_operations,
)
from spikeloom.reference.maps import Convolution, Dense, Pool
from spikeloom.reference.network import (
    Connection,
    FixedInput,
    FixedNetwork,
    FixedPopulation,
)
from spikeloom.reference.neuron_fixed import Emission, NeuronConfig
from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.profile import IAF
from spikeloom.reference.quantize import quantize
from spikeloom.reference.simulate import run_fixed, trace_outputs


def stack() -> FixedNetwork:
    neuron = FloatNeuron(profile=IAF, v_th=1.0, tau=None)
    first = FloatDense(np.array([[1.0, 0.0, 1.0], [0.5, 0.5, 0.0]]), neuron)
    second = FloatDense(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), neuron)
    return quantize(float_stack([first, second]))


def test_trace_is_the_run() -> None:
    network = stack()
    raster = np.random.default_rng(0).integers(0, 2, (5, 7, 2))
    (trace,) = trace_outputs(network, [raster])
    run = run_fixed(network, raster)
    assert np.array_equal(trace.output, run.output)
    assert np.array_equal(trace.events["input"], raster.sum(axis=0))
    for name in run.spikes:
        assert np.array_equal(trace.events[name], run.spikes[name].sum(axis=0))


def test_progress_by_hand() -> None:
    """Input 0 makes neurons 0 and 2 spike at once, and these both outputs.

    Output 0 has got two thresholds' worth, and spikes again in the next step.
    """
    network = stack()
    raster = np.array([[[1, 0], [0, 0]], [[0, 0], [0, 1]]])
    progress = measure_progress(network, trace_outputs(network, [raster[:1], raster[1:]]), [0, 1])
    assert progress.sums.tolist() == [[[1, 1], [2, 1]], [[0, 0], [0, 0]]]
    assert progress.correct.tolist() == [1, 1]
    # Sample 0, step 0: the input reaches 2 neurons, their spikes 1 and 2 outputs. Sample 1, step 1:
    # the input reaches 2 neurons, of which none spikes.
    assert progress.operations.tolist() == [2.5, 3.5]
    assert progress.samples == 2


def test_operations_of_a_convolution() -> None:
    """A spike in the middle reaches 4 windows of 2 channels, one in a corner 1; pools likewise."""
    weight = np.ones((2, 1, 2, 2), dtype=np.int64)
    neurons = NeuronConfig(size=8, state=QFormat(word_length=8), current_width=8, threshold=5)
    convolution = Convolution(weight, (1, 3, 3), (1, 1), (0, 0), (1, 1))
    pool = Pool((2, 2, 2), (2, 2), (2, 2), (0, 0))
    single = NeuronConfig(size=2, state=QFormat(word_length=8), current_width=8, threshold=5)
    network = FixedNetwork(
        {"input": FixedInput(shape=(1, 3, 3))},
        {
            "a": FixedPopulation(
                shape=(2, 2, 2),
                neurons=neurons,
                connections=(Connection(source="input", maps=(convolution,)),),
            ),
            "b": FixedPopulation(
                shape=(2, 1, 1),
                neurons=single,
                connections=(Connection(source="a", maps=(pool,)),),
            ),
        },
        {"output": "b"},
        "test",
    )
    events = np.zeros((2, 1, 3, 3), dtype=np.int64)
    events[0, 0, 1, 1], events[1, 0, 0, 0] = 1, 3
    spikes = np.zeros((2, 2, 2, 2), dtype=np.int64)
    spikes[1, 1, 0, 1] = 2
    found = synaptic_operations(network, {"input": events, "a": spikes})
    assert found.tolist() == [8, 3 * 2 + 2]


def test_early_stop_by_hand() -> None:
    sums = np.array([[[1, 0], [3, 1], [9, 0]], [[0, 0], [0, 1], [1, 2]], [[0, 5], [9, 5], [9, 5]]])
    steps, decisions = early_stop(sums, 2)
    assert steps.tolist() == [2, 3, 1]
    assert decisions.tolist() == [0, 1, 1]
    steps, decisions = early_stop(sums, 0)
    assert steps.tolist() == [1, 1, 1]
    steps, decisions = early_stop(sums, 100)
    assert steps.tolist() == [3, 3, 3]
    assert decisions.tolist() == [0, 1, 0]


def test_wrong_sums() -> None:
    with pytest.raises(ValueError, match=r"^sums must be of shape .* not \(2, 3, 1\)$"):
        early_stop(np.zeros((2, 3, 1)), 1)


def test_wrong_margin() -> None:
    with pytest.raises(ValueError, match=r"^margin must not be negative, not -1$"):
        early_stop(np.zeros((2, 3, 2)), -1)


def test_decisions_by_hand() -> None:
    """Sums of the first: (1, 0), (3, 1), (9, 0); the second is never ahead; the third at once."""
    output = np.array(
        [[[1, 0], [2, 1], [6, -1]], [[0, 0], [0, 0], [0, 0]], [[0, 5], [9, 0], [0, 0]]]
    )
    taken, decided = decisions(output, EarlyStop(steps=3, margin=2))
    assert (taken.tolist(), decided.tolist()) == ([2, 3, 1], [0, 0, 1])
    taken, decided = decisions(output, EarlyStop(steps=2, margin=3))
    assert (taken.tolist(), decided.tolist()) == ([2, 2, 1], [0, 0, 1])
    # Of a fourth step nothing is known.
    taken, _ = decisions(output, EarlyStop(steps=4, margin=6))
    assert taken.tolist() == [3, 0, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "^steps must be at least 1, not 0$"),
        ({"margin": -1}, "^margin must be at least 0, not -1$"),
    ],
)
def test_wrong_stop(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EarlyStop(**({"steps": 4, "margin": 1} | options))


@st.composite
def outputs(draw: st.DrawFn) -> list[list[list[int]]]:
    """Samples of steps of at least two outputs."""
    samples, steps, size = draw(st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(2, 4)))
    step = st.lists(st.integers(-3, 3), min_size=size, max_size=size)
    sample = st.lists(step, min_size=steps, max_size=steps)
    return draw(st.lists(sample, min_size=samples, max_size=samples))


def naive_decision(sample: list[list[int]], last: int, margin: int) -> tuple[int, int]:
    """One step after the other: the step that decides, 0 if none does, and the decision."""
    sums = [0] * len(sample[0])
    for t, step in enumerate(sample, 1):
        sums = [a + b for a, b in zip(sums, step, strict=True)]
        largest, second = sorted(sums, reverse=True)[:2]
        if t == last or largest - second >= margin:
            return t, sums.index(largest)
    return 0, 0


@given(outputs(), st.integers(1, 6), st.integers(0, 6))
def test_decisions_are_a_plain_loop(output: list[list[list[int]]], last: int, margin: int) -> None:
    expected = [naive_decision(sample, last, margin) for sample in output]
    steps, decided = decisions(output, EarlyStop(steps=last, margin=margin))
    assert steps.tolist() == [t for t, _ in expected]
    for found, (t, right) in zip(decided.tolist(), expected, strict=True):
        assert t == 0 or found == right


@given(outputs(), st.integers(0, 6))
def test_early_stop_is_a_plain_loop(output: list[list[list[int]]], margin: int) -> None:
    expected = [naive_decision(sample, len(sample), margin) for sample in output]
    steps, decided = early_stop(np.cumsum(output, axis=1), margin)
    assert list(zip(steps.tolist(), decided.tolist(), strict=True)) == expected


def test_operations_of_what_sends_potentials() -> None:
    """It sends in each step of each sample: here 3 numbers to 2 weights that are not 0."""
    network = FixedNetwork(
        {"input": FixedInput(shape=(1,))},
        {
            "a": FixedPopulation(
                shape=(3,),
                neurons=NeuronConfig(
                    size=3,
                    state=QFormat(word_length=8),
                    current_width=8,
                    threshold=5,
                    emission=Emission.POTENTIAL,
                ),
                connections=(Connection(source="input", maps=(Dense(np.ones((1, 3), int)),)),),
            ),
            "b": FixedPopulation(
                shape=(2,),
                neurons=NeuronConfig(
                    size=2, state=QFormat(word_length=8), current_width=8, threshold=5
                ),
                connections=(
                    Connection(source="a", maps=(Dense(np.array([[-2, 0], [0, 0], [0, 9]])),)),
                ),
            ),
        },
        {"output": "b"},
        "test",
    )
    nothing = {"input": np.zeros((4, 1), int)}
    assert synaptic_operations(network, nothing).tolist() == [2, 2, 2, 2]
    assert synaptic_operations(network, nothing, 5).tolist() == [10, 10, 10, 10]
    raster = np.array([[[1], [1]], [[0], [1]]])
    progress = measure_progress(network, trace_outputs(network, [raster]), [1, 0])
    # Once anything has come, the second output is ahead.
    assert progress.correct.tolist() == [2, 1]
    # Of two samples 1 and 2 events on 3 weights, and 4 potentials that are heard, in each step.
    assert progress.operations.tolist() == [(3 + 4) / 2, (3 + 4 + 6 + 4) / 2]


@pytest.mark.parametrize("shape", [(2, 3), (1, 2, 3, 4), (2, 3, 1)])
def test_wrong_shape_of_sums(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^sums must be of shape \(samples, steps, outputs\), "):
        early_stop(np.zeros(shape), 1)


def test_stop_is_of_integers() -> None:
    stop = EarlyStop(steps=np.int8(1), margin=np.int8(0))  # type: ignore[arg-type]
    assert (type(stop.steps), type(stop.margin)) == (int, int)
    for name in ("steps", "margin"):
        with pytest.raises(TypeError, match=f"^{name} must be an integer, not 2.0$"):
            EarlyStop(**({"steps": 4, "margin": 1} | {name: 2.0}))  # type: ignore[arg-type]


@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
def test_operations_are_events_on_weights(seed: int, inputs: int, size: int, steps: int) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.integers(-1, 2, (inputs, size))
    neurons = NeuronConfig(size=size, state=QFormat(word_length=8), current_width=8, threshold=5)
    one = FixedPopulation(
        shape=(size,),
        neurons=neurons,
        connections=(Connection(source="input", maps=(Dense(weight),)),) * 2,
    )
    network = FixedNetwork({"input": FixedInput(shape=(inputs,))}, {"a": one}, {"o": "a"}, "test")
    events = rng.integers(0, 9, (steps, inputs))
    expected = [
        2 * sum(int(n) * sum(w != 0 for w in row) for n, row in zip(step, weight, strict=True))
        for step in events
    ]
    assert synaptic_operations(network, {"input": events}).tolist() == expected
