"""``spikeloom plan``, and what `generate` makes of its file."""

import json
import shlex
from dataclasses import replace

import numpy as np
import pytest

from spikeloom.boards.flow import FlowError, Usage
from spikeloom.boards.plan import make_plan
from spikeloom.cli import build, plan

NORSE = ("--profile", "norse", "--dt", 1)


@pytest.fixture
def network(tmp_path):
    """A design file of two layers, 12-32-8, whose own lanes a plan does not heed."""
    rng = np.random.default_rng(0)
    lines = ["[neuron]", "v_th = 0.5"]
    for k, shape in enumerate([(12, 32), (32, 8)]):
        np.save(tmp_path / f"weight_{k}.npy", rng.normal(0.2, 0.2, shape))
        lines += ["[[layer]]", f'weight = "weight_{k}.npy"', "lanes = 1"]
    path = tmp_path / "net.toml"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def raster(tmp_path):
    """Six samples of ten steps."""
    path = tmp_path / "raster.npy"
    np.save(path, np.random.default_rng(1).random((6, 10, 12)) < 0.5)
    return path


def test_table(run, network):
    code, output, _ = run("plan", network, "--board", "ulx3s-45f")
    assert code == 0
    lines = output.splitlines()
    assert lines[0].split()[:4] == ["layer", "weights", "neurons", "lanes"]
    assert [line.split()[0] for line in lines[1:3]] == ["layer_0", "layer_1"]
    assert "ULX3S 45F, LFE5U-45F, at 100 MHz" in lines
    assert "input: random, 30 % of the inputs active in a step; 4 samples of 16 steps" in lines
    assert any(line.startswith("  logic cells  about ") for line in lines)
    assert any(line.startswith("a sample takes ") for line in lines)
    assert not any("may not fit" in line for line in lines)
    assert lines[-1] == "layer_0 has the most to do"


def test_a_board_that_is_not_built_here(run, network):
    _, output, _ = run("plan", network, "--board", "arty-a7-35t", "--lanes", 1)
    assert "Arty A7-35T, xc7a35ti, at 100 MHz, not built here" in output


def test_one_sample_has_no_throughput(run, network):
    _, output, _ = run("plan", network, "--samples", 1)
    assert "a second" not in output
    plan = json.loads(run("plan", network, "--samples", 1, "--json")[1])
    assert (plan["period_cycles"], plan["samples_per_second"]) == (None, None)


def test_what_may_not_fit(run, network, monkeypatch):
    def fuller(*arguments, **options):
        made = make_plan(*arguments, **options)
        return replace(made, usage={**made.usage, "logic cells": Usage(5300, 5280)})

    monkeypatch.setattr(plan, "make_plan", fuller)
    _, output, _ = run("plan", network, "--board", "icebreaker", "--lanes", 1)
    assert "it may not fit iCEBreaker: logic cells are good for about a tenth" in output


