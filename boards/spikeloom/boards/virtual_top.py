"""What stands around a board's top when it is simulated: pins of the same names on all boards."""

import json
import re
from collections.abc import Set
from typing import Any

from spikeloom.boards.board import Board

__all__ = ["SERIAL_INPUT", "netlist_ports", "rtlil_ports", "virtual_top"]

SERIAL_INPUT = "uart_0__rx__io"
"""Port at which a design listens to a serial line, if it has one."""

_TEMPLATE = """\
// Pins of {title}; button and lamps are on when they are 1.
module virtual_board (
    input clock, rx, button, flash_cipo,
    output tx, spike, error, flash_cs_n, flash_clk, flash_copi
);
{wires}
    top top (
{pins}
    );
endmodule
"""

_FLASH = "spi_flash_1x_0"


def rtlil_ports(text: str) -> set[str]:
    """Ports of the module ``top`` in RTLIL."""
    module = re.search(r"^module \\top$(.*?)^end$", text, re.MULTILINE | re.DOTALL)
    if module is None:
        return set()
    port = r"^  wire width \d+ (?:input|output|inout) \d+  \\(\S+)$"
    return set(re.findall(port, module[1], re.MULTILINE))


def netlist_ports(text: str) -> set[str]:
    """Ports of the module ``top`` in a netlist of yosys in JSON."""
    return set(json.loads(text)["modules"]["top"]["ports"])


def virtual_top(board: Board, ports: Set[str]) -> str:
    """Verilog of the module ``virtual_board``, which has the same ports for every board.

    Parameters
    ----------
    board
        The board.
    ports
        Those that its top has; what is not among them is left open.
    """
    platform = board.create_platform()
    pins = {
        "clock": (f"{platform.default_clk}_0__io", False),
        "rx": (SERIAL_INPUT, False),
        **({} if board.button is None else {"button": _pin(platform, board.button)}),
        "flash_cipo": (f"{_FLASH}__cipo__io", False),
        "tx": ("uart_0__tx__io", False),
        "spike": _pin(platform, board.spike_lamp),
        "error": _pin(platform, board.error_lamp),
        "flash_cs_n": (f"{_FLASH}__cs__io", False),
        "flash_clk": (f"{_FLASH}__clk__io", False),
        "flash_copi": (f"{_FLASH}__copi__io", False),
    }
    wires, connections = [], []
    for name, (port, inverted) in pins.items():
        if port not in ports:
            continue
        wires.append(f"    wire pin_{name};")
        left, right = name, f"pin_{name}"
        if name in ("clock", "rx", "button", "flash_cipo"):
            left, right = right, left
        wires.append(f"    assign {left} = {'~' * inverted}{right};")
        connections.append(f"        .\\{port} (pin_{name})")
    return _TEMPLATE.format(title=board.title, wires="\n".join(wires), pins=",\n".join(connections))


def _pin(platform: Any, resource: tuple[str, int]) -> tuple[str, bool]:
    """Port of a resource of one pin, and whether it is on when it is low."""
    name, number = resource
    return f"{name}_{number}__io", bool(platform.lookup(name, number).ios[0].invert)
