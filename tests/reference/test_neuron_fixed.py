"""The configuration of fixed-point neurons: what it takes and what it refuses."""

from typing import Any

import numpy as np
import pytest

from spikeloom.reference.fixed import QFormat
from spikeloom.reference.neuron_fixed import DecayRule, Emission, NeuronConfig, SynapseConfig
from spikeloom.reference.neurons import initial_state
from spikeloom.reference.profile import Accumulation, Compared, Comparison, Order, Reset
from spikeloom.reference.simulate import run_neurons

WORD = QFormat(word_length=8)


def config(**options: Any) -> NeuronConfig:
    """A neuron that only integrates: what a test leaves out."""
    return NeuronConfig(**{"size": 1, "state": WORD, "current_width": 8, "threshold": 50} | options)


def test_init() -> None:
    c = config(size=3, v_init=-5, threshold=(7, 8, 9), decay=(0, 0, 0), bias=np.array([1, 1, 1]))
    assert (c.threshold, c.decay, c.bias) == ((7, 8, 9), 0, 1)
    state = initial_state(c, (2,))
    assert state.v.tolist() == [[-5] * 3] * 2
    assert state.refractory.tolist() == [[0] * 3] * 2


@pytest.mark.parametrize(
    ("max_spikes", "width"), [(1, 1), (3, 2), (7, 3), (15, 4), (127, 7), (255, 8), (1023, 10)]
)
def test_count_width(max_spikes: int, width: int) -> None:
    assert config(max_spikes=max_spikes).count_width == width


def test_current_format() -> None:
    c = config(state=QFormat(word_length=8, fraction_bits=3), current_width=11)
    assert c.current == QFormat(word_length=11, fraction_bits=3)


def test_integers_of_numpy_are_integers() -> None:
    """Whatever is accepted as an integer must work as one."""
    c = config(
        size=np.int64(1), current_width=np.int64(8), max_spikes=np.int64(3), v_init=np.int64(1)
    )
    spikes, v = run_neurons(c, [[[49], [0]]])
    assert (v.ravel().tolist(), spikes.ravel().tolist()) == ([0, 0], [1, 0])
    assert c.count_width == 2


SHIFT = {"decay_rule": DecayRule.SHIFT, "decay": 1}
MULTIPLIER = {"decay_rule": DecayRule.MULTIPLIER}
CONSTANT = {"decay_rule": DecayRule.CONSTANT}


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"size": 0}, "size must be 1 to 1048576, not 0"),
        ({"size": 2**20 + 1}, "size must be 1 to 1048576, not 1048577"),
        ({"current_width": 1}, "current_width must be 2 to 48, not 1"),
        ({"current_width": 49}, "current_width must be 2 to 48, not 49"),
        ({"decay_fraction": 0}, "decay_fraction must be 1 to 16, not 0"),
        ({"decay_fraction": 17}, "decay_fraction must be 1 to 16, not 17"),
        ({"threshold": 0}, "threshold must be 1 to 127, not 0"),
        ({"threshold": 128}, "threshold must be 1 to 127, not 128"),
        (
            {"threshold": -129, "reset": Reset.TO_VALUE},
            "threshold must be -128 to 127, not -129",
        ),
        ({"size": 2, "threshold": (3, 128)}, "threshold must be 1 to 127, not 128"),
        ({"v_reset": 128}, "v_reset must be -128 to 127, not 128"),
        ({"v_init": -129}, "v_init must be -128 to 127, not -129"),
        ({"bias": 128}, "bias must be -128 to 127, not 128"),
        ({"bias": -129}, "bias must be -128 to 127, not -129"),
        (MULTIPLIER | {"decay": 257}, "decay must be 0 to 256, not 257"),
        (MULTIPLIER | {"decay": -1}, "decay must be 0 to 256, not -1"),
        (SHIFT | {"decay": 32}, "decay must be 0 to 31, not 32"),
        (SHIFT | {"decay": -1}, "decay must be 0 to 31, not -1"),
        (CONSTANT | {"decay": 128}, "decay must be -128 to 127, not 128"),
        ({"decay": 1}, "decay must be 0 to 0, not 1"),
        ({"floor": 1}, "floor must be -128 to 0, not 1"),
        ({"floor": -129}, "floor must be -128 to 0, not -129"),
        ({"max_spikes": 2}, "max_spikes must be 1, 3, 7, 15, 31, 63, 127, 255, 511 or 1023, not 2"),
        (
            {"max_spikes": 3, "reset": Reset.NONE},
            "max_spikes must be 1 where the reset is not by subtraction, not 3",
        ),
        ({"refractory_steps": 256}, "refractory_steps must be 0 to 255, not 256"),
        ({"refractory_steps": -1}, "refractory_steps must be 0 to 255, not -1"),
        (
            {"shift_at_least_one": True},
            "shift_at_least_one must go with a shift decay, not 'none'",
        ),
        ({"size": 2, "threshold": (3, 4, 5)}, "threshold must have 2 values, one a neuron, not 3"),
        ({"size": 2, "bias": (3,)}, "bias must have 2 values, one a neuron, not 1"),
        ({"size": 2, "v_reset": (3,)}, "v_reset must have 2 values, one a neuron, not 1"),
        ({"size": 2, "v_init": (3, 128)}, "v_init must be -128 to 127, not 128"),
        ({"size": 2, "floor": (0, 1)}, "floor must be -128 to 0, not 1"),
        ({"size": 2, "floor": (0,)}, "floor must have 2 values, one a neuron, not 1"),
    ],
)
def test_wrong_value(options: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rf"^{rule}$"):
        config(**options)


