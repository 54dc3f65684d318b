"""Boards, the flow to a bitstream, and the host's side of the wire."""
