"""A stimulus and all that must come of it, for every engine alike."""

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeloom.reference.fixed import IntArray, exact_integers
from spikeloom.reference.network import FixedNetwork
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.simulate import Stimulus, run_fixed, run_neurons

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
    inputs
        What comes in by the name of the input: spike counts of shape (samples, steps, \\*shape);
        for neurons alone, their currents.
    outputs
        What must come out by the name of the output: spike counts, or potentials, of shape
        (samples, steps, \\*shape).
    membrane
        For each layer the membrane potentials after each step, shape (samples, steps, neurons).

    Raises
    ------
    ValueError
        If there is no input or no output, or not all are of the same samples and steps.
    """

    inputs: Mapping[str, NDArray[Any]]
    outputs: Mapping[str, NDArray[Any]]
    membrane: tuple[IntArray, ...]

    def __post_init__(self) -> None:
        if not (self.inputs and self.outputs):
            raise ValueError("a scenario must have inputs and outputs")
        arrays = (*self.inputs.values(), *self.outputs.values(), *self.membrane)
        if len({each.shape[:2] for each in arrays}) > 1:
            raise ValueError("all of a scenario must be of the same samples and steps")

    @property
    def stimulus(self) -> NDArray[Any]:
        """What comes into the first input."""
        return next(iter(self.inputs.values()))

    @property
    def spikes(self) -> NDArray[Any]:
        """What must come out of the first output."""
        return next(iter(self.outputs.values()))

    @classmethod
    def of(cls, network: FixedNetwork, stimulus: Stimulus) -> Self:
        """Run the golden model on a stimulus.

        Parameters
        ----------
        network, stimulus
            As :func:`~spikeloom.reference.simulate.run_fixed`'s.

        Raises
        ------
        ValueError
            If the stimulus' shape or counts do not fit the network.
        """
        recording = run_fixed(network, stimulus)
        if not isinstance(stimulus, Mapping):
            stimulus = dict.fromkeys(network.inputs, stimulus)
        arrays = {name: np.asarray(stimulus[name]) for name in network.inputs}
        return cls(
            {name: each.astype(_kind(each)) for name, each in arrays.items()},
            recording.outputs,
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
        return cls({"current": current}, {"spikes": spikes}, (membrane,))

    def head(self, samples: int) -> Self:
        """The scenario's first samples alone."""
        return type(self)(
            {name: each[:samples] for name, each in self.inputs.items()},
            {name: each[:samples] for name, each in self.outputs.items()},
            tuple(v[:samples] for v in self.membrane),
        )

    def save(self, path: Path) -> None:
        """Write to a compressed ``.npz`` file.

        It has the arrays ``input_0``, ``output_0``, ``membrane_0`` and so on, and in ``inputs`` and
        ``outputs`` the names, in ``layers`` the number of membranes.
        """
        arrays: dict[str, Any] = {
            "inputs": list(self.inputs),
            "outputs": list(self.outputs),
            "layers": len(self.membrane),
        }
        for kind, values in (
            ("input", self.inputs.values()),
            ("output", self.outputs.values()),
            ("membrane", self.membrane),
        ):
            arrays |= {f"{kind}_{k}": each for k, each in enumerate(values)}
        np.savez_compressed(path, **arrays)

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
                return cls(_named(arrays, "input"), _named(arrays, "output"), membrane)
        except _DAMAGES as error:
            raise ValueError(f"{path} must be a scenario file, but {error}") from error


def _named(arrays: Mapping[str, NDArray[Any]], kind: str) -> dict[str, NDArray[Any]]:
    names = arrays[f"{kind}s"]
    if names.dtype.kind != "U":
        raise ValueError(f"names of {kind}s must be text, not {names.dtype}")
    return {name: arrays[f"{kind}_{k}"] for k, name in enumerate(names.tolist())}
