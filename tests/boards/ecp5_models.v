// Cells of an ECP5 but block RAM and multiplier. yosys has models too, which Icarus cannot read.
`timescale 1ps / 1ps

// A phase-locked loop at 25 MHz that locks after 5 us.
module PLL_MODEL (
    input CLKI, CLKFB, RST, STDBY, PHASESEL0, PHASESEL1, PHASEDIR, PHASESTEP, PHASELOADREG,
    input PLLWAKESYNC, ENCLKOP,
    output CLKOP, LOCK
);
    parameter CLKI_DIV = 0, CLKFB_DIV = 0, CLKOP_DIV = 0, CLKOP_CPHASE = 0, CLKOP_FPHASE = 0;
    parameter FEEDBK_PATH = "", CLKOP_ENABLE = "", PLLRST_ENA = "", STDBY_ENABLE = "";
    parameter INTFB_WAKE = "", DPHASE_SOURCE = "", OUTDIVIDER_MUXA = "";
    reg clock = 0, locked = 0;
    always #20000 clock = ~clock;
    initial #5000000 locked = 1;
    assign CLKOP = clock;
    assign LOCK = locked;
endmodule

// Multiplexers, so that an unknown input that does not matter stays without effect.
module LUT4 (input A, B, C, D, output Z);
    parameter [15:0] INIT = 0;
    wire [7:0] d = D ? INIT[15:8] : INIT[7:0];
    wire [3:0] c = C ? d[7:4] : d[3:0];
    wire [1:0] b = B ? c[3:2] : c[1:0];
    assign Z = A ? b[1] : b[0];
endmodule

module PFUMX (input ALUT, BLUT, C0, output Z);
    assign Z = C0 ? ALUT : BLUT;
endmodule

module L6MUX21 (input D0, D1, SD, output Z);
    assign Z = SD ? D1 : D0;
endmodule

// Two tables on a carry chain: a table that is 1 lets the carry pass; where it is 0, its first
// four entries generate one. INJECT1 cuts sum and generated carry off.
module CCU2C (input CIN, A0, B0, C0, D0, A1, B1, C1, D1, output S0, S1, COUT);
    parameter [15:0] INIT0 = 0, INIT1 = 0;
    parameter INJECT1_0 = "YES", INJECT1_1 = "YES";
    wire p0, p1, g0, g1;
    LUT4 #(.INIT(INIT0)) pass0(.A(A0), .B(B0), .C(C0), .D(D0), .Z(p0));
    LUT4 #(.INIT(INIT1)) pass1(.A(A1), .B(B1), .C(C1), .D(D1), .Z(p1));
    LUT4 #(.INIT(INIT0)) generate0(.A(A0), .B(B0), .C(1'b0), .D(1'b0), .Z(g0));
    LUT4 #(.INIT(INIT1)) generate1(.A(A1), .B(B1), .C(1'b0), .D(1'b0), .Z(g1));
    wire middle = p0 ? CIN : INJECT1_0 != "YES" && g0;
    assign S0 = INJECT1_0 == "YES" ? p0 : p0 ^ CIN;
    assign S1 = INJECT1_1 == "YES" ? p1 : p1 ^ middle;
    assign COUT = p1 ? middle : INJECT1_1 != "YES" && g1;
endmodule

// The local set/reset acts at once, or with the clock and over the clock enable.
module TRELLIS_FF (input CLK, LSR, CE, DI, M, output reg Q);
    parameter GSR = "", SRMODE = "LSR_OVER_CE", REGSET = "RESET";
    parameter CEMUX = "CE", CLKMUX = "CLK", LSRMUX = "LSR";
    wire clock = CLKMUX == "INV" ? ~CLK : CLK;
    wire set = LSRMUX == "INV" ? ~LSR : LSR;
    wire at_once = SRMODE == "ASYNC" && set;
    wire enable = CEMUX == "1" || CEMUX != "0" && (CEMUX == "INV" ? ~CE : CE);
    initial Q = REGSET == "SET";
    always @(posedge clock or posedge at_once)
        if (at_once || set)
            Q <= REGSET == "SET";
        else if (enable)
            Q <= DI;
endmodule

module TRELLIS_IO (inout B, input I, T, output O);
    parameter DIR = "INPUT";
    generate
        if (DIR != "INPUT") assign B = T === 1'b1 ? 1'bz : I;
    endgenerate
    assign O = B;
endmodule

module TRELLIS_DPR16X4 (input [3:0] DI, WAD, RAD, input WRE, WCK, output [3:0] DO);
    parameter WCKMUX = "WCK", WREMUX = "WRE";
    parameter [63:0] INITVAL = 0;
    reg [63:0] words = INITVAL;
    wire clock = WCKMUX == "INV" ? ~WCK : WCK;
    always @(posedge clock)
        if (WREMUX == "INV" ? ~WRE : WRE)
            words[4 * WAD +: 4] <= DI;
    assign DO = words[4 * RAD +: 4];
endmodule
