"""The update of one neuron as a list of combinational stages.

:class:`~spikeloom.rtl_gen.neuron.NeuronArray` puts registers between the stages; whoever wants to
prove something about the update composes them without. Which stages there are follows from the
configuration: no multiplier where the decay is a shift, no comparison with a floor where there
is none.
"""

from collections.abc import Callable
from functools import partial

from amaranth.hdl import Cat, Const, Mux, Shape, Value, signed, unsigned

from spikeloom.reference.fixed import Rounding, signed_width
from spikeloom.reference.neuron_fixed import DecayRule, NeuronConfig
from spikeloom.reference.profile import Compared, Comparison, Order, Reset
from spikeloom.rtl_gen.fixed import fit, shape_of, shift_right

__all__ = ["Lane", "Stage", "parameter_shapes", "shared_parameters", "update_stages"]

Lane = dict[str, Value]
"""What is known of one neuron between two stages: ``v``, ``current``, its parameters, …"""

Stage = tuple[str, Callable[[Lane], Lane]]
"""A name, and a combinational function."""


def _shapes(config: NeuronConfig) -> dict[str, Shape]:
    decay = {
        DecayRule.MULTIPLIER: unsigned(config.decay_fraction + 1),
        DecayRule.SHIFT: unsigned(5),
        DecayRule.CONSTANT: shape_of(config.state),
        DecayRule.NONE: unsigned(1),
    }
    return {
        "threshold": shape_of(config.state),
        "decay": decay[config.decay_rule],
        "bias": signed(config.current_width),
    }


def parameter_shapes(config: NeuronConfig) -> dict[str, Shape]:
    """Shapes of the parameters that differ from neuron to neuron, in the order of a memory row."""
    shapes = _shapes(config)
    return {name: shape for name, shape in shapes.items() if _differs(config, name)}


def shared_parameters(config: NeuronConfig) -> Lane:
    """Constants for the parameters that all neurons have in common."""
    shapes = _shapes(config)
    return {
        name: Const(getattr(config, name), _const_shape(getattr(config, name), shape))
        for name, shape in shapes.items()
        if not _differs(config, name)
    }


def _differs(config: NeuronConfig, name: str) -> bool:
    return isinstance(getattr(config, name), tuple)


def _const_shape(value: int, shape: Shape) -> Shape:
    # The shortest word: it keeps the adders behind it short.
    return signed(signed_width(value)) if shape.signed else Const(value).shape()


def update_stages(config: NeuronConfig) -> list[Stage]:
    """The stages of the update, in order.

    The first takes a lane with ``v``, ``current``, ``threshold``, ``decay``, ``bias`` and, where
    there are refractory steps, ``refractory``; the last leaves ``v``, ``spikes`` and
    ``refractory``. The rounding, overflow and order are those of
    :func:`spikeloom.reference.neuron_fixed.step`.
    """
    decay = _decay_stages(config)
    integrate: list[Stage] = [("integrate", partial(_integrate, config))]
    fire: list[Stage] = [
        (f"fire_{place}", partial(_fire, config, place))
        for place in reversed(range(config.count_width))
    ]
    if config.order is Order.DECAY_FIRST:
        update = decay + integrate
    else:
        update = integrate + decay
    stages = fire + update if config.compared is Compared.OLD else update + fire
    name, first = stages[0]
    stages[0] = (name, lambda lane: first(_drive(config, _hold(config, lane))))
    if config.floor is not None or config.refractory_steps:
        stages.append(("settle", partial(_settle, config)))
    return stages


def _hold(config: NeuronConfig, lane: Lane) -> Lane:
    return lane | {"v_held": lane["v"]} if config.refractory_steps else lane


def _drive(config: NeuronConfig, lane: Lane) -> Lane:
    drive = lane["current"]
    if config.bias != 0:
        drive = drive + lane["bias"]
    if config.decay_rule is DecayRule.CONSTANT and config.decay != 0:
        drive = drive - lane["decay"]
    return _without(lane, "current", "bias") | {"drive": drive}


def _decay_stages(config: NeuronConfig) -> list[Stage]:
    match config.decay_rule:
        case DecayRule.MULTIPLIER if config.state.rounding is Rounding.FLOOR:
            return [("decay", lambda lane: _round(config, _multiply(lane)))]
        case DecayRule.MULTIPLIER:
            return [("decay", _multiply), ("round", partial(_round, config))]
        case DecayRule.SHIFT:
            return [("decay", partial(_shift, config))]
        case DecayRule.CONSTANT | DecayRule.NONE:
            return []


def _multiply(lane: Lane) -> Lane:
    return _without(lane, "decay") | {"v": lane["v"] * lane["decay"]}


def _round(config: NeuronConfig, lane: Lane) -> Lane:
    rounded = shift_right(lane["v"], Const(config.decay_fraction), config.state.rounding)
    return lane | {"v": rounded[: config.state.word_length].as_signed()}


def _shift(config: NeuronConfig, lane: Lane) -> Lane:
    v = lane["v"]
    loss = shift_right(v, lane["decay"], config.state.rounding)
    if config.shift_at_least_one:
        loss = Mux((v > 0) & (loss == 0), 1, loss)
    return _without(lane, "decay") | {"v": (v - loss)[: config.state.word_length].as_signed()}


def _integrate(config: NeuronConfig, lane: Lane) -> Lane:
    return _without(lane, "drive") | {"v": fit(lane["v"] + lane["drive"], config.state)}


def _fire(config: NeuronConfig, place: int, lane: Lane) -> Lane:
    """Compare with ``2**place`` thresholds: one place of the spike count, the highest first."""
    v, threshold = lane["v"], lane["threshold"].shift_left(place)
    above = v - threshold
    fires = above >= 0 if config.comparison is Comparison.GE else above > 0
    match config.reset:
        case Reset.SUBTRACT:
            v = Mux(fires, above[: config.state.word_length].as_signed(), v)
        case Reset.TO_VALUE:
            v = Mux(fires, config.v_reset, v)
    spikes = Cat(fires, lane["spikes"]) if "spikes" in lane else fires
    after = lane | {"v": v, "spikes": spikes}
    return _without(after, "threshold") if place == 0 else after


def _settle(config: NeuronConfig, lane: Lane) -> Lane:
    v, spikes = lane["v"], lane["spikes"]
    if config.floor is not None:
        v = Mux(v < config.floor, config.floor, v)
    if not config.refractory_steps:
        return lane | {"v": v}
    held = lane["refractory"] != 0
    waiting = Mux(held, lane["refractory"] - 1, Mux(spikes != 0, config.refractory_steps, 0))
    return _without(lane, "v_held") | {
        "v": Mux(held, lane["v_held"], v),
        "spikes": Mux(held, 0, spikes),
        "refractory": waiting[: config.refractory_steps.bit_length()],
    }


def _without(lane: Lane, *names: str) -> Lane:
    return {name: value for name, value in lane.items() if name not in names}
