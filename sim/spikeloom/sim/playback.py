"""cocotb test that lets the player play, then compares: Python wakes twice in a run."""

from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge, Timer

from spikeloom.sim.check import check_words
from spikeloom.sim.vectors import Vectors

__all__ = ["play"]


@cocotb.test()
async def play(dut: Any) -> None:
    """All vectors of the working folder, at the simulator's own speed."""
    vectors = Vectors.load(Path("vectors"))
    dut.rst.value = 1
    await Timer(43, "ns")
    dut.rst.value = 0
    await RisingEdge(dut.done)
    outputs = [line.split()[1] for line in Path("outputs.log").read_text().splitlines()]
    check_words("o", outputs, vectors.outputs)
    check_words("probe_o", Path("rows.log").read_text().split(), vectors.rows)
    assert not int(dut.stuck.value), "the design stopped before its last word came out"
    assert not int(dut.error.value), "the design took legal events for illegal ones"
