"""From options to a design with its golden vectors."""

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from spikeloom.cli.files import read_array
from spikeloom.cli.model import read_network
from spikeloom.cli.options import (
    DesignOptions,
    LayerOptions,
    NeuronOptions,
    ReadoutOptions,
    VectorOptions,
    from_arguments,
    from_table,
    refuse_options,
)
from spikeloom.cli.plan_file import planned_top
from spikeloom.cli.precision import (
    FixedOptions,
    fixed_inputs,
    fixed_network,
    precision_of,
)
from spikeloom.cli.profile_options import ProfileOptions, given_profile, required_profile
from spikeloom.cli.stimulus import read_data
from spikeloom.reference.dense import FloatDense, float_stack
from spikeloom.reference.fixed import IntArray
from spikeloom.reference.latency import EarlyStop
from spikeloom.reference.network import FixedNetwork, FloatNetwork
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.neuron_rounding import quantize_neurons
from spikeloom.reference.profile import Decay, Profile
from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.neuron import NeuronArray
from spikeloom.rtl_gen.protection import Protection
from spikeloom.sim.vectors import Design

__all__ = [
    "RANDOM_DENSITY",
    "UserDesign",
    "array_design",
    "network_design",
    "nir_design",
    "random_scenario",
    "random_stimulus",
]

RANDOM_DENSITY = 0.3
"""Share of the inputs that are active in a step of a random stimulus."""

_MOST_INPUTS = 1 << 24
_MOST_NEURONS = 1 << 20

# Options that one kind of design has and the other has not.
_ARRAY_ONLY: Mapping[type, tuple[str, ...]] = {
    DesignOptions: ("neurons",),
    FixedOptions: ("current_width", "unit"),
}
_NETWORK_ONLY: Mapping[type, tuple[str, ...]] = {
    DesignOptions: ("parity", "ecc"),
    FixedOptions: (
        *("weight_width", "state_fraction", "scale", "percentile", "max_count", "input_fraction"),
    ),
}

# Options of a profile that say something of synapses, loops and neurons without a time constant,
# which these designs have not.
_NIR_ONLY: Mapping[type, tuple[str, ...]] = {
    ProfileOptions: (
        *("integrator_gain", "integrator_floor", "synapse_gain", "synapse_order"),
        *("synapse_overflow", "recurrent_delay", "recurrent_bias_at_start"),
    )
}
_NEURON_ONLY: Mapping[type, tuple[str, ...]] = {
    NeuronOptions: tuple(each.name for each in fields(NeuronOptions))
}
# What a preset may say and these designs do not do.
_NEUTRAL = {
    "max_output_spikes": None,
    "max_input_count": None,
    "floor": None,
    "input_delay": 0,
    "layer_delay": 0,
}

# Reserved words of IEEE 1364-2005, annex B.
_VERILOG_WORDS = frozenset(
    """
    always and assign automatic begin buf bufif0 bufif1 case casex casez cell cmos config deassign
    default defparam design disable edge else end endcase endconfig endfunction endgenerate
    endmodule endprimitive endspecify endtable endtask event for force forever fork function
    generate genvar highz0 highz1 if ifnone incdir include initial inout input instance integer
    join large liblist library localparam macromodule medium module nand negedge nmos nor
    noshowcancelled not notif0 notif1 or output parameter pmos posedge primitive pull0 pull1
    pulldown pullup pulsestyle_ondetect pulsestyle_onevent rcmos real realtime reg release repeat
    rnmos rpmos rtran rtranif0 rtranif1 scalared showcancelled signed small specify specparam
    strong0 strong1 supply0 supply1 table task time tran tranif0 tranif1 tri tri0 tri1 triand
    trior trireg unsigned use uwire vectored wait wand weak0 weak1 while wire wor xnor xor
    """.split()  # noqa: SIM905 - a hundred quoted words are hard to compare with the standard
)


@dataclass(frozen=True)
class UserDesign:
    """A design as a user asked for it.

    Attributes
    ----------
    top
        The hardware.
    module
        Name of its Verilog module.
    profile
        Name of its profile.
    dt
        Length of a step, in the unit of the profile's time constants.
    """

    top: Design
    module: str
    profile: str
    dt: float