@pytest.mark.parametrize(
    "state",
    [
        QFormat(word_length=3),
        QFormat(word_length=33),
        QFormat(word_length=8, signed=False),
    ],
)
def test_wrong_state(state: QFormat) -> None:
    with pytest.raises(ValueError, match=r"^state must be a signed word of 4 to 32 bits, not a"):
        config(state=state, threshold=3)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("state", "QFormat"),
        ("decay_rule", "DecayRule"),
        ("order", "Order"),
        ("comparison", "Comparison"),
        ("compared", "Compared"),
        ("reset", "Reset"),
        ("accumulation", "Accumulation"),
        ("emission", "Emission"),
    ],
)
def test_wrong_kind_of_option(name: str, kind: str) -> None:
    with pytest.raises(TypeError, match=rf"^{name} must be an? {kind}, not 'none'$"):
        config(**{name: "none"})


@pytest.mark.parametrize("value", [1.0, "1", True, None])
@pytest.mark.parametrize(
    "name",
    [
        "size",
        "current_width",
        "decay_fraction",
        "max_spikes",
        "refractory_steps",
    ],
)
def test_wrong_kind_of_integer(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=rf"^{name} must be an integer, not {value!r}$"):
        config(**{name: value})


@pytest.mark.parametrize("value", [1.0, "1", True, [1.5], [None]])
def test_wrong_kind_of_floor(value: object) -> None:
    message = r"^floor must be an integer or a sequence of integers, not "
    with pytest.raises(TypeError, match=message):
        config(floor=value)


@pytest.mark.parametrize("value", [1.5, None, True, [1.5], "1", [True], [[1]]])
@pytest.mark.parametrize("name", ["threshold", "decay", "bias", "v_reset", "v_init"])
def test_wrong_kind_of_parameter(name: str, value: object) -> None:
    message = rf"^{name} must be an integer or a sequence of integers, not "
    with pytest.raises(TypeError, match=message):
        config(**{name: value})


@pytest.mark.parametrize("value", [1.5, None, True, [1.5]])
def test_wrong_kind_of_synapse_decay(value: object) -> None:
    message = r"^decay must be an integer or a sequence of integers, not "
    with pytest.raises(TypeError, match=message):
        SynapseConfig(state=WORD, decay=value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        (
            {"state": QFormat(word_length=33)},
            "state must be a signed word of 4 to 32 bits, not a signed one of 33",
        ),
        (MULTIPLIER | {"decay": 257}, "decay must be 0 to 256, not 257"),
        (SHIFT | {"decay": (3, 32)}, "decay must be 0 to 31, not 32"),
        ({"decay_fraction": 17}, "decay_fraction must be 1 to 16, not 17"),
        (
            {"shift_at_least_one": True},
            "shift_at_least_one must go with a shift decay, not 'none'",
        ),
    ],
)
def test_synapse_wrong_value(options: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rf"^{rule}$"):
        SynapseConfig(**{"state": WORD} | options)


def test_wrong_synapse() -> None:
    with pytest.raises(TypeError, match=r"^synapse must be a SynapseConfig, not 'none'$"):
        config(synapse="none")
    synapse = SynapseConfig(state=WORD, decay_rule=DecayRule.SHIFT, decay=(1, 2))
    message = r"^decay of the synapse must have 3 values, one a neuron, not 2$"
    with pytest.raises(ValueError, match=message):
        config(size=3, synapse=synapse)


def test_wrong_staged_overflow() -> None:
    message = r"^staged_overflow must go with the decay first, not the input$"
    with pytest.raises(ValueError, match=message):
        config(staged_overflow=True, order=Order.INPUT_FIRST)


