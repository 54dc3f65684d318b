"""A Verilog testbench that plays vectors at the simulator's own speed.

Waking Python at every clock edge holds a simulator to some ten thousand cycles a second. The player
reads what it sends from files and writes what it sees to files.
"""

from collections.abc import Mapping
from typing import Any

from spikeloom.sim.vectors import ALARMS, PROBE, streams

__all__ = ["TOP", "player_verilog"]

TOP = "playback"
"""Name of the testbench's top module."""

_TEMPLATE = """\
// Plays a file of vectors into each stream into {module}, and writes what comes out of each other
// stream.
`timescale 1ns/1ps

// Marsaglia's xorshift (2003): the same gaps in every simulator, others in each stream.
module chance #(parameter STREAM = 0) (input clk, input [31:0] gap, output go);
    reg [31:0] random, next, seed;
    assign go = random[7:0] >= gap[7:0];
    initial begin
        if (!$value$plusargs("seed=%d", seed)) seed = 1;
        random = seed ^ 32'h9e3779b9 * (STREAM + 1);
    end
    always @(posedge clk) begin
        next = random ^ (random << 13);
        next = next ^ (next >> 17);
        random <= next ^ (next << 5);
    end
endmodule

// A line of vectors/NAME.hex is two hexadecimal numbers: how many words must have come out or
// been loaded, in all, before a word is sent, and the word.
module source #(parameter STREAM = 0, WIDTH = 1, NAME = "i") (
    input clk, input rst, input [31:0] gap, input [31:0] count, input settled,
    output reg [WIDTH-1:0] payload, output reg valid, input ready, output reg left
);
    wire go;
    chance #(STREAM) chance (.clk(clk), .gap(gap), .go(go));
    reg [WIDTH-1:0] word;
    reg [31:0] after;
    reg have;
    integer file;
    initial begin
        payload = 0; valid = 0; left = 1; have = 0;
        file = $fopen({{"vectors/", NAME, ".hex"}}, "r");
    end
    always @(posedge clk) if (!rst) begin
        if (valid && ready) have = 0;
        if (!have && left) begin
            have = $fscanf(file, "%h %h", after, word) == 2;
            left <= have;
        end
        payload <= word;
        valid <= have && count >= after && settled && (go || valid && !ready);
    end
endmodule

// A line of NAME.log is the cycle in which a word came out, and the word.
module sink #(parameter STREAM = 0, WIDTH = 1, NAME = "o") (
    input clk, input rst, input [31:0] gap, input [31:0] cycle,
    input [WIDTH-1:0] payload, input valid, output reg ready
);
    wire go;
    chance #(STREAM) chance (.clk(clk), .gap(gap), .go(go));
    integer file;
    initial begin
        ready = 0;
        file = $fopen({{NAME, ".log"}}, "w");
    end
    always @(posedge clk) if (!rst) begin
        if (valid && ready) $fwrite(file, "%0d %0h\\n", cycle, payload);
        ready <= go;
    end
endmodule

module player (input rst, output reg done, output reg stuck{outputs});
    reg clk = 0;
    always #5 clk = ~clk;
    reg [31:0] cycle, counted, idle, still, patience, settling, gap;
{wires}
    // Membrane potentials are asked for when nothing has moved but these for a while.
    wire settled = still >= settling;
    // Words that come out or are loaded in this cycle are counted in this cycle.
    wire [31:0] count = counted{counted};

    {module} dut (
        .clk(clk), .rst(rst){alarms}{ports}
    );
{streams}
    initial begin
        done = 0; stuck = 0; cycle = 0; counted = 0; idle = 0; still = 0;
        if (!$value$plusargs("gap=%d", gap)) gap = 0;
        patience = {patience} * 256 / (256 - gap);
        settling = {settling} * 256 / (256 - gap);
    end
    always @(posedge clk) if (!rst && !done) begin
        cycle <= cycle + 1;
        counted <= count;
        idle <= {moves} ? 0 : idle + 1;
        still <= {events} ? 0 : still + 1;
        // A while after the last word anything that still comes out has come out.
        if (idle > patience) begin
            stuck <= {left};
            done <= 1;
        end
    end
endmodule

module playback;
    reg rst = 1;
    wire done, stuck{wires_of_alarms};
    player player (.rst(rst), .done(done), .stuck(stuck){alarms});
    initial begin
        #43 rst = 0;
        @(posedge done);
        $display("ended stuck=%b{shown}", stuck{wires_of_alarms});
        $finish;
    end
endmodule
"""

_WIRES = """\
    wire [{width}-1:0] {name}__payload;
    wire {name}__valid, {name}__ready{left};
    wire {name}__moves = {name}__valid && {name}__ready;
"""
_PORTS = """,
        .{name}__payload({name}__payload), .{name}__valid({name}__valid),
        .{name}__ready({name}__ready)"""
_SOURCE = ".count(count), .settled({settled}), .left({name}__left)"
_STREAM = """
    {kind} #({number}, {width}, "{name}") {name} (
        .clk(clk), .rst(rst), .gap(gap), {more},
        .payload({name}__payload), .valid({name}__valid), .ready({name}__ready)
    );
"""


def player_verilog(sidecar: Mapping[str, Any]) -> str:
    """The player for a design.

    Parameters
    ----------
    sidecar
        The design's description, as written beside its Verilog.
    """
    sources, sinks = streams(sidecar)
    widths = sources | sinks
    alarms = [port["name"] for port in sidecar["ports"] if port["name"] in ALARMS]
    return _TEMPLATE.format(
        module=sidecar["module"],
        patience=sidecar["patience"],
        settling=sidecar["settling"],
        wires="".join(
            _WIRES.format(name=name, width=width, left=f", {name}__left" if name in sources else "")
            for name, width in widths.items()
        ),
        counted="".join(f" + {name}__moves" for name in widths if name in sinks or name == "load"),
        outputs="".join(f", output {name}" for name in alarms),
        wires_of_alarms="".join(f", {name}" for name in alarms),
        alarms="".join(f", .{name}({name})" for name in alarms),
        shown="".join(f" {name}=%b" for name in alarms),
        ports="".join(_PORTS.format(name=name) for name in widths),
        streams="".join(
            _STREAM.format(
                kind="source" if name in sources else "sink",
                number=number,
                width=width,
                name=name,
                more=_SOURCE.format(name=name, settled="settled" if name in PROBE else "1'b1")
                if name in sources
                else ".cycle(cycle)",
            )
            for number, (name, width) in enumerate(widths.items())
        ),
        moves=" || ".join(f"{name}__moves" for name in widths),
        events=" || ".join(f"{name}__moves" for name in widths if name not in PROBE),
        left=" || ".join(f"{name}__left" for name in sources),
    )
