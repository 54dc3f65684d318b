"""Predicted cycles against simulated ones, event by event, and against counts by hand."""

import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from general_networks import (
    MAKES,
    Make,
    anything,
    convolution,
    dense,
    draw_stimulus,
    events_of,
    named_ports,
    network,
    population,
    recorded,
    recurrent_dense,
    saturating,
    spiking,
    two_inputs,
    words,
)

from spikeloom.reference.fixed import IntArray
from spikeloom.reference.maps import Convolution, Dense, Pool, Shape
from spikeloom.reference.network import Connection, FixedInput, FixedNetwork
from spikeloom.reference.neuron_fixed import DecayRule
from spikeloom.reference.profile import Accumulation
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.population import DensePopulation
from spikeloom.rtl_gen.protection import Protection
from spikeloom.rtl_gen.synapse import EventList
from spikeloom.rtl_gen.timing import Timing, predict
from spikeloom.rtl_gen.weights import WeightStore

LANES = (1, 2, 3, 4, 8, 9, 17)
REST = {"decay_rule": DecayRule.NONE, "decay": 0}


def predicted(top: NetworkTop, values: Mapping[str, IntArray]) -> Timing:
    return predict(top, values, recorded(top.network, dict(values)))


def simulated(
    bench: Any, top: NetworkTop, values: Mapping[str, IntArray], events: Mapping[str, int]
) -> dict[str, tuple[int, ...]]:
    """For each output the cycles of so many events; the weights are loaded before."""
    b = bench(top, patience=5000)
    loads = list(top.load_words())
    loading = b.source(top.load) if loads else None
    sources = {
        name: (b.source(port), words(port, [e for step in events_of(values[name]) for e in step]))
        for name, port in named_ports(top, "i", list(top.network.inputs)).items()
    }
    sinks = {
        name: b.sink(port)
        for name, port in named_ports(top, "o", list(top.network.outputs)).items()
    }

    async def script(ctx: Any) -> None:
        # What is put now is offered from the next cycle on.
        if loading is not None:
            loading.put(loads)
            await b.until(ctx, lambda: len(loading.cycles) == len(loads) - 1)
        for source, sent in sources.values():
            source.put(sent)
        await b.until(ctx, lambda: all(len(s.words) >= events[n] for n, s in sinks.items()))

    b.run(script)
    return {name: tuple(c - len(loads) for c in sink.cycles) for name, sink in sinks.items()}


def check(bench: Any, top: NetworkTop, values: Mapping[str, IntArray]) -> Timing:
    timing = predicted(top, values)
    events = {name: len(cycles) for name, cycles in timing.outputs.items()}
    assert simulated(bench, top, values, events) == timing.outputs
    assert timing.cycles == max(cycles[-1] for cycles in timing.outputs.values())
    return timing


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("make", MAKES)
def test_general_networks(bench: Any, make: Make, seed: int) -> None:
    """Sequences of one step, too."""
    rng = random.Random(f"{make.__name__} {seed}")
    net = make(rng)
    samples, steps = (5, 1) if seed else (2, 4)
    values = draw_stimulus(rng, net, samples, steps)
    check(bench, NetworkTop(net, [rng.choice(LANES) for _ in net.populations]), values)


@pytest.mark.parametrize("seed", range(6))
def test_any_network(bench: Any, seed: int) -> None:
    rng = random.Random(seed)
    net = anything(rng)
    values = draw_stimulus(rng, net, 2, 4)
    check(bench, NetworkTop(net, [rng.choice(LANES) for _ in net.populations]), values)


@pytest.mark.parametrize("seed", range(8))
def test_stacks(
    bench: Any, network_of: Callable[..., FixedNetwork], raster_of: Callable[..., Any], seed: int
) -> None:
    """Neurons of every kind, on as many lanes as there are neurons, or less, or more."""
    rng = random.Random(seed)
    sizes = [rng.choice([1, 3, 8, 17, 30]) for _ in range(rng.randint(2, 4))]
    most = rng.choice([1, 3])
    net = network_of(rng, sizes, max_count=most)
    top = NetworkTop(net, [rng.choice(LANES) for _ in net.populations])
    check(bench, top, {"input": raster_of(rng, 2, 4, sizes[0], most)})


@pytest.mark.parametrize("lanes", [1, 3, 9])
@pytest.mark.parametrize("shape", [(10,), (10, 2)])
def test_resting_populations(bench: Any, shape: Shape, lanes: int) -> None:
    """Of neurons that only currents change, where most steps bring none."""
    rng = random.Random(lanes)
    if len(shape) == 1:
        heard = dense(rng, "in", *shape, *shape)
    else:
        heard = Connection(source="in", maps=(convolution(rng, shape, shape[0]),))
    p = population(rng, shape, heard, **REST)
    q = population(rng, shape, Connection(source="p", shift=4), **REST)
    net = network({"in": FixedInput(shape=shape)}, {"p": p, "q": q}, "p", "q")
    values = np.zeros((3, 20, *shape), np.int64)
    for sample, step in np.ndindex(3, 20):
        if rng.random() < 0.2:
            values[sample, step].flat[rng.randrange(10) :: 4] = 1
    check(bench, NetworkTop(net, lanes), {"in": values})


