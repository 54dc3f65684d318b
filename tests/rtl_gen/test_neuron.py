"""The neuron array against the golden step: every row of every step, at any pace."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spikeloom.reference.fixed import QFormat, Rounding
from spikeloom.reference.neuron_fixed import DecayRule, Emission, NeuronConfig
from spikeloom.reference.profile import Compared, Comparison, Order, Reset
from spikeloom.reference.simulate import run_neurons
from spikeloom.rtl_gen.neuron import NeuronArray, check_lanes, current_beat, spike_beat

Beat = dict[str, Any]

PLAIN: dict[str, Any] = {
    "state": QFormat(word_length=8),
    "current_width": 8,
    "threshold": 20,
}

# Odd ones: a single neuron, more lanes than neurons, one lane, a last row that is not full, and
# sweeps shorter, as long as, and longer than any pipeline.
SIZES = [(1, 1), (1, 4), (3, 8), (5, 1), (8, 8), (9, 8), (7, 3), (12, 4), (12, 3), (9, 2), (23, 2)]


def draw_currents(rng: random.Random, config: NeuronConfig, samples: int, steps: int) -> np.ndarray:
    half = 1 << (config.current_width - 1)
    shape = (samples, steps, config.size)
    draws = [
        rng.choice([rng.randint(-half, half - 1), rng.randint(-half // 4, half // 4), -half, 0])
        for _ in range(int(np.prod(shape)))
    ]
    return np.array(draws, dtype=np.int64).reshape(shape)


def beats(rng: random.Random, config: NeuronConfig, lanes: int, currents: np.ndarray) -> list[Beat]:
    """Rows of currents; what the contract says is ignored is random."""
    rows, half = -(-config.size // lanes), 1 << (config.current_width - 1)
    words = []
    for sample, step, row in np.ndindex(*currents.shape[:2], rows):
        present = currents[sample, step, row * lanes : (row + 1) * lanes].tolist()
        absent = [rng.randint(-half, half - 1) for _ in range(lanes - len(present))]
        # The first sample needs none after a reset.
        restart = step == 0 and sample > 0 if row == 0 else rng.random() < 0.5
        words.append({"current": present + absent, "restart": int(restart)})
    return words


def expected_rows(config: NeuronConfig, lanes: int, currents: np.ndarray) -> list[Any]:
    """Counts of each row, restart and last."""
    rows = -(-config.size // lanes)
    spikes, membrane = run_neurons(config, currents)
    if config.emission is Emission.POTENTIAL:
        spikes = membrane
    expected = []
    for sample, step, row in np.ndindex(*currents.shape[:2], rows):
        present = spikes[sample, step, row * lanes : (row + 1) * lanes].tolist()
        counts = present + [0] * (lanes - len(present))
        restart = row == 0 and step == 0 and sample > 0
        expected.append((counts, int(restart), int(row == rows - 1)))
    return expected


def found_rows(sink: Any) -> list[Any]:
    return [(list(word["count"]), word["restart"], word["last"]) for word in sink.get()]


def check(
    bench: Any, rng: random.Random, config: NeuronConfig, lanes: int, pace: tuple[float, float]
) -> None:
    currents = draw_currents(rng, config, 3, 5)
    array = NeuronArray(config, lanes)
    b = bench(array, seed=rng.randrange(1000))
    b.source(array.i, beats(rng, config, lanes, currents), chance=pace[0])
    sink = b.sink(array.o, chance=pace[1])
    expected = expected_rows(config, lanes, currents)
    b.receive(sink, len(expected), spare=20)
    assert found_rows(sink) == expected, f"{config}, {lanes} lanes"


PACES = [(1.0, 1.0), (0.5, 1.0), (1.0, 0.4), (0.6, 0.6)]


def test_init(config_of: Callable[..., NeuronConfig]) -> None:
    config = NeuronConfig(size=9, max_spikes=7, **PLAIN)
    array = NeuronArray(config, 4)
    assert (array.rows, array.lanes, array.config) == (3, 4, config)
    assert array.i.payload.shape() == current_beat(config, 4)
    assert array.i.payload.shape().size == 4 * 8 + 2
    assert array.o.payload.shape() == spike_beat(config, 4)
    assert array.o.payload.shape().size == 4 * 3 + 2
    assert array.probe_o.payload.shape().size == 4 * 8


@pytest.mark.parametrize("pace", PACES[::3])
@pytest.mark.parametrize(("size", "lanes"), SIZES)
def test_sizes(
    bench: Any,
    config_of: Callable[..., NeuronConfig],
    size: int,
    lanes: int,
    pace: tuple[float, float],
) -> None:
    rng = random.Random(100 * size + lanes)
    check(bench, rng, config_of(rng, size), lanes, pace)


@pytest.mark.parametrize("seed", range(24))
def test_random_configurations(
    bench: Any, config_of: Callable[..., NeuronConfig], seed: int
) -> None:
    rng = random.Random(seed)
    size, lanes = rng.choice(SIZES)
    check(bench, rng, config_of(rng, size), lanes, PACES[seed % len(PACES)])


@pytest.mark.parametrize("seed", range(24))
def test_void_steps(bench: Any, config_of: Callable[..., NeuronConfig], seed: int) -> None:
    """One row stands for a step without currents, whatever it says; so it may at the output."""
    rng = random.Random(seed)
    size, lanes = rng.choice(SIZES)
    rest = {"decay_rule": DecayRule.NONE, "decay": 0, "bias": 0, "refractory_steps": 0}
    config = config_of(rng, size, **(rest if seed % 2 else {}))
    currents = draw_currents(rng, config, 3, 12)
    void = np.array([rng.random() < 0.7 for _ in range(36)]).reshape(3, 12)
    currents[void] = 0
    rows = -(-size // lanes)
    words = []
    for number, word in enumerate(beats(rng, config, lanes, currents)):
        step, row = divmod(number, rows)
        is_void = bool(void.flat[step])
        if row == 0 or not is_void:
            words.append(word | {"void": int(is_void)})
        if is_void and row == 0:
            half = 1 << (config.current_width - 1)
            words[-1]["current"] = [rng.randint(-half, half - 1) for _ in range(lanes)]
    array = NeuronArray(config, lanes)
    b = bench(array, seed=seed)
    b.source(array.i, words, chance=rng.choice([1.0, 0.4]))
    sink = b.sink(array.o, chance=rng.choice([1.0, 0.4]))
    b.run_until(lambda: sum(word["last"] for word in sink.get()) == 36, spare=20)
    expected = expected_rows(config, lanes, currents)
    found = iter(found_rows(sink))
    for step in range(36):
        row = next(found)
        whole = expected[step * rows : step * rows + rows]
        if row[2] and rows > 1:
            assert void.flat[step]
            assert config.decay_rule is DecayRule.NONE
            assert row[1] == whole[0][1] == 0
            assert not np.any([counts for counts, _, _ in whole])
        else:
            assert [row, *(next(found) for _ in range(rows - 1))] == whole
    assert next(found, None) is None


def test_resting_neurons_cost_a_cycle_a_step(bench: Any) -> None:
    config = NeuronConfig(size=40, **PLAIN)
    array = NeuronArray(config, 2)
    void = {"current": [0, 0], "void": 1}
    spiking = [{"current": [15, 0], "void": 0}] * 20
    b = bench(array)
    source = b.source(array.i, [void] * 3 + spiking * 2 + [void] * 30)
    sink = b.sink(array.o)
    b.run_until(lambda: sum(word["last"] for word in sink.get()) == 35)
    steps = np.diff(source.cycles[-30:])
    # In the second of the steps with currents neurons have spiked; in the void step behind it none
    # does, and from then on all rest.
    assert sum(word["count"][0] for word in sink.get()) == 20
    assert steps.tolist() == [array.latency + 1] + [1] * 28


@pytest.mark.parametrize(
    ("comparison", "floor", "spikes"),
    [
        (Comparison.GE, -4, 0),
        (Comparison.GE, -3, 1),
        (Comparison.GT, -3, 0),
        (Comparison.GT, -2, 1),
    ],
)
def test_what_the_floor_lifts_over_the_threshold_does_not_rest(
    bench: Any, comparison: Comparison, floor: int, spikes: int
) -> None:
    """By hand: -8 is below the threshold of -3 and lifted to the floor behind the comparison."""
    config = NeuronConfig(
        size=1,
        **PLAIN | {"threshold": -3},
        v_init=-8,
        floor=floor,
        reset=Reset.NONE,
        comparison=comparison,
    )
    array = NeuronArray(config, 1)
    b = bench(array)
    b.source(array.i, [{"current": [0], "void": 1}] * 5)
    sink = b.sink(array.o)
    b.run_until(lambda: len(sink.words) == 5, spare=20)
    assert [word["count"] for word in sink.get()] == [[0]] + [[spikes]] * 4


@pytest.mark.parametrize("seed", range(6))
def test_potentials_are_sent(bench: Any, config_of: Callable[..., NeuronConfig], seed: int) -> None:
    rng = random.Random(seed)
    size, lanes = rng.choice(SIZES)
    config = config_of(rng, size, emission=Emission.POTENTIAL)
    check(bench, rng, config, lanes, PACES[seed % len(PACES)])


@pytest.mark.parametrize("seed", range(12))
def test_synapses(bench: Any, config_of: Callable[..., NeuronConfig], seed: int) -> None:
    rng = random.Random(seed)
    size, lanes = rng.choice(SIZES)
    check(bench, rng, config_of(rng, size, synapse=True), lanes, PACES[seed % len(PACES)])


@pytest.mark.parametrize("compared", Compared)
def test_many_spikes_at_once(bench: Any, compared: Compared) -> None:
    """Up to 255 spikes a step."""
    config = NeuronConfig(
        size=3,
        state=QFormat(word_length=12),
        current_width=12,
        threshold=(3, 8, 1),
        max_spikes=255,
        compared=compared,
    )
    rng = random.Random(1)
    check(bench, rng, config, 2, (1.0, 1.0))


@pytest.mark.parametrize(
    ("options", "latency"),
    [
        ({}, 3),  # read, integrate, fire
        ({"compared": Compared.OLD}, 3),
        ({"max_spikes": 7}, 5),  # one stage a place of the count
        ({"floor": -3}, 4),
        ({"refractory_steps": 2}, 4),
        ({"floor": -3, "refractory_steps": 2}, 4),
        ({"decay_rule": DecayRule.CONSTANT, "decay": 2}, 3),
        ({"decay_rule": DecayRule.SHIFT, "decay": 2}, 4),
        ({"decay_rule": DecayRule.SHIFT, "decay": 2, "order": Order.INPUT_FIRST}, 4),
        ({"decay_rule": DecayRule.MULTIPLIER, "decay": 200}, 4),
        (
            {
                "decay_rule": DecayRule.MULTIPLIER,
                "decay": 200,
                "state": QFormat(word_length=8, rounding=Rounding.NEAREST_EVEN),
                "max_spikes": 3,
                "floor": -3,
            },
            7,
        ),
    ],
)
@pytest.mark.parametrize("size", [3, 7, 12, 40])
def test_latency_and_throughput(
    bench: Any, options: dict[str, Any], latency: int, size: int
) -> None:
    """One row a cycle, or one sweep in the time in which a row is read and written back."""
    config = NeuronConfig(**{"size": size} | PLAIN | options)
    array = NeuronArray(config, 3)
    assert array.latency == latency
    currents = np.zeros((1, 6, size), dtype=np.int64)
    b = bench(array)
    source = b.source(array.i, beats(random.Random(1), config, 3, currents))
    sink = b.sink(array.o)
    b.run_until(lambda: len(sink.words) == 6 * array.rows)
    assert [out - into for into, out in zip(source.cycles, sink.cycles, strict=True)] == [
        latency
    ] * len(sink.cycles)
    period = max(array.rows, latency + 1)
    first_rows = source.cycles[:: array.rows]
    assert np.diff(first_rows).tolist() == [period] * 5
    if array.rows > latency:
        assert np.diff(source.cycles).tolist() == [1] * (len(source.cycles) - 1)


@pytest.mark.parametrize("rows", range(1, 9))
def test_rows_wait_for_their_predecessor(bench: Any, rows: int) -> None:
    """Sweeps around the length of the pipeline, at full speed and with stalls at the output.

    A row that is read too early misses the current of the step before.
    """
    config = NeuronConfig(size=rows, **PLAIN | {"threshold": 127})
    latency = NeuronArray(config, 1).latency
    assert 1 < latency < 8
    currents = np.ones((1, 9, rows), dtype=np.int64)
    for chance in (1.0, 0.5):
        array = NeuronArray(config, 1)
        b = bench(array, seed=rows)
        b.source(array.i, beats(random.Random(1), config, 1, currents))
        sink = b.sink(array.o, chance=chance)
        probes = b.source(array.probe_i)
        answers = b.sink(array.probe_o)

        async def script(ctx: Any, b: Any = b, probes: Any = probes, sinks: Any = (sink, answers)):
            await b.until(ctx, lambda: len(sinks[0].words) == 9 * rows)
            probes.put(range(rows))
            await b.until(ctx, lambda: len(sinks[1].words) == rows)

        b.run(script)
        assert [word[0] for word in answers.get()] == [9] * rows


@pytest.mark.parametrize("seed", range(8))
def test_probes_show_every_membrane_potential(
    bench: Any, config_of: Callable[..., NeuronConfig], seed: int
) -> None:
    """After each step, and before the first."""
    rng = random.Random(seed)
    size, lanes = rng.choice(SIZES)
    config = config_of(rng, size)
    array = NeuronArray(config, lanes)
    currents = draw_currents(rng, config, 2, 4)
    _, membrane = run_neurons(config, currents)
    words = beats(rng, config, lanes, currents)
    b = bench(array, seed=seed)
    source, sink = b.source(array.i, chance=0.7), b.sink(array.o, chance=0.7)
    probes, answers = b.source(array.probe_i), b.sink(array.probe_o, chance=0.5)
    order = list(range(array.rows))

    async def ask(ctx: Any, potentials: list[int]) -> None:
        rng.shuffle(order)
        answers.words.clear()
        probes.put(order)
        await b.until(ctx, lambda: len(answers.words) == array.rows)
        padded = potentials + [0] * (array.rows * lanes - size)
        expected = [padded[row * lanes : (row + 1) * lanes] for row in order]
        assert [list(word) for word in answers.get()] == expected, f"seed {seed}, {config}"

    async def script(ctx: Any) -> None:
        await ask(ctx, np.broadcast_to(config.v_init, size).tolist())
        for sample, step in np.ndindex(2, 4):
            start = (sample * 4 + step) * array.rows
            source.put(words[start : start + array.rows])
            await b.until(ctx, lambda s=start: len(sink.words) == s + array.rows)
            await ask(ctx, membrane[sample, step].tolist())

    b.run(script)
    assert found_rows(sink) == expected_rows(config, lanes, currents)


@pytest.mark.parametrize("seed", range(6))
def test_probes_at_any_time(bench: Any, config_of: Callable[..., NeuronConfig], seed: int) -> None:
    """Answered between steps only, with the potentials of the last whole step; spikes unharmed."""
    rng = random.Random(seed)
    size, lanes = SIZES[seed % 3 + 6]
    config = config_of(rng, size)
    array = NeuronArray(config, lanes)
    currents = draw_currents(rng, config, 1, 12)
    _, membrane = run_neurons(config, currents)
    after = [np.broadcast_to(config.v_init, size).tolist(), *membrane[0].tolist()]
    b = bench(array, seed=seed)
    source = b.source(array.i, beats(rng, config, lanes, currents), chance=0.1)
    sink = b.sink(array.o)
    asked = [rng.randrange(array.rows) for _ in range(500)]
    probes = b.source(array.probe_i, asked, chance=0.5)
    answers = b.sink(array.probe_o, chance=0.5)
    b.run_until(lambda: len(sink.words) == 12 * array.rows, spare=12)
    assert found_rows(sink) == expected_rows(config, lanes, currents)
    steps_seen = set()
    for cycle, row, answer in zip(probes.cycles, asked, answers.get(), strict=False):
        entered = sum(into < cycle for into in source.cycles)
        assert entered % array.rows == 0, f"seed {seed}: probed inside a step"
        step = entered // array.rows
        present = after[step][row * lanes : (row + 1) * lanes]
        assert list(answer) == present + [0] * (lanes - len(present)), f"seed {seed}, step {step}"
        steps_seen.add(step)
    assert len(steps_seen) > 3


def test_output_does_not_wait_for_ready(bench: Any) -> None:
    """With nobody to take its rows, the array fills up, and its first row is there."""
    config = NeuronConfig(size=40, **PLAIN)
    array = NeuronArray(config, 3)
    b = bench(array)
    currents = np.zeros((1, 2, 40), dtype=np.int64)
    source = b.source(array.i, beats(random.Random(1), config, 3, currents))
    b.sink(array.o, chance=0.0)

    async def script(ctx: Any) -> None:
        await ctx.tick().repeat(array.latency - 1)
        assert not ctx.get(array.o.valid)
        await ctx.tick()
        assert ctx.get(array.o.valid)
        await ctx.tick().repeat(20)
        assert len(source.cycles) == array.latency

    b.run(script)


def test_probe_waits_for_the_pipeline(bench: Any) -> None:
    """Asked while the last row of a step is under way: answered when it is written."""
    config = NeuronConfig(size=1, **PLAIN)
    array = NeuronArray(config, 1)
    b = bench(array)
    source = b.source(array.i, [{"current": [7], "restart": 0}])
    sink, probes, answers = b.sink(array.o), b.source(array.probe_i), b.sink(array.probe_o)

    async def script(ctx: Any) -> None:
        await b.until(ctx, lambda: len(source.cycles) == 1)
        probes.put([0])
        await b.until(ctx, lambda: len(answers.words) == 1)

    b.run(script)
    assert [list(word) for word in answers.get()] == [[7]]
    assert probes.cycles[0] > sink.cycles[0]


@pytest.mark.parametrize("seed", range(8))
def test_reset_at_any_time(bench: Any, config_of: Callable[..., NeuronConfig], seed: int) -> None:
    """After it the neurons are in their initial state, whatever the memory holds."""
    rng = random.Random(seed)
    size, lanes = rng.choice(SIZES)
    config = config_of(rng, size)
    array = NeuronArray(config, lanes)
    b = bench(array, seed=seed)
    source, sink = b.source(array.i, chance=0.8), b.sink(array.o, chance=0.8)
    probes, answers = b.source(array.probe_i), b.sink(array.probe_o, chance=0.3)
    currents = [draw_currents(rng, config, 2, 4) for _ in range(4)]

    async def script(ctx: Any) -> None:
        for part in currents:
            source.put(beats(rng, config, lanes, part))
            probes.put([0] * 3)
            await ctx.tick().repeat(rng.randint(1, 6 * array.rows + 10))
            await b.reset(ctx, source, sink, probes, answers)
        probes.put(range(array.rows))
        await b.until(ctx, lambda: len(answers.words) == array.rows)
        source.put(beats(rng, config, lanes, currents[0]))
        await b.until(ctx, lambda: len(sink.words) == 8 * array.rows)

    b.run(script)
    padded = np.broadcast_to(config.v_init, size).tolist() + [0] * (array.rows * lanes - size)
    assert [v for word in answers.get() for v in word] == padded, f"seed {seed}, {config}"
    assert found_rows(sink) == expected_rows(config, lanes, currents[0]), f"seed {seed}, {config}"


def test_restart_counts_in_the_first_row_only(bench: Any) -> None:
    """By hand: 5 a step in each of three neurons; the restart flags of other rows do nothing."""
    config = NeuronConfig(size=3, **PLAIN | {"v_init": 1, "threshold": 127})
    array = NeuronArray(config, 1)
    flags = [0, 1, 1, 0, 1, 0, 1, 1, 1, 0, 0, 1]
    b = bench(array)
    b.source(array.i, [{"current": [5], "restart": flag} for flag in flags])
    sink, probes, answers = b.sink(array.o), b.source(array.probe_i), b.sink(array.probe_o)
    seen = []

    async def script(ctx: Any) -> None:
        await b.until(ctx, lambda: len(sink.words) == 12)
        probes.put(range(3))
        await b.until(ctx, lambda: len(answers.words) == 3)
        seen.extend(word[0] for word in answers.get())

    b.run(script)
    # Steps 1, 2, then anew: 3, 4
    assert seen == [11, 11, 11]
    assert [word["restart"] for word in sink.get()] == [0] * 6 + [1] + [0] * 5


@pytest.mark.parametrize("lanes", [0, -1, 257])
def test_wrong_lanes(lanes: int) -> None:
    message = rf"^lanes must be 1 to 256, not {lanes}$"
    with pytest.raises(ValueError, match=message):
        NeuronArray(NeuronConfig(size=3, **PLAIN), lanes)
    with pytest.raises(ValueError, match=message):
        check_lanes(lanes)


@pytest.mark.parametrize("lanes", [1.0, "1", None, True])
def test_wrong_kind_of_lanes(lanes: Any) -> None:
    with pytest.raises(TypeError, match=rf"^lanes must be an integer, not {lanes!r}$"):
        NeuronArray(NeuronConfig(size=3, **PLAIN), lanes)


@pytest.mark.parametrize("lanes", [1, 256])
def test_lanes_at_the_ends(lanes: int) -> None:
    assert NeuronArray(NeuronConfig(size=3, **PLAIN), lanes).rows == -(-3 // lanes)
