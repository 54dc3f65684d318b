"""The claim that what joins several sources' events keeps to the handshake."""

from amaranth.hdl import Assert, Cat
from amaranth.lib import stream

from spikeloom.rtl_gen.delay import StepMerge
from spikeloom.rtl_gen.events import EventKind
from spikeloom.sim.formal.inside import Inside
from spikeloom.sim.formal.proof import Claim
from spikeloom.sim.formal.streams import Behind, stream_claim, unchanged

__all__ = ["merge_claim"]


def merge_claim(merge: StepMerge, behind: Behind = unchanged) -> Claim:
    """A :class:`~spikeloom.rtl_gen.delay.StepMerge` holds what it offers.

    As :func:`~spikeloom.sim.formal.streams.stream_claim`, with what an induction must know of its
    registers. ``behind`` is a fault behind it, to see that it is found.
    """
    inside = Inside(merge)
    claim = stream_claim(merge, inside.fragment, behind)
    held, done, opened, first = (
        inside.signal(name) for name in ("held", "done", "opened", "first")
    )
    claims = {
        "a source that is done has opened the step": (done == 0) | opened,
        "one source waits": (held & (held - 1)) == 0,
        "no source waits that is done": (held & done) == 0,
    }
    stale = Cat(inside.signal(f"stale_{k}") for k, loop in enumerate(merge.loops) if loop)
    for k, loop in enumerate(merge.loops):
        source: stream.Interface = getattr(merge, f"i_{k}")
        kind = source.p.kind
        ready = (kind != EventKind.RESTART) | (~opened & ~stale.any())
        if loop:
            ready = (kind == EventKind.SPIKE) & opened & ~first
        offers = source.valid & (kind != EventKind.TICK) & ready
        claims[f"source {k} offers what waits"] = ~held[k] | offers
    claim.module.d.comb += [Assert(each, f"invariant: {name}") for name, each in claims.items()]
    return claim
