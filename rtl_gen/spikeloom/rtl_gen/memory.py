"""What synthesis is told of memories."""

from typing import Any

__all__ = ["UNMET"]

UNMET: Any = {"no_rw_check": 1}
"""Attributes of a memory of which no word is used that was written in the very cycle in which it
was read. The name is yosys'. Without it, logic around each block RAM sees to it that the old word
is read: a third of a small network's."""
