"""The read-out that stops early, against its golden realisation."""

from typing import Any

import numpy as np
import pytest

from spikeloom.reference.latency import early_stop
from spikeloom.rtl_gen.events import EventKind
from spikeloom.rtl_gen.readout import EarlyReadout


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
    readout = EarlyReadout(outputs=10, steps=32, margin=5, max_count=100, least=-128)
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
    readout = EarlyReadout(outputs=outputs, steps=steps, margin=margin, max_count=20, least=least)
    taken, decided = early_stop(values.cumsum(axis=1), margin)
    b = bench(readout, seed=seed)
    b.source(readout.i, events(values), chance=0.8)
    sink = b.sink(readout.o, chance=0.5)
    b.run_until(lambda: len(sink.words) >= len(values), spare=20)
    assert [(each.output, each.steps) for each in sink.get()] == list(
        zip(decided.tolist(), taken.tolist(), strict=True)
    )


def test_latency(bench: Any) -> None:
    readout = EarlyReadout(outputs=3, steps=1, margin=0)
    b = bench(readout)
    source, sink = b.source(readout.i, events([[[0, 1, 0]]])), b.sink(readout.o)
    b.run_until(lambda: len(sink.words) == 1)
    assert sink.cycles == [source.cycles[-1] + readout.latency]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"outputs": 1}, r"^outputs must be at least 2, not 1$"),
        ({"steps": 0}, r"^steps must be positive, not 0$"),
        ({"margin": -1}, r"^margin must not be negative, not -1$"),
    ],
)
def test_wrong_option(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EarlyReadout(**({"outputs": 3, "steps": 4, "margin": 1} | options))
