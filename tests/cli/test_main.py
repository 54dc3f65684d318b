import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spikeloom.cli import generate
from spikeloom.cli.main import COMMANDS, main
from spikeloom.rtl_gen.output import MARKER
from spikeloom.sim.runner import SimulationError


def test_version(run):
    code, output, _ = run("--version")
    assert code == 0
    assert output.startswith("spikeloom 0.")


@pytest.mark.parametrize("command", COMMANDS)
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
        (MemoryError("Unable to allocate 8.00 TiB"), 1),
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


@pytest.mark.parametrize("command", ["--version", "--help"])
def test_the_version_is_told_at_once(command):
    code = "import sys; sys.argv = ['spikeloom', sys.argv[1]]\ntry:\n"
    code += "    from spikeloom.cli.main import main; main()\n"
    code += "finally:\n    print('numpy' in sys.modules, file=sys.stderr)"
    answer = subprocess.run(
        [sys.executable, "-c", code, command], capture_output=True, text=True, check=True
    )
    assert answer.stderr.strip() == str(command == "--help")


# A design that takes seconds to write.
SLOW = ("generate", "--neurons", "4000", "--samples", "8", "--steps", "64")


def _start(*arguments):
    """Start the command and wait until Python itself has started."""
    code = "from spikeloom.cli.main import main; print('started', flush=True); exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "started\n"
    return process


def _interrupted(process, number):
    """Send a signal and give the answer, when no child is left."""
    children = _children(process.pid)
    process.send_signal(number)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert complaint.endswith("spikeloom: interrupted; nothing half-written is left\n")
    assert "Traceback" not in complaint
    # A child's child ends on its own, a moment later.
    end = time.monotonic() + 10
    while any(map(_runs, children)) and time.monotonic() < end:
        time.sleep(0.01)
    assert [child for child in children if _runs(child)] == []


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _children(pid):
    """All processes below one."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found += [int(child), *_children(child)]
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_leaves_nothing(tmp_path, number):
    # As soon as the folder is begun.
    process = _start(*SLOW, "-o", tmp_path / "out")
    while process.poll() is None and not list(tmp_path.iterdir()):
        time.sleep(0.01)
    assert process.poll() is None, "it was too fast to be interrupted"
    _interrupted(process, number)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("seconds", [0.05, 0.15, 0.3, 0.6, 1.2])
def test_an_interrupt_at_any_moment(tmp_path, number, seconds):
    """While modules are imported, vectors are computed, Yosys runs."""
    process = _start(*SLOW, "-o", tmp_path / "out")
    time.sleep(seconds)
    assert process.poll() is None, "it was too fast to be interrupted"
    _interrupted(process, number)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="icarus was not found")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["start", "child"])
def test_an_interrupt_ends_the_simulator(run, tmp_path, number, moment):
    out = tmp_path / "out"
    size = ("--neurons", 64, "--samples", 8, "--steps", 64)
    assert run("generate", *size, "-o", out)[0] == 0
    process = _start("verify", out, "--simulator", "icarus")
    time.sleep(0.2)
    while moment == "child" and process.poll() is None and len(_children(process.pid)) < 2:
        time.sleep(0.01)
    assert process.poll() is None, "it was too fast to be interrupted"
    _interrupted(process, number)
    assert not (out / "results.xml").exists()
    assert [path for path in tmp_path.rglob(".*") if path.name != MARKER] == []


def test_a_second_signal_does_not_interrupt_the_clean_up(monkeypatch):
    cleaned = []

    def fail(*_):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            cleaned.append(True)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(generate, "check_output", fail)
    assert main(["generate", "-o", "x"]) == 130
    assert cleaned == [True]
    assert signal.getsignal(signal.SIGTERM) is before
