"""Stimuli that drive a network into its corners, for tests of what ordinary data never does."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeloom.reference.fixed import IntArray
from spikeloom.reference.network import FixedNetwork
from spikeloom.reference.neuron_fixed import Emission
from spikeloom.reference.simulate import Recording, run_fixed

__all__ = ["corner_stimulus", "crowd_stimulus", "extreme_stimulus"]

SEARCHED = 24
"""Steps of a run in the search."""
PHASES = 4
CANDIDATES = 64
ROUNDS = 20
DRAWN = 512
ELITE = 8
DENSITIES = (0.1, 0.5, 0.9)

Array = NDArray[Any]
_Bits = NDArray[np.bool_]
_Score = Callable[[Recording], Array]


def corner_stimulus(
    network: FixedNetwork, *, steps: int = 16, seed: int = 0
) -> dict[str, IntArray]:
    """Stimuli for the corners of a network that any network has.

    Parameters
    ----------
    network
        The network.
    steps
        Steps of each sample.
    seed
        Of all chance; the same stimuli come of the same seed.

    Returns
    -------
    By the name of each input integers of shape (samples, steps, \\*shape).
    """
    search = _Search(network, steps, np.random.default_rng(seed))
    return search.values(np.stack([*_plain(search), *_noise(search)]))


def extreme_stimulus(
    network: FixedNetwork, *, neurons: int = 0, most: int = 192, seed: int = 0
) -> dict[str, IntArray]:
    """Stimuli that drive each population's potentials to both ends of what they can reach.

    A search on the golden model finds which sources drive a population up, and which down. One
    sample goes up until a potential rises no more, and down again for a while; another the other
    way round.

    Parameters
    ----------
    network
        The network.
    neurons
        For so many neurons of each population, the first ones, there are two samples more.
    most
        Steps in which an end must be reached; what does not get there goes on for fewer.
    seed
        Of all chance; the same stimuli come of the same seed.

    Returns
    -------
    By the name of each input integers of shape (samples, steps, \\*shape): two samples for each
    population and for each of these neurons, all of as many steps.
    """
    search = _Search(network, SEARCHED, np.random.default_rng(seed))
    pairs, long = [], SEARCHED
    for name in network.populations:
        ways = []
        for sign in (1, -1):

            def height(run: Recording, name: str = name, sign: int = sign) -> IntArray:
                return (sign * _flat(run.membrane[name])).max(axis=2)

            (found,) = search.best(height)
            held = np.repeat(found[None, None], most, axis=1)
            heights = height(run_fixed(network, search.values(held)))[0]
            # What still moves in the last step does not get to an end.
            top = int(heights.argmax())
            long = max(long, top + 1 if top < most - 1 else 0)
            ways.append(found)
        for each in ((ways[0], ways[1]), *_drivers(search, name, neurons)):
            pairs += [each, each[::-1]]
    samples = [np.repeat(np.stack(pair), [long + 2, SEARCHED // 2], axis=0) for pair in pairs]
    return search.values(np.stack(samples))


def _drivers(search: "_Search", name: str, neurons: int) -> Iterator[tuple[_Bits, _Bits]]:
    """For each of the first neurons of a population which sources drive it up, and which down.

    Shown by how its potential goes together with each source, in runs in which they are random.
    """
    if not neurons:
        return
    patterns = search.rng.random((DRAWN, search.size)) < 0.5
    held = np.repeat(patterns[:, None], search.steps, axis=1)
    heights = _flat(run_fixed(search.network, search.values(held)).membrane[name])[:, -1, :neurons]
    pulls = (patterns - patterns.mean(axis=0)).T @ (heights - heights.mean(axis=0))
    for pull in pulls.T:
        yield pull > 0, pull < 0


def crowd_stimulus(network: FixedNetwork, *, seed: int = 0) -> dict[str, IntArray]:
    """Stimuli that have many neurons spike in one step.

    A search on the golden model finds them, for each population that spikes: some sources for a few
    steps, then others.

    Parameters
    ----------
    network
        The network.
    seed
        Of all chance; the same stimuli come of the same seed.

    Returns
    -------
    By the name of each input integers of shape (samples, 24, \\*shape): a sample for each
    population that spikes, or one where there is none.
    """
    search = _Search(network, SEARCHED, np.random.default_rng(seed))
    samples = [np.ones((SEARCHED, search.size), dtype=bool)]
    for name, population in network.populations.items():
        if population.neurons.emission is not Emission.SPIKES:
            continue
        threshold = np.maximum(np.asarray(population.neurons.threshold), 1)

        def crowd(run: Recording, name: str = name, threshold: IntArray = threshold) -> Array:
            spikes = _flat(run.spikes[name]) > 0
            # What is close to the threshold is half as good as a spike.
            close = np.clip(_flat(run.membrane[name]) / threshold, -3, 1) / 2
            return np.where(spikes, 1, close).sum(axis=2)

        phases = search.best(crowd, PHASES)
        samples.append(np.repeat(phases, SEARCHED // PHASES, axis=0))
    return search.values(np.stack(samples[1:] or samples))


@dataclass(frozen=True, eq=False)
class _Search:
    """Patterns of which sources send, all inputs one behind the other, flat."""

    network: FixedNetwork
    steps: int
    rng: np.random.Generator

    @property
    def size(self) -> int:
        return sum(int(np.prod(each.shape)) for each in self.network.inputs.values())

    def values(self, bits: _Bits) -> dict[str, IntArray]:
        """Numbers of sources that send the most that they can, of the others the least."""
        values, start = {}, 0
        for name, entry in self.network.inputs.items():
            end = start + int(np.prod(entry.shape))
            part = np.where(bits[..., start:end], entry.high, entry.low)
            values[name] = part.reshape(*bits.shape[:2], *entry.shape).astype(np.int64)
            start = end
        return values

    def best(self, score: _Score, phases: int = 1) -> _Bits:
        """Patterns of the highest score in any step, of shape (phases, sources).

        Each holds for an equal part of the steps: a cross-entropy search.
        """
        chance = np.full((phases, self.size), 0.5)
        best, found = -np.inf, np.zeros(chance.shape, dtype=bool)
        for _ in range(ROUNDS):
            patterns = self.rng.random((CANDIDATES, *chance.shape)) < chance
            patterns[0] = found
            held = np.repeat(patterns, self.steps // phases, axis=1)
            scores = score(run_fixed(self.network, self.values(held))).max(axis=1)
            order = np.argsort(scores, kind="stable")[::-1]
            if scores[order[0]] > best:
                best, found = float(scores[order[0]]), patterns[order[0]]
            chance = 0.3 * chance + 0.7 * patterns[order[:ELITE]].mean(axis=0)
        return found


def _plain(search: _Search) -> list[_Bits]:
    """Silence and all at once in turns, each for several steps; the first and the last address."""
    step = np.arange(search.steps)[:, None]
    source = np.arange(search.size)[None, :]
    return [
        np.broadcast_to(step // 4 % 2 == 1, (search.steps, search.size)),
        np.broadcast_to(step >= 0, (search.steps, search.size)),
        np.where(step % 2 == 0, source == 0, source == search.size - 1),
        # One source a step, and all but one.
        (source == step % search.size) ^ (step % 16 > 11),
    ]


def _noise(search: _Search) -> list[_Bits]:
    shape = (search.steps, search.size)
    return [search.rng.random(shape) < density for density in DENSITIES]


def _flat(values: Array) -> IntArray:
    return values.reshape(*values.shape[:2], -1)
