"""A Verilog testbench that plays vectors at the simulator's own speed.

Waking Python at every clock edge holds a simulator to some ten thousand cycles a second. The player
reads what it sends from files and writes what it sees to files.

Its arguments, all numbers, all optional:

``gap``, ``refuse``
    Of 256 cycles, how many are idle at each input, and how many refuse each output, by chance.
    Outputs are refused as often as inputs are idle where only the latter is given.
``hold``
    How many cycles longer than one each such choice lasts.
``seed``
    Seed of all chance.
``resets``, ``within``
    How often the design is reset for a cycle, and all begins anew, before it plays to the end; each
    time after a number of cycles less than ``within``.
``strict``
    If not 0, the first word that is not the one in ``vectors/NAME.hex``, where there is such a
    file, ends it all.
``limit``
    From this cycle on no word may go in or come out, else the design counts as stopped.
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
    reg [31:0] random, next, seed, hold, held;
    assign go = random[7:0] >= gap[7:0];
    initial begin
        if (!$value$plusargs("seed=%d", seed)) seed = 1;
        random = seed ^ 32'h9e3779b9 * (STREAM + 1);
        if (!$value$plusargs("hold=%d", hold)) hold = 0;
        held = 0;
    end
    always @(posedge clk) begin
        next = random ^ (random << 13);
        next = next ^ (next >> 17);
        if (held == 0) random <= next ^ (next << 5);
        held <= held == 0 ? hold : held - 1;
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
        payload = 0; word = 0; valid = 0; left = 1; have = 0;
        file = $fopen({{"vectors/", NAME, ".hex"}}, "r");
    end
    always @(posedge clk) if (rst) begin
        have = 0; left <= 1; valid <= 0;
        if ($rewind(file) != 0) $stop;
    end else begin
        if (valid && ready) have = 0;
        if (!have && left) begin
            have = $fscanf(file, "%h %h", after, word) == 2;
            left <= have;
        end
        payload <= word;
        valid <= have && count >= after && settled && (go || valid && !ready);
    end
endmodule

// A line of NAME.log is the cycle in which a word came out, and the word. A word that waits must
// not change, let alone go.
module sink #(parameter STREAM = 0, WIDTH = 1, NAME = "o") (
    input clk, input rst, input [31:0] gap, input [31:0] cycle,
    input [WIDTH-1:0] payload, input valid, output reg ready, output reg unstable, output reg wrong
);
    wire go;
    chance #(STREAM) chance (.clk(clk), .gap(gap), .go(go));
    integer file, golden;
    reg waits;
    reg [WIDTH-1:0] word, must;
    initial begin
        ready = 0; unstable = 0; waits = 0; wrong = 0;
        golden = $fopen({{"vectors/", NAME, ".hex"}}, "r");
        file = $fopen({{NAME, ".log"}}, "w");
    end
    always @(posedge clk) if (rst) begin
        ready <= 0; waits <= 0; wrong <= 0;
        if (golden != 0 && $rewind(golden) != 0) $stop;
        $fclose(file);
        file = $fopen({{NAME, ".log"}}, "w");
    end else begin
        if (valid && ready) begin
            $fwrite(file, "%0d %0h\\n", cycle, payload);
            if (golden != 0)
                if ($fscanf(golden, "%h", must) != 1 || payload !== must) wrong <= 1;
        end
        if (waits && (valid !== 1'b1 || payload !== word)) unstable <= 1;
        waits <= valid && !ready;
        word <= payload;
        ready <= go;
    end
endmodule

module player (
    input start, output reg done, output reg stuck, output reg unknown, output unstable{outputs}
);
    reg clk = 0;
    always #5 clk = ~clk;
    reg [31:0] cycle, counted, idle, still, patience, settling, gap, refuse, hold, limit;
    reg [31:0] resets, span, random, next, seed, left, strict;
    reg strike;
    wire rst = start | strike;
{wires}
    // Membrane potentials are asked for when nothing has moved but these for a while.
    wire settled = still >= settling;
    // Words that come out or are loaded in this cycle are counted in this cycle.
    wire [31:0] count = counted{counted};

    {module} dut (
        .clk(clk), .rst(rst){alarms}{ports}
    );
{streams}
    assign unstable = {unstable};
    initial begin
        done = 0; stuck = 0; unknown = 0; strike = 0;
        cycle = 0; counted = 0; idle = 0; still = 0;
        if (!$value$plusargs("gap=%d", gap)) gap = 0;
        if (!$value$plusargs("refuse=%d", refuse)) refuse = gap;
        if (!$value$plusargs("hold=%d", hold)) hold = 0;
        if (!$value$plusargs("limit=%d", limit)) limit = 32'hffffffff;
        if (!$value$plusargs("resets=%d", resets)) resets = 0;
        if (!$value$plusargs("within=%d", span)) span = 1;
        if (!$value$plusargs("seed=%d", seed)) seed = 1;
        if (!$value$plusargs("strict=%d", strict)) strict = 0;
        random = seed ^ 32'h9e3779b9;
        left = random % span;
        patience = {patience} * 256 / (256 - (gap > refuse ? gap : refuse)) + 64 * hold;
        settling = {settling} * 256 / (256 - (gap > refuse ? gap : refuse));
    end
    always @(posedge clk) if (!start && !done) begin
        next = random ^ (random << 13);
        next = next ^ (next >> 17);
        random <= next ^ (next << 5);
        strike <= !strike && resets != 0 && left == 0;
        left <= strike ? random % span : left - (left != 0);
        if (strike) resets <= resets - 1;
        cycle <= rst ? 0 : cycle + 1;
        counted <= rst ? 0 : count;
        idle <= rst || {moves} ? 0 : idle + 1;
        still <= rst || {events} ? 0 : still + 1;
        if (!rst && ({unknown})) unknown <= 1;
        // A while after the last word anything that still comes out has come out.
        if (!rst && (resets == 0 && idle > patience || cycle - idle >= limit)) begin
            stuck <= {left} || cycle - idle >= limit;
            done <= 1;
        end
        if (!rst && (unknown || strict != 0 && ({wrong}))) done <= 1;
    end
endmodule

module playback;
    reg start = 1;
    wire done, stuck, unknown, unstable{wires_of_alarms};
    player player (
        .start(start), .done(done), .stuck(stuck), .unknown(unknown), .unstable(unstable){alarms}
    );
    initial begin
        #43 start = 0;
        @(posedge done);
        $display(
            "ended stuck=%b unknown=%b unstable=%b{shown}",
            stuck, unknown, unstable{wires_of_alarms}
        );
        $finish;
    end
endmodule
"""

