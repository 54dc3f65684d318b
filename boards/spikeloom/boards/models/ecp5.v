// Cells of an ECP5 that stand between its pins and a design. Ports, parameters and their meaning:
// Lattice, FPGA Libraries Reference Guide.

// The loop passes its input on: what drives the pin drives it with the loop's output frequency.
module EHXPLLL (
    input CLKI, CLKFB, RST, STDBY, PHASESEL0, PHASESEL1, PHASEDIR, PHASESTEP, PHASELOADREG,
    input PLLWAKESYNC, ENCLKOP,
    output CLKOP, LOCK
);
    parameter CLKI_DIV = 1, CLKFB_DIV = 1, CLKOP_DIV = 1, CLKOP_CPHASE = 0, CLKOP_FPHASE = 0;
    parameter FEEDBK_PATH = "", CLKOP_ENABLE = "", PLLRST_ENA = "", STDBY_ENABLE = "";
    parameter INTFB_WAKE = "", DPHASE_SOURCE = "", OUTDIVIDER_MUXA = "";
    assign CLKOP = CLKI;
    locks locks(.clock(CLKI), .locked(LOCK));
endmodule

module OSCG (output OSC);
    parameter DIV = 128;
    assign OSC = virtual_board.clock;
endmodule

module IB (input I, output O);
    assign O = I;
endmodule

module OB (input I, output O);
    assign O = I;
endmodule

module OBZ (input I, T, output O);
    assign O = T ? 1'bz : I;
endmodule

module BB (input I, T, output O, inout B);
    assign B = T ? 1'bz : I;
    assign O = B;
endmodule

module IFS1P3DX (input D, SP, SCLK, CD, output reg Q);
    initial Q = 0;
    always @(posedge SCLK or posedge CD)
        if (CD) Q <= 0;
        else if (SP) Q <= D;
endmodule

module OFS1P3DX (input D, SP, SCLK, CD, output reg Q);
    initial Q = 0;
    always @(posedge SCLK or posedge CD)
        if (CD) Q <= 0;
        else if (SP) Q <= D;
endmodule
