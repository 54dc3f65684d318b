// Cells of an iCE40 that stand between its pins and a design. Ports, parameters and their meaning:
// Lattice, iCE40 Technology Library.

// Loops pass their input on: what drives the pin drives it with the loop's output frequency.
module SB_PLL40_PAD (
    input PACKAGEPIN, RESETB, BYPASS, LATCHINPUTVALUE, EXTFEEDBACK, SDI, SCLK,
    input [7:0] DYNAMICDELAY,
    output PLLOUTCORE, PLLOUTGLOBAL, LOCK, SDO
);
    parameter FEEDBACK_PATH = "SIMPLE";
    parameter DIVR = 0, DIVF = 0, DIVQ = 0, FILTER_RANGE = 0;
    assign PLLOUTCORE = PACKAGEPIN;
    assign PLLOUTGLOBAL = PACKAGEPIN;
    assign SDO = 0;
    locks locks(.clock(PACKAGEPIN), .locked(LOCK));
endmodule

module SB_PLL40_CORE (
    input REFERENCECLK, RESETB, BYPASS, LATCHINPUTVALUE, EXTFEEDBACK, SDI, SCLK,
    input [7:0] DYNAMICDELAY,
    output PLLOUTCORE, PLLOUTGLOBAL, LOCK, SDO
);
    parameter FEEDBACK_PATH = "SIMPLE";
    parameter DIVR = 0, DIVF = 0, DIVQ = 0, FILTER_RANGE = 0;
    assign PLLOUTCORE = REFERENCECLK;
    assign PLLOUTGLOBAL = REFERENCECLK;
    assign SDO = 0;
    locks locks(.clock(REFERENCECLK), .locked(LOCK));
endmodule

module SB_HFOSC (input CLKHFPU, CLKHFEN, output CLKHF);
    parameter CLKHF_DIV = "0b00";
    assign CLKHF = virtual_board.clock;
endmodule

module SB_GB_IO (
    inout PACKAGE_PIN,
    input LATCH_INPUT_VALUE, CLOCK_ENABLE, INPUT_CLK, OUTPUT_CLK, OUTPUT_ENABLE, D_OUT_0, D_OUT_1,
    output GLOBAL_BUFFER_OUTPUT, D_IN_0, D_IN_1
);
    parameter [5:0] PIN_TYPE = 0;
    parameter PULLUP = 0, NEG_TRIGGER = 0, IO_STANDARD = "SB_LVCMOS";
    assign GLOBAL_BUFFER_OUTPUT = PACKAGE_PIN;
    assign D_IN_0 = PACKAGE_PIN;
    assign D_IN_1 = PACKAGE_PIN;
endmodule

// Clock enable, latch of the input and inverted clocks are left out: Amaranth uses none of them.
module SB_IO (
    inout PACKAGE_PIN,
    input LATCH_INPUT_VALUE, CLOCK_ENABLE, INPUT_CLK, OUTPUT_CLK, OUTPUT_ENABLE, D_OUT_0, D_OUT_1,
    output D_IN_0, D_IN_1
);
    parameter [5:0] PIN_TYPE = 0;
    parameter PULLUP = 0, NEG_TRIGGER = 0, IO_STANDARD = "SB_LVCMOS";
    reg rose_in, fell_in, rose_out, fell_out, enabled;
    always @(posedge INPUT_CLK) rose_in <= PACKAGE_PIN;
    always @(negedge INPUT_CLK) fell_in <= PACKAGE_PIN;
    always @(posedge OUTPUT_CLK) {rose_out, enabled} <= {D_OUT_0, OUTPUT_ENABLE};
    always @(negedge OUTPUT_CLK) fell_out <= D_OUT_1;
    assign D_IN_0 = PIN_TYPE[0] ? PACKAGE_PIN : rose_in;
    assign D_IN_1 = fell_in;
    wire out;
    generate
        case (PIN_TYPE[3:2])
            2'b00: assign out = OUTPUT_CLK ? rose_out : fell_out;
            2'b01: assign out = rose_out;
            2'b10: assign out = D_OUT_0;
            2'b11: assign out = ~rose_out;
        endcase
        case (PIN_TYPE[5:4])
            2'b01: assign PACKAGE_PIN = out;
            2'b10: assign PACKAGE_PIN = OUTPUT_ENABLE ? out : 1'bz;
            2'b11: assign PACKAGE_PIN = enabled ? out : 1'bz;
        endcase
    endgenerate
endmodule
