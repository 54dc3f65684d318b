"""From a trained ReLU network to a spiking one.

A neuron that integrates, fires at a threshold ``u`` and takes ``u`` off again has sent, after
``T`` steps of a constant input ``x``, all of ``max(T x, 0) / u`` that is whole: its rate is the
rectified-linear unit. The converter chooses for each unit what a spike stands for, ``u``, so that
few steps say much: a small ``u`` resolves finely, a large one does not saturate.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeloom.reference.ann import ReLUNetwork, relu_network
from spikeloom.reference.calibrate import Conversion, Meaning, calibrate
from spikeloom.reference.coding import Coding
from spikeloom.reference.graph import Graph
from spikeloom.reference.network import Connection, FloatNetwork, FloatPopulation
from spikeloom.reference.network_graph import network_graph
from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.nir_network import network_of
from spikeloom.reference.profile import IAF
from spikeloom.reference.scaling import scaled_connection

__all__ = ["Converted", "convert"]

Array = NDArray[Any]

HELD = "held"
"""Population that holds a first spike until the end, so that it acts in every step from then on."""


@dataclass(frozen=True, eq=False)
class Converted:
    """A spiking network, and what it was made of.

    Attributes
    ----------
    graph
        As NIR, for the profile ``iaf``, with all numbers in single precision.
    ann
        The network of rectified-linear units.
    units
        What a spike of each population stands for, of a shape that broadcasts to the neurons'.
    options
        How it was converted.
    """

    graph: Graph
    ann: ReLUNetwork
    units: Mapping[str, Array]
    options: Conversion

    @property
    def network(self) -> FloatNetwork:
        """The spiking network that the graph is."""
        return network_of(self.graph, IAF)


def convert(ann: Graph, calibration: ArrayLike, options: Conversion | None = None) -> Converted:
    """Turn rectified-linear units into neurons that integrate and fire.

    Populations have the names of the units. Where the network ends with a weighted sum, that is
    what the output sends in each step: over all steps it adds up to the scores times the steps, as
    the potential of a neuron that never spikes would.

    Parameters
    ----------
    ann
        The network, which :func:`~spikeloom.reference.ann.relu_network` must accept.
    calibration
        Some inputs of the network, shape (samples, \\*shape).
    options
        How.

    Raises
    ------
    ValueError
        If the network is refused, a layer is silent on the calibration data, or these do not fit.
    """
    options = options or Conversion()
    plain = relu_network(ann)
    meaning = calibrate(plain, np.asarray(calibration), options)
    network = _spiking(plain, meaning, options)
    units = {name: meaning.units[name] for name in plain.ceilings}
    return Converted(network_graph(network), plain, units, options)


def _spiking(ann: ReLUNetwork, meaning: Meaning, options: Conversion) -> FloatNetwork:
    """The network in units of the thresholds, which are 1."""
    populations: dict[str, FloatPopulation] = {}
    for name, population in ann.network.populations.items():
        unit = np.asarray(meaning.units.get(name, 1.0), dtype=np.float64)
        bias = meaning.biases[name] / unit
        neuron = replace(population.neuron, bias=bias)
        if name in ann.ceilings:
            neuron = FloatNeuron(
                profile=IAF,
                v_th=1.0,
                tau=None,
                v_init=options.v_init,
                max_spikes=options.max_spikes,
                bias=bias,
            )
        populations[name] = FloatPopulation(
            shape=population.shape,
            neuron=neuron,
            connections=tuple(
                scaled_connection(each, population.shape, targets=1 / unit)
                for each in meaning.connections[name]
            ),
        )
    if options.coding is Coding.FIRST_SPIKE:
        populations = _held(ann.network, populations)
    return FloatNetwork(ann.network.inputs, populations, ann.network.outputs)


def _held(
    network: FloatNetwork, populations: Mapping[str, FloatPopulation]
) -> dict[str, FloatPopulation]:
    """The populations, and before them one that adds up the input and sends the sum."""
    ((source, shape),) = network.inputs.items()
    result = {
        HELD: FloatPopulation(
            shape=shape,
            neuron=FloatNeuron(profile=IAF, v_th=None, tau=None),
            connections=(Connection(source=source),),
        )
    }
    for name, population in populations.items():
        connections = tuple(
            replace(each, source=HELD) if each.source == source else each
            for each in population.connections
        )
        result[name] = replace(population, connections=connections)
    return result
