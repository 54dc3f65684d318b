"""What neurons must compute, stated a second time and without a look at how it is done.

The update is written down here from the rules of :mod:`spikeloom.reference.profile` and
:class:`~spikeloom.reference.neuron_fixed.NeuronConfig`, in integers that are as wide as they must
be: Amaranth's sums, differences, products and shifts to the left have no bit cut off. Only where
the rules say so is a result brought into a word. Where a result must fit by itself, that it does is
one of the conditions.

Where a neuron may spike many times in a step no division is written down: the number of spikes that
the hardware claims is checked to be the right one. So is what it multiplies or compares many times:
solvers see that two products are equal where they are products of the same, and hardly where not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from amaranth.hdl import Const, Module, Mux, Signal, Value

from spikeloom.reference.fixed import Overflow, QFormat, Rounding
from spikeloom.reference.neuron_fixed import DecayRule, Emission, NeuronConfig, SynapseConfig
from spikeloom.reference.profile import Accumulation, Compared, Comparison, Order, Reset

__all__ = ["Expected", "Neuron", "Specification"]

Neuron = dict[str, Value]
"""Registers and parameters of a neuron by name, and the ``current`` that reaches it."""

Register = NeuronConfig | SynapseConfig


@dataclass
class Expected:
    """What must be.

    Attributes
    ----------
    values
        Registers, and ``spikes`` where there are any, by name.
    conditions
        What must hold besides, by what it says.
    """

    values: Neuron = field(default_factory=dict)
    conditions: dict[str, Value] = field(default_factory=dict)


class Specification:
    """What a neuron must compute.

    Parameters
    ----------
    config
        The rules.
    module
        Where intermediate results have their wires: without them expressions would be written
        out over and over.
    claims
        What the hardware says it multiplies by a decay, by the name of the register, and what it
        says it compares many times.
    """

    def __init__(
        self,
        config: NeuronConfig,
        module: Module,
        claims: Mapping[str, Value] = MappingProxyType({}),
    ) -> None:
        self.config = config
        self._module = module
        self._claims = claims

    def after_event(self, neuron: Neuron, event: Value) -> Expected:
        """A neuron that takes its events one by one, after one of them.

        Parameters
        ----------
        neuron
            Its registers and parameters.
        event
            What the event adds.
        """
        config = self.config
        if config.accumulation is Accumulation.EVENT:
            if config.synapse is None:
                return Expected({"total": self._fitted(neuron["total"] + event, config.state)})
            return Expected({"i_syn": self._fitted(neuron["i_syn"] + event, config.synapse.state)})
        expected = Expected()
        v = self._floored(neuron, self._fitted(neuron["v"] + event, config.state))
        fires = self._reached(v, neuron["threshold"])
        after = self._reset(neuron, v, fires, expected)
        reached = event != 0
        fired = neuron["fired"]
        counts = reached & fires & (fired < config.max_spikes)
        # An event of nothing is none.
        expected.conditions = {
            name: ~reached | condition for name, condition in expected.conditions.items()
        }
        expected.values = {
            "v": self._wire(Mux(reached, after, neuron["v"])),
            "fired": self._wire(fired + counts),
        }
        return expected

    def after_step(self, neuron: Neuron, claimed: Value) -> Expected:
        """A neuron after a step; of one that takes its events one by one, after them all.

        Parameters
        ----------
        neuron
            Its registers and parameters, and the step's ``current`` where it is summed exactly.
        claimed
            The number of spikes that the hardware says it sends.
        """
        config, synapse = self.config, self.config.synapse
        if config.accumulation is Accumulation.SPIKING_EVENT:
            # The bias is the last event.
            expected = self.after_event(neuron, neuron["bias"])
            expected.values |= {"spikes": expected.values["fired"], "fired": Const(0)}
            return expected
        if config.accumulation is Accumulation.EVENT and synapse is None:
            expected = self._membrane(neuron, neuron["total"], claimed)
            expected.values["total"] = Const(0)
            return expected
        if synapse is None:
            return self._membrane(neuron, neuron["current"], claimed)
        i_syn, claims = neuron["i_syn"], Expected()
        if config.accumulation is Accumulation.EVENT:
            # What is kept is what the next step's events are added to.
            kept = self._decayed(neuron, "i_syn", i_syn, claims)
            current = i_syn if synapse.order is Order.DECAY_FIRST else kept
        else:
            kept = self._integrated(neuron, "i_syn", i_syn, neuron["current"], claims)
            current = kept
        expected = self._membrane(neuron, current, claimed)
        expected.values["i_syn"] = kept
        expected.conditions |= claims.conditions
        return expected

    def _membrane(self, neuron: Neuron, current: Value, claimed: Value) -> Expected:
        config = self.config
        expected = Expected()
        v = neuron["v"]
        spikes: Value = Const(0)
        if config.compared is Compared.OLD:
            v, spikes = self._spiked(neuron, v, claimed, expected)
        if config.staged_overflow:
            v = self._staged(neuron, v, current, expected)
        else:
            v = self._integrated(neuron, "v", v, current + neuron["bias"], expected)
        if config.compared is Compared.NEW:
            v, spikes = self._spiked(neuron, v, claimed, expected)
        v = self._floored(neuron, v)
        if config.refractory_steps:
            left = neuron["refractory"]
            held = left != 0
            v = Mux(held, neuron["v"], v)
            waits = Mux(spikes != 0, config.refractory_steps, 0)
            expected.values["refractory"] = Mux(held, left - 1, waits)
            spikes = Mux(held, 0, spikes)
            expected.conditions = {
                name: held | condition for name, condition in expected.conditions.items()
            }
        expected.values["v"] = v
        if config.emission is Emission.SPIKES:
            expected.values["spikes"] = spikes
        return expected

    def _register(self, neuron: Neuron, name: str) -> tuple[Register, Value]:
        """The rules of a register, and its decay."""
        if name == "i_syn" and self.config.synapse is not None:
            return self.config.synapse, neuron["synapse_decay"]
        return self.config, neuron["decay"]

    def _integrated(
        self, neuron: Neuron, name: str, value: Value, drive: Value, expected: Expected
    ) -> Value:
        """A register after decay and input, in its order."""
        register, decay = self._register(neuron, name)
        if register.decay_rule is DecayRule.CONSTANT:
            drive = drive - decay
        if register.order is Order.INPUT_FIRST:
            driven = self._fitted(value + drive, register.state)
            return self._decayed(neuron, name, driven, expected)
        decayed = self._decayed(neuron, name, value, expected)
        return self._fitted(decayed + drive, register.state)

    def _staged(self, neuron: Neuron, v: Value, current: Value, expected: Expected) -> Value:
        """Leak and current, that and bias, that and potential: each is brought into the word."""
        config = self.config
        loss = v - self._decayed(neuron, "v", v, expected)
        if config.decay_rule is DecayRule.CONSTANT:
            loss = neuron["decay"]
        change = self._fitted(current - loss, config.state)
        change = self._fitted(change + neuron["bias"], config.state)
        return self._fitted(v + change, config.state)

    def _decayed(self, neuron: Neuron, name: str, value: Value, expected: Expected) -> Value:
        register, decay = self._register(neuron, name)
        rounding = register.state.rounding
        match register.decay_rule:
            case DecayRule.MULTIPLIER:
                if name in self._claims:
                    right = self._claims[name] == value
                    expected.conditions[f"it is {name} at its time that decays"] = right
                    value = self._claims[name]
                product = self._wire(value * decay)
                return self._quotient(product, Const(register.decay_fraction), rounding)
            case DecayRule.SHIFT:
                loss = self._quotient(value, decay, rounding)
                if register.shift_at_least_one:
                    loss = Mux((value > 0) & (loss == 0), 1, loss)
                return self._wire(value - loss)
            case DecayRule.CONSTANT | DecayRule.NONE:
                return value

    def _quotient(self, value: Value, bits: Value, rounding: Rounding) -> Value:
        """A number divided by ``2**bits``, and rounded to an integer."""
        match rounding:
            case Rounding.FLOOR:
                return self._wire(value >> bits)
            case Rounding.TOWARD_ZERO:
                negative = value < 0
                magnitude = self._wire(Mux(negative, -value, value) >> bits)
                return self._wire(Mux(negative, -magnitude, magnitude))
            case Rounding.NEAREST_EVEN:
                below = self._wire(value >> bits)
                twice = self._wire((value - (below << bits)) << 1)
                whole = self._wire(Const(1) << bits)
                up = (twice > whole) | ((twice == whole) & below[0])
                return self._wire(below + up)

    def _spiked(
        self, neuron: Neuron, v: Value, claimed: Value, expected: Expected
    ) -> tuple[Value, Value]:
        """Potential behind the comparison, and the number of spikes."""
        config, threshold = self.config, neuron["threshold"]
        if config.emission is Emission.POTENTIAL:
            return v, Const(0)
        if config.max_spikes == 1:
            fires = self._reached(v, threshold)
            return self._reset(neuron, v, fires, expected), fires
        if "compared" in self._claims:
            expected.conditions["it is v at its time that is compared"] = (
                self._claims["compared"] == v
            )
            v = self._claims["compared"]
        left = v
        for k in reversed(range(config.count_width)):
            left = self._held(left - Mux(claimed[k], threshold << k, 0), expected)
        enough = left >= 0 if config.comparison is Comparison.GE else left > 0
        full = claimed == config.max_spikes
        expected.conditions |= {
            "each spike takes a threshold that is there": (claimed == 0) | enough,
            "no spike is missing": full | ~self._reached(left, threshold),
        }
        return left, claimed

    def _reset(self, neuron: Neuron, v: Value, fires: Value, expected: Expected) -> Value:
        """Potential behind a comparison that allows one spike."""
        match self.config.reset:
            case Reset.SUBTRACT:
                return self._held(Mux(fires, v - neuron["threshold"], v), expected)
            case Reset.TO_VALUE:
                return self._wire(Mux(fires, neuron["v_reset"], v))
            case Reset.NONE:
                return v

    def _reached(self, v: Value, threshold: Value) -> Value:
        reached = v >= threshold if self.config.comparison is Comparison.GE else v > threshold
        return self._wire(reached)

    def _held(self, v: Value, expected: Expected) -> Value:
        """A potential that must fit into its word by itself."""
        word = self.config.state
        v = self._wire(v)
        fits = (v >= word.min) & (v <= word.max)
        name = "the word holds what a reset leaves"
        expected.conditions[name] = expected.conditions.get(name, Const(1)) & fits
        return self._modulo(v, word)

    def _floored(self, neuron: Neuron, v: Value) -> Value:
        if "floor" not in neuron:
            return v
        return self._wire(Mux(v < neuron["floor"], neuron["floor"], v))

    def _fitted(self, value: Value, word: QFormat) -> Value:
        """A number brought into a word as the word's overflow says."""
        value = self._wire(value)
        if word.overflow is Overflow.SATURATE:
            high = Mux(value > word.max, word.max, value)
            value = self._wire(Mux(value < word.min, word.min, high))
        return self._modulo(value, word)

    @staticmethod
    def _modulo(value: Value, word: QFormat) -> Value:
        """The number of the word that differs from this one by multiples of ``2**word_length``."""
        if len(value) < word.word_length:
            return value
        return value[: word.word_length].as_signed()

    def _wire(self, value: Value) -> Value:
        wire = Signal(value.shape(), name="specified")
        self._module.d.comb += wire.eq(value)
        return wire
