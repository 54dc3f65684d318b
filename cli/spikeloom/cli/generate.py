"""``spikeloom generate``: Verilog, sidecar, golden vectors and testbench in one folder."""

import argparse
from pathlib import Path
from typing import Any

from spikeloom.cli.design import (
    UserDesign,
    array_design,
    network_design,
    nir_design,
    random_scenario,
)
from spikeloom.cli.files import read_toml
from spikeloom.cli.options import (
    DesignOptions,
    NeuronOptions,
    ReadoutOptions,
    VectorOptions,
    add_arguments,
    from_arguments,
    given_words,
)
from spikeloom.cli.precision import FixedOptions
from spikeloom.cli.profile_options import ProfileOptions
from spikeloom.cli.progress import console, print_json, progress, task
from spikeloom.cli.stimulus import DATA_HELP
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.output import check_output
from spikeloom.sim.bundle import write_bundle

__all__ = [
    "add_design_arguments",
    "add_parser",
    "add_plan_argument",
    "design_words",
    "network_top",
    "read_design",
    "read_tables",
]

_GROUPS = (DesignOptions, NeuronOptions, ProfileOptions, FixedOptions)


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "generate",
        help="write Verilog, sidecar, golden vectors and a testbench",
        description="Writes a folder with Verilog, a JSON sidecar, golden vectors and a cocotb"
        " testbench that `spikeloom verify` runs.",
    )
    add_design_arguments(parser)
    add_plan_argument(parser)
    add_arguments(parser, ReadoutOptions)
    add_arguments(parser, VectorOptions)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")
    parser.set_defaults(run=_run)


def add_design_arguments(parser: argparse.ArgumentParser, *, lanes: bool = True) -> None:
    """Add what says which design is meant.

    Parameters
    ----------
    lanes
        Whether that includes its lanes.
    """
    parser.add_argument(
        "config",
        type=Path,
        nargs="?",
        help="NIR file of a network, or TOML file of a network ([[layer]] tables) or an array;"
        " options overrule it",
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="DATA",
        help="samples that show what comes in: the ranges of the inputs, and what a state fraction"
        f" of auto follows; {DATA_HELP}",
    )
    for group in _GROUPS:
        add_arguments(parser, group, leave_out="" if lanes else "lanes")


def design_words(arguments: argparse.Namespace) -> list[str]:
    """The words of a command line that say again which design is meant."""
    words = [str(arguments.config)]
    if arguments.calibration is not None:
        words.append(f"--calibration={arguments.calibration}")
    for group in _GROUPS:
        words += given_words(group, arguments)
    return words


def add_plan_argument(parser: argparse.ArgumentParser) -> None:
    """Add the file of a plan."""
    parser.add_argument(
        "--plan",
        type=Path,
        metavar="PLAN.json",
        help="file that `spikeloom plan` wrote, with the lanes and the weight memory of each layer",
    )


def read_tables(arguments: argparse.Namespace) -> dict[str, Any]:
    """The tables of the TOML file that the arguments name, if they name one.

    Raises
    ------
    ValueError
        If it cannot be read or is wrong.
    """
    if arguments.config is None or _is_nir(arguments.config):
        return {}
    return read_toml(arguments.config)


def read_design(arguments: argparse.Namespace, tables: dict[str, Any]) -> UserDesign:
    """The design that arguments and tables name: a network of a NIR file or of layers, or an array.

    Raises
    ------
    ValueError
        If the file or an option is wrong.
    """
    if arguments.config is not None and _is_nir(arguments.config):
        return nir_design(arguments)
    if "layer" in tables:
        return network_design(arguments, tables, arguments.config.parent)
    return array_design(arguments, tables)


def network_top(design: UserDesign, reason: str) -> NetworkTop:
    """The hardware of a design that must be a network.

    Parameters
    ----------
    reason
        Why it must.

    Raises
    ------
    ValueError
        If it is a neuron array.
    """
    if not isinstance(design.top, NetworkTop):
        raise ValueError(
            "config must be a NIR file, or a TOML file of a network with [[layer]] tables; "
            + reason
        )
    return design.top


def _is_nir(path: Path) -> bool:
    return path.suffix == ".nir"


def _run(arguments: argparse.Namespace) -> int:
    check_output(arguments.output, "generate")
    tables = read_tables(arguments)
    design = read_design(arguments, tables)
    vectors = from_arguments(VectorOptions, arguments, tables.get("vectors"))
    scenario = random_scenario(design.top, vectors)
    with progress(quiet=arguments.json) as bars, task(bars, "writing the design"):
        write_bundle(arguments.output, design.top, design.module, design.profile, scenario)
    files = sorted(
        str(path.relative_to(arguments.output))
        for path in arguments.output.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    )
    if arguments.json:
        print_json({"folder": str(arguments.output), "module": design.module, "files": files})
    else:
        console.print(f"{arguments.output}: {', '.join(files)}", soft_wrap=True)
        console.print(f"next: spikeloom verify {arguments.output}", soft_wrap=True)
    return 0
