"""What a user can say of a design, once: the command line and TOML files are made from this."""

import argparse
import tomllib
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from spikeloom.reference.fixed import Overflow, Rounding
from spikeloom.reference.profile import Compared, Comparison, Decay, InputGain, Order, Reset

__all__ = [
    "DesignOptions",
    "FixedOptions",
    "LayerOptions",
    "NeuronOptions",
    "ProfileOptions",
    "VectorOptions",
    "add_arguments",
    "from_arguments",
    "from_table",
    "read_array",
    "read_toml",
    "refuse_options",
]

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class ProfileOptions:
    """The rule of discretisation: ``[profile]``."""

    name: Annotated[str, "name of the rule, for the header"] = "custom"
    dt: Annotated[float, "length of a step, in the unit of tau"] = 1.0
    decay: Annotated[Decay, "what is left of the potential after a step"] = Decay.EULER
    input_gain: Annotated[InputGain, "factor on the input"] = InputGain.DT_OVER_TAU
    order: Annotated[Order, "whether the decay acts on the step's input"] = Order.DECAY_FIRST
    comparison: Annotated[Comparison, "when the threshold is reached"] = Comparison.GE
    compared: Annotated[Compared, "which potential is compared"] = Compared.NEW
    reset: Annotated[Reset, "what a spike does to the potential"] = Reset.TO_VALUE
    max_spikes: Annotated[int, "most spikes of a neuron in a step"] = 1
    refractory_steps: Annotated[int, "steps after a spike in which a neuron is held"] = 0
    rounding: Annotated[Rounding, "rounding of the decayed potential"] = Rounding.FLOOR
    overflow: Annotated[Overflow, "overflow of the potential"] = Overflow.SATURATE


@dataclass(frozen=True, kw_only=True)
class NeuronOptions:
    """The neuron, in real numbers: ``[neuron]``."""

    v_th: Annotated[float, "threshold"] = 1.0
    tau: Annotated[float, "membrane time constant"] = 20.0
    r: Annotated[float, "membrane resistance"] = 1.0
    v_reset: Annotated[float, "potential after a spike"] = 0.0
    v_init: Annotated[float, "potential at the first step"] = 0.0
    v_leak: Annotated[float, "constant leak, where the decay is constant"] = 0.0
    bias: Annotated[float, "current added in every step"] = 0.0
    v_min: Annotated[float | None, "floor of the potential"] = None


@dataclass(frozen=True, kw_only=True)
class FixedOptions:
    """Widths in bits: ``[fixed]``."""

    state_width: Annotated[int, "bits of the membrane potential, 4 to 32"] = 16
    current_width: Annotated[int, "bits of an array's input current, 2 to 48"] = 16
    decay_fraction: Annotated[int, "fraction bits of a decay multiplier, 1 to 16"] = 8
    weight_width: Annotated[int, "bits of a network's weights, 2 to 16"] = 8
    weight_shift: Annotated[int, "fraction bits that potentials have and weights have not"] = 0
    max_count: Annotated[int, "most spikes of a network's input in a step"] = 1
    scale: Annotated[
        float | None,
        "potential units for 1.0 in an array; by default v_th is a quarter of the range",
    ] = None


@dataclass(frozen=True, kw_only=True)
class DesignOptions:
    """The hardware: ``[design]``."""

    module: Annotated[str, "name of the Verilog module"] = ""
    neurons: Annotated[int, "neurons of an array"] = 64
    lanes: Annotated[int, "neurons updated at once, 1 to 256"] = 8


@dataclass(frozen=True, kw_only=True)
class VectorOptions:
    """The golden vectors: ``[vectors]``."""

    samples: Annotated[int, "samples, each from the initial state"] = 4
    steps: Annotated[int, "time steps of a sample"] = 16
    seed: Annotated[int, "seed of the random stimulus"] = 1


@dataclass(frozen=True, kw_only=True)
class LayerOptions:
    """A layer of a network: ``[[layer]]``. Paths are relative to the TOML file."""

    weight: Annotated[str, "file of weights, .npy or .csv, inputs by neurons"] = ""
    bias: Annotated[str, "file of biases, one a neuron"] = ""
    lanes: Annotated[int | None, "lanes of this layer"] = None


@dataclass(frozen=True)
class _Option:
    name: str
    kind: type
    help: str
    default: Any

    @property
    def choices(self) -> list[str] | None:
        return [member.value for member in self.kind] if issubclass(self.kind, Enum) else None

    def convert(self, value: Any, where: str) -> Any:
        if issubclass(self.kind, Enum):
            try:
                return self.kind(value)
            except ValueError:
                choices = ", ".join(map(repr, self.choices or ()))
                raise ValueError(
                    f"{self.name} in {where} must be one of {choices}, not {value!r}"
                ) from None
        if self.kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if not isinstance(value, self.kind) or isinstance(value, bool):
            raise ValueError(
                f"{self.name} in {where} must be of type {self.kind.__name__}, not {value!r}"
            )
        return value


