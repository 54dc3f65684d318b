"""Address events: what blocks say to each other."""

from amaranth.hdl import Shape, Value, signed, unsigned
from amaranth.lib import data, enum, stream
from amaranth.utils import bits_for

from spikeloom.reference import maps
from spikeloom.reference.fixed import signed_width
from spikeloom.rtl_gen.fixed import index_shape

__all__ = ["EventKind", "EventLayout", "coordinates", "event_stream", "flat_address"]


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
        Number of neurons or inputs that the address tells apart, or their shape: the address of a
        source of two or three dimensions is a structure of its coordinates ``c`` (channel), ``y``
        where there are three, and ``x``.
    max_count
        Largest number of spikes of one neuron in one step, or the largest value that it sends.
    least
        The least value, 0 for spikes.
    """

    def __init__(self, size: int | maps.Shape, max_count: int = 1, least: int = 0) -> None:
        shape = (size,) if isinstance(size, int) else tuple(size)
        super().__init__(
            {
                "kind": EventKind,
                "address": _address(shape),
                "count": _count(max_count, least),
            }
        )


def _address(shape: maps.Shape) -> Shape | data.StructLayout:
    if len(shape) == 1:
        return index_shape(shape[0])
    names = ("c", "x") if len(shape) == 2 else ("c", "y", "x")
    # The last coordinate lies lowest, as in the flat number.
    pairs = list(zip(names, shape, strict=True))
    return data.StructLayout({name: index_shape(size) for name, size in reversed(pairs)})


def _count(most: int, least: int) -> Shape:
    if least >= 0:
        return unsigned(bits_for(most))
    return signed(max(signed_width(least), signed_width(most)))


def coordinates(address: Value | data.View) -> tuple[Value | int, Value | int, Value | int]:
    """Channel, height and width of an address; 0 for what there is not."""
    if not isinstance(address, data.View):
        return address, 0, 0
    fields = dict(iter(address.shape()))
    return address["c"], address["y"] if "y" in fields else 0, address["x"]


def flat_address(address: Value | data.View, shape: maps.Shape) -> Value:
    """Number of a neuron in the flat array."""
    if not isinstance(address, data.View):
        return address
    c, y, x = coordinates(address)
    height, width = (1, shape[1]) if len(shape) == 2 else shape[1:]
    return _times(_times(Value.cast(c), height) + y, width) + x


def _times(value: Value, factor: int) -> Value:
    """A product by shifts and additions: no multiplier is spent on an address."""
    places = [k for k in range(factor.bit_length()) if factor >> k & 1]
    total = value << places[0]
    for k in places[1:]:
        total = total + (value << k)
    return total


def event_stream(size: int | maps.Shape, max_count: int = 1, least: int = 0) -> stream.Signature:
    """Signature of a stream of events."""
    return stream.Signature(EventLayout(size, max_count, least))
