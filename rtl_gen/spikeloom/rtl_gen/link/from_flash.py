"""A network that loads its weights from a flash before it listens to a host."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import connect, flipped

from spikeloom.rtl_gen.link.flash import FlashReader
from spikeloom.rtl_gen.link.linked import LinkedNetwork

__all__ = ["FlashLoadedNetwork"]


class FlashLoadedNetwork(wiring.Component):
    """A network on a line that first takes what lies in a flash.

    In the flash are orders, as a host would send them. As soon as all weights are there, or the
    reader is at its end, the host has the line. What it sends before is lost; what is answered
    before its first byte, nobody hears. Whether weights are there STATUS tells.

    Parameters
    ----------
    linked
        The network.
    reader
        Reads the flash. The orders must not come faster than they are carried out.

    Members
    -------
    i, o, broken, spike, error, loaded
        As :class:`~spikeloom.rtl_gen.link.linked.LinkedNetwork`'s.
    sck, copi, cs, cipo
        As :class:`~spikeloom.rtl_gen.link.flash.FlashReader`'s.
    """

    i: stream.Interface
    o: stream.Interface
    broken: Signal
    spike: Signal
    error: Signal
    loaded: Signal
    sck: Signal
    copi: Signal
    cs: Signal
    cipo: Signal

    def __init__(self, linked: LinkedNetwork, reader: FlashReader) -> None:
        self._linked = linked
        self._reader = reader
        pins = {name: reader.signature.members[name] for name in ("sck", "copi", "cs", "cipo")}
        members = dict(linked.signature.members)
        del members["forget"]
        super().__init__({**members, **pins})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.linked = linked = self._linked
        m.submodules.reader = reader = self._reader
        for name in ("sck", "copi", "cs"):
            m.d.comb += getattr(self, name).eq(getattr(reader, name))
        for name in ("spike", "error", "loaded"):
            m.d.comb += getattr(self, name).eq(getattr(linked, name))
        m.d.comb += [reader.cipo.eq(self.cipo), reader.stop.eq(linked.loaded)]
        listens = Signal()
        m.d.sync += listens.eq(reader.done)
        m.d.comb += linked.forget.eq(reader.done & ~listens)
        # The last orders are answered when the reader is done already.
        spoken = Signal()
        with m.If(reader.done):
            connect(m, flipped(self.i), linked.i)
            m.d.comb += linked.broken.eq(self.broken)
            with m.If(self.i.valid):
                m.d.sync += spoken.eq(1)
        with m.Else():
            m.d.comb += [
                linked.i.payload.eq(reader.o.payload),
                linked.i.valid.eq(reader.o.valid),
                reader.o.ready.eq(linked.i.ready),
                self.i.ready.eq(1),
            ]
        with m.If(spoken):
            connect(m, linked.o, flipped(self.o))
        with m.Else():
            m.d.comb += linked.o.ready.eq(1)
        return m
