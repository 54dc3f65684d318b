// Cells of a Gowin FPGA that stand between its pins and a design. Ports, parameters and their
// meaning: Gowin, Clock User Guide (UG286) and Programmable IO User Guide (UG289).

// The loop passes its input on: what drives the pin drives it with the loop's output frequency.
module rPLL (
    input CLKIN, CLKFB, RESET, RESET_P,
    input [5:0] FBDSEL, IDSEL, ODSEL,
    input [3:0] PSDA, DUTYDA, FDLY,
    output CLKOUT, CLKOUTP, CLKOUTD, CLKOUTD3, LOCK
);
    parameter FCLKIN = "", DEVICE = "", DYN_IDIV_SEL = "", DYN_FBDIV_SEL = "", DYN_ODIV_SEL = "";
    parameter PSDA_SEL = "", DYN_DA_EN = "", DUTYDA_SEL = "", CLKFB_SEL = "", CLKOUTD_SRC = "";
    parameter CLKOUT_BYPASS = "", CLKOUTP_BYPASS = "", CLKOUTD_BYPASS = "", CLKOUTD3_SRC = "";
    parameter IDIV_SEL = 0, FBDIV_SEL = 0, ODIV_SEL = 8, DYN_SDIV_SEL = 2;
    parameter CLKOUT_FT_DIR = 1, CLKOUTP_FT_DIR = 1, CLKOUT_DLY_STEP = 0, CLKOUTP_DLY_STEP = 0;
    assign CLKOUT = CLKIN;
    locks locks(.clock(CLKIN), .locked(LOCK));
endmodule

module OSC (output OSCOUT);
    parameter FREQ_DIV = 100, DEVICE = "";
    assign OSCOUT = virtual_board.clock;
endmodule

module IBUF (input I, output O);
    assign O = I;
endmodule

module OBUF (input I, output O);
    assign O = I;
endmodule

module TBUF (input I, OEN, output O);
    assign O = OEN ? 1'bz : I;
endmodule

module IOBUF (input I, OEN, output O, inout IO);
    assign IO = OEN ? 1'bz : I;
    assign O = IO;
endmodule