def test_json(run, network, raster):
    code, output, _ = run("plan", network, raster, "--board", "ulx3s-45f", "--json")
    plan = json.loads(output)
    assert code == 0
    assert (plan["board"], plan["clock_mhz"]) == ("ulx3s-45f", 100.0)
    assert (plan["samples"], plan["steps"], plan["stimulus"]) == (4, 10, str(raster))
    assert [(each["name"], each["neurons"]) for each in plan["populations"]] == [
        ("layer_0", 32),
        ("layer_1", 8),
    ]
    for each in plan["populations"]:
        assert each["rows"] == -(-each["neurons"] // each["lanes"])
        assert len(each["step_cycles"]) == 4 * 9
        assert set(each["memories"]) >= {"weights", "state", "events"}
    assert plan["latency_us"] == pytest.approx(np.mean(plan["cycles"]) / 100)
    assert plan["used"]["block RAMs"]["available"] == 108


def test_guarded_memories(run, network, raster):
    """They take memory and, the code, cycles."""
    plans = []
    for options in ([], ["--parity"], ["--parity", "--ecc"]):
        arguments = (raster, "--board", "ulx3s-45f", "--lanes", 4, *options, "--json")
        code, output, _ = run("plan", network, *arguments)
        assert code == 0
        plans.append(json.loads(output))
    plain, parity, both = plans
    assert plain["cycles"] == parity["cycles"]
    assert all(a > b for a, b in zip(both["cycles"], plain["cycles"], strict=True))
    for each, other in zip(plain["populations"], both["populations"], strict=True):
        assert "parity" not in each["memories"]
        assert other["memories"]["parity"]["width"] == 1
        assert other["memories"]["state"]["width"] == each["memories"]["state"]["width"] * 22 // 16
        assert other["used"]["logic cells"] > each["used"]["logic cells"]


def test_smallest_board(run, network):
    assert json.loads(run("plan", network, "--json")[1])["board"] == "icebreaker"


def test_latency(run, network, raster):
    lanes = {}
    for latency in ("1ms", "50us", "0.00002"):
        arguments = (raster, "--board", "icebreaker", "--latency", latency, "--json")
        code, output, _ = run("plan", network, *arguments)
        assert code == 0
        plan = json.loads(output)
        limit = {"1ms": 1000, "50us": 50, "0.00002": 20}[latency]
        assert plan["latency_us"] <= limit
        lanes[limit] = [each["lanes"] for each in plan["populations"]]
    assert lanes[1000] == [1, 1]
    assert sum(lanes[1000]) < sum(lanes[50]) < sum(lanes[20])


@pytest.mark.parametrize(("text", "lanes"), [("4,2", [4, 2]), ("3", [3, 3])])
def test_lanes(run, network, text, lanes):
    _, output, _ = run("plan", network, "--lanes", text, "--frequency", "20", "--json")
    plan = json.loads(output)
    assert [each["lanes"] for each in plan["populations"]] == lanes
    assert plan["clock_mhz"] == 12 * 53 / 32


def test_limit(run, network, raster):
    _, output, _ = run("plan", network, raster, "--limit", 2, "--json")
    assert json.loads(output)["samples"] == 2


def test_nir(run, model):
    code, output, _ = run("plan", model, *NORSE, "--json")
    assert code == 0
    assert json.loads(output)["populations"][0]["neurons"] == 2


def test_events_one_by_one(run, model):
    code, output, _ = run("plan", model, *NORSE, "--accumulation", "event", "--json")
    assert code == 0
    assert len(json.loads(output)["cycles"]) == 4


def test_from_plan_to_design(run, network, tmp_path):
    path, folder = tmp_path / "plan.json", tmp_path / "out"
    code, output, _ = run("plan", network, "--board", "ulx3s-45f", "-o", path)
    assert code == 0
    assert f"next: spikeloom build {network} --board ulx3s-45f --plan {path} -o " in output
    planned = [
        (each["lanes"], each["store"]) for each in json.loads(path.read_text())["populations"]
    ]
    assert run("generate", network, "--plan", path, "-o", folder)[0] == 0
    populations = json.loads((folder / "network.json").read_text())["populations"]
    made = [(each["lanes"], each["memories"]["weights"]["store"]) for each in populations]
    assert made == planned == [(32, "auto"), (8, "auto")]


def test_the_command_that_builds_a_plan(run, model, tmp_path, monkeypatch):
    """It has the design's options, and the plan's clock where no other is asked for."""
    seen = []

    def fake(top, board, folder, *, frequency, **_):
        seen.append((top, board.name, folder, frequency))
        raise FlowError("enough")

    monkeypatch.setattr(build, "build", fake)
    path = tmp_path / "the plan.json"
    options = ("--profile", "norse", "--dt", 1, "--weight-width", 6, "--reset", "to-value")
    how = ("--frequency", 36, "--lanes", 2, "--steps", 3, "--board", "icebreaker", "-o", path)
    code, output, _ = run("plan", model, *options, *how)
    assert code == 0
    program, *command = shlex.split(output.splitlines()[-1].removeprefix("next: "))
    assert program == "spikeloom"
    for more, clock in (((), 36e6), (("--frequency", 18), 18e6)):
        assert run(*command, *more)[0] == 1
        top, board, folder, frequency = seen.pop()
        assert (board, folder, frequency) == ("icebreaker", tmp_path / "the plan_icebreaker", clock)
        (population,) = top.populations
        assert (population.lanes, population.population.weight_width) == (2, 6)
    command[command.index("icebreaker")] = "ulx3s-45f"
    code, _, complaint = run(*command)
    assert code == 2
    assert f"{path} must be a plan for ulx3s-45f, but is for icebreaker" in complaint


def test_spram(run, tmp_path):
    np.save(tmp_path / "w.npy", np.random.default_rng(0).normal(0, 1, (784, 128)))
    network = tmp_path / "net.toml"
    network.write_text('[[layer]]\nweight = "w.npy"\n')
    few = ("--samples", 1, "--steps", 1)
    code, output, _ = run("plan", network, "--board", "icebreaker", "--json", *few)
    (population,) = json.loads(output)["populations"]
    assert (code, population["store"]) == (0, "spram")
    assert population["memories"]["weights"]["cell"] == "SPRAM"


def test_too_big(run, tmp_path):
    np.save(tmp_path / "w.npy", np.random.default_rng(0).normal(0, 1, (700, 400)))
    network = tmp_path / "net.toml"
    network.write_text('[[layer]]\nweight = "w.npy"\n')
    code, output, complaint = run("plan", network, "--board", "ulx3s-45f")
    assert (code, output) == (2, "")
    assert "the network is too big for ULX3S 45F: it needs " in complaint
    assert "block RAMs of 108; the smallest that does is ULX3S 85F" in complaint
    assert complaint.count("spikeloom: ") == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--lanes", "1,2,3"), "lanes must be 2, one a population, not 3"),
        (("--lanes", "four"), "argument --lanes: must be integers with commas between, not 'four'"),
        (("--latency", "soon"), "argument --latency: must be a time such as 200us"),
        (("--latency", "0us"), "latency must be positive and finite, not 0.0"),
        (("--frequency", "-1"), "frequency must be positive and finite, not -1000000.0"),
        (("--frequency", "5000"), "cannot be clocked so: frequency must be 3.125 to 400 MHz, not"),
        (("--limit", "2"), "--limit has no effect without data; leave it out"),
        (("--board", "none"), "argument --board: invalid choice"),
        (("missing.npy",), "missing.npy"),
        (("--output", "missing/plan.json"), "must be a file in a folder that exists"),
    ],
)
def test_wrong_options(run, network, arguments, complaint):
    code, output, told = run("plan", network, *arguments)
    assert (code, output) == (2, "")
    assert complaint in told