@pytest.mark.parametrize("make", [two_inputs, saturating])
def test_loaded_weights(bench: Any, make: Make) -> None:
    """Accumulators, and sorted events, are cleared meanwhile."""
    rng = random.Random(make.__name__)
    net = make(rng)
    values = draw_stimulus(rng, net, 1, 2)
    cycles = [
        check(bench, NetworkTop(net, 2, store), values).cycles
        for store in (WeightStore.AUTO, WeightStore.LOADED_BLOCK)
    ]
    assert cycles[0] > cycles[1]


@pytest.mark.parametrize("make", [recurrent_dense, two_inputs, saturating])
def test_guarded_memories(bench: Any, make: Make) -> None:
    """Parity costs no cycle; the code a stage, but where events act one by one."""
    rng = random.Random(make.__name__)
    net = make(rng)
    values = draw_stimulus(rng, net, 2, 4)
    guards = Protection(), Protection(parity=True), Protection(parity=True, ecc=True)
    plain, parity, both = (
        check(bench, NetworkTop(net, 2, protection=each), values).cycles for each in guards
    )
    assert parity == plain
    one_by_one = [p.neurons.accumulation is not Accumulation.STEP for p in net.populations.values()]
    assert both == plain if all(one_by_one) else both > plain


@pytest.mark.parametrize("lanes", [8, 16])
def test_dense_layer_by_hand(lanes: int) -> None:
    """Each step costs the lanes a cycle for each active source and row of neurons."""
    rng = random.Random(1)
    p = population(rng, (32,), dense(rng, "in", 40, 32), max_spikes=1)
    net = network({"in": FixedInput(shape=(40,))}, {"p": p}, "p")
    values = np.zeros((1, 20, 40), np.int64)
    values[:, :, 4:36] = 1
    top = NetworkTop(net, lanes)
    timing = predicted(top, {"in": values}).populations["p"]
    rows = 32 // lanes
    assert timing.lanes == lanes
    assert len(timing.ticks) == 20
    assert timing.step_cycles == (32 * rows,) * 19
    assert timing.rows_added == 20 * 32 * rows
    assert timing.accumulations == 20 * 32 * 32
    # From a tick to its step's first addition, which is in the cycle before a row could be out.
    core = top.populations[0].core
    assert isinstance(core, DensePopulation)
    assert timing.busy == 20 * 32 * rows + EventList.latency + core.synapses.latency - 2
    assert timing.utilisation == 20 * 32 * 32 / (lanes * timing.busy) > 0.99


@pytest.mark.parametrize("spikes", [1, 2, 5])
def test_convolution_by_hand(spikes: int) -> None:
    """Each spike costs a cycle for each of nine taps, once the accumulators are cleared."""
    rng = random.Random(1)
    shape = (1, 4, 7)
    heard = Connection(source="in", maps=(convolution(rng, shape, 3),))
    p = population(rng, (3, 4, 7), heard)
    net = network({"in": FixedInput(shape=shape)}, {"p": p}, "p")
    values = np.zeros((1, 1, *shape), np.int64)
    values[0, 0, 0, 1, 1 : 1 + spikes] = 1
    timing = predicted(NetworkTop(net, 4), {"in": values}).populations["p"]
    assert timing.rows_added == 9 * spikes
    assert timing.accumulations == 3 * 9 * spikes
    # The 28 rows are cleared from cycle 0 on. In cycle 1 the restart comes, in 2 the first spike;
    # both are then under way to the adders.
    assert timing.held == 28 - 3
    assert timing.busy == 2 + 9 * spikes


def test_held_lanes() -> None:
    """Waiting for a slow consumer costs no utilisation."""
    rng = random.Random(1)
    strong = Connection(source="in", maps=(Dense(np.full((16, 16), 5)),))
    populations = {
        "p": population(rng, (16,), strong, max_spikes=1),
        "q": population(rng, (16,), dense(rng, "p", 16, 16)),
    }
    net = network({"in": FixedInput(shape=(16,))}, populations, "q")
    values = np.ones((1, 30, 16), np.int64)
    timing = predicted(NetworkTop(net, [16, 1]), {"in": values}).populations
    steps = timing["q"].step_cycles
    assert steps == (16 * 16,) * 29
    assert 30 * 16 < timing["p"].busy < 31 * 16
    assert timing["p"].held > 20 * 16 * 16
    assert timing["p"].utilisation > 0.97
    assert timing["q"].held == 0


