"""Testbenches, simulator runners, and the hardware compared with the golden model."""
