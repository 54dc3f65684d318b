"""Claims that the update of a neuron is what the specification says, for all that there can be."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from amaranth.hdl import Assert, Assume, Cat, Const, Module, Mux, Signal, Value, signed, unsigned

from spikeloom.reference.network import LateBias
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.profile import Accumulation, Comparison
from spikeloom.rtl_gen.datapath import (
    Lane,
    Stage,
    fire,
    parameter_shapes,
    parameter_values,
    shared_parameters,
    state_shapes,
    update_stages,
)
from spikeloom.rtl_gen.event_datapath import add_event, step_stages
from spikeloom.rtl_gen.neuron import NeuronArray
from spikeloom.sim.formal.proof import Claim
from spikeloom.sim.formal.specification import Expected, Neuron, Specification

__all__ = ["Update", "comparison_claim", "event_claim", "step_claim", "update_of"]


@dataclass(frozen=True)
class Update:
    """The update of a neuron as it is built.

    Attributes
    ----------
    config
        What it computes.
    stages
        The stages of a step, or where events come one by one those of its end.
    late_bias
        The late biases that the stages add.
    """

    config: NeuronConfig
    stages: Sequence[Stage]
    late_bias: Sequence[LateBias] = ()


def update_of(neurons: NeuronArray | NeuronConfig) -> Update:
    """The update of an array of neurons, or of any with this configuration."""
    if isinstance(neurons, NeuronArray):
        return Update(neurons.config, neurons.stages, neurons.late_bias)
    one_by_one = neurons.accumulation is not Accumulation.STEP
    return Update(neurons, step_stages(neurons) if one_by_one else update_stages(neurons))


def step_claim(update: Update, built: Update | None = None) -> Claim:
    """All stages of a lane, one behind the other, equal the specification.

    What differs from neuron to neuron may be anything between the least and the greatest that
    there is. Currents and late biases may be anything whose sum fits into the current's word, which
    is wide enough for it in each network.

    Parameters
    ----------
    update
        The update that is specified.
    built
        The one that is looked at, where it is another.
    """
    built = built or update
    config = update.config
    case = _Case(config, update.late_bias)
    current, began = case.current(), case.began()
    lane = case.lane(built.config, current, began)
    for name, stage in built.stages:
        case.note_factor(name, lane)
        before, lane = lane, case.wired(name, stage(lane))
        if name.startswith("fire_") and config.max_spikes > 1:
            lane = case.compare(int(name.removeprefix("fire_")), before, lane)
    neuron = case.neuron
    late = sum((bit * bias for bit, bias in zip(began, case.late, strict=True)), Const(0))
    if config.accumulation is Accumulation.STEP:
        neuron = neuron | {"current": case.sum_of(current + late)}
    elif case.late:
        neuron = neuron | case.specification.after_event(neuron, case.sum_of(late)).values
    claimed = lane.get("spikes", Const(0))
    return case.compared(lane, case.specification.after_step(neuron, claimed))


def comparison_claim(update: Update, built: Update | None = None) -> Claim:
    """Each of several comparisons leaves what :func:`step_claim` takes it to leave.

    It takes its threshold or not, and behind it the potential is less than that, unless all
    comparisons so far have taken theirs; and it is never taken too often.
    """
    config = (built or update).config
    case = _Case(update.config, ())
    for place in range(config.count_width):
        case.check_comparison(config, place)
    return case.claim()


def event_claim(update: Update, built: Update | None = None) -> Claim:
    """What one event does to a neuron equals the specification; as :func:`step_claim`."""
    config = (built or update).config
    case = _Case(update.config, ())
    event = case.current()
    lane = add_event(config, case.lane(config, Const(0), ()), event)
    return case.compared(lane, case.specification.after_event(case.neuron, event))


class _Case:
    """Registers and parameters that may be anything."""

    def __init__(self, config: NeuronConfig, late_bias: Sequence[LateBias]) -> None:
        self.config = config
        self.module = Module()
        self._claims: Neuron = {}
        self.specification = Specification(config, self.module, self._claims)
        self.inputs: list[Signal] = []
        self.neuron: Neuron = {
            name: self._any(name, shape) for name, shape in state_shapes(config).items()
        }
        shapes = parameter_shapes(config)
        for name, value in parameter_values(config).items():
            if name == "v_init":
                continue
            if isinstance(value, int):
                self.neuron[name] = Const(value, signed(64))
            else:
                self.neuron[name] = self._between(name, shapes[name], value)
        self.late = [
            self._between(f"late_{k}", signed(config.current_width), each.current)
            for k, each in enumerate(late_bias)
        ]

    def _any(self, name: str, shape: Any) -> Signal:
        signal = Signal(shape, name=name)
        self.inputs.append(signal)
        return signal

    def _between(self, name: str, shape: Any, values: Any) -> Signal:
        signal = self._any(name, shape)
        low, high = int(np.min(values)), int(np.max(values))
        legal = (signal >= low) & (signal <= high)
        self.module.d.comb += Assume(legal, f"{name} is one of the neurons'")
        return signal

    def current(self) -> Signal:
        return self._any("current", signed(self.config.current_width))

    def began(self) -> list[Signal]:
        return [self._any(f"began_{k}", unsigned(1)) for k in range(len(self.late))]

    def sum_of(self, value: Value) -> Value:
        """A sum that the current's word holds."""
        word = self.config.current
        fits = (value >= word.min) & (value <= word.max)
        self.module.d.comb += Assume(fits, "the current's word holds the sum")
        return value

    def lane(self, config: NeuronConfig, current: Value, began: Sequence[Value]) -> Lane:
        """What enters the first stage of the circuit."""
        names = (*state_shapes(config), *parameter_shapes(config))
        lane: Lane = {"current": current, **shared_parameters(config)}
        lane |= {name: self.neuron[name] for name in names if name in self.neuron}
        lane |= {f"late_{k}": each for k, each in enumerate(self.late)}
        return lane | {f"began_{k}": each for k, each in enumerate(began)}

    def note_factor(self, stage: str, lane: Lane) -> None:
        """Keep what a stage multiplies by a decay."""
        names = {"decay": "v", "synapse_decay": "i_syn"}
        if stage in names:
            self._claims[names[stage]] = lane[names[stage]]

    def wired(self, stage: str, lane: Lane) -> Lane:
        """Wires behind a stage, where the hardware has registers."""
        wires: Lane = {}
        for name, value in lane.items():
            wires[name] = Signal(Value.cast(value).shape(), name=f"{stage}_{name}")
            self.module.d.comb += wires[name].eq(value)
        return wires

    def compare(self, place: int, before: Lane, after: Lane) -> Lane:
        """Behind a comparison, what it may leave by what :func:`comparison_claim` says of it.

        A solver hardly sees through a row of subtractions that depend on each other.
        """
        if "spikes" not in before:
            self._claims["compared"] = before["v"]
        fires = self._any(f"fires_{place}", unsigned(1))
        spikes = Cat(fires, before["spikes"]) if "spikes" in before else fires
        v = self._left(place, before["v"], fires)
        self.assume_compared(place, v, spikes)
        return after | {"v": v, "spikes": spikes}

    def _left(self, place: int, v: Value, fires: Value) -> Value:
        """The potential less the thresholds that a comparison takes."""
        word = self.config.state
        taken = Mux(fires, self.neuron["threshold"] << place, 0)
        exact = Signal((v - taken).shape(), name=f"left_{place}")
        fits = (exact >= word.min) & (exact <= word.max)
        self.module.d.comb += [exact.eq(v - taken), Assume(fits, "the word holds what is left")]
        return exact[: word.word_length].as_signed()

    def assume_compared(self, place: int, v: Value, spikes: Value) -> None:
        for name, each in self._compared(place, v, spikes).items():
            self.module.d.comb += Assume(each, f"{name}, at place {place}")

    def check_comparison(self, config: NeuronConfig, place: int) -> None:
        """One comparison alone, behind anything that those before it may leave."""
        threshold, word = self.neuron["threshold"], config.state.word_length
        v = self._any(f"v_{place}", signed(word))
        lane: Lane = {"v": v, "threshold": threshold}
        higher = config.count_width - 1 - place
        if higher:
            lane["spikes"] = self._any(f"spikes_{place}", unsigned(higher))
            self.assume_compared(place + 1, v, lane["spikes"])
        after = fire(config, place, lane)
        fires = after["spikes"][0]
        exact = v - Mux(fires, threshold << place, 0)
        self.module.d.comb += Assert(after["v"] == exact, f"what is left, at place {place}")
        for name, each in self._compared(place, after["v"], after["spikes"]).items():
            self.module.d.comb += Assert(each, f"{name}, at place {place}")

    def _compared(self, place: int, v: Value, spikes: Value) -> dict[str, Value]:
        """What holds behind a comparison with ``2**place`` thresholds."""
        ge = self.config.comparison is Comparison.GE
        step = self.neuron["threshold"] << place
        return {
            "each spike takes a threshold that is there": (spikes == 0) | (v >= 0 if ge else v > 0),
            "no spike is missing": spikes.all() | (v < step if ge else v <= step),
        }

    def claim(self) -> Claim:
        return Claim(self.module, self.inputs)

    def compared(self, lane: Lane, expected: Expected) -> Claim:
        for name, value in expected.values.items():
            found = Value.cast(lane[name])
            self.module.d.comb += Assert(found == value, f"{name} is as specified")
        for name, condition in expected.conditions.items():
            self.module.d.comb += Assert(condition, name)
        return self.claim()
