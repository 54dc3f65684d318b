"""Runs proofs with SymbiYosys."""

import re
import subprocess
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import amaranth.back.rtlil as rtlil
from amaranth.hdl import Assume, Fragment, ResetSignal

from spikeloom.sim.formal.proof import Method, Outcome, Proof, Verdict
from spikeloom.sim.formal.tools import SOLVER, write_environment

__all__ = ["run_proof", "run_proofs"]

_PASS, _FAIL, _UNKNOWN, _TIMEOUT = 0, 2, 4, 8
"""Codes with which SymbiYosys ends."""
_ASSERTION = re.compile(r'parameter \\FLAVOR "assert"')


def run_proofs(
    proofs: Iterable[Proof], folder: Path, *, timeout: float = 600, jobs: int = 1
) -> Iterator[Outcome]:
    """Run proofs, and give what came of each, in their order.

    Parameters
    ----------
    proofs
        What to prove.
    folder
        Where files may be written; each proof has a folder in it, with a counterexample if there
        is one.
    timeout
        Seconds after which a proof is given up.
    jobs
        How many run at once.

    Raises
    ------
    ValueError
        If a proof asserts nothing, which would hold of anything.
    """
    with ThreadPoolExecutor(jobs) as pool:
        # Circuits are made here, one after the other: making them is not for several threads.
        tasks = (
            (proof, _write(proof, folder / f"{number:03}")) for number, proof in enumerate(proofs)
        )
        yield from pool.map(lambda task: _run(task[0], task[1], timeout), tasks)


def run_proof(proof: Proof, folder: Path, *, timeout: float = 600) -> Outcome:
    """Run a proof; as :func:`run_proofs`."""
    return _run(proof, _write(proof, folder), timeout)


def _write(proof: Proof, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "top.il").write_text(_circuit(proof), encoding="utf-8")
    (folder / "proof.sby").write_text(_script(proof), encoding="utf-8")
    return folder


def _circuit(proof: Proof) -> str:
    claim = proof.claim()
    if not proof.resets:
        claim.module.d.comb += Assume(~ResetSignal(allow_reset_less=True), "no reset comes")
    fragment = Fragment.get(claim.module, None)
    circuit = rtlil.convert(fragment, name="top", ports=list(claim.inputs), emit_src=False)
    if not _ASSERTION.search(circuit):
        raise ValueError(f"a proof must assert something; {proof.name!r} does not")
    return circuit


def _script(proof: Proof) -> str:
    mode = "prove" if proof.method is Method.INDUCTION else "bmc"
    forget = ["delete t:$meminit t:$meminit_v2"] if proof.any_memory else []
    return "\n".join(
        (
            "[options]",
            f"mode {mode}",
            f"depth {proof.depth}",
            "[engines]",
            f"smtbmc {SOLVER}",
            "[script]",
            "read_rtlil top.il",
            *forget,
            "prep -top top",
            "[files]",
            "top.il",
            "",
        )
    )


def _run(proof: Proof, folder: Path, timeout: float) -> Outcome:
    begin = time.monotonic()
    code, log = _call(folder, timeout)
    seconds = time.monotonic() - begin
    verdict = {
        _PASS: Verdict.PROVEN,
        _FAIL: Verdict.FAILED,
        _UNKNOWN: Verdict.UNKNOWN,
        _TIMEOUT: Verdict.TIMEOUT,
    }.get(code, Verdict.ERROR)
    found = re.search(r"failed assertion \S*_witness_\.check_(\d+) at(?:\s+step (\d+))?", log)
    trace = next((folder / "work" / "engine_0").glob("trace*.vcd"), None)
    return Outcome(
        proof=proof,
        verdict=verdict,
        # It says nothing of the first cycle.
        cycle=int(found[2] or 0) if found and verdict is Verdict.FAILED else None,
        broken=_message(folder, found[1]) if found else "",
        trace=trace,
        seconds=seconds,
        log=log,
    )


def _message(folder: Path, number: str) -> str:
    """The message of an assertion, which SymbiYosys knows by its number."""
    circuit = (folder / "top.il").read_text(encoding="utf-8")
    found = re.search(rf'cell \$check \${number}\n\s*parameter \\FORMAT "(.*)"', circuit)
    return found[1] if found else ""


def _call(folder: Path, timeout: float) -> tuple[int, str]:
    """Run SymbiYosys in a folder, whose files it is given by relative names.

    Its tools are WebAssembly that sees the current folder and little more. The time is kept here
    too, since it looks at its own only now and then.
    """
    command = ["yowasp-sby", "-f", "-j", "1", "-d", "work", "proof.sby"]
    with subprocess.Popen(
        command,
        cwd=folder,
        env=write_environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            log, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            return _TIMEOUT, _end(process)
        except BaseException:
            _end(process)
            raise
    return process.returncode, log


def _end(process: subprocess.Popen[str]) -> str:
    """End SymbiYosys, which ends its tools when asked to: they are no children of ours."""
    process.terminate()
    try:
        log, _ = process.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        log, _ = process.communicate()
    return log
