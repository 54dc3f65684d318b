"""A stimulus and all that must come of it, for every engine alike."""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeloom.reference.fixed import IntArray, exact_integers
from spikeloom.reference.network import FixedNetwork
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.simulate import run_fixed, run_neurons

__all__ = ["Scenario"]


# What reading a damaged archive raises, RuntimeError for one that seems to be encrypted.
_DAMAGES = (
    *(KeyError, OSError, EOFError, TypeError, ValueError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)


def _kind(stimulus: NDArray[Any]) -> Any:
    """The shortest integers that hold counts, or words."""
    least, most = int(stimulus.min(initial=0)), int(stimulus.max(initial=0))
    return np.result_type(np.min_scalar_type(least), np.min_scalar_type(most))


@dataclass(frozen=True, eq=False)
class Scenario:
    """A stimulus with the golden model's answer.

    Attributes
    ----------
    stimulus
        Input spike counts of shape (samples, steps, inputs); for neurons alone, their currents.
    spikes
        Output spike counts of shape (samples, steps, outputs).
    membrane
        For each layer the membrane potentials after each step, shape (samples, steps, neurons).
    """

    stimulus: NDArray[Any]
    spikes: NDArray[Any]
    membrane: tuple[IntArray, ...]

    @classmethod
    def of(cls, network: FixedNetwork, stimulus: ArrayLike) -> Self:
        """Run the golden model on a stimulus.

        Raises
        ------
        ValueError
            If the stimulus' shape or counts do not fit the network.
        """
        recording = run_fixed(network, stimulus)
        stimulus = np.asarray(stimulus)
        return cls(
            stimulus.astype(_kind(stimulus)),
            recording.output,
            tuple(recording.membrane.values()),
        )

    @classmethod
    def of_neurons(cls, config: NeuronConfig, current: ArrayLike) -> Self:
        """Run the golden model of neurons alone on input currents.

        Parameters
        ----------
        config
            The neurons.
        current
            Integers of shape (samples, steps, neurons).

        Raises
        ------
        ValueError
            If the shape does not fit, or a current does not fit its width.
        """
        current = exact_integers("current", current)
        if current.ndim != 3 or current.shape[2] != config.size:
            raise ValueError(
                f"current must be of shape (samples, steps, {config.size}), not {current.shape}"
            )
        spikes, membrane = run_neurons(config, current)
        return cls(current, spikes, (membrane,))

    def head(self, samples: int) -> Self:
        """The scenario's first samples alone."""
        return type(self)(
            self.stimulus[:samples],
            self.spikes[:samples],
            tuple(v[:samples] for v in self.membrane),
        )

    def save(self, path: Path) -> None:
        """Write to a compressed ``.npz`` file."""
        layers: dict[str, Any] = {f"membrane_{k}": v for k, v in enumerate(self.membrane)}
        layers["layers"] = len(self.membrane)
        np.savez_compressed(path, stimulus=self.stimulus, spikes=self.spikes, **layers)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ValueError
            If the file is not such a scenario.
        """
        try:
            with path.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as arrays:
                membrane = tuple(arrays[f"membrane_{k}"] for k in range(int(arrays["layers"])))
                return cls(arrays["stimulus"], arrays["spikes"], membrane)
        except _DAMAGES as error:
            raise ValueError(f"{path} must be a scenario file, but {error}") from error
