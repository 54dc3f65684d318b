import json
import os
import shutil
from collections import Counter
from dataclasses import replace
from functools import partial
from xml.etree import ElementTree

import numpy as np
import pytest

from spikeloom.cli import levels, verify
from spikeloom.cli.evidence_report import GROUPS
from spikeloom.cli.levels import Finding, Level, Task
from spikeloom.sim.evidence import Evidence, Strength
from spikeloom.sim.runner import SimulationError
from spikeloom.sim.tools import Tool

pytestmark = pytest.mark.skipif(shutil.which("iverilog") is None, reason="icarus was not found")


@pytest.fixture
def folder(run, tmp_path):
    out = tmp_path / "out"
    arguments = ["--neurons", 5, "--lanes", 2, "--samples", 2, "--steps", 8]
    assert run("generate", *arguments, "-o", out)[0] == 0
    return out


def test_an_equal_design(run, folder):
    code, output, _ = run("verify", folder, "--simulator", "icarus", "--json")
    assert code == 0
    (verdict,) = json.loads(output)
    assert verdict["simulator"] == "icarus"
    assert verdict["equal"] is True
    assert len(verdict["passed"]) == 5
    (suite,) = ElementTree.parse(folder / "results.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("5", "0")
    assert len(suite.findall("testcase")) == 5


def test_an_unequal_design(run, folder):
    path = folder / "vectors" / "probe_o.hex"
    lines = path.read_text().splitlines()
    lines[-1] = f"{int(lines[-1], 16) ^ 1:x}"
    path.write_text("\n".join(lines) + "\n")
    code, output, _ = run("verify", folder, "--simulator", "icarus")
    assert code == 1
    assert "NOT EQUAL" in output
    assert "of probe_o must be" in output
    (suite,) = ElementTree.parse(folder / "results.xml").getroot()
    assert suite.get("failures") == "5"


def test_a_folder_that_is_none(run, tmp_path):
    code, _, complaint = run("verify", tmp_path / "nowhere")
    assert code == 2
    assert "must be a folder that `spikeloom generate` wrote" in complaint


def test_no_cocotb(run, folder, monkeypatch):
    monkeypatch.setattr(verify, "find_spec", lambda name: None)
    code, _, complaint = run("verify", folder)
    assert code == 1
    assert complaint == (
        "spikeloom: cocotb is not there; to get it, type: pip install 'spikeloom[sim]'\n"
    )


def test_what_verify_leaves_is_no_hindrance(run, folder):
    assert run("verify", folder, "--simulator", "icarus")[0] == 0
    assert run("generate", "--neurons", 2, "-o", folder)[0] == 0


def test_no_simulator(run, folder, monkeypatch):
    monkeypatch.setenv("PATH", "")
    code, _, complaint = run("verify", folder)
    assert code == 1
    assert "no simulator was found; to get one: apt-get install" in complaint


@pytest.fixture
def network(tmp_path):
    """A file of four inputs and three neurons, and samples for them."""
    np.savetxt(tmp_path / "w.csv", np.random.default_rng(3).normal(0.4, 0.5, (4, 3)), delimiter=",")
    path = tmp_path / "net.toml"
    path.write_text('[[layer]]\nweight = "w.csv"\n')
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(4).integers(0, 2, (3, 6, 4)))
    return path


def test_a_network(run, network, tmp_path, monkeypatch):
    """Quickly, in Icarus alone: equal, resets, and what was not done."""
    without = levels.find_simulators() | {"verilator": Tool("verilator", None, "to look again")}
    monkeypatch.setattr(levels, "find_simulators", lambda: without)
    monkeypatch.setattr(verify, "spread", one_by_one)
    out = tmp_path / "out"
    code, output, _ = run("verify", network, "--data", tmp_path / "x.npz", "-o", out, "--json")
    assert code == 0
    report = json.loads(output)
    assert report == json.loads((out / "report.json").read_text())
    assert report["holds"]
    kinds = Counter((each["group"], each["strength"]) for each in report["evidence"])
    assert kinds["equality", "tested"] == 3
    assert kinds["reset", "tested"] == 4
    assert {strength for _, strength in kinds} == {"tested", "omitted"}
    assert {group for group, _ in kinds} == set(GROUPS)
    (absent,) = [each for each in report["evidence"] if "to get it" in each["detail"]]
    assert absent["detail"] == "verilator was not found; to get it: to look again"
    assert "3 samples of 6 steps" in report["facts"]["data"]
    assert "Can net.toml be trusted?" in (out / "report.html").read_text()
    root = ElementTree.parse(out / "junit.xml").getroot()
    assert sum(int(suite.get("tests")) for suite in root) == len(report["evidence"])


def one_by_one(tasks, **_):
    return ((place, task()) for place, task in enumerate(tasks))


def failing(*_):
    evidence = Evidence(
        group="proofs",
        name="one is two",
        strength=Strength.INDUCTIVE,
        passed=False,
        detail="it is not",
    )
    yield Task("a proof", partial(Finding, (evidence,), {"proofs.failed": ("count", 1.0)}))


