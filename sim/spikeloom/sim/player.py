"""A Verilog testbench that plays vectors at the simulator's own speed.

Waking Python at every clock edge holds a simulator to some ten thousand cycles a second. The player
reads its commands from a file and writes what it sees to files.
"""

from typing import Any

__all__ = ["TOP", "player_verilog"]

TOP = "playback"
"""Name of the testbench's top module."""

_TEMPLATE = """\
// Plays vectors/stimulus.hex into the streams i and probe_i of {module}, and writes what comes
// out of o and probe_o. A command is a line of two hexadecimal numbers: 0 sends a word to i,
// 1 waits for so many words from o in all, 2 sends a word to probe_i and waits for the answer,
// 3 sends a word to load.
`timescale 1ns/1ps
module player (
    input rst,
    output reg done,
    output reg stuck,
    output error
);
    reg [{w}-1:0] word;
    reg [3:0] command;
    reg have, asked, ended;
    reg [31:0] cycle, received, idle, patience, random;
    reg [31:0] gap, seed;
    reg clk = 0;
    always #5 clk = ~clk;
    integer stimulus, outputs, rows, fields;

    reg i__valid, o__ready, probe_i__valid, load__valid;
    wire i__ready, o__valid, probe_i__ready, probe_o__valid, load__ready;
    wire [{o}-1:0] o__payload;
    wire [{r}-1:0] probe_o__payload;

    {module} dut (
        .clk(clk), .rst(rst),{error}{load}
        .i__payload(word[{i}-1:0]), .i__valid(i__valid), .i__ready(i__ready),
        .o__payload(o__payload), .o__valid(o__valid), .o__ready(o__ready),
        .probe_i__payload(word[{p}-1:0]), .probe_i__valid(probe_i__valid),
        .probe_i__ready(probe_i__ready),
        .probe_o__payload(probe_o__payload), .probe_o__valid(probe_o__valid),
        .probe_o__ready(1'b1)
    );

{absent}    initial begin
        done = 0; stuck = 0; cycle = 0; have = 0; asked = 0; ended = 0; received = 0; idle = 0;
        i__valid = 0; o__ready = 0; probe_i__valid = 0; load__valid = 0; command = 0; word = 0;
        if (!$value$plusargs("gap=%d", gap)) gap = 0;
        if (!$value$plusargs("seed=%d", seed)) seed = 1;
        random = seed ^ 32'h9e3779b9;
        patience = {patience} * 256 / (256 - gap);
        stimulus = $fopen("vectors/stimulus.hex", "r");
        outputs = $fopen("outputs.log", "w");
        rows = $fopen("rows.log", "w");
    end

    // Marsaglia's xorshift (2003): the same gaps in every simulator.
    task draw;
        begin
            random = random ^ (random << 13);
            random = random ^ (random >> 17);
            random = random ^ (random << 5);
        end
    endtask

    always @(posedge clk) if (!rst && !done) begin
        cycle <= cycle + 1;
        idle <= idle + 1;
        if (o__valid && o__ready) begin
            $fwrite(outputs, "%0d %0h\\n", cycle, o__payload);
            received = received + 1;
            idle <= 0;
        end
        if (probe_o__valid) $fwrite(rows, "%0h\\n", probe_o__payload);

        if (i__valid && i__ready || load__valid && load__ready) begin have = 0; idle <= 0; end
        if (probe_i__valid && probe_i__ready) asked = 1;
        if (asked && probe_o__valid) begin have = 0; asked = 0; idle <= 0; end
        if (have && command == 1 && received >= word[31:0]) have = 0;
        draw;
        while (!have && !ended && random[7:0] >= gap[7:0]) begin
            fields = $fscanf(stimulus, "%h %h", command, word);
            ended = fields != 2;
            have = !ended && !(command == 1 && received >= word[31:0]);
        end
        i__valid <= have && command == 0;
        load__valid <= have && command == 3;
        probe_i__valid <= have && command == 2 && !asked;
        draw;
        o__ready <= random[7:0] >= gap[7:0];

        // A while after the last command anything that still comes out has come out.
        if (ended && idle > patience) begin
            $fclose(outputs);
            $fclose(rows);
            done <= 1;
        end else if (stimulus == 0 || (idle > patience && have)) begin
            $fclose(outputs);
            $fclose(rows);
            stuck <= 1;
            done <= 1;
        end
    end
endmodule

module playback;
    reg rst = 1;
    wire done, stuck, error;
    player player (.rst(rst), .done(done), .stuck(stuck), .error(error));
    initial begin
        #43 rst = 0;
        @(posedge done);
        $display("ended stuck=%b error=%b", stuck, error);
        $finish;
    end
endmodule
"""


def player_verilog(sidecar: dict[str, Any]) -> str:
    """The player for a design.

    Parameters
    ----------
    sidecar
        The design's description, as written beside its Verilog.
    """
    width = {port["name"]: port["width"] for port in sidecar["ports"]}
    i, p = width["i__payload"], width["probe_i__payload"]
    load = width.get("load__payload", 0)
    absent = ["error = 1'b0"] * ("error" not in width) + ["load__ready = 1'b0"] * (not load)
    load_ports = (
        f"\n        .load__payload(word[{load}-1:0]), .load__valid(load__valid),"
        "\n        .load__ready(load__ready),"
    )
    return _TEMPLATE.format(
        module=sidecar["module"],
        error=" .error(error)," if "error" in width else "",
        load=load_ports if load else "",
        absent="".join(f"    assign {each};\n" for each in absent),
        i=i,
        p=p,
        o=width["o__payload"],
        r=width["probe_o__payload"],
        w=max(32, i, p, load),
        patience=sidecar["patience"],
    )