_WIRES = """\
    wire [{width}-1:0] {name}__payload;
    wire {name}__valid, {name}__ready, {flags};
    wire {name}__moves = {name}__valid && {name}__ready;
"""
_PORTS = """,
        .{name}__payload({name}__payload), .{name}__valid({name}__valid),
        .{name}__ready({name}__ready)"""
_SOURCE = ".gap(gap), .count(count), .settled({settled}), .left({name}__left)"
_SINK = ".gap(refuse), .cycle(cycle), .unstable({name}__unstable), .wrong({name}__wrong)"
_STREAM = """
    {kind} #({number}, {width}, "{name}") {name} (
        .clk(clk), .rst(rst), {more},
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
            _WIRES.format(name=name, width=width, flags=_flags(name, sources))
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
                else _SINK.format(name=name),
            )
            for number, (name, width) in enumerate(widths.items())
        ),
        moves=" || ".join(f"{name}__moves" for name in widths),
        events=" || ".join(f"{name}__moves" for name in widths if name not in PROBE),
        left=" || ".join(f"{name}__left" for name in sources),
        wrong=" || ".join(f"{name}__wrong" for name in sinks),
        unstable=" || ".join(f"{name}__unstable" for name in sinks),
        unknown=" || ".join(
            [
                f"^{name}__ready === 1'bx"
                if name in sources
                else f"^{name}__valid === 1'bx || {name}__valid && ^{name}__payload === 1'bx"
                for name in widths
            ]
            + [f"{name} === 1'bx" for name in alarms]
        ),
    )


def _flags(name: str, sources: Mapping[str, int]) -> str:
    return f"{name}__left" if name in sources else f"{name}__unstable, {name}__wrong"
