"""Claims that a component's streams keep to the handshake."""

from collections.abc import Callable, Iterator
from typing import Any

from amaranth.hdl import Assert, Assume, Elaboratable, Fragment, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeloom.sim.formal.proof import Claim

__all__ = [
    "Behind",
    "components",
    "free_inputs",
    "keeps_handshake",
    "leaves",
    "stream_claim",
    "streams",
    "unchanged",
]


Behind = Callable[[Module, Any], Any]
"""What stands behind a stream: from the one that enters to the one that comes out."""


def streams(component: wiring.Component) -> dict[str, tuple[Any, bool]]:
    """The streams of a component by name, and whether they leave it."""
    return {
        name: (getattr(component, name), member.flow is Out)
        for name, member in component.signature.members.items()
        if member.is_signature and isinstance(member.signature, stream.Signature)
    }


def free_inputs(component: wiring.Component, *, without_ready: bool = False) -> list[Value]:
    """All inputs of a component, which the rest of the world may set as it likes.

    Parameters
    ----------
    component
        The component.
    without_ready
        Whether those by which its streams are taken are left out.
    """
    taken = [Value.cast(end.ready) for end, leaves_it in streams(component).values() if leaves_it]
    return [
        Value.cast(value)
        for _, member, value in component.signature.flatten(component)
        if member.flow is In and not (without_ready and any(value is each for each in taken))
    ]


def unchanged(m: Module, end: Any) -> Any:
    """A stream with nothing behind it."""
    return end


def keeps_handshake(m: Module, end: Any) -> Value:
    """Whether a stream holds what it offers until it is taken.

    Parameters
    ----------
    m
        Where the stream is watched; a reset begins anew.
    end
        The stream.
    """
    payload = Value.cast(end.payload)
    waited = Signal()
    before = Signal(len(payload))
    m.d.sync += [waited.eq(end.valid & ~end.ready), before.eq(payload)]
    return ~waited | (end.valid & (payload == before))


def stream_claim(
    component: wiring.Component,
    built: Elaboratable | None = None,
    behind: Behind = unchanged,
) -> Claim:
    """Streams that leave a component hold what they offer, if those that enter it do.

    Where one component's stream is the next one's, either's claim is the other's assumption, and
    as they hold from the first cycle on they hold for all together.

    Parameters
    ----------
    component
        The component.
    built
        Its circuit, where that is there already.
    behind
        What stands behind each stream that leaves it: a fault, to see that it is found.
    """
    m = Module()
    m.submodules.component = built or component
    inputs = free_inputs(component, without_ready=behind is not unchanged)
    for name, (end, leaves_it) in streams(component).items():
        if leaves_it:
            out = behind(m, end)
            inputs += [out.ready] if out is not end else []
            m.d.comb += Assert(keeps_handshake(m, out), f"{name} holds what it offers")
        else:
            m.d.comb += Assume(keeps_handshake(m, end), f"{name} holds what it offers")
    return Claim(m, inputs)


def components(top: wiring.Component) -> Iterator[tuple[str, wiring.Component]]:
    """All components of a design with their paths, each before what it consists of."""
    yield from _below(Fragment.get(top, None), "")


def _below(fragment: Any, path: str) -> Iterator[tuple[str, wiring.Component]]:
    for each in fragment.origins or ():
        if isinstance(each, wiring.Component):
            yield path, each
    for part, name, _ in fragment.subfragments:
        yield from _below(part, f"{path}.{name}" if path else str(name))


def leaves(top: wiring.Component) -> Iterator[tuple[str, wiring.Component]]:
    """The components of a design that send streams and have no other such component in them."""
    found = [(path, each) for path, each in components(top) if _sends(each)]
    paths = [path for path, _ in found]
    for path, each in found:
        prefix = f"{path}." if path else ""
        if not any(other != path and other.startswith(prefix) for other in paths):
            yield path, each


def _sends(component: wiring.Component) -> bool:
    return any(leaves_it for _, leaves_it in streams(component).values())
