"""Situations that a test of a network must have been in.

What the arithmetic does is seen in the golden model, whose potentials and spikes are all compared
with the hardware's in the very run. What the streams and queues do is watched in the
hardware, by a Verilog module that looks into it while it runs.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeloom.reference.fixed import Overflow
from spikeloom.reference.network import FixedNetwork
from spikeloom.reference.neuron_fixed import DecayRule, Emission, NeuronConfig
from spikeloom.reference.profile import Accumulation, Comparison
from spikeloom.reference.reach import Reach, reach
from spikeloom.reference.scenario import Scenario
from spikeloom.reference.simulate import run_fixed
from spikeloom.sim.playback import MODULE
from spikeloom.sim.witness import Happening, Witness

__all__ = ["WAITS", "Bin", "golden_bins", "monitor_verilog"]

WAITS = "a word waits"
"""What is watched of a stream that is offered a word, and not ready."""

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
    witnesses = {name: Witness(each.neurons) for name, each in network.populations.items()}
    runs = [run_fixed(network, each.inputs, neurons=witnesses) for each in scenarios]
    heard = {each.source for p in network.populations.values() for each in p.connections}
    found: list[Bin] = []
    for name, entry in network.inputs.items():
        counts = [_flat(each.inputs[name]) for each in scenarios]
        found += _activity(name, counts, entry.high, heard=name in heard)
    for name, population in network.populations.items():
        config, reached = population.neurons, reach(network, name)
        found += _happenings(name, config, witnesses[name].seen, reached)
        if config.emission is not Emission.SPIKES:
            continue
        spikes = [_flat(run.spikes[name]) for run in runs]
        membrane = [_flat(run.membrane[name]) for run in runs]
        silent = reached.compared[1] < _least_for(1, config)
        most = 1 if config.accumulation is Accumulation.SPIKING_EVENT else config.max_spikes
        small = bool((reached.compared[1] < _least_for(most, config)).all())
        found.append(_refractory(name, config, spikes, membrane, silent=bool(silent.all())))
        found += _activity(
            name, spikes, config.max_spikes, heard=name in heard, silent=silent, small=small
        )
    return found


def _flat(values: Any) -> Array:
    """Numbers of shape (samples, steps, neurons)."""
    array = np.asarray(values)
    return array.reshape(*array.shape[:2], -1).astype(np.int64)


def _least_for(spikes: int, config: NeuronConfig) -> Array:
    """The least potential with so many spikes."""
    return spikes * np.asarray(config.threshold) + (config.comparison is Comparison.GT)


def _activity(
    where: str,
    counts: Sequence[Array],
    most: int,
    *,
    heard: bool,
    silent: Array | None = None,
    small: bool = False,
) -> Iterator[Bin]:
    """How many send in a step, who, and how much.

    A step can be full only where a population hears it: in its list of events.

    Parameters
    ----------
    where, counts, most, heard
        Name, numbers, the most that there can be, and whether a population hears them.
    silent
        Which neurons never spike.
    small
        Whether no potential is enough for the most.
    """
    steps = np.concatenate([each.reshape(-1, each.shape[2]) for each in counts])
    active = (steps != 0).sum(axis=1)
    size = steps.shape[1]
    never = np.zeros(size, dtype=bool) if silent is None else silent

    def unless(never: Any, words: str) -> str:
        return f"{words}, whatever comes in" if never else ""

    yield Bin(f"{where}: an empty step", bool((active == 0).any()))
    if heard:
        silence = unless(never.any(), f"{int(never.sum())} of its neurons never spike")
        yield Bin(f"{where}: a full step", bool((active == size).any()), silence)
    for k, name in ((0, "address 0"), (-1, f"the last address, {size - 1}")):
        silence = unless(never[k], "this neuron never spikes")
        yield Bin(f"{where}: {name}", bool((steps[:, k] != 0).any()), silence)
    few = unless(small, "no potential is enough for so many spikes")
    yield Bin(f"{where}: the maximum count, {most}", bool((steps == most).any()), few)


def _happenings(
    where: str, config: NeuronConfig, seen: set[Happening], reached: Reach
) -> Iterator[Bin]:
    """What happened to the membrane potentials of a population."""
    spikes = config.emission is Emission.SPIKES
    for what in Happening:
        if spikes or what not in (Happening.AT, Happening.BELOW):
            why = _impossible(what, config, reached)
            yield Bin(f"{where}: {what.value}", what in seen, why)


def _impossible(what: Happening, config: NeuronConfig, reached: Reach) -> str:
    """Why something cannot happen to a population, or an empty string."""
    word = config.state
    least, most = reached.sums
    match what:
        case Happening.TOP | Happening.BOTTOM if word.overflow is not Overflow.SATURATE:
            return "its sums wrap"
        case Happening.TOP if (most <= word.max).all():
            return f"its sums are at most {most.max()}, whatever comes in"
        case Happening.BOTTOM if (least >= word.min).all():
            return f"its sums are at least {least.min()}, whatever comes in"
        case Happening.AT | Happening.BELOW:
            place = np.asarray(config.threshold) - (what is Happening.BELOW)
            low, high = reached.compared
            if ((low > place) | (high < place)).all():
                return "no potential gets there, whatever comes in"
        case Happening.LEAK if config.decay_rule is DecayRule.NONE:
            return "it has no leak"
        case Happening.LEAK if (reached.decayed[0] >= 0).all():
            return "its potentials are never negative, whatever comes in"
        case Happening.FLOOR if config.floor is None:
            return "it has no floor"
        case Happening.FLOOR if (reached.unfloored[0] >= np.asarray(config.floor)).all():
            return "no potential gets below it, whatever comes in"
    return ""


def _refractory(
    where: str,
    config: NeuronConfig,
    spikes: Sequence[Array],
    membrane: Sequence[Array],
    *,
    silent: bool,
) -> Bin:
    wait = config.refractory_steps
    ends = False
    for fired, v in zip(spikes, membrane, strict=True):
        moves = v[:, wait + 1 :] != v[:, wait:-1]
        ends |= bool(((fired[:, : moves.shape[1]] > 0) & moves).any())
    why = "it never spikes, whatever comes in" if silent else ""
    why = why if wait else "it has no refractory steps"
    return Bin(f"{where}: the refractory steps running out", bool(wait) and ends, why)


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
            watched[f"{where}: {WAITS}"] = f"!rst && {valid} && !{ready}"
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
