"""A time-multiplexed array of neurons that take their events one by one."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.memory import Memory

from spikeloom.reference.profile import Accumulation
from spikeloom.rtl_gen.datapath import Lane, Stage, state_shapes
from spikeloom.rtl_gen.event_datapath import add_event, step_stages
from spikeloom.rtl_gen.events import EventKind
from spikeloom.rtl_gen.neuron import NeuronArray, stored_layout
from spikeloom.rtl_gen.scatter import weighed_row

__all__ = ["EventNeuronArray"]


class EventNeuronArray(NeuronArray):
    """N neurons on P lanes whose events overflow, or make them spike, one by one.

    Equal bit for bit to :meth:`spikeloom.reference.neurons.Neurons.step_events`. A weighed row is
    added to a row of neurons a cycle, also to the same row in consecutive cycles. A tick ends the
    step: a sweep over all rows, one a cycle, gives one row of spike counts, or of potentials, each;
    the next step's events wait until it is over. A restart, and a reset, cost as many cycles as
    there are rows, in which these take their initial values.

    Parameters
    ----------
    config, lanes, shape, late_bias, ecc
        As :class:`~spikeloom.rtl_gen.neuron.NeuronArray`'s.

    Attributes
    ----------
    layout, rows, stages
        As :class:`~spikeloom.rtl_gen.neuron.NeuronArray`'s; the stages are those of a step's end.
    latency : int
        Cycles from a tick to the first row of spikes, without back-pressure.

    Members
    -------
    i
        Weighed rows. A restart stands before a step's first alone.
    o, probe_i, probe_o, error
        As :class:`~spikeloom.rtl_gen.neuron.NeuronArray`'s.

    Raises
    ------
    TypeError, ValueError
        If ``lanes`` is not an integer from 1 to 256, or the neurons sum exactly.
    """

    accumulations = (Accumulation.EVENT, Accumulation.SPIKING_EVENT)
    overhead = 2

    def _arriving(self) -> data.StructLayout:
        return weighed_row(self.rows, self.lanes, self.config.current_width)

    def _update(self) -> list[Stage]:
        return step_stages(self.config)

    def _add_late_bias(self, lane: Lane) -> Lane:
        """The biases that have begun, as one event."""
        lane = super()._add_late_bias(lane | {"current": Const(0)})
        return add_event(self.config, lane, lane.pop("current"))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        state: Memory = Memory(
            shape=data.ArrayLayout(stored_layout(self.config, self.ecc), self.lanes),
            depth=self.rows,
            init=[],
        )
        m.submodules.state = state
        write = state.write_port()
        read = state.read_port(transparent_for=[write])
        parameters = self._parameters(m, read.addr, read.en)

        # A walk over all rows: to give them their initial values, or to end a step.
        clearing = Signal(init=1)
        sweeping = Signal()
        advance = Signal()
        sweeps = Signal()
        row = Signal(self._row_shape)
        group = Signal(range(self.layout.groups))
        last = row == self.rows - 1
        short = group == self.layout.groups - 1
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            sweeps.eq(sweeping & advance),
        ]
        with m.If(clearing | sweeps):
            m.d.sync += [row.eq(Mux(last, 0, row + 1)), group.eq(Mux(short, 0, group + 1))]
            with m.If(last):
                m.d.sync += [clearing.eq(0), sweeping.eq(0)]

        accept = Signal()
        adds = Signal()
        probe = Signal()
        opened = Signal()
        restart = Signal()
        first = Signal(init=1)
        m.d.comb += [
            accept.eq(self.i.valid & self.i.ready),
            adds.eq(accept & (self.i.p.kind == EventKind.SPIKE)),
            read.addr.eq(
                Mux(probe, self.probe_i.p, Mux(clearing | sweeping, row, self.i.p.target))
            ),
            read.en.eq(probe | clearing | sweeps | adds),
        ]
        with m.If(sweeps & last):
            m.d.sync += [restart.eq(0), first.eq(0)]
        with m.If(accept):
            m.d.sync += opened.eq(self.i.p.kind != EventKind.TICK)
            with m.If(self.i.p.kind == EventKind.TICK):
                m.d.sync += sweeping.eq(1)
            with m.If(self.i.p.kind == EventKind.RESTART):
                m.d.sync += [clearing.eq(1), restart.eq(1), first.eq(1)]

        # What has been read is written back in the next cycle, unless it goes through the stages.
        changed: Any = Signal(data.StructLayout({"valid": 1, "initial": 1, "row": row.shape()}))
        events = Signal.like(self.i.p.current)
        m.d.sync += [
            changed.valid.eq(adds | clearing),
            changed.initial.eq(clearing),
            changed.row.eq(read.addr),
            events.eq(self.i.p.current),
        ]
        swept = Signal()
        counts = swept | (changed.valid & ~changed.initial)
        states = self._states(m, read, counts)
        lanes = [own | state for own, state in zip(parameters, states, strict=True)]
        added = [
            add_event(self.config, lane, event) for lane, event in zip(lanes, events, strict=True)
        ]

        entered = {
            "valid": sweeps,
            "rests": Const(0),
            "row": row,
            "restart": restart & (row == 0),
            "last": last,
            "short": short,
            **self._ages(m, sweeps & last, first),
        }
        control = self._register(m, advance, "read", entered)
        if self.ecc:
            m.d.comb += swept.eq(control["valid"])
        control, lanes, in_flight = self._run(m, advance, control, lanes)
        self._send(m, control, lanes)
        m.d.comb += [
            write.addr.eq(Mux(changed.valid, changed.row, control["row"])),
            write.en.eq(changed.valid | (self.o.valid & self.o.ready)),
        ]
        for k, lane in enumerate(lanes):
            initial = {"v": parameters[k]["v_init"]}
            written = {
                name: Mux(
                    changed.valid,
                    Mux(changed.initial, initial.get(name, 0), added[k][name]),
                    lane[name],
                )
                for name in state_shapes(self.config)
            }
            m.d.comb += self._stores(write.data[k], written)

        self._answer(m, probe, Const(0), states, [lane["v_init"] for lane in parameters])
        answering = self.probe_o.valid
        busy = clearing | sweeping | Cat(in_flight).any() | answering
        m.d.comb += [
            self.i.ready.eq(~busy),
            probe.eq(self.probe_i.valid & self.probe_i.ready),
            self.probe_i.ready.eq(~busy & ~changed.valid & ~opened & ~self.i.valid),
        ]
        return m
