"""Neurons of the golden model that take note of what happens to them."""

import enum
from typing import Any

from numpy.typing import NDArray

from spikeloom.reference.fixed import Overflow, QFormat
from spikeloom.reference.neuron_fixed import DecayRule, Emission, NeuronConfig, PerNeuron
from spikeloom.reference.neurons import FixedState, Neurons

__all__ = ["Happening", "Witness"]

Array = NDArray[Any]


class Happening(enum.Enum):
    """What happens to a membrane potential in a step."""

    TOP = "saturation at the top"
    BOTTOM = "saturation at the bottom"
    AT = "the potential exactly at the threshold"
    BELOW = "the potential one below the threshold"
    LEAK = "a leak of a negative potential"
    FLOOR = "the floor"


class Witness(Neurons):
    """Neurons that take note of what happens to any of them.

    What is computed of a neuron, but not kept, has not happened: that of a refractory one, and that
    of one which an event does not reach.

    Attributes
    ----------
    seen : set of Happening
        What has happened so far.
    """

    def __init__(self, config: NeuronConfig) -> None:
        super().__init__(config)
        self.seen: set[Happening] = set()
        self._kept: Array | None = None

    def _note(self, what: Happening, where: Array) -> None:
        # Outside of a membrane's update it is the input that is summed.
        if self._kept is not None and bool((where & self._kept).any()):
            self.seen.add(what)

    def _membrane(
        self, state: FixedState, current: Array, i_syn: Array | None
    ) -> tuple[FixedState, Array]:
        self._kept = state.refractory == 0
        after = super()._membrane(state, current, i_syn)
        self._kept = None
        return after

    def _spiking_event(self, v: Array, event: Array) -> tuple[Array, Any]:
        self._kept = event != 0
        after = super()._spiking_event(v, event)
        self._kept = None
        return after

    def _fit(self, word: QFormat, value: Array) -> Array:
        if word.overflow is Overflow.SATURATE:
            self._note(Happening.TOP, value > word.max)
            self._note(Happening.BOTTOM, value < word.min)
        return super()._fit(word, value)

    def _fire(self, v: Array, most: int | None = None) -> tuple[Array, Any]:
        if self.config.emission is Emission.SPIKES:
            self._note(Happening.AT, v == self._threshold)
            self._note(Happening.BELOW, v == self._threshold - 1)
        return super()._fire(v, most)

    def _floored(self, v: Array) -> Array:
        after = super()._floored(v)
        self._note(Happening.FLOOR, after > v)
        return after

    def _decayed(self, config: Any, decay: PerNeuron | Array, value: Array) -> Array:
        if self.config.decay_rule is not DecayRule.NONE:
            self._note(Happening.LEAK, value < 0)
        return super()._decayed(config, decay, value)
