"""Signs that a network was not made for the profile that it is read with."""

from collections.abc import Iterator
from dataclasses import fields

import numpy as np

from spikeloom.reference.graph import Graph
from spikeloom.reference.maps import Weighted
from spikeloom.reference.network import FloatNetwork
from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.nir_network import network_of
from spikeloom.reference.profile import PROFILES, Profile

__all__ = ["doubts", "fitting"]

MOST_FITTING = 3
"""Presets that are named where a profile is doubted."""


def doubts(network: FloatNetwork, graph: Graph | None = None) -> list[str]:
    """Signs that the profile is not the one that the network was made for, a sentence each.

    The signs are time constants shorter than a step or longer than 100,000 steps, decays that are
    all zero, and thresholds that no input of one spike a step can reach.

    Parameters
    ----------
    network
        The network under the profile.
    graph
        What the network was made of; if given, each sentence names presets that fit it.
    """
    found = list(_signs(network))
    if not found or graph is None:
        return found
    # A relay has only the name of the profile.
    first = min(network.populations.values(), key=lambda each: each.neuron.relay)
    names = [repr(name) for name in fitting(graph, first.neuron.profile)]
    if not names:
        advice = "no preset fits"
    elif len(names) == 1:
        advice = f"the preset {names[0]} fits"
    else:
        advice = f"the presets {', '.join(names[:-1])} and {names[-1]} fit"
    return [f"{each}; {advice}" for each in found]


def fitting(graph: Graph, profile: Profile) -> list[str]:
    """Presets under which nothing about a graph is doubtful, each with its own ``dt``.

    Parameters
    ----------
    graph
        The graph.
    profile
        Those whose options differ least from its come first.

    Returns
    -------
    At most :data:`MOST_FITTING` names.
    """
    options = [each.name for each in fields(Profile) if each.name not in ("name", "dt")]

    def difference(other: Profile) -> int:
        return sum(getattr(other, name) != getattr(profile, name) for name in options)

    names: list[str] = []
    for preset in sorted(PROFILES.values(), key=difference):
        try:
            network = network_of(graph, preset)
        except ValueError:
            continue
        if next(_signs(network), None) is None:
            names.append(preset.name)
            if len(names) == MOST_FITTING:
                break
    return names


def _signs(network: FloatNetwork) -> Iterator[str]:
    for name, population in network.populations.items():
        neuron = population.neuron
        if not neuron.relay:
            yield from _wrong_steps(name, neuron)
        yield from _unreachable(network, name)


def _wrong_steps(name: str, neuron: FloatNeuron) -> Iterator[str]:
    """A sentence for each register whose time constant and step do not go together."""
    dt, profile = neuron.profile.dt, neuron.profile.name
    for register, tau, alpha in (
        ("potential", neuron.tau, neuron.alpha),
        ("synaptic current", neuron.tau_syn, neuron.alpha_syn),
    ):
        if tau is None:
            continue
        shortest, longest = float(np.min(tau)), float(np.max(tau))
        left, advice = float(np.min(alpha)), f"a dt of at most {shortest / 10:.1g} would fit"
        if not np.any(alpha):
            effect = f"all decays are zero, nothing of its {register} is left after a step"
        elif left < 0:
            effect = f"forward Euler leaves {left:.3g} of its {register} after a step, which" + (
                " grows without bound" if left < -1 else " changes its sign"
            )
        else:
            effect = f"{left:.2g} of its {register} is left after a step"
        if shortest < dt:
            yield (
                f"node {name!r} has a time constant of {shortest:g}, shorter than dt={dt:g} of"
                f" profile {profile!r}: {effect}; {advice}"
            )
        elif not np.any(alpha):
            decay = neuron.profile.decay.value
            yield (
                f"node {name!r} has a time constant of {longest:g}, which with dt={dt:g} and decay"
                f" {decay!r} of profile {profile!r} means that {effect}; {advice}"
            )
        elif longest > 1e5 * dt:
            yield (
                f"node {name!r} has a time constant of {longest:g}, {longest / dt:.0f} steps of"
                f" dt={dt:g}: if the file states it in steps, a dt of 1 would fit"
            )


def _unreachable(network: FloatNetwork, name: str) -> Iterator[str]:
    """A sentence if the threshold of no neuron can be reached."""
    population = network.populations[name]
    neuron = population.neuron
    if neuron.threshold is None:
        return
    keeps, keeps_syn = np.asarray(neuron.alpha), np.asarray(neuron.alpha_syn)
    # Neither what never decays nor what changes its sign has a highest potential here.
    if any(np.any(each < 0) or np.any(each >= 1) for each in (keeps, keeps_syn)):
        return
    most = np.asarray(neuron.bias, dtype=np.float64)
    for each in population.connections:
        source = network.populations.get(each.source)
        if source is None:
            shape, high = network.inputs[each.source], 1
        elif source.neuron.v_th is None:
            return
        else:
            shape, high = source.shape, source.neuron.most_spikes
        x = np.full((1, *shape), float(high))
        for layer in each.maps:
            if isinstance(layer, Weighted):
                layer = layer.with_weight(np.maximum(layer.weight, 0))
            x = layer.apply(x)
        most = most + x[0]
    most = most + sum(np.maximum(late.current, 0) for late in population.late_bias)
    drive = most * neuron.synapse_gain / (1 - keeps_syn)
    reached = (drive * neuron.gain + neuron.rest) / (1 - keeps)
    if np.all(reached < neuron.threshold):
        share = float(np.max(reached / neuron.threshold))
        advice = (
            f"; another input gain than {neuron.profile.input_gain.value!r} of profile"
            f" {neuron.profile.name!r}, or another dt than {neuron.profile.dt:g}, may fit"
        )
        yield (
            f"node {name!r} never spikes: with one spike a step from each input its potential"
            f" comes to {share:.2g} of its threshold{'' if neuron.relay else advice}"
        )
