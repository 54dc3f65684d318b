import os
import signal
import subprocess
import sys
import time

import pytest

from spikeloom.cli import generate
from spikeloom.cli.main import main
from spikeloom.sim.runner import SimulationError


def test_version(run):
    code, output, _ = run("--version")
    assert code == 0
    assert output.startswith("spikeloom 0.")


@pytest.mark.parametrize("command", ["demo", "generate", "verify", "build", "doctor"])
def test_every_command_explains_itself(run, command):
    code, output, _ = run(command, "--help")
    assert code == 0
    assert "--json" in output


@pytest.mark.parametrize(
    "arguments",
    [[], ["nonsense"], ["generate", "--lanes"], ["verify"], ["build", "x.toml", "-o", "y"]],
)
def test_wrong_usage_is_one_sentence(run, arguments):
    code, output, complaint = run(*arguments)
    assert code == 2
    assert output == ""
    assert complaint.startswith("spikeloom: ")
    assert complaint.count("\n") == 1
    assert "--help` lists the options" in complaint


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("a wrong value"), 2),
        (SimulationError("no end"), 1),
        (OSError(28, "No space left on device"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes(run, monkeypatch, error, code):
    def fail(*_):
        raise error

    monkeypatch.setattr(generate, "check_output", fail)
    seen, output, complaint = run("generate", "-o", "x")
    assert (seen, output) == (code, "")
    assert complaint.startswith("spikeloom: ")
    assert "Traceback" not in complaint


def test_a_programming_error_is_not_hidden(monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(generate, "check_output", fail)
    with pytest.raises(ZeroDivisionError):
        main(["generate", "-o", "x"])


def test_the_command_is_installed():
    answer = subprocess.run(
        [os.path.join(os.path.dirname(sys.executable), "spikeloom"), "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.startswith("spikeloom 0.")


def test_nothing_heavy_is_imported_before_it_is_needed():
    # A demonstration's extras are no excuse for `spikeloom generate` to fail or to be slow.
    code = "import sys, spikeloom.cli.main; print([m for m in ('sklearn', 'matplotlib', 'cocotb')"
    code += " if m in sys.modules])"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"


def test_an_interrupt_leaves_nothing(tmp_path):
    # A design that takes seconds to write, interrupted as soon as its folder is begun.
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "spikeloom.cli.main", "generate", "--neurons", "4000"),
            *("--samples", "8", "--steps", "64", "-o", str(tmp_path / "out")),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not list(tmp_path.iterdir()):
        time.sleep(0.01)
    assert process.poll() is None, "it was too fast to be interrupted"
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in complaint
    assert "Traceback" not in complaint
    assert list(tmp_path.iterdir()) == []
