"""Links between a host and the hardware: how events travel over a wire."""

__all__: list[str] = []
