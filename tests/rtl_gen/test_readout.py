"""The read-out that stops early, against its golden realisation."""

import random
from typing import Any

import numpy as np
import pytest
from general_networks import dense, draw_stimulus, network, population, single

from spikeloom.reference.latency import EarlyStop, early_stop
from spikeloom.reference.network import FixedInput
from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.events import EventKind
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.readout import EarlyReadout
from spikeloom.sim import vectors as vectors_module
from spikeloom.sim.engine import run_engine
from spikeloom.sim.tools import find_simulators
from spikeloom.sim.vectors import Wait, vectors


def events(samples: Any) -> list[dict[str, int]]:
    """A sample's steps, numbers other than 0 only, each with its tick; a restart before each."""
    words = []
    for sample in samples:
        words.append({"kind": EventKind.RESTART, "address": 0, "count": 0})
        for step in sample:
            words += [
                {"kind": EventKind.SPIKE, "address": k, "count": int(count)}
                for k, count in enumerate(step)
                if count
            ]
            words.append({"kind": EventKind.TICK, "address": 0, "count": 0})
    return words


def test_init() -> None:
    readout = EarlyReadout(
        outputs=10, stop=EarlyStop(steps=32, margin=5), max_count=100, least=-128
    )
    assert readout.width == 8 + 5 + 1
    assert readout.latency == 12
    assert readout.o.payload.shape().size == 4 + 6


@pytest.mark.parametrize("seed", range(4))
def test_equals_golden(bench: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    outputs, steps = int(rng.integers(2, 6)), int(rng.integers(1, 7))
    least = int(rng.choice([0, -20]))
    values = rng.integers(least, 21, (12, steps, outputs))
    margin = int(rng.integers(0, 40))
    stop = EarlyStop(steps=steps, margin=margin)
    readout = EarlyReadout(outputs=outputs, stop=stop, max_count=20, least=least)
    taken, decided = early_stop(values.cumsum(axis=1), margin)
    b = bench(readout, seed=seed)
    b.source(readout.i, events(values), chance=0.8)
    sink = b.sink(readout.o, chance=0.5)
    b.run_until(lambda: len(sink.words) >= len(values), spare=20)
    assert [(each.output, each.steps) for each in sink.get()] == list(
        zip(decided.tolist(), taken.tolist(), strict=True)
    )


def test_latency(bench: Any) -> None:
    readout = EarlyReadout(outputs=3, stop=EarlyStop(steps=1, margin=0))
    b = bench(readout)
    source, sink = b.source(readout.i, events([[[0, 1, 0]]])), b.sink(readout.o)
    b.run_until(lambda: len(sink.words) == 1)
    assert sink.cycles == [source.cycles[-1] + readout.latency]


def test_too_few_outputs() -> None:
    with pytest.raises(ValueError, match=r"^outputs must be at least 2, not 1$"):
        EarlyReadout(outputs=1, stop=EarlyStop(steps=1, margin=0))


def test_no_flat_output() -> None:
    net = single(random.Random(1))
    with pytest.raises(ValueError, match=r"^a read-out must have one output of shape \(neurons,\)"):
        NetworkTop(net, stop=EarlyStop(steps=1, margin=0))


def by_loop(output: Any, stop: EarlyStop) -> list[tuple[int, int]]:
    """What is decided, and when, for each sample that comes to a decision."""
    found = []
    for sample in output.tolist():
        sums = [0] * len(sample[0])
        for t, step in enumerate(sample, start=1):
            sums = [a + b for a, b in zip(sums, step, strict=True)]
            first, second = sorted(sums, reverse=True)[:2]
            if first - second >= stop.margin or t == stop.steps:
                found.append((sums.index(first), t))
                break
    return found


@pytest.mark.parametrize(
    ("engine", "steps", "margin"),
    [
        ("icarus", 5, 3),
        ("verilator", 5, 3),
        ("amaranth", 12, 1),
        ("amaranth", 1, 0),
        ("amaranth", 3, 1000),
    ],
)
def test_network(engine: str, tmp_path: Any, steps: int, margin: int) -> None:
    """Decisions of a network with back-pressure, of eight steps or fewer, beside all its events."""
    if engine != "amaranth" and find_simulators()[engine].found is None:
        pytest.skip(f"{engine} is not installed")
    rng = random.Random(steps)
    hidden = population(rng, (20,), dense(rng, "in", 9, 20))
    out = population(rng, (4,), dense(rng, "hidden", 20, 4))
    net = network({"in": FixedInput(shape=(9,))}, {"hidden": hidden, "out": out}, "out")
    stop = EarlyStop(steps=steps, margin=margin)
    top = NetworkTop(net, 4, stop=stop)
    scenario = Scenario.of(net, draw_stimulus(rng, net, 6, 8))
    expected = by_loop(next(iter(scenario.outputs.values())), stop)
    (golden, layout) = (vectors(top, scenario, wait=Wait.STEP, probe=True), top.decision.p.shape())
    assert golden.outputs["decision"] == [
        output << layout["output"].offset | taken << layout["steps"].offset
        for output, taken in expected
    ]
    assert 0 < len(expected) <= 6
    run = run_engine(engine, top, scenario, tmp_path, profile="test", gap=60)
    assert run.difference == ""


@pytest.mark.parametrize("field", ["output", "steps"])
def test_a_wrong_decision_is_seen(tmp_path: Any, monkeypatch: Any, field: str) -> None:
    """If the golden decision were another, the comparison would tell."""
    rng = random.Random(7)
    out = population(rng, (4,), dense(rng, "in", 9, 4))
    net = network({"in": FixedInput(shape=(9,))}, {"out": out}, "out")
    top = NetworkTop(net, 4, stop=EarlyStop(steps=3, margin=50))
    scenario = Scenario.of(net, draw_stimulus(rng, net, 2, 4))
    offset = top.decision.p.shape()[field].offset
    words = vectors_module._decision_words

    def wrong(*arguments: Any) -> Any:
        good, ends = words(*arguments)
        return [good[0] ^ 1 << offset, *good[1:]], ends

    monkeypatch.setattr(vectors_module, "_decision_words", wrong)
    run = run_engine("amaranth", top, scenario, tmp_path, profile="test")
    assert "decision" in run.difference