def test_what_fails_is_told(run, network, tmp_path, monkeypatch):
    monkeypatch.setattr(verify, "tasks_of", failing)
    code, output, _ = run("verify", network, "-o", tmp_path / "out")
    assert code == 1
    assert "FAILS, 0 of 1" in output
    assert "  one is two: it is not" in output
    assert (
        "1 of 1 statements were not shown to hold" in (tmp_path / "out" / "report.html").read_text()
    )


def breaking(folder):
    (folder / "log.txt").write_text("it said no")
    raise SimulationError(f"it said no; all of it is in {folder}/log.txt")


def test_a_tool_that_fails_does_not_hide_the_rest(run, network, tmp_path, monkeypatch):
    def tasks(level, source, scenario, seed, folder):
        yield levels._task("coverage", "all is used", partial(breaking, folder))
        yield from failing()

    monkeypatch.setattr(verify, "spread", one_by_one)
    monkeypatch.setattr(verify, "tasks_of", tasks)
    out = tmp_path / "out"
    assert run("verify", network, "-o", out)[0] == 1
    report = json.loads((out / "report.json").read_text())
    (broken, _) = report["evidence"]
    assert broken["name"] == "all is used"
    assert broken["detail"] == "it said no; all of it is in work/log.txt"
    assert (out / "work" / "log.txt").read_text() == "it said no"


def test_what_the_tests_did_not_reach_is_told(run, network, tmp_path, monkeypatch):
    def partial_coverage(*_):
        (each,) = next(failing()).run().evidence
        each = replace(each, group="coverage", strength=Strength.PARTIAL)
        yield Task("coverage", partial(Finding, (each,), {"coverage.line": ("%", 94.7)}))

    monkeypatch.setattr(verify, "tasks_of", partial_coverage)
    code, output, _ = run("verify", network, "-o", tmp_path / "out")
    assert code == 0
    assert "in part" in output
    assert "  tested in part: one is two: it is not" in output


def test_nothing_is_left_of_what_breaks_off(run, network, tmp_path, monkeypatch):
    def broken(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(verify, "tasks_of", broken)
    before = set(tmp_path.iterdir())
    assert run("verify", network, "-o", tmp_path / "out")[0] == 130
    assert set(tmp_path.iterdir()) == before


def test_tasks_say_what_they_do(tmp_path):
    assert levels.newest_words(tmp_path) == ""
    for age, name in ((2, "one"), (1, "two"), (3, "three")):
        levels._say(tmp_path / name, f"said by {name}")
        os.utime(tmp_path / name / "now.txt", (1000 - age, 1000 - age))
    assert levels.newest_words(tmp_path) == "said by two"


@pytest.mark.parametrize("level", Level)
def test_each_level_says_what_it_leaves_out(level, network, tmp_path, monkeypatch):
    """Each has a task, or a reason, for each kind of evidence; the last leaves out nothing."""
    source = levels.Source(None, (), (), None, "iaf")
    tasks = list(levels.tasks_of(level, source, None, 1, tmp_path))
    omitted = [each for each in tasks if each.run.func is Finding]
    missing = sum(not tool.found for tool in levels.find_simulators().values())
    missing += level is not Level.QUICK and levels.find_prover().found is None
    assert len(omitted) - missing == {Level.QUICK: 7, Level.FULL: 4, Level.SIGNOFF: 0}[level]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "-o must name a folder to write"),
        (("-o", "out", "--simulator", "icarus"), "--simulator has no effect but on a folder"),
        (("-o", "out", "--jobs", 0), "--jobs must be at least 1, not 0"),
        (("-o", "out", "--seed", -1), "--seed must not be negative, but is -1"),
        (("-o", "out", "--level", "most"), "invalid choice: 'most'"),
        (("-o", "out", "--data", "none.npz"), "none.npz must be"),
    ],
)
def test_wrong_options(run, network, monkeypatch, options, words):
    monkeypatch.chdir(network.parent)
    code, output, complaint = run("verify", network, *options)
    assert (code, output) == (2, "")
    assert words in complaint
    assert "Traceback" not in complaint


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--level", "quick"), "--level has no effect on a generated folder; leave it out"),
        (("-o", "out"), "-o has no effect on a generated folder; leave it out"),
        (("--plan", "p.json"), "--plan has no effect on a generated folder; leave it out"),
        (("--lanes", 7), "--lanes=7 has no effect on a generated folder; leave it out"),
        (("--seed", -5), "--seed must not be negative, but is -5"),
    ],
)
def test_options_of_networks_are_not_for_folders(run, folder, option, words):
    code, _, complaint = run("verify", folder, *option)
    assert code == 2
    assert words in complaint


def test_a_file_of_another_kind(run, tmp_path):
    path = tmp_path / "net.json"
    path.touch()
    code, _, complaint = run("verify", path, "-o", tmp_path / "out")
    assert code == 2
    assert f"{path} must be a NIR or TOML file, .nir or .toml, or a folder" in complaint
