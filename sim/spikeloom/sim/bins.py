"""Situations that a test of a network must have been in.

What the arithmetic does is read off the golden model's potentials and spikes, all of which are
compared with the hardware's in the very run. What the streams and queues do is watched in the
hardware, by a Verilog module that looks into it while it runs.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeloom.reference.fixed import Overflow
from spikeloom.reference.maps import Dense, Reshape
from spikeloom.reference.network import FixedNetwork, FixedPopulation
from spikeloom.reference.neuron_fixed import DecayRule, Emission, NeuronConfig
from spikeloom.reference.profile import Compared, Comparison, Reset
from spikeloom.reference.scenario import Scenario
from spikeloom.reference.simulate import run_fixed
from spikeloom.sim.playback import MODULE

__all__ = ["Bin", "golden_bins", "monitor_verilog"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Bin:
    """A situation.

    Attributes
    ----------
    name
        What it is, and where.
    reached
        Whether it occurred.
    unreachable
        Why it cannot occur in this network, or an empty string.
    source
        ``golden model`` or ``hardware``: where it was looked for.
    """

    name: str
    reached: bool
    unreachable: str = ""
    source: str = "golden model"


def golden_bins(network: FixedNetwork, scenarios: Sequence[Scenario]) -> list[Bin]:
    """What scenarios brought about in each population and at each input.

    Parameters
    ----------
    network
        The network.
    scenarios
        Those whose potentials have been read from the hardware and were equal.
    """
    found: dict[str, Bin] = {}
    for scenario in scenarios:
        for each in _of(network, scenario):
            earlier = found.get(each.name)
            if earlier is None or (each.reached and not earlier.reached):
                found[each.name] = each
    return list(found.values())


def _of(network: FixedNetwork, scenario: Scenario) -> Iterator[Bin]:
    recording = run_fixed(network, scenario.inputs)
    heard = {each.source for p in network.populations.values() for each in p.connections}
    for name, entry in network.inputs.items():
        counts = np.asarray(scenario.inputs[name]).reshape(*scenario.stimulus.shape[:2], -1)
        yield from _activity(name, counts, entry.high, heard=name in heard)
    for name, population in network.populations.items():
        config = population.neurons
        v = recording.membrane[name].reshape(*scenario.stimulus.shape[:2], -1)
        if config.emission is not Emission.SPIKES:
            yield from _arithmetic(name, config, v, np.zeros_like(v))
            continue
        spikes = recording.spikes[name].reshape(v.shape).astype(np.int64)
        yield from _arithmetic(name, config, v, spikes)
        never = _never_spike(network, population)
        yield from _activity(name, spikes, config.max_spikes, heard=name in heard, never=never)


def _activity(
    where: str, counts: Array, most: int, *, heard: bool, never: int = 0
) -> Iterator[Bin]:
    """How many send in a step, who, and how much.

    A step can be full only where a population hears it: in its list of events.
    """
    active = (counts != 0).sum(axis=2)
    size = counts.shape[2]
    silent = f"{never} of its neurons never spike, whatever comes in" if never else ""
    yield Bin(f"{where}: an empty step", bool((active == 0).any()))
    if heard:
        yield Bin(f"{where}: a full step", bool((active == size).any()), silent)
    yield Bin(f"{where}: address 0", bool((counts[..., 0] != 0).any()))
    yield Bin(f"{where}: the last address, {size - 1}", bool((counts[..., -1] != 0).any()))
    yield Bin(f"{where}: the maximum count, {most}", bool((counts == most).any()))


def _arithmetic(where: str, config: NeuronConfig, v: Array, spikes: Array) -> Iterator[Bin]:
    threshold = np.asarray(config.threshold)
    # What was compared, where it can be told from what is left.
    subtracts = config.reset is Reset.SUBTRACT and config.compared is Compared.NEW
    before = v + threshold * spikes if subtracts else v
    wraps = "" if config.state.overflow is Overflow.SATURATE else "its sums wrap"
    yield Bin(
        f"{where}: saturation at the top",
        not wraps and bool((before == config.state.max).any()),
        wraps,
    )
    yield Bin(
        f"{where}: saturation at the bottom",
        not wraps and bool((v == config.state.min).any()),
        wraps,
    )
    if config.emission is Emission.SPIKES:
        unseen = "" if subtracts else "not to be told from what is left behind the reset"
        exact = (before == threshold) & ((spikes > 0) == (config.comparison is Comparison.GE))
        yield Bin(f"{where}: the potential exactly at the threshold", bool(exact.any()), unseen)
        below = (before == threshold - 1) & (spikes == 0)
        yield Bin(f"{where}: the potential one below the threshold", bool(below.any()), unseen)
    leaks = "" if config.decay_rule is not DecayRule.NONE else "it has no leak"
    yield Bin(
        f"{where}: a leak of a negative potential", not leaks and bool((v[:, :-1] < 0).any()), leaks
    )
    no_floor = "" if config.floor is not None else "it has no floor"
    floor = np.asarray(config.state.min if config.floor is None else config.floor)
    yield Bin(f"{where}: the floor", not no_floor and bool((v == floor).any()), no_floor)
    wait = config.refractory_steps
    over = v[:, wait + 1 :] != v[:, wait:-1]
    ends = (spikes[:, : over.shape[1]] > 0) & over
    yield Bin(
        f"{where}: the refractory steps running out",
        bool(wait and ends.any()),
        "" if wait else "it has no refractory steps",
    )


def _never_spike(network: FixedNetwork, population: FixedPopulation) -> int:
    """How many neurons of a population cannot spike: nothing ever lifts their potential.

    Told only of dense populations without leak and floor whose sources send no negative numbers.
    """
    config = population.neurons
    simple = (
        config.decay_rule is DecayRule.NONE
        and config.synapse is None
        and config.floor is None
        and config.state.overflow is Overflow.SATURATE
        and config.reset is Reset.SUBTRACT
        and not population.late_bias
    )
    lift = np.asarray(config.bias) + np.zeros(config.size, dtype=np.int64)
    for each in population.connections:
        least, most = network.sent(each.source)
        if not simple or least < 0 or not each.maps or not isinstance(each.maps[-1], Dense):
            return 0
        if not all(isinstance(other, Reshape) for other in each.maps[:-1]):
            return 0
        positive = np.maximum(each.maps[-1].weight, 0).sum(axis=0).astype(np.int64)
        lift = lift + (most * positive << each.shift)
    below = np.asarray(config.v_init) < np.asarray(config.threshold)
    return int(np.sum((lift <= 0) & below))


_DECLARED = re.compile(
    r"^  (?:input|output|wire|reg)(?: signed)? (?:\[\d+:0\] )?(\w+)(?: =.*)?;", re.M
)
_MODULE = re.compile(r"^module \\?([\w.$]+) *\(.*?^endmodule", re.M | re.S)


def monitor_verilog(design: str, path: str) -> tuple[str, list[str]]:
    """A module ``monitor`` that watches a design, and prints at the end what it has seen.

    For each stream of each module of the design: that a word passes, that one waits, and that the
    reset comes while one is offered. For each double list, that both are full; for each buffer,
    that its second place is taken; and that the reset comes while a list fills and in the middle of
    a sweep over rows.

    Parameters
    ----------
    design
        The Verilog of the design.
    path
        Where it is, from the simulation's top on.

    Returns
    -------
    The module, and the names of what it watches: it prints ``bin N`` for each one seen.
    """
    watched: dict[str, str] = {}
    for found in _MODULE.finditer(design):
        inner = found[1].removeprefix(MODULE).removeprefix(".")
        place = f"{path}.{inner}" if inner else path
        names = set(_DECLARED.findall(found[0]))
        for name in sorted(names):
            stream = name.removesuffix("__valid")
            if stream == name or f"{stream}__ready" not in names:
                continue
            # One that a module passes on to one within is watched there.
            if re.search(rf"\.\S+__valid *\({name}\)", found[0]):
                continue
            where = f"{inner}.{stream}" if inner else stream
            valid, ready = f"{place}.{stream}__valid", f"{place}.{stream}__ready"
            watched[f"{where}: a word passes"] = f"!rst && {valid} && {ready}"
            watched[f"{where}: a word waits"] = f"!rst && {valid} && !{ready}"
            watched[f"{where}: reset while a word is offered"] = f"rst && {valid}"
        if {"filled_0", "filled_1"} <= names:
            both = f"{place}.filled_0 && {place}.filled_1"
            watched[f"{inner}: both lists full"] = f"!rst && {both}"
            watched[f"{inner}: reset while both lists are full"] = f"rst && {both}"
        if "occupied" in names:
            watched[f"{inner}: the second place taken"] = f"!rst && {place}.occupied"
        if "level" in names:
            watched[f"{inner}: reset while a list fills"] = f"rst && {place}.level != 0"
        if {"row", "accept"} <= names:
            watched[f"{inner}: reset in the middle of a sweep"] = f"rst && {place}.row != 0"
    lines = "".join(
        f"        if ({condition}) seen[{k}] <= 1;\n"
        for k, condition in enumerate(watched.values())
    )
    count = max(1, len(watched))
    return (
        f"module monitor;\n    reg [{count - 1}:0] seen = 0;\n    integer k;\n"
        f"    wire rst = {path}.rst;\n"
        f"    always @(posedge {path}.clk) begin\n{lines}    end\n"
        f"    final for (k = 0; k < {len(watched)}; k = k + 1)\n"
        '        if (seen[k]) $display("bin %0d", k);\nendmodule\n',
        list(watched),
    )
