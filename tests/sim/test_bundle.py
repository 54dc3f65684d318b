import json
import re

import numpy as np
import pytest

from spikeloom.reference.fixed import QFormat
from spikeloom.reference.neuron_fixed import DecayRule, NeuronConfig
from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.neuron import NeuronArray
from spikeloom.sim.bundle import Bundle, write_bundle
from spikeloom.sim.runner import SimulationError

icarus = pytest.mark.parametrize("simulator", ["icarus"], indirect=True)


def _write_array(path):
    config = NeuronConfig(
        size=6,
        state=QFormat(word_length=12),
        current_width=9,
        threshold=100,
        decay_rule=DecayRule.SHIFT,
        decay=3,
        refractory_steps=1,
    )
    current = np.random.default_rng(5).integers(-50, 150, (2, 8, 6))
    scenario = Scenario.of_neurons(config, current)
    write_bundle(path, NeuronArray(config, 4), "lif", "test", scenario)
    return scenario


def test_what_a_bundle_holds(tmp_path):
    scenario = _write_array(tmp_path / "out")
    names = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*")}
    assert names >= {
        "lif.v",
        "lif.json",
        "test_lif.py",
        "vectors/i.hex",
        "vectors/o.hex",
        "vectors/probe_i.hex",
        "vectors/probe_o.hex",
        "scenario.npz",
    }
    verilog = (tmp_path / "out" / "lif.v").read_text()
    assert re.search(r"^module lif\(", verilog, re.MULTILINE)
    sidecar = json.loads((tmp_path / "out" / "lif.json").read_text())
    for port in sidecar["ports"]:
        width = f"[{port['width'] - 1}:0] " if port["width"] > 1 else ""
        assert f"  {port['direction']} {width}{port['name']};" in verilog
    assert sidecar["populations"][0]["neurons"]["threshold"] == 100
    loaded = Scenario.load(tmp_path / "out" / "scenario.npz")
    assert np.array_equal(loaded.spikes, scenario.spikes)


@icarus
def test_its_testbench_passes(simulator, tmp_path):
    _write_array(tmp_path / "out")
    verdict = Bundle.open(tmp_path / "out").verify(simulator)
    assert verdict.equal
    assert len(verdict.passed) == 5


@icarus
def test_the_testbench_of_a_network_passes(simulator, random_network, tmp_path):
    network, lanes, stimulus = random_network(11)
    scenario = Scenario.of(network, stimulus[:2])
    write_bundle(tmp_path / "out", NetworkTop(network, lanes), "net", "test", scenario)
    verdict = Bundle.open(tmp_path / "out").verify(simulator, seed=99)
    assert verdict.equal
    assert len(verdict.passed) == 5


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("vectors/probe_o.hex", r"\A(.*\n.*\n.*\n)\w+", r"\g<1>7ff"),
        ("vectors/o.hex", r"\A\w+\n", ""),
        ("lif.v", r"8'h64\b", "8'h65"),
    ],
    ids=["membrane", "spikes", "threshold"],
)
@icarus
def test_its_testbench_notices(simulator, tmp_path, file, old, new):
    _write_array(tmp_path / "out")
    path = tmp_path / "out" / file
    text = path.read_text()
    if file == "lif.v":
        # The constant of the comparison, however the writer spells it.
        changed = re.sub(r"8'(sh|h)64|7'h64|8'sb01100100", lambda m: m[0][:-1] + "5", text)
    else:
        changed = re.sub(old, new, text, count=1)
    assert changed != text
    path.write_text(changed)
    verdict = Bundle.open(tmp_path / "out").verify(simulator)
    assert not verdict.equal
    assert any("golden" in name for name in verdict.failed)


@icarus
def test_verilog_that_does_not_compile(simulator, tmp_path):
    _write_array(tmp_path / "out")
    (tmp_path / "out" / "lif.v").write_text("module lif(; endmodule\n")
    with pytest.raises(SimulationError, match=r"icarus did not finish.*log\.txt"):
        Bundle.open(tmp_path / "out").verify(simulator)


def test_wrong_folders(tmp_path):
    with pytest.raises(ValueError, match="must be a folder that `spikeloom generate` wrote"):
        Bundle.open(tmp_path)
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(ValueError, match="must be a folder that `spikeloom generate` wrote"):
        Bundle.open(tmp_path)
    _write_array(tmp_path / "out")
    (tmp_path / "out" / "lif.v").unlink()
    with pytest.raises(ValueError, match=r"must hold lif\.v, but it is missing"):
        Bundle.open(tmp_path / "out")
