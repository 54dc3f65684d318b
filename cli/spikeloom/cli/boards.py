"""``spikeloom boards``: the boards, and which of them a network fits."""

import argparse
import warnings
from typing import Any

from amaranth.hdl import UnusedElaboratable

from spikeloom.boards.board import BOARDS, Board
from spikeloom.boards.flow import BoardTooSmallError
from spikeloom.boards.plan import Plan, make_plan
from spikeloom.cli.generate import (
    add_design_arguments,
    design_words,
    network_top,
    read_design,
    read_tables,
)
from spikeloom.cli.plan import add_stimulus_arguments, read_stimulus
from spikeloom.cli.progress import print_json, print_table, progress, say

__all__ = ["add_parser"]

_SPRAM_BITS = 16384 * 16
"""Bits of an iCE40's SPRAM."""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "boards",
        help="list the boards, and those that a network fits",
        description="Lists the boards with what their FPGAs have. With a network it says on which"
        " of them the planner finds room for it, with how many lanes, and how long a sample takes"
        " there.",
    )
    add_design_arguments(parser, lanes=False)
    add_stimulus_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the list as JSON")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    plans: dict[str, Plan | str] = {}
    if len(design_words(arguments)) > 1 or arguments.config is not None:
        plans = _plans(arguments)
    if arguments.json:
        print_json([_plain(board, plans.get(board.name)) for board in BOARDS.values()])
        return 0
    _print_facts()
    if plans:
        say()
        _print_plans(plans)
    return 0


def _plans(arguments: argparse.Namespace) -> dict[str, Plan | str]:
    """The plan of a network for each board, or why there is none."""
    # The hardware is looked at, and never made.
    warnings.simplefilter("ignore", UnusedElaboratable)
    tables = read_tables(arguments)
    design = read_design(arguments, tables)
    network = network_top(design, "a neuron array has no layers to plan").network
    stimulus, _ = read_stimulus(arguments, tables, network, design.dt)
    plans: dict[str, Plan | str] = {}
    with progress(quiet=arguments.json) as bars:
        bar = bars.add_task("", total=len(BOARDS))
        for board in BOARDS.values():
            bars.update(bar, description=board.title)
            try:
                plans[board.name] = make_plan(network, stimulus, board)
            except BoardTooSmallError as error:
                plans[board.name] = str(error).partition(";")[0]
            bars.advance(bar)
    return plans


def _print_facts() -> None:
    titles = ["board", "name", "chip", "bitstream", "clock", "logic cells", "block RAMs", "DSPs"]
    titles += ["SPRAM bits", "serial line up to", "SPI"]
    rows = [
        [
            board.name,
            board.title,
            board.chip,
            _where(board),
            f"{board.clock / 1e6:g} MHz",
            f"{board.logic_cells:,}",
            str(board.block_rams),
            str(board.dsps),
            f"{board.sprams * _SPRAM_BITS:,}",
            f"{board.fastest_baud / 1e6:g} Mbaud",
            "no" if board.spi is None else "yes",
        ]
        for board in BOARDS.values()
    ]
    print_table(titles, rows, words=4)


def _print_plans(plans: dict[str, Plan | str]) -> None:
    rows = []
    for name, plan in plans.items():
        where = _where(BOARDS[name])
        if isinstance(plan, str):
            rows.append([name, where, "", "", plan])
        else:
            lanes = ", ".join(map(str, plan.lanes))
            fits = "fits" if plan.fits else "may not fit"
            rows.append([name, where, lanes, f"{1e6 * plan.latency:,.1f} us", fits])
    print_table(["board", "bitstream", "lanes", "a sample takes", "the network"], rows, words=5)


def _where(board: Board) -> str:
    return "built here" if board.built else "not built here"


def _plain(board: Board, plan: Plan | str | None) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "name": board.name,
        "title": board.title,
        "chip": board.chip,
        "clock_mhz": board.clock / 1e6,
        "logic_cells": board.logic_cells,
        "block_rams": board.block_rams,
        "dsps": board.dsps,
        "spram_bits": board.sprams * _SPRAM_BITS,
        "baud": board.baud,
        "fastest_baud": board.fastest_baud,
        "spi": board.spi is not None,
        "built_here": board.built,
        "wires": None
        if board.wires is None
        else dict(zip(("receive", "send"), board.wires, strict=True)),
        "hint": board.hint,
    }
    if plan is None:
        return facts
    if isinstance(plan, str):
        return facts | {"fits": False, "reason": plan}
    return facts | {
        "fits": plan.fits,
        "lanes": list(plan.lanes),
        "latency_us": 1e6 * plan.latency,
    }
