// A loop has locked after a while.
module locks (input clock, output locked);
    reg [6:0] age = 0;
    always @(posedge clock) if (!age[6]) age <= age + 1;
    assign locked = age[6];
endmodule
