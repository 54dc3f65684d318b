"""A time-multiplexed array of neurons: currents in, spikes out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory, ReadPort
from amaranth.lib.wiring import In, Out

from spikeloom.reference.maps import Shape as ArrayShape
from spikeloom.reference.memory_map import Layout
from spikeloom.reference.network import LateBias
from spikeloom.reference.neuron_fixed import DecayRule, Emission, NeuronConfig
from spikeloom.reference.profile import Accumulation, Compared, Comparison
from spikeloom.rtl_gen.datapath import (
    Lane,
    Stage,
    parameter_shapes,
    parameter_values,
    shared_parameters,
    state_shapes,
    update_stages,
)
from spikeloom.rtl_gen.fixed import index_shape, shape_of
from spikeloom.rtl_gen.memory import UNMET
from spikeloom.rtl_gen.protection import check_bits, check_width, put_right

__all__ = [
    "NeuronArray",
    "check_lanes",
    "current_beat",
    "membrane_row",
    "spike_beat",
    "stored_layout",
]


def check_lanes(lanes: int) -> None:
    """Refuse a number of lanes that cannot be built.

    Raises
    ------
    TypeError
        If it is not an integer.
    ValueError
        If it is outside 1 to 256.
    """
    if not isinstance(lanes, int) or isinstance(lanes, bool):
        raise TypeError(f"lanes must be an integer, not {lanes!r}")
    if not 1 <= lanes <= 256:
        raise ValueError(f"lanes must be 1 to 256, not {lanes!r}")


def _rest_without_input(config: NeuronConfig) -> bool:
    """Whether neurons that have not spiked in a step stay as they are in one without input."""
    return (
        config.decay_rule is DecayRule.NONE
        and config.synapse is None
        and config.accumulation is Accumulation.STEP
        and not np.any(config.bias)
        and config.refractory_steps == 0
        and config.compared is Compared.NEW
        and config.emission is Emission.SPIKES
        and not _lifted_over_threshold(config)
    )


def _lifted_over_threshold(config: NeuronConfig) -> bool:
    """Whether the floor, which acts behind the comparison, can make a neuron spike a step later."""
    if config.floor is None:
        return False
    above = np.asarray(config.floor) - np.asarray(config.threshold)
    return bool(np.any(above >= 0 if config.comparison is Comparison.GE else above > 0))


def current_beat(config: NeuronConfig, lanes: int) -> data.StructLayout:
    """Layout of one row of input currents.

    ``restart`` counts in a step's first row: the step then starts from the initial state. Where
    ``void`` is set the row stands for all rows of a step that brings no current.
    """
    return data.StructLayout(
        {
            "current": data.ArrayLayout(signed(config.current_width), lanes),
            "restart": 1,
            "void": 1,
        }
    )


def spike_beat(config: NeuronConfig, lanes: int) -> data.StructLayout:
    """Layout of one row of spike counts.

    ``restart`` stands in the first row of a step that started anew, ``last`` in each step's last. A
    step in which nothing can change has one row.
    """
    return data.StructLayout(
        {
            "count": data.ArrayLayout(_sent_shape(config), lanes),
            "restart": 1,
            "last": 1,
        }
    )


def _sent_shape(config: NeuronConfig) -> Shape:
    """Shape of what a neuron sends: a spike count, or its potential."""
    if config.emission is Emission.POTENTIAL:
        return shape_of(config.state)
    return unsigned(config.count_width)


def stored_layout(config: NeuronConfig, ecc: bool) -> data.StructLayout:
    """Layout of what is stored of a neuron, ``check`` bits above where there is a code."""
    shapes = state_shapes(config)
    if not ecc:
        return data.StructLayout(shapes)
    width = sum(each.width for each in shapes.values())
    return data.StructLayout({**shapes, "check": check_width(width)})


def membrane_row(config: NeuronConfig, lanes: int) -> data.ArrayLayout:
    """Layout of one row of membrane potentials."""
    return data.ArrayLayout(shape_of(config.state), lanes)


class NeuronArray(wiring.Component):
    """N neurons on P lanes.

    A step is a sweep over the rows of a :class:`~spikeloom.reference.memory_map.Layout`. Each row
    of input currents gives one row of spike counts, or of potentials, equal bit for bit to
    :func:`spikeloom.reference.neurons.step`. After reset the neurons are in their initial
    state, whatever the state memory holds.

    Throughput is one row a cycle, unless a sweep has fewer rows than the pipeline has stages: a
    row then waits until its predecessor of the step before is written back.

    Neurons that only currents change (no decay, no bias, no wait, no synapse; spikes of the new
    potential are what they send) rest in a void step where none has spiked in the step before: it
    costs one cycle instead of a sweep. Other void steps of theirs begin when the pipeline is empty.

    Parameters
    ----------
    config
        What the neurons compute.
    lanes
        Number of neurons updated at once, 1 to 256.
    shape
        Shape of the population; by default it is flat.
    late_bias
        Currents that are added from a step of each sequence on.
    ecc
        Whether states are stored in a code that puts one wrong bit of each right.

    Attributes
    ----------
    layout : Layout
        Where the neurons lie.
    rows : int
        Rows of a sweep.
    stages : list of Stage
        The update of each lane, the late biases included.
    latency : int
        Cycles from a row of currents to its row of spikes, without back-pressure.
    rests : bool
        Whether there are void steps in which its neurons rest.

    Members
    -------
    i
        Rows of currents.
    o
        Rows of spike counts.
    probe_i
        Rows whose membrane potentials are asked for; accepted between steps only.
    probe_o
        Their membrane potentials; 0 for lanes without a neuron.
    error
        With ``ecc``: set, until reset, when two bits of a state were wrong.

    Raises
    ------
    TypeError, ValueError
        If ``lanes`` is not an integer from 1 to 256, or the neurons take events one by one; see
        :class:`~spikeloom.rtl_gen.event_neuron.EventNeuronArray`.
    """

    i: stream.Interface
    o: stream.Interface
    probe_i: stream.Interface
    probe_o: stream.Interface
    error: Signal

    accumulations: tuple[Accumulation, ...] = (Accumulation.STEP,)
    overhead = 1
    """Cycles of the latency before the first stage."""

    def __init__(
        self,
        config: NeuronConfig,
        lanes: int,
        shape: ArrayShape | None = None,
        late_bias: Sequence[LateBias] = (),
        *,
        ecc: bool = False,
    ) -> None:
        check_lanes(lanes)
        if config.accumulation not in self.accumulations:
            allowed = " or ".join(repr(each.value) for each in self.accumulations)
            raise ValueError(f"accumulation must be {allowed}, not {config.accumulation.value!r}")
        self.config = config
        self.lanes = lanes
        self.layout = Layout((config.size,) if shape is None else shape, lanes)
        self.rows = self.layout.rows
        self.late_bias = tuple(late_bias)
        self.ecc = ecc
        self.rests = _rest_without_input(config) and not self.late_bias
        self.stages = self._update()
        if self.late_bias:
            self.stages.insert(0, ("late", self._add_late_bias))
        self.latency = self.overhead + len(self.stages)
        self._row_shape = index_shape(self.rows)
        super().__init__(
            {
                "i": In(stream.Signature(self._arriving())),
                "o": Out(stream.Signature(spike_beat(config, lanes))),
                "probe_i": In(stream.Signature(self._row_shape)),
                "probe_o": Out(stream.Signature(membrane_row(config, lanes))),
                **({"error": Out(1)} if ecc else {}),
            }
        )

    def _arriving(self) -> data.StructLayout:
        """Layout of what arrives."""
        return current_beat(self.config, self.lanes)

    def _update(self) -> list[Stage]:
        """The stages of the update."""
        stages = update_stages(self.config)
        # A state is put right before anything else is done with it, in a cycle of its own.
        return [("right", dict), *stages] if self.ecc else stages

    def elaborate(self, platform: object) -> Module:
        m = Module()
        advance = Signal()
        accept = Signal()
        probe = Signal()
        row = Signal(self._row_shape)
        group = Signal(range(self.layout.groups))
        last = row == self.rows - 1
        void = self.i.p.void
        short = group == self.layout.groups - 1
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
        ]
        with m.If(accept):
            m.d.sync += [row.eq(Mux(last, 0, row + 1)), group.eq(Mux(short, 0, group + 1))]

        # Set until a first sweep has written every row: the state memory counts from then on.
        fresh = Signal(init=1)
        initial = Signal()
        restart = self.i.p.restart & (row == 0)
        m.d.comb += initial.eq(fresh | restart)
        with m.If(accept):
            m.d.sync += fresh.eq(initial & ~last)

        state: Memory = Memory(
            shape=data.ArrayLayout(stored_layout(self.config, self.ecc), self.lanes),
            depth=self.rows,
            init=[],
            attrs=UNMET,
        )
        m.submodules.state = state
        read = state.read_port()
        write = state.write_port()
        m.d.comb += [
            read.addr.eq(Mux(probe, self.probe_i.p, row)),
            read.en.eq(accept | probe),
        ]

        rests = Signal() if self.rests else Const(0)
        entered = {
            "valid": accept | rests,
            "rests": rests,
            "row": row,
            "initial": initial,
            "restart": restart,
            "last": last | rests,
            "short": short,
            **self._ages(m, accept & last, initial),
        }
        control = self._register(m, advance, "read", entered)
        parameters = self._parameters(m, read.addr, read.en)
        new = control.pop("initial")
        states = self._states(m, read, control["valid"] & ~control["rests"] & ~new)
        lanes = self._fetch(m, advance, new, states, parameters)
        control, lanes, in_flight = self._run(m, advance, control, lanes)
        self._send(m, control, lanes)
        m.d.comb += [
            write.addr.eq(control["row"]),
            write.en.eq(self.o.valid & self.o.ready & ~control["rests"]),
        ]
        for k, lane in enumerate(lanes):
            m.d.comb += self._stores(write.data[k], lane)

        self._answer(m, probe, fresh, states, [lane["v_init"] for lane in parameters])
        answering = self.probe_o.valid
        busy = Cat(in_flight).any()
        takes = self.i.valid & advance & ~answering
        waits = self._must_wait(m, accept, write.en)
        if self.rests:
            quiet = self._quiet(m, accept, in_flight)
            begins = void & ~restart & (row == 0)
            m.d.comb += rests.eq(takes & begins & quiet)
            waits = waits | (begins & (busy | quiet))
        m.d.comb += [
            accept.eq(takes & ~waits),
            self.i.ready.eq((accept & (~void | last)) | rests),
            probe.eq(self.probe_i.valid & self.probe_i.ready),
            self.probe_i.ready.eq(~busy & ~self.i.valid & (row == 0) & ~answering),
        ]
        return m

    def _run(
        self, m: Module, advance: Value, control: Lane, lanes: list[Lane]
    ) -> tuple[Lane, list[Lane], list[Value]]:
        """A row through the stages: control and lanes behind the last; which stages have a row."""
        for k in range(len(self.late_bias)):
            began = control.pop(f"began_{k}")
            for lane in lanes:
                lane[f"began_{k}"] = began
        in_flight = [control["valid"]]
        for name, stage in self.stages:
            control = self._register(m, advance, name, control)
            in_flight.append(control["valid"])
            lanes = [
                self._register(m, advance, f"{name}_{k}", stage(lane))
                for k, lane in enumerate(lanes)
            ]
        return control, lanes, in_flight

    def _send(self, m: Module, control: Lane, lanes: list[Lane]) -> None:
        """Offer the row behind the last stage."""
        m.d.comb += [
            self.o.valid.eq(control["valid"]),
            self.o.p.restart.eq(control["restart"]),
            self.o.p.last.eq(control["last"]),
        ]
        sent = "v" if self.config.emission is Emission.POTENTIAL else "spikes"
        for k, lane in enumerate(lanes):
            silent = self._absent(k, control["short"]) | control["rests"]
            m.d.comb += self.o.p.count[k].eq(Mux(silent, 0, lane[sent]))

    def _quiet(self, m: Module, accept: Value, in_flight: list[Value]) -> Signal:
        """Whether no row is under way and in the last sweep none spiked."""
        quiet = Signal()
        stirred = Signal()
        spiked = Cat(count != 0 for count in self.o.p.count).any()
        with m.If(accept):
            m.d.sync += quiet.eq(0)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += stirred.eq(~self.o.p.last & (stirred | spiked))
            with m.If(self.o.p.last & ~accept & ~Cat(in_flight[:-1]).any()):
                m.d.sync += quiet.eq(~stirred & ~spiked)
        return quiet

    def _fetch(
        self, m: Module, advance: Value, initial: Value, states: list[Lane], parameters: list[Lane]
    ) -> list[Lane]:
        """Each lane as it enters the first stage: its current, its parameters and its state."""
        lanes = []
        for k, own in enumerate(parameters):
            current = Mux(self.i.p.void, 0, self.i.p.current[k])
            lane = self._register(m, advance, f"read_{k}", {"current": current})
            lane |= own
            first = {"v": lane.pop("v_init")}
            for name in state_shapes(self.config):
                lane[name] = Mux(initial, first.get(name, 0), states[k][name])
            lanes.append(lane)
        return lanes

    def _states(self, m: Module, read: ReadPort, counts: Value) -> list[Lane]:
        """What is read of each lane's neuron, put right; where it counts, errors are noticed."""
        shapes = state_shapes(self.config)
        if not self.ecc:
            return [{name: read.data[k][name] for name in shapes} for k in range(self.lanes)]
        states, lost = [], []
        for k in range(self.lanes):
            stored = read.data[k]
            word = Cat(stored[name] for name in shapes)
            right, unknown = put_right(m, f"state_{k}", word, stored.check)
            state = data.StructLayout(shapes)(right)
            states.append({name: state[name] for name in shapes})
            lost.append(unknown)
        with m.If(counts & Cat(lost).any()):
            m.d.sync += self.error.eq(1)
        return states

    def _stores(self, stored: Any, state: Lane) -> list[Any]:
        """Assignments of what is stored of a neuron."""
        shapes = state_shapes(self.config)
        assigned = [stored[name].eq(state[name]) for name in shapes]
        if self.ecc:
            assigned.append(stored.check.eq(check_bits(Cat(stored[name] for name in shapes))))
        return assigned

    def _answer(
        self, m: Module, probe: Value, fresh: Value, states: list[Lane], v_init: list[Value]
    ) -> None:
        """Answer a probe with the row that the state memory is asked for in the same cycle."""
        initial = Signal(name="answer_initial")
        last = Signal(name="answer_last")
        with m.If(probe):
            m.d.sync += [
                self.probe_o.valid.eq(1),
                initial.eq(fresh),
                last.eq(self._is_short(self.probe_i.p)),
            ]
        with m.Elif(self.probe_o.ready):
            m.d.sync += self.probe_o.valid.eq(0)
        for k in range(self.lanes):
            v = Mux(initial, v_init[k], states[k]["v"])
            m.d.comb += self.probe_o.p[k].eq(Mux(self._absent(k, last), 0, v))

    def _absent(self, lane: int, short: Value) -> Value:
        """Whether a lane has no neuron, which can be so in the last row of a position."""
        return short if lane >= self.layout.present else Const(0)

    def _is_short(self, row: Value) -> Value:
        """Whether a row is the last of its position."""
        groups = self.layout.groups
        if groups == 1:
            return Const(1)
        if self.layout.positions == 1:
            return row == self.rows - 1
        return row % groups == groups - 1

    def _ages(self, m: Module, ends: Value, initial: Value) -> Lane:
        """For each late bias whether it acts in this step."""
        if not self.late_bias:
            return {}
        oldest = max(late.start for late in self.late_bias)
        age = Signal(range(oldest + 1))
        now = Signal(range(oldest + 1))
        m.d.comb += now.eq(Mux(initial, 0, age))
        with m.If(ends):
            m.d.sync += age.eq(Mux(now == oldest, oldest, now + 1))
        return {
            f"began_{k}": Const(1) if late.start == 0 else now >= late.start
            for k, late in enumerate(self.late_bias)
        }

    def _add_late_bias(self, lane: Lane) -> Lane:
        current = lane["current"]
        for k in range(len(self.late_bias)):
            current = current + Mux(lane[f"began_{k}"], lane[f"late_{k}"], 0)
        rest = {
            name: v for name, v in lane.items() if name.partition("_")[0] not in ("late", "began")
        }
        return rest | {"current": current[: self.config.current_width].as_signed()}

    def _parameters(self, m: Module, addr: Value, en: Value) -> list[Lane]:
        """Parameters of each lane, those that differ from a memory that is read with the state."""
        shared = shared_parameters(self.config)
        shapes = parameter_shapes(self.config)
        late = {f"late_{k}": each.current for k, each in enumerate(self.late_bias)}
        shapes |= {name: signed(self.config.current_width) for name in late}
        if not shapes:
            return [dict(shared) for _ in range(self.lanes)]
        values = parameter_values(self.config) | late
        columns = {name: self.layout.by_row(np.ravel(values[name])) for name in shapes}
        init = [
            [{name: int(columns[name][row, lane]) for name in shapes} for lane in range(self.lanes)]
            for row in range(self.rows)
        ]
        memory: Memory = Memory(
            shape=data.ArrayLayout(data.StructLayout(shapes), self.lanes),
            depth=self.rows,
            init=init,
        )
        m.submodules.parameters = memory
        read = memory.read_port()
        m.d.comb += [read.addr.eq(addr), read.en.eq(en)]
        return [
            shared | {name: read.data[lane][name] for name in shapes} for lane in range(self.lanes)
        ]

    def _must_wait(self, m: Module, enter: Value, leave: Value) -> Value:
        """Whether the next row's predecessor of the step before is still in the pipeline."""
        if self.rows > self.latency:
            return Const(0)
        in_flight = Signal(range(self.rows + 1))
        m.d.sync += in_flight.eq(in_flight + enter - leave)
        return in_flight == self.rows

    @staticmethod
    def _register(m: Module, enable: Value, stage: str, values: Lane) -> Lane:
        """Registers behind a stage; constants need none."""
        registered: Lane = {}
        for name, value in values.items():
            if isinstance(value, Const):
                registered[name] = value
                continue
            registered[name] = Signal(Value.cast(value).shape(), name=f"{stage}_{name}")
            with m.If(enable):
                m.d.sync += registered[name].eq(value)
        return registered
