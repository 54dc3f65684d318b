"""The golden model and the contract: never Amaranth; what is fixed is integers, and exact."""
