"""The update of one neuron as a list of combinational stages.

:class:`~spikeloom.rtl_gen.neuron.NeuronArray` puts registers between the stages; whoever wants to
prove something about the update composes them without. Which stages there are follows from the
configuration: no multiplier where the decay is a shift, no comparison with a floor where there
is none.
"""

from collections.abc import Callable
from functools import partial

from amaranth.hdl import Cat, Const, Mux, Shape, Value, signed, unsigned

from spikeloom.reference.fixed import QFormat, Rounding, signed_width
from spikeloom.reference.neuron_fixed import DecayRule, Emission, NeuronConfig, SynapseConfig
from spikeloom.reference.profile import Accumulation, Compared, Comparison, Order, Reset
from spikeloom.rtl_gen.fixed import fit, shape_of, shift_right

__all__ = [
    "Lane",
    "Stage",
    "decay_stages",
    "fire",
    "parameter_shapes",
    "parameter_values",
    "preceded",
    "shared_parameters",
    "state_shapes",
    "update_stages",
]

Lane = dict[str, Value]
"""What is known of one neuron between two stages: ``v``, ``current``, its parameters, …"""

Stage = tuple[str, Callable[[Lane], Lane]]
"""A name, and a combinational function."""

Register = NeuronConfig | SynapseConfig
"""A word with a decay: the membrane potential or the synaptic current."""


def state_shapes(config: NeuronConfig) -> dict[str, Shape]:
    """Shapes of what is stored of a neuron between two steps, or two events of a step."""
    shapes = {"v": shape_of(config.state)}
    if config.accumulation is Accumulation.SPIKING_EVENT:
        shapes["fired"] = unsigned(config.count_width)
    elif config.accumulation is Accumulation.EVENT and config.synapse is None:
        shapes["total"] = shape_of(config.state)
    if config.synapse is not None:
        shapes["i_syn"] = shape_of(config.synapse.state)
    if config.refractory_steps:
        shapes["refractory"] = unsigned(config.refractory_steps.bit_length())
    return shapes


def parameter_values(config: NeuronConfig) -> dict[str, int | tuple[int, ...]]:
    """The parameters by name: one integer for all neurons, or one for each."""
    values = {
        name: getattr(config, name) for name in ("threshold", "decay", "bias", "v_reset", "v_init")
    }
    if config.floor is not None:
        values["floor"] = config.floor
    if config.synapse is not None:
        values["synapse_decay"] = config.synapse.decay
    return values


def _shapes(config: NeuronConfig) -> dict[str, Shape]:
    word = shape_of(config.state)
    shapes = {
        "threshold": word,
        "decay": _decay_shape(config),
        "bias": signed(config.current_width),
        "v_reset": word,
        "v_init": word,
        "floor": word,
    }
    if config.synapse is not None:
        shapes["synapse_decay"] = _decay_shape(config.synapse)
    return shapes


def _decay_shape(register: Register) -> Shape:
    match register.decay_rule:
        case DecayRule.MULTIPLIER:
            return unsigned(register.decay_fraction + 1)
        case DecayRule.SHIFT:
            return unsigned(5)
        case DecayRule.CONSTANT:
            return shape_of(register.state)
        case DecayRule.NONE:
            return unsigned(1)


def parameter_shapes(config: NeuronConfig) -> dict[str, Shape]:
    """Shapes of the parameters that differ from neuron to neuron, in the order of a memory row."""
    shapes = _shapes(config)
    values = parameter_values(config)
    return {name: shapes[name] for name, value in values.items() if isinstance(value, tuple)}


def shared_parameters(config: NeuronConfig) -> Lane:
    """Constants for the parameters that all neurons have in common."""
    shapes = _shapes(config)
    return {
        name: Const(value, _const_shape(value, shapes[name]))
        for name, value in parameter_values(config).items()
        if not isinstance(value, tuple)
    }


def _const_shape(value: int, shape: Shape) -> Shape:
    # The shortest word: it keeps the adders behind it short.
    return signed(signed_width(value)) if shape.signed else Const(value).shape()


def update_stages(config: NeuronConfig) -> list[Stage]:
    """The stages of the update, in order.

    The first takes a lane with ``current``, the parameters and what :func:`state_shapes` names; the
    last leaves the new state and, where the neurons spike, ``spikes``. The rounding, overflow and
    order are those of :func:`spikeloom.reference.neurons.step`.
    """
    drive = _undriven if config.staged_overflow else _drive
    stages = preceded(_membrane_stages(config), partial(drive, config))
    if config.synapse is not None:
        stages = _synapse_stages(config.synapse) + stages
    if config.refractory_steps:
        stages = preceded(stages, _hold)
    if config.floor is not None or config.refractory_steps:
        stages.append(("settle", partial(_settle, config)))
    return stages


def preceded(stages: list[Stage], function: Callable[[Lane], Lane]) -> list[Stage]:
    """The stages, with a function as part of the first, before it."""
    (name, first), *others = stages
    return [(name, lambda lane: first(function(lane))), *others]


def _membrane_stages(config: NeuronConfig) -> list[Stage]:
    decay = decay_stages(config, "v", "decay")
    integrate: list[Stage] = [("integrate", partial(_integrate, config))]
    if config.staged_overflow:
        update = [("loss", _remember), *decay, *_staged(config)]
    elif config.order is Order.DECAY_FIRST:
        update = decay + integrate
    else:
        update = integrate + decay
    if config.emission is Emission.POTENTIAL:
        return update
    compare: list[Stage] = [
        (f"fire_{place}", partial(fire, config, place))
        for place in reversed(range(config.count_width))
    ]
    return compare + update if config.compared is Compared.OLD else update + compare


