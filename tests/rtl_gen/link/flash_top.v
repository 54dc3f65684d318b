// A flash reader and someone else's flash on its pins.
module flash_top(
    input clk,
    input rst,
    input stop,
    input o__ready,
    output o__valid,
    output [7:0] o__payload,
    output done
);
    wire sck, cs, copi;
    wire [3:0] io;
    assign io[0] = copi;

    dut dut(
        .clk(clk), .rst(rst), .sck(sck), .cs(cs), .copi(copi), .cipo(io[1]),
        .stop(stop), .o__ready(o__ready), .o__valid(o__valid), .o__payload(o__payload),
        .done(done)
    );
    qspi_flash flash(.clk(sck), .csb(cs), .io(io));
endmodule