def test_lanes_without_a_neuron_do_not_count() -> None:
    rng = random.Random(1)
    p = population(rng, (9,), dense(rng, "in", 5, 9))
    net = network({"in": FixedInput(shape=(5,))}, {"p": p}, "p")
    timing = predicted(NetworkTop(net, 8), {"in": np.ones((1, 50, 5), np.int64)}).populations["p"]
    assert timing.rows_added == 50 * 5 * 2
    assert timing.accumulations == 50 * 5 * 9
    assert 0.5 < timing.utilisation < 9 / 16


def test_silent_run() -> None:
    rng = random.Random(1)
    p = population(rng, (9,), dense(rng, "in", 5, 9), **REST)
    net = network({"in": FixedInput(shape=(5,))}, {"p": p}, "p")
    timing = predicted(NetworkTop(net, 8), {"in": np.zeros((1, 5, 5), np.int64)}).populations["p"]
    assert (timing.rows_added, timing.accumulations, timing.busy) == (0, 0, 0)
    assert timing.utilisation == 0
    # The first step brings the initial state; in the others all rest.
    assert timing.step_cycles[1:] == (1, 1, 1)
    none = predicted(NetworkTop(net, 8), {"in": np.zeros((1, 0, 5), np.int64)})
    assert none.cycles == 0
    assert none.outputs == {"out p": ()}


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("lanes", [1, 3, 4])
def test_additions_of_a_convolution(lanes: int, groups: int) -> None:
    """Pairs of event and neuron by the definition of the convolution; and of the pool behind."""
    rng = random.Random(lanes)
    conv = convolution(
        rng, (4, 6, 5), 8, stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=groups
    )
    pool = Pool(conv.output_shape, (2, 1), (2, 1), (0, 0))
    populations = {
        "a": population(rng, conv.output_shape, Connection(source="in", maps=(conv,))),
        "b": population(rng, pool.output_shape, Connection(source="a", maps=(pool,))),
    }
    net = network({"in": FixedInput(shape=(4, 6, 5))}, populations, "b")
    values = draw_stimulus(rng, net, 1, 5)
    timing = predicted(NetworkTop(net, lanes), values).populations
    counts = values["in"].reshape(-1, 4, 6, 5)
    accumulations, rows = additions(conv, counts, lanes)
    assert accumulations > 0
    assert timing["a"].accumulations == accumulations
    # Lanes lie across all channels, also across those of another group.
    assert timing["a"].rows_added >= rows
    if 8 // groups % lanes == 0:
        assert timing["a"].rows_added == rows
    pooled = recorded(net, values).spikes["a"].reshape(-1, *conv.output_shape) > 0
    inside = pooled[:, :, : 2 * pool.output_shape[1]]
    assert timing["b"].accumulations == timing["b"].rows_added == inside.sum()


def additions(conv: Convolution, counts: IntArray, lanes: int) -> tuple[int, int]:
    """Weights that lead from an event to a neuron, and rows of lanes in which they lie."""
    outputs, inputs = conv.weight.shape[:2]
    group_of = conv.input_shape[0] // inputs
    accumulations, rows = 0, set()
    for n, c, y, x in np.argwhere(counts).tolist():
        for o, i, j in np.ndindex(conv.output_shape):
            if c // inputs != o // (outputs // group_of):
                continue
            for ky, kx in np.ndindex(conv.weight.shape[2:]):
                at_y = i * conv.stride[0] - conv.padding[0] + ky * conv.dilation[0]
                at_x = j * conv.stride[1] - conv.padding[1] + kx * conv.dilation[1]
                if (at_y, at_x) == (y, x):
                    accumulations += 1
                    rows.add((n, c, y, x, o // lanes, i, j, ky, kx))
    return accumulations, len(rows)


def test_additions_one_by_one() -> None:
    """Of several spikes of a source each costs its rows."""
    rng = random.Random(1)
    net = spiking(rng)
    values = draw_stimulus(rng, net, 2, 6)
    recording = recorded(net, values)
    timing = predicted(NetworkTop(net, 4), values).populations["a"]
    # What is delayed beyond a sample's end does not arrive.
    arrived = recording.spikes["a"][:, :-2].sum() + values["in"].sum()
    (late,) = (each.delay for each in net.populations["a"].connections if np.ndim(each.delay))
    for k, delay in enumerate(late.tolist()):
        arrived += values["in"][:, : 6 - delay, k].sum()
    assert timing.rows_added == 2 * arrived
    assert timing.accumulations == 6 * arrived


def test_wrong_recording() -> None:
    rng = random.Random(1)
    net = network(
        {"in": FixedInput(shape=(5,))}, {"p": population(rng, (9,), dense(rng, "in", 5, 9))}, "p"
    )
    recording = recorded(net, {"in": np.zeros((1, 4, 5), np.int64)})
    message = r"^recording must be of this network and stimulus, but 'p' is not of shape \(1, 5, 9"
    with pytest.raises(ValueError, match=message):
        predict(NetworkTop(net, 2), np.zeros((1, 5, 5), np.int64), recording)