def array_design(arguments: argparse.Namespace, tables: dict[str, Any]) -> UserDesign:
    """A neuron array from options.

    Raises
    ------
    ValueError
        If an option is wrong.
    """
    neuron = _neuron(arguments, tables)
    fixed = from_arguments(FixedOptions, arguments, tables.get("fixed"))
    design = from_arguments(DesignOptions, arguments, tables.get("design"))
    refuse_options(_NETWORK_ONLY, arguments, tables, "a neuron array")
    refuse_options({ReadoutOptions: ("decide_within", "margin")}, arguments, {}, "a neuron array")
    for name in ("plan", "calibration"):
        if getattr(arguments, name, None) is not None:
            raise ValueError(f"--{name} has no effect on a neuron array; leave it out")
    if not 1 <= design.neurons <= _MOST_NEURONS:
        raise ValueError(f"neurons must be 1 to {_MOST_NEURONS}, not {design.neurons}")
    unit = fixed.unit
    if unit is not None and not 0 < unit < math.inf:
        raise ValueError(f"unit must be positive and finite, not {unit!r}")
    if unit is None:
        levels = (neuron.v_th, neuron.v_reset, neuron.v_init, neuron.v_min)
        highest = max(abs(float(np.asarray(each or 0.0))) for each in levels)
        unit = 2.0 ** (fixed.state_width - 3) / (highest or 1.0)
    config = quantize_neurons(
        neuron,
        design.neurons,
        scale=unit,
        state_width=fixed.state_width,
        current_width=fixed.current_width,
        decay_fraction=fixed.decay_fraction,
    )
    top = NeuronArray(config, design.lanes)
    return UserDesign(top, _module(design, "neuron_array"), neuron.profile.name, neuron.profile.dt)


def network_design(
    arguments: argparse.Namespace, tables: dict[str, Any], folder: Path
) -> UserDesign:
    """A network from a TOML file's tables, options of the command line over them.

    Parameters
    ----------
    folder
        Folder to which the paths in the tables are relative.

    Raises
    ------
    ValueError
        If an option is wrong, a file cannot be read, or there is no layer.
    """
    neuron = _neuron(arguments, tables)
    fixed = from_arguments(FixedOptions, arguments, tables.get("fixed"))
    design = from_arguments(DesignOptions, arguments, tables.get("design"))
    refuse_options(_ARRAY_ONLY, arguments, tables, "a network")
    layers, lanes = [], []
    for k, table in enumerate(tables.get("layer", [])):
        options = from_table(LayerOptions, table, f"layer {k}")
        if not options.weight:
            raise ValueError(f"layer {k} must name a file of weights")
        weight = read_array(folder / options.weight)
        bias = read_array(folder / options.bias).ravel() if options.bias else 0.0
        if options.bias and weight.ndim == 2 and np.shape(bias) != weight.shape[1:]:
            raise ValueError(
                f"layer {k} must have {weight.shape[1]} biases, one a neuron, but {options.bias}"
                f" holds {np.size(bias)}"
            )
        try:
            layers.append(FloatDense(weight, neuron, bias))
        except ValueError as error:
            raise ValueError(f"layer {k} is wrong: {error}") from error
        lanes.append(design.lanes if options.lanes is None else options.lanes)
    quantized = _quantized(arguments, float_stack(layers), fixed, neuron.profile)
    top = _top(arguments, quantized, lanes, design)
    return UserDesign(top, _module(design, "network"), top.network.profile, neuron.profile.dt)


def nir_design(arguments: argparse.Namespace) -> UserDesign:
    """A network from a NIR file under a profile.

    Raises
    ------
    ValueError
        If an option is wrong, no profile is given, or the file is wrong or cannot be built.
    """
    profile = required_profile(arguments)
    fixed = from_arguments(FixedOptions, arguments)
    design = from_arguments(DesignOptions, arguments)
    refuse_options({**_ARRAY_ONLY, **_NEURON_ONLY}, arguments, {}, "a NIR file")
    network, _ = read_network(arguments.config, profile)
    fixed_point = _quantized(arguments, network, fixed, profile)
    top = _top(arguments, fixed_point, design.lanes, design)
    return UserDesign(top, _module(design, "network"), profile.name, profile.dt)


def _top(
    arguments: argparse.Namespace,
    network: FixedNetwork,
    lanes: int | Sequence[int],
    design: DesignOptions,
) -> NetworkTop:
    """The hardware of a network, with its lanes or as a plan has it."""
    given = from_arguments(ReadoutOptions, arguments)
    stop = None
    if given.decide_within is not None and given.margin is not None:
        stop = EarlyStop(steps=given.decide_within, margin=given.margin)
    elif given != ReadoutOptions():
        raise ValueError("--decide-within and --margin must be given together")
    protection = Protection(parity=design.parity, ecc=design.ecc)
    if getattr(arguments, "plan", None) is None:
        return NetworkTop(network, lanes, stop=stop, protection=protection)
    refuse_options({DesignOptions: ("lanes",)}, arguments, {}, "a design with --plan")
    return planned_top(network, arguments.plan, stop, protection)


