// A phase-locked loop at 24 MHz that locks after 5 us. yosys has no model of it.
`timescale 1ps / 1ps
module PLL_MODEL (
    input PACKAGEPIN, RESETB, BYPASS, LATCHINPUTVALUE, EXTFEEDBACK, SDI, SCLK,
    input [7:0] DYNAMICDELAY,
    output PLLOUTCORE, PLLOUTGLOBAL, LOCK, SDO
);
    parameter FEEDBACK_PATH = "";
    parameter DIVR = 0, DIVF = 0, DIVQ = 0, FILTER_RANGE = 0;
    reg clock = 0, locked = 0;
    always #20833 clock = ~clock;
    initial #5000000 locked = 1;
    assign PLLOUTGLOBAL = clock;
    assign LOCK = locked;
endmodule
