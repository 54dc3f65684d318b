"""Populations whose events act one by one: how long a step takes.

What they compute is under test in ``test_general_network.py``.
"""

from typing import Any

import numpy as np
import pytest

from spikeloom.reference.fixed import QFormat
from spikeloom.reference.maps import Dense
from spikeloom.reference.network import Connection, FixedInput, FixedNetwork, FixedPopulation
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.profile import Accumulation
from spikeloom.rtl_gen.event_population import EventPopulation
from spikeloom.rtl_gen.events import EventKind
from spikeloom.rtl_gen.network import NetworkTop

SOURCES, ROWS = 6, 5


def top_of(rule: Accumulation) -> NetworkTop:
    """Six sources, and ten neurons on two lanes, whose weights let none of them spike."""
    a = FixedPopulation(
        shape=(2 * ROWS,),
        neurons=NeuronConfig(
            size=2 * ROWS,
            state=QFormat(word_length=8),
            current_width=8,
            threshold=127,
            accumulation=rule,
        ),
        connections=(Connection(source="in", maps=(Dense(np.zeros((SOURCES, 2 * ROWS), int)),)),),
    )
    return NetworkTop(
        FixedNetwork({"in": FixedInput(shape=(SOURCES,), high=7)}, {"a": a}, {"out": "a"}, "test"),
        2,
    )


@pytest.mark.parametrize(
    ("rule", "additions"),
    [(Accumulation.EVENT, ROWS), (Accumulation.SPIKING_EVENT, 7 * ROWS)],
)
@pytest.mark.parametrize("active", [0, 1, 3, SOURCES])
def test_cycles_of_a_step(bench: Any, rule: Accumulation, additions: int, active: int) -> None:
    """A row a cycle, looking at sources beside it; a sweep; and stages, which are no more than 14.

    With ``EVENT`` an event of seven spikes is added once.
    """
    top = top_of(rule)
    (population,) = top.populations
    assert isinstance(population.core, EventPopulation)
    step = [{"kind": EventKind.SPIKE, "address": k, "count": 7} for k in range(active)]
    b = bench(top)
    b.source(top.i, [*step, {"kind": EventKind.TICK, "address": 0, "count": 0}] * 8)
    sink = b.sink(top.o)
    b.run_until(lambda: len(sink.words) == 8)
    cycles = np.diff(sink.cycles)[2:]
    assert len(set(cycles.tolist())) == 1
    least = active * additions + ROWS
    sources = SOURCES if active else 0
    assert least < cycles[0] <= least + sources + 14


def test_memories() -> None:
    (population,) = top_of(Accumulation.EVENT).populations
    assert (population.rows, len(population.weights.rows), population.inputs) == (ROWS, 30, SOURCES)
    assert not population.gathers
