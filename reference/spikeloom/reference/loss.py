"""What quantisation costs, layer by layer, and the narrowest words that keep an accuracy."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeloom.reference.maps import Weighted
from spikeloom.reference.network import Connection, FixedNetwork, FloatNetwork
from spikeloom.reference.precision import Precision
from spikeloom.reference.simulate import Recording, Stimulus, run_fixed, run_float

__all__ = [
    "SEARCHED",
    "WIDEST",
    "LayerLoss",
    "Loss",
    "Trial",
    "layer_losses",
    "measure_loss",
    "search_precision",
]

WIDEST = Precision(weight_width=16, state_width=32, decay_fraction=16)
"""Where a search begins."""

_NARROWEST = {"weight_width": 2, "state_width": 8, "decay_fraction": 4}

SEARCHED = tuple(_NARROWEST)
"""The words that a search can narrow, those that take the most memory first."""


@dataclass(frozen=True, kw_only=True)
class LayerLoss:
    """What quantisation did to a population.

    Attributes
    ----------
    name, neurons, weights
        The population, its neurons, and its weights, each shared one counted once.
    weight_width, weight_low, weight_high
        Bits of a weight, and the range of those in use.
    weights_lost, weights_at_ends
        Weights that are 0 only since they were rounded, and weights at an end of the range in use,
        where those that were clipped are too.
    state_width, state_low, state_high
        Bits of a potential, and the range of those and of synaptic currents seen on the data.
    overflows
        Sums that did not fit into their words on the data.
    float_spikes, fixed_spikes
        Spikes of the float and of the fixed network on the data.
    counts_changed
        Pairs of sample and neuron whose spike count differs.
    """

    name: str
    neurons: int
    weights: int
    weight_width: int
    weight_low: int
    weight_high: int
    weights_lost: int
    weights_at_ends: int
    state_width: int
    state_low: int
    state_high: int
    overflows: int
    float_spikes: int
    fixed_spikes: int
    counts_changed: int


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What quantisation did to a network.

    Attributes
    ----------
    layers
        Its populations.
    samples
        Samples of the data.
    decisions_changed
        Samples on which the first output decides otherwise.
    float_correct, fixed_correct
        Samples decided as labelled, or ``None`` without labels.
    """

    layers: tuple[LayerLoss, ...]
    samples: int
    decisions_changed: int
    float_correct: int | None = None
    fixed_correct: int | None = None


def measure_loss(
    network: FloatNetwork,
    fixed: FixedNetwork,
    stimulus: Stimulus,
    *,
    fixed_stimulus: Stimulus | None = None,
    labels: ArrayLike | None = None,
) -> Loss:
    """Run a network in both forms and compare.

    Parameters
    ----------
    network, fixed
        The network, and what became of it.
    stimulus
        Data in real numbers; see :func:`~spikeloom.reference.simulate.run_float`.
    fixed_stimulus
        The same in integers; by default ``stimulus``, which then must be of integers.
    labels
        The right output of each sample.

    Raises
    ------
    TypeError, ValueError
        As :func:`~spikeloom.reference.simulate.run_fixed`.
    """
    real = run_float(network, stimulus)
    exact = run_fixed(fixed, stimulus if fixed_stimulus is None else fixed_stimulus)
    right = None if labels is None else np.asarray(labels)
    return Loss(
        layers=tuple(layer_losses(network, fixed, real, exact)),
        samples=len(real.output),
        decisions_changed=int(np.sum(real.decision != exact.decision)),
        float_correct=None if right is None else int(np.sum(real.decision == right)),
        fixed_correct=None if right is None else int(np.sum(exact.decision == right)),
    )


def layer_losses(
    network: FloatNetwork, fixed: FixedNetwork, real: Recording, exact: Recording
) -> Iterator[LayerLoss]:
    """Losses of all populations, given the recordings of both forms on the same data."""
    for name, population in fixed.populations.items():
        width = population.weight_width
        integers = _weights(population.connections)
        before = _weights(network.populations[name].connections)
        most = (1 << (width - 1)) - 1
        seen = [exact.membrane[name]]
        if name in exact.synapse:
            seen.append(exact.synapse[name])
        yield LayerLoss(
            name=name,
            neurons=population.neurons.size,
            weights=integers.size,
            weight_width=width,
            weight_low=int(integers.min(initial=0)),
            weight_high=int(integers.max(initial=0)),
            # Weights of 1 that only carry a scale have no counterpart in the float network.
            weights_lost=max(0, int(np.count_nonzero(before)) - int(np.count_nonzero(integers))),
            weights_at_ends=int(np.sum(np.abs(integers) >= most)),
            state_width=population.neurons.state.word_length,
            state_low=min(int(each.min(initial=0)) for each in seen),
            state_high=max(int(each.max(initial=0)) for each in seen),
            overflows=exact.overflows[name],
            float_spikes=_total(real, name),
            fixed_spikes=_total(exact, name),
            counts_changed=_changed(real, exact, name),
        )


def _weights(connections: tuple[Connection, ...]) -> NDArray[np.generic]:
    weights = [
        each.weight.ravel()
        for connection in connections
        for each in connection.maps
        if isinstance(each, Weighted)
    ]
    return np.concatenate(weights) if weights else np.zeros(0, dtype=np.int64)


def _total(run: Recording, name: str) -> int:
    return int(run.spikes[name].sum(dtype=np.int64)) if name in run.spikes else 0


def _changed(real: Recording, exact: Recording, name: str) -> int:
    if name not in real.spikes:
        return 0
    counts = [run.spikes[name].sum(axis=1, dtype=np.int64) for run in (real, exact)]
    return int(np.sum(counts[0] != counts[1]))


@dataclass(frozen=True)
class Trial:
    """A precision that was tried, and the share of samples decided as labelled."""

    precision: Precision
    accuracy: float


def search_precision(
    accuracy_of: Callable[[Precision], float],
    least: float,
    start: Precision = WIDEST,
    words: Sequence[str] = SEARCHED,
) -> Iterator[Trial]:
    """Find the narrowest words that keep an accuracy, one word after the other.

    Of each the narrowest that keeps the accuracy with the words so far, by bisection. A precision
    that cannot be built counts as one that does not keep it.

    Parameters
    ----------
    accuracy_of
        The accuracy that a precision has, from 0 to 1; may raise ValueError.
    least
        The accuracy to keep.
    start
        The widest words.
    words
        The fields of the precision to search, in order; the others stay as they are in ``start``.

    Yields
    ------
    Each trial; the last one that keeps the accuracy is the result.

    Raises
    ------
    ValueError
        If the widest words do not keep the accuracy, or a word cannot be searched.
    """
    for name in words:
        if name not in _NARROWEST:
            raise ValueError(f"words must be of {', '.join(_NARROWEST)}, not {name!r}")
    first = Trial(start, accuracy_of(start))
    yield first
    if first.accuracy < least:
        raise ValueError(
            f"accuracy must be at most the {first.accuracy:.4f} of the widest words, not {least:g}"
        )
    best = start
    for name in words:
        low, high = _NARROWEST[name], getattr(best, name)
        while low < high:
            middle = (low + high) // 2
            trial = Trial(chosen := replace(best, **{name: middle}), _accuracy(accuracy_of, chosen))
            yield trial
            if trial.accuracy >= least:
                high = middle
            else:
                low = middle + 1
        best = replace(best, **{name: high})


def _accuracy(accuracy_of: Callable[[Precision], float], precision: Precision) -> float:
    try:
        return accuracy_of(precision)
    except ValueError:
        return 0.0
