"""Address events: what blocks say to each other."""

from amaranth.hdl import unsigned
from amaranth.lib import data, enum, stream
from amaranth.utils import bits_for

__all__ = ["EventKind", "EventLayout", "event_stream"]


class EventKind(enum.Enum, shape=2):
    """What an event means.

    ``SPIKE`` says that the neuron ``address`` spiked ``count`` times in the step under way; a
    source sends at most one for each neuron and step, and sums are exact on that condition.
    ``TICK`` ends the step. ``RESTART`` stands before the first spike of a step and makes that step
    the first of a new sequence: all neurons start it from their initial state. ``address`` and
    ``count`` are 0 in the latter two.
    """

    SPIKE = 0
    TICK = 1
    RESTART = 2


class EventLayout(data.StructLayout):
    """Layout of one event.

    Parameters
    ----------
    size
        Number of neurons or inputs that the address tells apart.
    max_count
        Largest number of spikes of one neuron in one step.
    """

    def __init__(self, size: int, max_count: int = 1) -> None:
        super().__init__(
            {
                "kind": EventKind,
                "address": unsigned(max(1, bits_for(size - 1))),
                "count": unsigned(bits_for(max_count)),
            }
        )


def event_stream(size: int, max_count: int = 1) -> stream.Signature:
    """Signature of a stream of events."""
    return stream.Signature(EventLayout(size, max_count))
