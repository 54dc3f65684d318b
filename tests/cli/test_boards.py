import json

import numpy as np
import pytest

from spikeloom.boards.board import BOARDS
from spikeloom.cli import boards


@pytest.fixture
def network(tmp_path):
    """A design file of two layers, 12-32-8."""
    rng = np.random.default_rng(0)
    lines = []
    for k, shape in enumerate([(12, 32), (32, 8)]):
        np.save(tmp_path / f"weight_{k}.npy", rng.normal(0.2, 0.2, shape))
        lines += ["[[layer]]", f'weight = "weight_{k}.npy"']
    path = tmp_path / "net.toml"
    path.write_text("\n".join(lines))
    return path


def test_table(run):
    code, output, _ = run("boards")
    assert code == 0
    lines = {line.split()[0]: line for line in output.splitlines()[1:]}
    assert list(lines) == list(BOARDS)
    assert "not built here" in lines["arty-a7-35t"]
    assert all("built here" in line for line in lines.values())
    assert sum("not built here" in line for line in lines.values()) == 1
    assert "1,048,576" in lines["icebreaker"]
    assert "6 Mbaud" in lines["hx8k"]


def test_json(run):
    code, output, _ = run("boards", "--json")
    found = {each["name"]: each for each in json.loads(output)}
    assert code == 0
    assert list(found) == list(BOARDS)
    assert (found["hx8k"]["dsps"], found["hx8k"]["spram_bits"]) == (0, 0)
    assert found["upduino"]["wires"] == {"receive": "gpio_23", "send": "gpio_25"}
    assert [name for name, each in found.items() if not each["built_here"]] == ["arty-a7-35t"]
    assert "fits" not in found["hx8k"]


def test_what_a_network_fits(run, network, monkeypatch):
    some = {name: BOARDS[name] for name in ("hx8k", "tang-nano-9k", "ulx3s-85f")}
    monkeypatch.setattr(boards, "BOARDS", some)
    few = ("--samples", 1, "--steps", 2)
    code, output, _ = run("boards", network, *few, "--json")
    assert code == 0
    found = json.loads(output)
    assert [each["name"] for each in found] == list(some)
    for each in found:
        assert each["fits"] is True
        assert len(each["lanes"]) == 2
        assert each["latency_us"] > 0
    monkeypatch.setattr(boards, "BOARDS", {"ulx3s-85f": BOARDS["ulx3s-85f"]})
    code, output, _ = run("boards", network, *few)
    assert code == 0
    *_, last = output.splitlines()
    assert last.startswith("ulx3s-85f")
    assert last.split()[-2:] == ["us", "fits"]


def test_what_a_network_does_not_fit(run, tmp_path):
    np.save(tmp_path / "w.npy", np.random.default_rng(0).normal(0, 1, (700, 400)))
    path = tmp_path / "net.toml"
    path.write_text('[[layer]]\nweight = "w.npy"\n')
    few = ("--samples", 1, "--steps", 1)
    code, output, _ = run("boards", path, *few, "--json")
    found = {each["name"]: each for each in json.loads(output)}
    assert code == 0
    assert [name for name, each in found.items() if each["fits"]] == ["ulx3s-85f"]
    assert found["hx8k"]["reason"].startswith(
        "the network is too big for iCE40-HX8K Breakout Board: it needs "
    )


def test_wrong_array(run):
    code, _, complaint = run("boards", "--neurons", 3)
    assert code == 2
    assert "a TOML file of a network with [[layer]] tables; a neuron array has no" in complaint