def _options(group: type) -> dict[str, _Option]:
    hints = get_type_hints(group, include_extras=True)
    options = {}
    for each in fields(group):
        annotated, text = get_args(hints[each.name])
        kinds = [kind for kind in get_args(annotated) or (annotated,) if kind is not type(None)]
        options[each.name] = _Option(each.name, kinds[0], text, each.default)
    return options


def add_arguments(parser: argparse.ArgumentParser, group: type) -> None:
    """Add an option to a parser for each field of an options class."""
    arguments = parser.add_argument_group((group.__doc__ or "").split(":")[0].lower())
    for option in _options(group).values():
        default = option.default.value if isinstance(option.default, Enum) else option.default
        suffix = "" if default in (None, "") else f" (default {default})"
        arguments.add_argument(
            f"--{option.name.replace('_', '-')}",
            dest=f"{group.__name__}.{option.name}",
            metavar=None if option.choices else option.kind.__name__.upper(),
            choices=option.choices,
            type=str if option.choices else option.kind,
            default=argparse.SUPPRESS,
            help=option.help + suffix,
        )


def from_arguments(group: type[_T], arguments: argparse.Namespace, table: Any = None) -> _T:
    """Options from the command line, over those of a TOML table.

    Raises
    ------
    ValueError
        If a name is unknown or a value is of the wrong type or not among the choices.
    """
    values = _table_values(group, {} if table is None else table, f"[{_section(group)}]")
    return group(**(values | _converted(group, _given(group, arguments), "the command line")))


def refuse_options(
    options: Mapping[type, Iterable[str]],
    arguments: argparse.Namespace,
    tables: Mapping[str, Any],
    what: str,
) -> None:
    """Refuse options, wherever they were given, that mean nothing.

    Raises
    ------
    ValueError
        If one of them was given.
    """
    for group, names in options.items():
        section = _section(group)
        for name in names:
            if name in _given(group, arguments):
                option = f"--{name.replace('_', '-')}"
            elif name in tables.get(section, {}):
                option = f"{name} in [{section}]"
            else:
                continue
            raise ValueError(f"{option} has no effect on {what}; leave it out")


def _given(group: type, arguments: argparse.Namespace) -> dict[str, Any]:
    """Options of a class that were given on the command line."""
    prefix = f"{group.__name__}."
    return {
        name.removeprefix(prefix): value
        for name, value in vars(arguments).items()
        if name.startswith(prefix)
    }


def _section(group: type) -> str:
    return group.__name__.removesuffix("Options").lower()


def from_table(group: type[_T], table: Any, where: str) -> _T:
    """Options from a table of names and plain values.

    Raises
    ------
    ValueError
        If a name is unknown or a value is of the wrong type or not among the choices.
    """
    return group(**_table_values(group, table, where))


def _table_values(group: type, table: Any, where: str) -> dict[str, Any]:
    if not isinstance(table, Mapping):
        raise ValueError(f"{where} must be a table, not {table!r}")
    return _converted(group, table, where)


def _converted(group: type, table: Mapping[str, Any], where: str) -> dict[str, Any]:
    options = _options(group)
    for name in table:
        if name not in options:
            raise ValueError(
                f"{name!r} in {where} is unknown; it must be one of {', '.join(options)}"
            )
    return {name: options[name].convert(value, where) for name, value in table.items()}


def read_toml(path: Path) -> dict[str, Any]:
    """Read a design file.

    Raises
    ------
    ValueError
        If it cannot be read, is not TOML, or holds an unknown table.
    """
    try:
        with path.open("rb") as file:
            tables = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} must be a TOML file, but {error}") from error
    known = ("design", "profile", "neuron", "fixed", "vectors", "layer")
    for name in tables:
        if name not in known:
            raise ValueError(f"[{name}] in {path} is unknown; it must be one of {', '.join(known)}")
    if not isinstance(tables.get("layer", []), list):
        raise ValueError(f"layer in {path} must be [[layer]] tables, one a layer, in two brackets")
    return tables


def read_array(path: Path) -> NDArray[np.float64]:
    """Read numbers from a ``.npy`` or ``.csv`` file, the latter as rows and columns.

    Raises
    ------
    ValueError
        If it cannot be read or does not hold numbers.
    """
    try:
        if path.suffix == ".npy":
            array = np.load(path, allow_pickle=False)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of an empty file, which its shape tells
                array = np.loadtxt(path, delimiter=",", ndmin=2)
        return np.asarray(array, dtype=np.float64)
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise ValueError(f"{path} must be a .npy or .csv file of numbers, but {error}") from error
