import json

import numpy as np
import pytest


def _network(folder, inputs, neurons):
    np.save(folder / "w.npy", np.ones((inputs, neurons)))
    path = folder / "net.toml"
    path.write_text('[[layer]]\nweight = "w.npy"\n')
    return path


def test_a_network_that_is_too_big_is_wrong_input(run, tmp_path):
    pytest.importorskip("amaranth_boards")
    config = _network(tmp_path, 784, 128)
    code, _, complaint = run("build", config, "--board", "icebreaker", "-o", tmp_path / "out")
    assert code == 2
    assert "the network is too big for iCEBreaker" in complaint
    assert "of its 100352 weights would fit" in complaint
    assert complaint.count("spikeloom: ") == 1
    assert "Traceback" not in complaint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("board", "title", "chip", "bitstream"),
    [
        ("icebreaker", "iCEBreaker", "iCE40UP5K SG48", "top.bin"),
        ("ulx3s-85f", "ULX3S 85F", "LFE5U-85F BG381", "top.bit"),
    ],
)
def test_a_bitstream(run, tmp_path, board, title, chip, bitstream):
    pytest.importorskip("amaranth_boards")
    out = tmp_path / "out"
    config = _network(tmp_path, 2, 2)
    code, output, _ = run(
        "build", config, "--board", board, "--lanes", 1, "--seed", 2, "-o", out, "--json"
    )
    result = json.loads(output)
    assert code == 0
    assert (result["board"], result["chip"]) == (title, chip)
    assert result["bitstream"] == bitstream
    assert result["bitstream_bytes"] == (out / bitstream).stat().st_size > 10_000
    assert json.loads((out / "build.json").read_text())["seed"] == 2


def test_an_array_has_no_events(run, tmp_path):
    code, _, complaint = run("build", "--board", "icebreaker", "-o", tmp_path / "out")
    assert code == 2
    assert "a TOML file of a network with [[layer]] tables; a neuron array has no" in complaint


def test_the_folder_of_another_command_is_not_replaced(run, tmp_path):
    out = tmp_path / "out"
    assert run("generate", "--neurons", 2, "-o", out)[0] == 0
    config = _network(tmp_path, 2, 2)
    code, _, complaint = run("build", config, "--board", "icebreaker", "-o", out)
    assert code == 2
    assert "was written by another command than `spikeloom build`" in complaint
    assert (out / "neuron_array.v").is_file()


def test_a_project_where_no_bitstream_is_built(run, tmp_path):
    pytest.importorskip("amaranth_boards")
    out = tmp_path / "out"
    config = _network(tmp_path, 2, 2)
    build = ("build", config, "--board", "arty-a7-35t", "--lanes", 1, "-o", out)
    code, output, _ = run(*build)
    assert code == 0
    assert "bitstream    not built here; to make top.bit, type there:" in output
    assert "vivado -mode batch -source top.tcl" in output
    assert {"top.v", "top.xdc", "top.tcl"} <= {path.name for path in out.iterdir()}
    code, output, _ = run(*build, "--baud", 4000000, "--frequency", 80, "--json")
    result = json.loads(output)
    assert (code, result["bitstream"]) == (0, None)
    assert (result["baud"], result["target_mhz"]) == (4000000, 80.0)


@pytest.mark.parametrize(
    ("baud", "complaint"),
    [
        (1060000, "baud must be within 1 % of what 24 MHz can be divided to, not 1060000"),
        (12000000, "baud must be at most 1/8 of the clock, 3000000 of 24 MHz, not 12000000"),
        ("fast", "argument --baud: invalid int value: 'fast'"),
    ],
)
def test_wrong_baud(run, tmp_path, baud, complaint):
    pytest.importorskip("amaranth_boards")
    config = _network(tmp_path, 2, 2)
    options = ("--board", "icebreaker", "--baud", baud, "-o", tmp_path / "out")
    code, _, told = run("build", config, *options)
    assert code == 2
    assert complaint in told
    assert not (tmp_path / "out").exists()
