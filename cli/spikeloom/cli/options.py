"""What a user can say of a design, once: the command line and TOML files are made from this."""

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

__all__ = [
    "DesignOptions",
    "LayerOptions",
    "NeuronOptions",
    "ReadoutOptions",
    "Spelling",
    "VectorOptions",
    "add_arguments",
    "from_arguments",
    "from_table",
    "given_values",
    "given_words",
    "refuse_options",
]

_T = TypeVar("_T")

_BOOLS = {"yes": True, "no": False}


@dataclass(frozen=True, kw_only=True)
class Spelling:
    """How an option is written, where that does not follow from its name and type.

    Parameters
    ----------
    flag
        On the command line.
    none
        The word for ``None``.
    choices
        All that it may be.
    switch
        Whether the flag alone means yes.
    """

    switch: bool = False
    flag: str = ""
    none: str = "none"
    choices: tuple[str, ...] = ()


_SWITCH = Spelling(switch=True)


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
class DesignOptions:
    """The hardware: ``[design]``."""

    module: Annotated[str, "name of the Verilog module"] = ""
    neurons: Annotated[int, "neurons of an array"] = 64
    lanes: Annotated[int, "neurons updated at once, 1 to 256"] = 8
    parity: Annotated[
        bool, "notice weights of which a bit has flipped, by a parity of each row", _SWITCH
    ] = False
    ecc: Annotated[
        bool, "correct states of which a bit has flipped, by a code (SECDED)", _SWITCH
    ] = False


@dataclass(frozen=True, kw_only=True)
class VectorOptions:
    """The golden vectors: ``[vectors]``."""

    samples: Annotated[int, "samples, each from the initial state"] = 4
    steps: Annotated[int, "time steps of a sample"] = 16
    seed: Annotated[int, "seed of the random stimulus"] = 1


@dataclass(frozen=True, kw_only=True)
class ReadoutOptions:
    """The read-out of a network: it decides as soon as that is clear."""

    decide_within: Annotated[int | None, "steps after which it decides at the latest"] = None
    margin: Annotated[
        int | None, "lead of the largest sum, in units of the output, that decides earlier"
    ] = None


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
    optional: bool
    help: str
    spelling: Spelling
    default: Any

    @property
    def flag(self) -> str:
        return self.spelling.flag or f"--{self.name.replace('_', '-')}"

    @property
    def choices(self) -> tuple[str, ...]:
        if issubclass(self.kind, Enum):
            return tuple(member.value for member in self.kind)
        return tuple(_BOOLS) if self.kind is bool else self.spelling.choices

    @property
    def metavar(self) -> str | None:
        kind = self.kind.__name__.upper()
        return None if self.choices else f"{kind}|{self.spelling.none}" if self.optional else kind

    def parse(self, text: str) -> Any:
        """A value from the command line; a choice stays the word that it is."""
        if self.choices or (self.optional and text == self.spelling.none):
            return text
        try:
            return self.kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"invalid {self.kind.__name__} value: {text!r}"
            ) from None

    def convert(self, value: Any, where: str) -> Any:
        if self.optional and value == self.spelling.none:
            return None
        if self.spelling.choices and value not in self.choices:
            raise ValueError(self._not_a_choice(value, where))
        if issubclass(self.kind, Enum):
            try:
                return self.kind(value)
            except ValueError:
                raise ValueError(self._not_a_choice(value, where)) from None
        if self.kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if not isinstance(value, self.kind) or isinstance(value, bool) != (self.kind is bool):
            raise ValueError(
                f"{self.name} in {where} must be of type {self.kind.__name__}, not {value!r}"
            )
        return value

    def _not_a_choice(self, value: Any, where: str) -> str:
        choices = ", ".join(map(repr, self.choices))
        return f"{self.name} in {where} must be one of {choices}, not {value!r}"


def _options(group: type) -> dict[str, _Option]:
    hints = get_type_hints(group, include_extras=True)
    options = {}
    for each in fields(group):
        annotated, text, *spelling = get_args(hints[each.name])
        kinds = get_args(annotated) or (annotated,)
        (kind,) = (kind for kind in kinds if kind is not type(None))
        options[each.name] = _Option(
            each.name, kind, len(kinds) > 1, text, (*spelling, Spelling())[0], each.default
        )
    return options


def add_arguments(
    parser: argparse.ArgumentParser, group: type, *, defaults: bool = True, leave_out: str = ""
) -> None:
    """Add an option to a parser for each field of an options class.

    Parameters
    ----------
    defaults
        Whether the help tells the defaults.
    leave_out
        A field that the parser does not get.
    """
    arguments = parser.add_argument_group((group.__doc__ or "").split(":")[0].lower())
    for option in _options(group).values():
        if option.name == leave_out:
            continue
        if option.spelling.switch:
            arguments.add_argument(
                option.flag,
                dest=f"{group.__name__}.{option.name}",
                action="store_const",
                const="yes",
                default=argparse.SUPPRESS,
                help=option.help,
            )
            continue
        arguments.add_argument(
            option.flag,
            dest=f"{group.__name__}.{option.name}",
            metavar=option.metavar,
            choices=option.choices or None,
            type=option.parse,
            default=argparse.SUPPRESS,
            help=option.help + (_default(option) if defaults else ""),
        )


def _default(option: _Option) -> str:
    default = option.default.value if isinstance(option.default, Enum) else option.default
    if default is None and option.spelling.none != "none":
        default = option.spelling.none
    if isinstance(default, bool):
        default = "yes" if default else "no"
    return "" if default in (None, "") else f" (default {default})"


def from_arguments(group: type[_T], arguments: argparse.Namespace, table: Any = None) -> _T:
    """Options from the command line, over those of a TOML table.

    Raises
    ------
    ValueError
        If a name is unknown or a value is of the wrong type or not among the choices.
    """
    return group(**given_values(group, arguments, table))


def given_values(group: type, arguments: argparse.Namespace, table: Any = None) -> dict[str, Any]:
    """The options that were given: those of the command line over those of a TOML table.

    Raises
    ------
    ValueError
        If a name is unknown or a value is of the wrong type or not among the choices.
    """
    values = _table_values(group, {} if table is None else table, f"[{_section(group)}]")
    return values | _converted(group, _given(group, arguments), "the command line")


def given_words(group: type, arguments: argparse.Namespace) -> list[str]:
    """The options of a class that were given on the command line, as words of one."""
    return [
        option.flag if option.spelling.switch else f"{option.flag}={value}"
        for name, option in _options(group).items()
        if (value := getattr(arguments, f"{group.__name__}.{name}", None)) is not None
    ]


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
                option = _options(group)[name].flag
            elif name in tables.get(section, {}):
                option = f"{name} in [{section}]"
            else:
                continue
            raise ValueError(f"{option} has no effect on {what}; leave it out")


def _given(group: type, arguments: argparse.Namespace) -> dict[str, Any]:
    """Options of a class that were given on the command line."""
    given = {}
    for name, option in _options(group).items():
        value = getattr(arguments, f"{group.__name__}.{name}", None)
        if value is not None:
            given[name] = _BOOLS[value] if option.kind is bool else value
    return given


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