def _quantized(
    arguments: argparse.Namespace, network: FloatNetwork, fixed: FixedOptions, profile: Profile
) -> FixedNetwork:
    data = None
    if arguments.calibration is not None:
        data = read_data(arguments.calibration, network.inputs, dt=profile.dt)
    inputs = fixed_inputs(network, data, fixed, profile)
    return fixed_network(network, precision_of(fixed), inputs, data)


def random_scenario(top: Design, vectors: VectorOptions) -> Scenario:
    """A random stimulus with the golden model's answer.

    Raises
    ------
    ValueError
        If there are no or too many samples or steps, or the seed is negative.
    """
    if isinstance(top, NetworkTop):
        return Scenario.of(top.network, random_stimulus(top.network, vectors))
    rng, (shape,) = _random(vectors, [(top.config.size,)])
    return Scenario.of_neurons(top.config, _random_current(top.config, rng, shape))


def random_stimulus(network: FixedNetwork, vectors: VectorOptions) -> dict[str, IntArray]:
    """A random stimulus of shape (samples, steps, \\*shape) for each input.

    Raises
    ------
    ValueError
        As :func:`random_scenario`.
    """
    entries = network.inputs
    rng, shapes = _random(vectors, [each.shape for each in entries.values()])
    return {
        name: (rng.random(shape) < RANDOM_DENSITY)
        * rng.integers(entry.low or 1, entry.high + 1, shape)
        for (name, entry), shape in zip(entries.items(), shapes, strict=True)
    }


def _random(
    vectors: VectorOptions, shapes: Sequence[Sequence[int]]
) -> tuple[np.random.Generator, list[tuple[int, ...]]]:
    """A generator, and the shapes of what it is to draw."""
    before = (vectors.samples, vectors.steps)
    if min(before) < 1:
        raise ValueError(
            f"samples and steps must be positive, not {vectors.samples} and {vectors.steps}"
        )
    values = math.prod(before) * sum(map(math.prod, shapes))
    if values > _MOST_INPUTS:
        raise ValueError(
            f"samples * steps * inputs must be at most {_MOST_INPUTS} for a testbench, not {values}"
        )
    if vectors.seed < 0:
        raise ValueError(f"seed must not be negative, not {vectors.seed}")
    return np.random.default_rng(vectors.seed), [(*before, *shape) for shape in shapes]


def _neuron(arguments: argparse.Namespace, tables: dict[str, Any]) -> FloatNeuron:
    refuse_options(_NIR_ONLY, arguments, tables, "a design without a NIR file")
    profile = given_profile(arguments, tables.get("profile")) or Profile(name=ProfileOptions.name)
    for name, neutral in _NEUTRAL.items():
        if getattr(profile, name) != neutral:
            raise ValueError(
                f"{name} must be {neutral} in a design without a NIR file, not"
                f" {getattr(profile, name)!r}"
            )
    neuron = from_arguments(NeuronOptions, arguments, tables.get("neuron"))
    made = FloatNeuron(profile=profile, **asdict(neuron))
    if profile.decay is Decay.EULER and neuron.tau < profile.dt:
        raise ValueError(
            f"tau must be at least dt={profile.dt:g} where the decay is 'euler', not {neuron.tau:g}"
        )
    if neuron.v_min is not None and neuron.v_min > 0:
        raise ValueError(f"v_min must be at most 0, not {neuron.v_min:g}")
    return made


def _random_current(
    config: NeuronConfig, rng: np.random.Generator, shape: tuple[int, ...]
) -> np.ndarray:
    """Currents that make neurons spike now and then, and now and then the extreme ones."""
    lowest, highest = config.current.min, config.current.max
    reach = max(2, int(np.max(np.abs(config.threshold))))
    usual = np.clip(rng.integers(-reach // 4, reach, shape), lowest, highest)
    extreme = rng.choice([lowest, highest, 0], shape)
    return np.where(rng.random(shape) < 0.05, extreme, usual)


def _module(design: DesignOptions, default: str) -> str:
    name = design.module or default
    if not (name.isidentifier() and name.isascii()) or name in _VERILOG_WORDS:
        raise ValueError(f"module must be a Verilog identifier, not {name!r}")
    return name