def test_options_of_random_input_with_data(run, network, raster):
    code, _, complaint = run("plan", network, raster, "--steps", 3)
    assert code == 2
    assert "--steps has no effect on a plan with data; leave it out" in complaint


def test_wrong_array(run):
    code, _, complaint = run("plan", "--neurons", 3)
    assert code == 2
    assert "a TOML file of a network with [[layer]] tables; a neuron array has no" in complaint


def test_data_that_is_no_integers(run, network, tmp_path):
    path = tmp_path / "half.npy"
    np.save(path, np.full((3, 5, 12), 0.5))
    code, _, complaint = run("plan", network, path)
    assert code == 2
    assert "input must be of integers in fixed point, not 0.5" in complaint


def plan_text(**changes):
    """A plan of the network, with some changes."""
    plan = {
        "board": "icebreaker",
        "clock_mhz": 24.0,
        "populations": [
            {"name": "layer_0", "neurons": 32, "lanes": 2, "store": "auto"},
            {"name": "layer_1", "neurons": 8, "lanes": 2, "store": "auto"},
        ],
    }
    for name, value in changes.items():
        (plan if name in plan else plan["populations"][0])[name] = value
    return json.dumps(plan)


def test_plan_may_have_no_more_than_is_needed(run, network, tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(plan_text())
    assert run("generate", network, "--plan", path, "-o", tmp_path / "out")[0] == 0


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[3]", "[" * 100_000, '{"populations": [{"name": 1}]}'),
        *(plan_text(lanes=lanes) for lanes in ("8", 8.0, None, True)),
        *(plan_text(populations=populations) for populations in ({}, [], {"name": 3}, 5, None)),
        *(plan_text(clock_mhz=clock) for clock in ("24", 0, float("nan"), True)),
        *(plan_text(store=["auto"]), plan_text(store="rom"), plan_text(name=["layer_0"])),
        plan_text(board=3),
    ],
)
def test_wrong_plan(run, network, tmp_path, text):
    path = tmp_path / "plan.json"
    path.write_text(text)
    code, _, complaint = run("generate", network, "--plan", path, "-o", tmp_path / "out")
    assert code == 2
    assert f"{path} must be a file that `spikeloom plan` wrote" in complaint


def test_plan_of_another_network(run, network, model, tmp_path):
    path = tmp_path / "plan.json"
    assert run("plan", network, "-o", path)[0] == 0
    options = ("--plan", path, "--board", "icebreaker", "-o", "x")
    code, _, complaint = run("build", model, *NORSE, *options)
    assert code == 2
    assert "must be a plan of this network, but is of layer_0 of 32, layer_1 of 8" in complaint
    code, _, complaint = run("generate", network, "--plan", path, "--lanes", 2, "-o", "x")
    assert code == 2
    assert "--lanes has no effect on a design with --plan; leave it out" in complaint
    code, _, complaint = run("generate", "--neurons", 2, "--plan", path, "-o", "x")
    assert code == 2
    assert "--plan has no effect on a neuron array; leave it out" in complaint
