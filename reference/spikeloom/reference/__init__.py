"""The golden model and the contract: NumPy alone, integers only, exact."""
