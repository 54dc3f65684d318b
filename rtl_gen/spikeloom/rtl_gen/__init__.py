"""Amaranth generators of the hardware, and the Verilog they become."""
