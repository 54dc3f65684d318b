"""What a spike of each unit is to stand for, learned from calibration data layer after layer."""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeloom.reference.ann import ReLUNetwork, activations, in_single_precision
from spikeloom.reference.coding import Coding, encode
from spikeloom.reference.fixed import exact_integer
from spikeloom.reference.maps import Convolution, Dense, apply_maps
from spikeloom.reference.network import Connection, schedule
from spikeloom.reference.precision import Precision
from spikeloom.reference.profile import IAF, check_spike_rule
from spikeloom.reference.scaling import scaled_connection
from spikeloom.reference.weight_rounding import rounded_weights

__all__ = ["Conversion", "Meaning", "Normalisation", "calibrate"]

Array = NDArray[Any]

SHARES = np.geomspace(0.3, 1.5, 24)
"""Parts of the largest activation that are tried as the ceiling where the error decides."""
CORRECTIONS = 4
"""Rounds of bias correction; each starts from the error that the last one left."""


class Normalisation(enum.Enum):
    """What decides the ceiling of a unit, which it reaches with the most spikes in each step."""

    MAXIMUM = "maximum"
    """The largest activation on calibration data: nothing saturates there.

    Diehl et al., "Fast-classifying, high-accuracy spiking deep networks through weight and
    threshold balancing", IJCNN 2015.
    """
    PERCENTILE = "percentile"
    """A percentile of the activations, 99.9 by default: an outlier does not slow all others.

    Rueckauer et al., "Conversion of continuous-valued deep networks to efficient event-driven
    networks for image classification", Frontiers in Neuroscience 11:682, 2017.
    """
    CURRENT = "current"
    """The largest sum that arrives in a step, in the spiking network so far.

    Sengupta et al., "Going deeper in spiking neural networks: VGG and residual architectures",
    Frontiers in Neuroscience 13:95, 2019.
    """
    ERROR = "error"
    """What leaves the least squared error between rates and activations after so many steps.

    Li et al., "A free lunch from ANN: towards efficient, accurate spiking neural networks
    calibration", ICML 2021, search the threshold that rounds and clips best; here spikes that come
    too early, and are never taken back, count too.
    """


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """How a network is converted.

    Parameters
    ----------
    steps
        Time steps for which thresholds and biases are calibrated (Li et al. 2021 do it for few).
    normalisation, percentile
        What decides the ceilings, and the percentile where that does.
    per_channel
        Whether each channel of a convolution, or neuron of a dense layer, has a ceiling of its own
        (Kim et al., "Spiking-YOLO: spiking neural network for energy-efficient object detection",
        AAAI 2020), which helps in the first few steps and spreads the weights of what follows, so
        that they are rounded coarsely. Where two connections meet, as behind a residual block,
        each gets the ratio of what a spike means at its ends (Hu, Tang & Pan, "Spiking deep
        residual networks", arXiv 1805.01352).
    max_spikes
        The most spikes in a step: 1, or ``2**n - 1``. With more a spike stands for less, so that
        few steps say more (Li & Zeng, "Efficient and accurate conversion of spiking neural network
        with burst spikes", IJCAI 2022, let spikes that are late come at once).
    v_init
        Potential at the first step, in thresholds: a half rounds spike counts to the nearest (Bu
        et al., "Optimal ANN-SNN conversion for high-accuracy and ultra-low-latency spiking neural
        networks", ICLR 2022), 0 rounds them down (Rueckauer et al. 2017).
    bias_correction
        Whether biases make up for what rates are wrong by on average, channel by channel (Li et
        al. 2021, after Deng & Gu, "Optimal conversion of conventional artificial neural networks
        to spiking neural networks", ICLR 2021).
    coding
        How inputs become steps.
    seed
        Of a coding by chance.
    weight_width
        Bits of the weights that the hardware will have, 2 to 16: they are rounded first, with a
        scale for each channel, so that what is learned makes up for that (after Nagel et al.,
        "Data-free quantization through weight equalization and bias correction", ICCV 2019).
        ``None`` leaves them as they are.

    Raises
    ------
    TypeError
        If a parameter is of the wrong kind.
    ValueError
        If one is outside its range.
    """

    steps: int = 16
    normalisation: Normalisation = Normalisation.ERROR
    percentile: float = 99.9
    per_channel: bool = False
    max_spikes: int = 7
    v_init: float = 0.5
    bias_correction: bool = True
    coding: Coding = Coding.CONSTANT
    seed: int = 0
    weight_width: int | None = 8

    def __post_init__(self) -> None:
        for name, kind in (("normalisation", Normalisation), ("coding", Coding)):
            if not isinstance(getattr(self, name), kind):
                raise TypeError(f"{name} must be a {kind.__name__}, not {getattr(self, name)!r}")
        for name in ("steps", "max_spikes", "seed"):
            object.__setattr__(self, name, exact_integer(name, getattr(self, name)))
        for name in ("percentile", "v_init"):
            if not isinstance(getattr(self, name), int | float):
                raise TypeError(f"{name} must be a number, not {getattr(self, name)!r}")
        for name in ("per_channel", "bias_correction"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be True or False, not {getattr(self, name)!r}")
        if self.steps < 1:
            raise ValueError(f"steps must be positive, not {self.steps!r}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, not {self.seed!r}")
        if not 0 < self.percentile <= 100:
            raise ValueError(f"percentile must be above 0 and up to 100, not {self.percentile!r}")
        if not 0 <= self.v_init < 1:
            raise ValueError(f"v_init must be at least 0 and below 1, not {self.v_init!r}")
        check_spike_rule(IAF.reset, self.max_spikes, 0)
        if self.weight_width is not None:
            Precision(weight_width=self.weight_width)


@dataclass(frozen=True, eq=False)
class Meaning:
    """What the spikes of a network mean.

    Attributes
    ----------
    units
        What a spike of each population of units, and 1 at the input, stands for: of a shape
        that broadcasts to the population's.
    biases
        The bias of each population.
    connections
        Those of each population, which make activations of its sources' spikes.
    """

    units: Mapping[str, Array]
    biases: Mapping[str, Array]
    connections: Mapping[str, tuple[Connection, ...]]


def calibrate(ann: ReLUNetwork, samples: Array, options: Conversion) -> Meaning:
    """Learn what the spikes of each population are to stand for.

    Parameters
    ----------
    ann
        The network.
    samples
        Some of its inputs, shape (samples, \\*shape).

    Raises
    ------
    ValueError
        If a layer is silent on the samples, or these do not fit the network or the coding, are
        none, or not finite.
    """
    if not len(samples):
        raise ValueError("calibration must have samples, but has none")
    if not np.all(np.isfinite(samples)):
        raise ValueError("calibration must be finite, but holds NaN or infinity")
    calibrator = _Calibrator(ann, samples, options)
    for (name,) in schedule(ann.network.populations):
        calibrator.learn(name)
    return Meaning(calibrator.units, calibrator.biases, calibrator.connections)


class _Calibrator:
    """Has each population learn from what those before it send as spikes."""

    def __init__(self, ann: ReLUNetwork, samples: Array, options: Conversion) -> None:
        self.ann = ann
        self.options = options
        self.wanted = activations(ann, samples)
        ((source, _),) = ann.network.inputs.items()
        by_spikes = options.normalisation in (Normalisation.ERROR, Normalisation.CURRENT)
        self.simulates = options.bias_correction or by_spikes
        self.sent: dict[str, Array] = {}
        if self.simulates:
            coded = encode(samples, options.steps, options.coding, seed=options.seed)
            if options.coding is Coding.FIRST_SPIKE:
                coded = coded.cumsum(axis=1)
            self.sent[source] = coded.astype(np.float32)
        self.units: dict[str, Array] = {source: np.ones(1, np.float32)}
        self.biases: dict[str, Array] = {}
        self.connections: dict[str, tuple[Connection, ...]] = {}

    def learn(self, name: str) -> None:
        population = self.ann.network.populations[name]
        bias = np.asarray(population.neuron.bias, dtype=np.float32)
        self.biases[name] = np.broadcast_to(bias, population.shape)
        self.connections[name] = self._connections(name)
        current = self._current(name) if self.simulates else np.zeros(0)
        if name in self.ann.ceilings:
            self.units[name] = self._unit(name, current)
        if self.options.bias_correction and self._takes_bias(name):
            self._correct(name, current)
        if self.simulates and name in self.ann.ceilings:
            self.sent[name] = self._spikes(name, current, self.units[name])

    def _connections(self, name: str) -> tuple[Connection, ...]:
        """Those that take the sources' spikes, with weights that a word has."""
        population = self.ann.network.populations[name]
        connections = tuple(
            scaled_connection(each, population.shape, sources=self.units[each.source])
            for each in population.connections
        )
        if self.options.weight_width is None:
            return connections
        # What goes out is compared with each other, so all weights share a scale.
        shared = name not in self.ann.ceilings
        return rounded_weights(
            connections, population.shape, self.options.weight_width, shared=shared
        )

    def _current(self, name: str) -> Array:
        """What arrives in each step, without the bias."""
        population = self.ann.network.populations[name]
        total: Any = 0.0
        for each in self.connections[name]:
            sent = self.sent[each.source]
            current = apply_maps(in_single_precision(each.maps), sent.reshape(-1, *sent.shape[2:]))
            total = total + current.reshape(*sent.shape[:2], *population.shape)
        return total

    def _unit(self, name: str, current: Array) -> Array:
        options, wanted = self.options, self.wanted[name]
        most = self._each(wanted, np.max)
        match options.normalisation:
            case Normalisation.MAXIMUM:
                ceiling = most
            case Normalisation.PERCENTILE:
                ceiling = self._each(wanted, lambda x: np.percentile(x, options.percentile))
            case Normalisation.CURRENT:
                arriving = current + self.biases[name]
                ceiling = self._each(arriving.reshape(-1, *wanted.shape[1:]), np.max)
            case Normalisation.ERROR:
                ceiling = self._least_error(name, current, most)
        highest = float(np.max(ceiling))
        if not highest > 0:
            raise ValueError(
                f"{name!r} must be active on the calibration data, but its"
                f" {options.normalisation.value} is {highest:g}"
            )
        # What never is active gets the ceiling of the others.
        ceiling = np.where(ceiling > 0, ceiling, highest)
        ceiling = np.minimum(ceiling, self.ann.ceilings[name])
        return (ceiling / options.max_spikes).astype(np.float32)

    def _each(self, values: Array, measure: Callable[[Array], Any]) -> Array:
        """A measure of all numbers of each channel, or of all; values of shape (n, \\*neurons)."""
        if not self.options.per_channel:
            return np.reshape(measure(values), (1,))
        each = np.array([measure(values[:, k]) for k in range(values.shape[1])])
        return each.reshape(-1, *(1,) * (values.ndim - 2))

    def _least_error(self, name: str, current: Array, most: Array) -> Array:
        wanted = self.wanted[name]
        best = np.where(most > 0, most, 1.0)
        least = np.full(most.shape, np.inf)
        for share in SHARES:
            ceiling = np.where(most > 0, share * most, 1.0)
            error = self._each((self._rates(name, current, ceiling) - wanted) ** 2, np.mean)
            best = np.where(error < least, ceiling, best)
            least = np.minimum(error, least)
        return np.where(most > 0, best, 0.0)

    def _rates(self, name: str, current: Array, ceiling: Array) -> Array:
        """Activations that the spikes of all steps stand for."""
        if name not in self.ann.ceilings:
            return current.mean(axis=1) + self.biases[name]
        unit = (ceiling / self.options.max_spikes).astype(np.float32)
        return unit * self._spikes(name, current, unit).mean(axis=1)

    def _spikes(self, name: str, current: Array, unit: Array) -> Array:
        spikes = np.empty_like(current)
        v = np.broadcast_to(np.float32(self.options.v_init) * unit, current[:, 0].shape).copy()
        for t in range(current.shape[1]):
            v += current[:, t] + self.biases[name]
            np.clip(np.floor(v / unit), 0, self.options.max_spikes, out=spikes[:, t])
            v -= spikes[:, t] * unit
        return spikes

    def _takes_bias(self, name: str) -> bool:
        """Whether a bias can be said in a file: by weights, or by neurons."""
        connections = self.ann.network.populations[name].connections
        weights = (Dense, Convolution)
        return name in self.ann.ceilings or any(
            isinstance(each, weights) for connection in connections for each in connection.maps
        )

    def _correct(self, name: str, current: Array) -> None:
        wanted = self.wanted[name]
        axes = (0, *range(2, wanted.ndim))
        ceiling = self.units.get(name, np.ones(1)) * self.options.max_spikes
        best, least = self.biases[name], np.inf
        for _ in range(CORRECTIONS + 1):
            missing = (wanted - self._rates(name, current, ceiling)).mean(axis=axes, keepdims=True)
            error = float(np.abs(missing).mean())
            if error < least:
                best, least = self.biases[name], error
            self.biases[name] = (self.biases[name] + missing[0]).astype(np.float32)
        self.biases[name] = best
