"""The scatter engine against its tables, played by a plain loop."""

import random
from typing import Any

import numpy as np
import pytest

from spikeloom.reference.fixed import QFormat
from spikeloom.reference.maps import Convolution, Dense, Diagonal, Map, Pool, Reshape, Shape
from spikeloom.reference.memory_map import Layout
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.scatter import ScatterTables, joined_tables, scatter_tables
from spikeloom.rtl_gen.events import EventKind, EventLayout
from spikeloom.rtl_gen.neuron import current_beat
from spikeloom.rtl_gen.scatter import ScatterArray

PACES = [(1.0, 1.0), (0.4, 1.0), (1.0, 0.3), (0.6, 0.6)]

Spike = tuple[int, int, int, int]
"""Channel, height, width and count."""
Step = tuple[bool, list[Spike]]
Row = tuple[list[int] | None, bool]
"""Currents, or ``None`` for all rows of a step to which nothing was added; restart."""


class Design:
    """An engine with its tables.

    Parameters
    ----------
    connections
        Maps and shape of the source of each connection.
    shape, lanes
        The target.
    shifts
        Left shift of each connection.
    least, most
        Range of the counts.
    """

    def __init__(
        self,
        connections: list[tuple[list[Map], Shape]],
        shape: Shape,
        lanes: int,
        shifts: list[int],
        least: int,
        most: int,
    ) -> None:
        layout = Layout(shape, lanes)
        each = [scatter_tables(maps, own, layout) for maps, own in connections]
        self.tables: ScatterTables = joined_tables(each)
        self.rows, self.lanes = layout.rows, lanes
        self.shifts = [
            shift for shift, one in zip(shifts, each, strict=True) for _ in range(len(one.base))
        ]
        self.counts = [count for count in (least, most, least // 2, 1) if count]
        self.counts = [count for count in self.counts if least <= count <= most]
        sizes = (len(self.tables.base), len(self.tables.height), len(self.tables.width))
        self.event = EventLayout(sizes, most, least)
        config = NeuronConfig(
            size=int(np.prod(shape)), state=QFormat(word_length=12), current_width=32, threshold=9
        )
        self.array = ScatterArray(
            self.event, self.tables, self.shifts, self.rows, 8, current_beat(config, lanes)
        )
        # Only where a connection has sources: coordinates of one block each.
        starts = np.zeros(3, dtype=int)
        self.sources: list[tuple[int, int, int]] = []
        for one in each:
            block = (len(one.base), len(one.height), len(one.width))
            self.sources += [tuple(int(v) for v in starts + at) for at in np.ndindex(block)]
            starts += block

    def draw(self, rng: random.Random, number: int, *, restarts: bool = True) -> list[Step]:
        """Silent, sparse and full steps."""
        steps = []
        for _ in range(number):
            active = rng.choice([0, rng.randint(0, min(6, len(self.sources))), len(self.sources)])
            spikes = [(*at, rng.choice(self.counts)) for at in rng.sample(self.sources, active)]
            steps.append((restarts and rng.random() < 0.3, spikes))
        return steps

    def words(self, steps: list[Step]) -> list[Any]:
        events = []
        for restart, spikes in steps:
            events += [self.word(EventKind.RESTART)] * restart
            events += [self.word(EventKind.SPIKE, *spike) for spike in spikes]
            events.append(self.word(EventKind.TICK))
        return events

    def word(self, kind: EventKind, c: int = 0, y: int = 0, x: int = 0, count: int = 0) -> Any:
        return {"kind": kind, "address": {"c": c, "y": y, "x": x}, "count": count}

    def expected(self, steps: list[Step]) -> list[Row]:
        result: list[Row] = []
        for restart, spikes in steps:
            added = 0
            rows = [[0] * self.lanes for _ in range(self.rows)]
            for c, y, x, count in spikes:
                for weight, target in self.tables.additions(c, y, x):
                    added += 1
                    for lane in range(self.lanes):
                        value = int(self.tables.weights[weight][lane])
                        rows[target][lane] += count * value << self.shifts[c]
            result += [(row, restart) for row in rows] if added else [(None, restart)]
        return result


def weights(rng: random.Random, *shape: int) -> np.ndarray:
    return np.array([rng.randint(-128, 127) for _ in range(int(np.prod(shape)))]).reshape(shape)


def draw_design(seed: int) -> Design:
    rng = random.Random(seed)
    lanes = rng.randint(1, 4)
    shape = (rng.randint(1, 5), rng.randint(1, 3), rng.randint(1, 4))
    size = int(np.prod(shape))
    least, most = rng.choice([(0, 1), (0, 3), (-4, 3), (-2, 1)])
    unit = (1, 1)
    choices: list[tuple[list[Map], Shape]] = [
        ([Dense(weights(rng, 3, size)), Reshape((size,), shape)], (3,)),
        ([Diagonal(weights(rng, *shape))], shape),
        ([], shape),
        (
            [Convolution(weights(rng, shape[0], 2, 3, 3), (2, *shape[1:]), unit, unit, unit)],
            (2, *shape[1:]),
        ),
        (
            # Some heights and some widths lead nowhere.
            [Pool((shape[0], 3 * shape[1], 3 * shape[2]), (2, 2), (3, 3), (0, 0))],
            (shape[0], 3 * shape[1], 3 * shape[2]),
        ),
    ]
    connections = rng.sample(choices, rng.choice([1, 1, 2, 3]))
    shifts = [rng.choice([0, 0, 1, 4]) for _ in connections]
    return Design(connections, shape, lanes, shifts, least, most)


def found(sink: Any) -> list[Row]:
    return [
        (None if word["void"] else list(word["current"]), bool(word["restart"]))
        for word in sink.get()
    ]


@pytest.mark.parametrize("seed", range(20))
def test_random_steps(bench: Any, seed: int) -> None:
    design = draw_design(seed)
    steps = design.draw(random.Random(seed), 8)
    pace = PACES[seed % 4]
    b = bench(design.array, seed=seed)
    b.source(design.array.i, design.words(steps), chance=pace[0])
    sink = b.sink(design.array.o, chance=pace[1])
    expected = design.expected(steps)
    b.receive(sink, len(expected), spare=40)
    assert found(sink) == expected, f"seed {seed}"


@pytest.mark.parametrize("pace", PACES)
@pytest.mark.parametrize("seed", range(100, 106))
def test_restart_inside_a_step(bench: Any, seed: int, pace: tuple[float, float]) -> None:
    """What came before is forgotten, while the step before is being handed over and after."""
    design = draw_design(seed)
    rng = random.Random(seed)
    steps = design.draw(rng, 10)
    events = []
    for step in steps:
        if step[0]:
            for _ in range(rng.randint(1, 2)):
                spikes = design.draw(rng, 1)[0][1]
                events += [design.word(EventKind.SPIKE, *spike) for spike in spikes]
                events.append(design.word(EventKind.RESTART))
        events += design.words([step])
    b = bench(design.array, seed=seed)
    b.source(design.array.i, events, chance=pace[0])
    sink = b.sink(design.array.o, chance=pace[1])
    expected = design.expected(steps)
    b.receive(sink, len(expected), spare=40)
    assert found(sink) == expected, f"seed {seed}"


@pytest.mark.parametrize("idle", range(12))
def test_restart_at_each_distance_from_a_tick(bench: Any, idle: int) -> None:
    """A spike, then a restart, before, while and after the step before is handed over."""
    maps: list[Map] = [Dense(np.array([[1, 2, 4], [8, 16, 32]]))]
    design = Design([(maps, (2,))], (3,), 1, [0], 0, 1)
    first = (False, [(0, 0, 0, 1), (1, 0, 0, 1)])
    last = (True, [(1, 0, 0, 1)])
    b = bench(design.array)
    source, sink = b.source(design.array.i), b.sink(design.array.o)

    async def script(ctx: Any) -> None:
        source.put(design.words([first]))
        await b.until(ctx, lambda: len(source.cycles) == 3)
        await ctx.tick().repeat(1 + idle)
        source.put([design.word(EventKind.SPIKE, 0, 0, 0, 1), *design.words([last])])
        await b.until(ctx, lambda: len(sink.words) == 6)
        await ctx.tick().repeat(20)

    b.run(script)
    assert found(sink) == design.expected([first, last])


def test_the_same_row_in_consecutive_cycles(bench: Any) -> None:
    """One row, every event adds to it: also the first ones behind a tick."""
    maps: list[Map] = [Dense(np.array([[1, -7], [10, 30]]))]
    design = Design([(maps, (2,))], (2,), 2, [0], 0, 3)
    full = (False, [(0, 0, 0, 3), (1, 0, 0, 2)])
    steps = [full, (False, [(1, 0, 0, 1)]), (False, []), full, (True, full[1])] * 3
    for pace in PACES:
        b = bench(design.array, seed=1)
        b.source(design.array.i, design.words(steps), chance=pace[0])
        sink = b.sink(design.array.o, chance=pace[1])
        b.receive(sink, len(steps), spare=20)
        assert found(sink) == design.expected(steps)


def test_throughput(bench: Any) -> None:
    """A row a cycle: steps follow each other without a gap, but a cycle for each tick."""
    maps: list[Map] = [Dense(np.ones((4, 6), dtype=int))]
    design = Design([(maps, (4,))], (6,), 2, [0], 0, 1)
    step = (False, [(k, 0, 0, 1) for k in range(4)])
    b = bench(design.array)
    b.source(design.array.i, design.words([step] * 8))
    sink = b.sink(design.array.o)
    b.run_until(lambda: len(sink.words) == 24)
    # Four events of three rows, and the tick.
    assert np.diff(sink.cycles[::3]).tolist() == [4 * 3 + 1] * 7
    assert np.diff(sink.cycles).tolist() == ([1, 1, 11] * 8)[:-1]


@pytest.mark.parametrize("seed", range(200, 206))
def test_reset_at_any_time(bench: Any, seed: int) -> None:
    design = draw_design(seed)
    rng = random.Random(seed)
    b = bench(design.array, seed=seed)
    source, sink = b.source(design.array.i), b.sink(design.array.o, chance=0.6)
    steps = design.draw(rng, 4, restarts=False)
    expected = design.expected(steps)

    async def script(ctx: Any) -> None:
        for _ in range(5):
            source.put(design.words(design.draw(rng, 6)))
            await ctx.tick().repeat(rng.randint(1, 120))
            await b.reset(ctx, source, sink)
        source.put(design.words(steps))
        await b.until(ctx, lambda: len(sink.words) >= len(expected))
        await ctx.tick().repeat(30)

    b.run(script)
    assert found(sink) == expected, f"seed {seed}"
