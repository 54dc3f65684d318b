"""Proofs about the hardware, for all inputs."""

__all__: list[str] = []
