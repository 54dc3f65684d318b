"""Proofs about the hardware, for all inputs."""