def _synapse_stages(synapse: SynapseConfig) -> list[Stage]:
    """Decay and input of the synaptic current, which then is the membrane's current."""
    decay = decay_stages(synapse, "i_syn", "synapse_decay", "synapse_")

    def add(lane: Lane) -> Lane:
        drive = lane["current"]
        if synapse.decay_rule is DecayRule.CONSTANT:
            drive = drive - lane["synapse_decay"]
        i_syn = fit(lane["i_syn"] + drive, synapse.state)
        return _without(lane, "current") | {"i_syn": i_syn}

    arrive: list[Stage] = [("synapse", add)]
    return [*decay, *arrive] if synapse.order is Order.DECAY_FIRST else [*arrive, *decay]


def _hold(lane: Lane) -> Lane:
    return lane | {"v_held": lane["v"]}


def _undriven(config: NeuronConfig, lane: Lane) -> Lane:
    return lane if config.synapse is None else lane | {"current": lane["i_syn"]}


def _drive(config: NeuronConfig, lane: Lane) -> Lane:
    drive = _undriven(config, lane)["current"]
    if config.bias != 0:
        drive = drive + lane["bias"]
    if config.decay_rule is DecayRule.CONSTANT and config.decay != 0:
        drive = drive - lane["decay"]
    return _without(lane, "current", "bias") | {"drive": drive}


def decay_stages(register: Register, word: str, parameter: str, prefix: str = "") -> list[Stage]:
    """The decay of a word by a parameter; none where it is part of the sum, or there is none."""
    match register.decay_rule:
        case DecayRule.MULTIPLIER if register.state.rounding is Rounding.FLOOR:
            return [
                (
                    f"{prefix}decay",
                    lambda lane: _round(register, word, _multiply(word, parameter, lane)),
                )
            ]
        case DecayRule.MULTIPLIER:
            return [
                (f"{prefix}decay", partial(_multiply, word, parameter)),
                (f"{prefix}round", partial(_round, register, word)),
            ]
        case DecayRule.SHIFT:
            return [(f"{prefix}decay", partial(_shift, register, word, parameter))]
        case DecayRule.CONSTANT | DecayRule.NONE:
            return []


def _multiply(word: str, parameter: str, lane: Lane) -> Lane:
    return _without(lane, parameter) | {word: lane[word] * lane[parameter]}


def _round(register: Register, word: str, lane: Lane) -> Lane:
    rounded = shift_right(lane[word], Const(register.decay_fraction), register.state.rounding)
    return lane | {word: _cut(rounded, register.state)}


def _shift(register: Register, word: str, parameter: str, lane: Lane) -> Lane:
    value = lane[word]
    loss = shift_right(value, lane[parameter], register.state.rounding)
    if register.shift_at_least_one:
        loss = Mux((value > 0) & (loss == 0), 1, loss)
    return _without(lane, parameter) | {word: _cut(value - loss, register.state)}


def _cut(value: Value, word: QFormat) -> Value:
    return value[: word.word_length].as_signed()


def _integrate(config: NeuronConfig, lane: Lane) -> Lane:
    return _without(lane, "drive") | {"v": fit(lane["v"] + lane["drive"], config.state)}


def _remember(lane: Lane) -> Lane:
    return lane | {"v_before": lane["v"]}


def _staged(config: NeuronConfig) -> list[Stage]:
    """Current less loss, plus bias, plus potential; each brought into the word."""

    def leak(lane: Lane) -> Lane:
        loss = lane["v_before"] - lane["v"]
        if config.decay_rule is DecayRule.CONSTANT:
            loss = loss + lane["decay"]
        change = fit(lane["current"] - loss, config.state)
        return _without(lane, "current", "decay") | {"v": lane["v_before"], "change": change}

    def bias(lane: Lane) -> Lane:
        change = fit(lane["change"] + lane["bias"], config.state)
        return _without(lane, "bias", "v_before") | {"change": change}

    def integrate(lane: Lane) -> Lane:
        return _without(lane, "change") | {"v": fit(lane["v"] + lane["change"], config.state)}

    return [("leak", leak), ("bias", bias), ("integrate", integrate)]


def fire(config: NeuronConfig, place: int, lane: Lane) -> Lane:
    """Compare with ``2**place`` thresholds: one place of the spike count, the highest first."""
    v, threshold = lane["v"], lane["threshold"].shift_left(place)
    above = v - threshold
    fires = above >= 0 if config.comparison is Comparison.GE else above > 0
    match config.reset:
        case Reset.SUBTRACT:
            v = Mux(fires, _cut(above, config.state), v)
        case Reset.TO_VALUE:
            v = Mux(fires, lane["v_reset"], v)
    spikes = Cat(fires, lane["spikes"]) if "spikes" in lane else fires
    after = lane | {"v": v, "spikes": spikes}
    return _without(after, "threshold", "v_reset") if place == 0 else after


def _settle(config: NeuronConfig, lane: Lane) -> Lane:
    v = lane["v"]
    if config.floor is not None:
        v = Mux(v < lane["floor"], lane["floor"], v)
    lane = _without(lane, "floor")
    if not config.refractory_steps:
        return lane | {"v": v}
    spikes = lane.get("spikes", Const(0))
    held = lane["refractory"] != 0
    waiting = Mux(held, lane["refractory"] - 1, Mux(spikes != 0, config.refractory_steps, 0))
    settled = _without(lane, "v_held") | {
        "v": Mux(held, lane["v_held"], v),
        "refractory": waiting[: config.refractory_steps.bit_length()],
    }
    return settled | ({"spikes": Mux(held, 0, spikes)} if "spikes" in lane else {})


def _without(lane: Lane, *names: str) -> Lane:
    return {name: value for name, value in lane.items() if name not in names}
