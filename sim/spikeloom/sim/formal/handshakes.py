"""Claims that components keep to the handshake, with what an induction must know of them."""

from amaranth.hdl import Assert, Cat, Elaboratable
from amaranth.lib import stream

from spikeloom.rtl_gen.delay import StepMerge
from spikeloom.rtl_gen.event_neuron import EventNeuronArray
from spikeloom.rtl_gen.events import EventKind
from spikeloom.rtl_gen.neuron import NeuronArray
from spikeloom.rtl_gen.scatter import Accumulators
from spikeloom.sim.formal.inside import Inside
from spikeloom.sim.formal.probes import answers_at_once
from spikeloom.sim.formal.proof import Claim
from spikeloom.sim.formal.streams import Behind, stream_claim, unchanged

__all__ = ["accumulators_claim", "array_claim", "event_array_claim", "merge_claim"]


def accumulators_claim(accumulators: Accumulators, behind: Behind = unchanged) -> Claim:
    """:class:`~spikeloom.rtl_gen.scatter.Accumulators` hold what they offer.

    Banks change places, and are cleared, when none is being handed over. ``behind`` is a fault
    behind them, to see that it is found.
    """
    inside = Inside(accumulators)
    claim = stream_claim(accumulators, inside.fragment, behind)
    sweeping, clearing = inside.signal("sweeping"), inside.signal("clearing")
    claim.module.d.comb += [
        Assert(~accumulators.o.valid | sweeping, "invariant: what is offered is handed over"),
        Assert(~(clearing & sweeping), "invariant: none is cleared that is handed over"),
    ]
    return claim


def array_claim(
    array: NeuronArray, built: Elaboratable | None = None, behind: Behind = unchanged
) -> Claim:
    """A :class:`~spikeloom.rtl_gen.neuron.NeuronArray` holds what it offers, and answers probes.

    An answer is there from the cycle behind a probe on: what asks several arrays relies on it. As
    :func:`~spikeloom.sim.formal.streams.stream_claim`.
    """
    claim = stream_claim(array, built, behind)
    answers = answers_at_once(claim.module, array.probe_i, array.probe_o)
    claim.module.d.comb += Assert(answers, "each probe has one answer, at once")
    return claim


def event_array_claim(array: EventNeuronArray, behind: Behind = unchanged) -> Claim:
    """As :func:`array_claim`, of :class:`~spikeloom.rtl_gen.event_neuron.EventNeuronArray`.

    While a probe is answered nothing is read or written. ``behind`` is a fault behind it, to see
    that it is found.
    """
    inside = Inside(array)
    claim = array_claim(array, inside.fragment, behind)
    stages = ["read", *(name for name, _ in array.stages)]
    busy = Cat(
        inside.signal("clearing"),
        inside.signal("sweeping"),
        inside.signal("changed")[0],
        *(inside.signal(f"{name}_valid") for name in stages),
    )
    rests = ~array.probe_o.valid | ~busy.any()
    claim.module.d.comb += Assert(rests, "invariant: nothing changes while a probe is answered")
    return claim


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
