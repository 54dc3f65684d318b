"""That what is wrong behind a queue is found by what is claimed of it, not by an invariant."""

from functools import partial
from typing import Any

import pytest
from amaranth.hdl import Module

from spikeloom.reference.network import Connection
from spikeloom.rtl_gen.delay import EventQueue
from spikeloom.rtl_gen.events import EventLayout
from spikeloom.rtl_gen.junction import Source
from spikeloom.rtl_gen.sorter import StepSorter
from spikeloom.rtl_gen.stream import StreamBuffer
from spikeloom.sim.formal.planted import Fault, disturbed
from spikeloom.sim.formal.proof import Method, Proof, Verdict
from spikeloom.sim.formal.queues import buffer_claim, queue_claim
from spikeloom.sim.formal.sorter import sorter_claim

SOURCES = (Source(Connection(source="in"), (2,), least=0, most=3, loop=False),)
CLAIMS = {
    "buffer": lambda behind: buffer_claim(StreamBuffer(EventLayout(2, 3)), behind),
    "queue": lambda behind: queue_claim(EventQueue(EventLayout(2, 3), 4), behind),
    "sorter": lambda behind: sorter_claim(SOURCES, StepSorter(SOURCES, repeats=False), behind),
}


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("buffer", Fault.DOUBLED),
        ("queue", Fault.LOST),
        ("queue", Fault.SWAPPED),
        ("sorter", Fault.CHANGED),
    ],
)
def test_a_fault_breaks_the_claim(prove, name: str, fault: Fault) -> None:
    def behind(m: Module, end: Any) -> Any:
        return disturbed(m, end, fault)

    twin = Proof(
        name=fault.value,
        claim=partial(CLAIMS[name], behind),
        method=Method.BOUNDED,
        depth=20,
        resets=False,
    )
    outcome = prove(twin)
    assert outcome.verdict is Verdict.FAILED
    assert not outcome.broken.startswith("invariant")
    assert outcome.broken not in ("", "the kind is one")