@pytest.mark.parametrize(
    "options",
    [
        {"synapse": SynapseConfig(state=WORD)},
        SHIFT,
        {"compared": Compared.OLD},
        {"refractory_steps": 1},
        {"emission": Emission.POTENTIAL},
    ],
)
def test_wrong_accumulation(options: dict[str, Any]) -> None:
    message = (
        r"^accumulation 'spiking-event' must go with spikes of the new potential, without synapse,"
        r" decay and refractory steps$"
    )
    with pytest.raises(ValueError, match=message):
        config(accumulation=Accumulation.SPIKING_EVENT, **options)


@pytest.mark.parametrize(
    ("emission", "sent"), [(Emission.SPIKES, (0, 7)), (Emission.POTENTIAL, (-128, 127))]
)
def test_sent(emission: Emission, sent: tuple[int, int]) -> None:
    assert config(max_spikes=7, emission=emission).sent == sent


def test_defaults() -> None:
    """What is not said is left out: no decay, no bias, one spike, nothing held."""
    c = config()
    assert (c.decay_rule, c.decay, c.decay_fraction) == (DecayRule.NONE, 0, 8)
    assert (c.shift_at_least_one, c.staged_overflow) == (False, False)
    assert (c.order, c.comparison, c.compared) == (Order.DECAY_FIRST, Comparison.GE, Compared.NEW)
    assert (c.reset, c.accumulation) == (Reset.SUBTRACT, Accumulation.STEP)
    assert (c.emission, c.synapse, c.floor) == (Emission.SPIKES, None, None)
    assert (c.bias, c.v_reset, c.v_init, c.max_spikes, c.refractory_steps) == (0, 0, 0, 1, 0)
    synapse = SynapseConfig(state=WORD)
    assert (synapse.decay_rule, synapse.decay, synapse.decay_fraction) == (DecayRule.NONE, 0, 8)
    assert (synapse.shift_at_least_one, synapse.order) == (False, Order.DECAY_FIRST)


@pytest.mark.parametrize(
    ("name", "least", "most", "options"),
    [
        ("size", 1, 2**20, {}),
        ("current_width", 2, 48, {}),
        ("decay_fraction", 1, 16, {}),
        ("threshold", 1, 127, {}),
        ("threshold", -128, 127, {"reset": Reset.TO_VALUE}),
        ("threshold", -128, 127, {"reset": Reset.NONE}),
        ("v_reset", -128, 127, {}),
        ("v_init", -128, 127, {}),
        ("bias", -128, 127, {}),
        ("bias", -16, 15, {"current_width": 5}),
        ("floor", -128, 0, {}),
        ("refractory_steps", 0, 255, {}),
        ("decay", 0, 0, {}),
        ("decay", 0, 256, {"decay_rule": DecayRule.MULTIPLIER}),
        ("decay", 0, 2, {"decay_rule": DecayRule.MULTIPLIER, "decay_fraction": 1}),
        ("decay", 0, 31, {"decay_rule": DecayRule.SHIFT}),
        ("decay", -128, 127, {"decay_rule": DecayRule.CONSTANT}),
    ],
)
def test_ranges(name: str, least: int, most: int, options: dict[str, Any]) -> None:
    for value in (least, most):
        assert getattr(config(**options | {name: value}), name) == value
    for value in (least - 1, most + 1):
        with pytest.raises(ValueError, match=rf"^{name} must be {least} to {most}, not {value}$"):
            config(**options | {name: value})
        if name == "decay":
            with pytest.raises(ValueError, match=rf"^decay must be {least} to {most}, not "):
                SynapseConfig(**{"state": WORD} | options | {name: value})


@pytest.mark.parametrize("width", [4, 32])
def test_state_at_its_ends(width: int) -> None:
    assert config(state=QFormat(word_length=width), threshold=1).state.word_length == width
    assert SynapseConfig(state=QFormat(word_length=width)).state.word_length == width


@pytest.mark.parametrize("accumulation", Accumulation)
def test_synapse_with_a_constant_decay(accumulation: Accumulation) -> None:
    """It acts once a step, so it goes with a sum of the step alone."""
    for rule in (DecayRule.CONSTANT, DecayRule.SHIFT):
        synapse = SynapseConfig(state=WORD, decay_rule=rule, decay=1)
        if accumulation is Accumulation.STEP or (
            accumulation is Accumulation.EVENT and rule is DecayRule.SHIFT
        ):
            assert config(synapse=synapse, accumulation=accumulation).synapse == synapse
        else:
            with pytest.raises(ValueError, match=r"(accumulation 'step'|spiking-event.*synapse)"):
                config(synapse=synapse, accumulation=accumulation)
