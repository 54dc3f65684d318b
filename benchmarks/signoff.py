"""Runs all that shows that the hardware can be trusted: what a maintainer runs before a release.

    pip install -e '.[dev,mutants]'
    python benchmarks/signoff.py                # everything, some hours
    python benchmarks/signoff.py --only cases   # one part, or several

``digits``: ``spikeloom verify --level signoff`` of the digits network. ``proofs``: those of
``proofs.py``. ``golden``: the mutants of the golden model, of ``golden_mutants.py``. ``cases``:
random networks of all profiles in both simulators. ``planted``: bugs in the golden model, in the
hardware and in the testbench. ``verilog``: that it is the same bytes from all Pythons found, with
two seeds of their hashes.

Writes ``benchmarks/results/signoff.json``, each part with its date and commit; beside it the folder
``signoff``, the report of the digits network, and the table of ``docs/trust.md``. Ends with 1 if a
goal is missed.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

from boards_tables import put_tables
from figures import CHECKOUT, RESULTS, Figures, merge_figures, read_figures, write_figures
from signoff_tables import DOCS, tables

from spikeloom.cli.digits import load_digits_demo, write_design

OUTPUT = RESULTS / "signoff.json"
REPORT = RESULTS / "signoff"
WORK = CHECKOUT / "build" / "signoff"
CASES = 1000
"""In each simulator."""
STIMULI = 4
"""Cases that share a network, as in ``tests/helpers/random_cases.py``."""
LEAST = {
    "rtl.mutants": 1000,
    "rtl.mutation_score": 98,
    "golden.mutants": 400,
    "golden.mutation_score": 90,
    "coverage.line": 95,
    "coverage.toggle": 90,
    "coverage.functional": 100,
    "equivalence.cases.icarus": CASES,
    "equivalence.cases.verilator": CASES,
    "planted_bugs": 9,
    "proofs.inductive": 200,
    "proofs.bounded": 5,
    "proofs.planted_bugs": 200,
    "verilog.pythons": 2,
}
NONE = ("digits.failed", "equivalence.mismatches", "proofs.failed", "verilog.different")
PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.14")


def call(part: str, *command: str) -> None:
    """Run a command in the checkout, and keep what it says."""
    log_path = WORK / f"{part}.txt"
    print(f"{part}: what it says goes to {log_path.relative_to(CHECKOUT)}", flush=True)
    with log_path.open("w", encoding="utf-8") as log:
        subprocess.run(command, cwd=CHECKOUT, stdout=log, check=False)


def digits(jobs: int, folder: Path) -> None:
    design = write_design(load_digits_demo(), folder).relative_to(CHECKOUT)
    spikeloom = str(Path(sys.executable).with_name("spikeloom"))
    options = [f"--data={design.with_name('test.npz')}", f"--jobs={jobs}"]
    output = str(REPORT.relative_to(CHECKOUT))
    # What it says must be of now.
    shutil.rmtree(REPORT, ignore_errors=True)
    call("digits", spikeloom, "verify", str(design), "--level=signoff", *options, "-o", output)
    plain = json.loads((REPORT / "report.json").read_text(encoding="utf-8"))
    own = ("rtl.", "coverage.")
    figures: Figures = {
        each["name"]: (each["unit"], each["value"])
        for each in plain["figures"]
        if each["name"].startswith(own)
    }
    outcomes = Counter((each["strength"], each["passed"]) for each in plain["evidence"])
    proven = ("inductive", "bounded")
    figures["digits.proven"] = "count", sum(outcomes[each, True] for each in proven)
    figures["digits.tested"] = "count", outcomes["tested", True]
    figures["digits.failed"] = "count", sum(outcomes[e, False] for e in ("tested", *proven))
    merge_figures("digits", figures, OUTPUT)


def script(part: str, name: str, *options: str) -> None:
    """Run a benchmark that writes its part itself."""
    # What it writes must be of now.
    old = read_figures(OUTPUT)
    write_figures({k: v for k, v in old.items() if not k.startswith(f"{part}.")}, OUTPUT)
    call(part, sys.executable, str(Path(__file__).with_name(name)), *options)


def tests(part: str, name: str, jobs: int, folder: Path, *options: str) -> list[tuple[str, bool]]:
    """Run a file of tests: for each test its name and whether it has passed."""
    results = folder / "junit.xml"
    pytest = [sys.executable, "-m", "pytest", f"tests/sim/{name}", "-q", f"-n{jobs}"]
    call(part, *pytest, f"--junitxml={results}", *options)
    cases = ElementTree.parse(results).iter("testcase")
    return [(case.attrib["name"], not len(case)) for case in cases]


def cases(jobs: int, folder: Path) -> None:
    found = tests("cases", "test_random_cases.py", jobs, folder, f"--cases={CASES}")
    figures: Figures = {"equivalence.mismatches": ("tests", sum(not passed for _, passed in found))}
    for simulator in ("icarus", "verilator"):
        networks = sum(simulator in name and passed for name, passed in found)
        figures[f"equivalence.cases.{simulator}"] = "cases", STIMULI * networks
        figures[f"equivalence.networks.{simulator}"] = "networks", networks
    merge_figures("equivalence", figures, OUTPUT)


def planted(jobs: int, folder: Path) -> None:
    found = tests("planted", "test_planted_bugs.py", jobs, folder)
    bugs = [passed for name, passed in found if name.startswith("test_a_planted_bug")]
    merge_figures(
        "planted",
        {"planted_bugs": ("bugs", len(bugs)), "planted_bugs_caught": ("bugs", sum(bugs))},
        OUTPUT,
    )


def verilog(_: int, folder: Path) -> None:
    """Generate the digits network's Verilog again and again, in environments of their own."""
    design = write_design(load_digits_demo(), folder)
    digests, versions = [], 0
    for name in PYTHONS:
        version = [shutil.which(name) or "false", "--version"]
        # A name may stand for a version that is not there.
        if subprocess.run(version, capture_output=True, check=False).returncode:
            continue
        versions += 1
        binaries = folder / name / "bin"
        subprocess.run([name, "-m", "venv", folder / name], check=True)
        install = [binaries / "python", "-m", "pip", "install", "--quiet", CHECKOUT]
        subprocess.run(install, check=True)
        for seed in ("1", "2"):
            output = folder / f"{name}-{seed}"
            generate = [binaries / "spikeloom", "generate", design, "-o", output]
            environment = os.environ | {"PYTHONHASHSEED": seed}
            subprocess.run(generate, env=environment, stdout=subprocess.DEVNULL, check=True)
            digests.append(hashlib.sha256(next(output.glob("*.v")).read_bytes()).hexdigest())
    figures: Figures = {
        "verilog.pythons": ("versions", versions),
        "verilog.times": ("times", len(digests)),
        "verilog.different": ("texts", len(set(digests)) - 1),
        "verilog.digest": ("SHA-256", digests[0]),
    }
    merge_figures("verilog", figures, OUTPUT)


PARTS: dict[str, Callable[[int, Path], None]] = {
    "verilog": verilog,
    "planted": planted,
    "cases": cases,
    "proofs": lambda jobs, _: script("proofs", "proofs.py", f"--jobs={jobs}"),
    "golden": lambda _, __: script("golden", "golden_mutants.py"),
    "digits": digits,
}


def missed(figures: Figures) -> list[str]:
    """Goals that are missed, in words."""
    least: dict[str, float] = dict(LEAST)
    for bugs in ("planted_bugs", "proofs.planted_bugs"):
        least[f"{bugs}_caught"] = float(figures.get(bugs, ("", 1))[1])
    most = dict.fromkeys(NONE, 0)
    values = {name: figures[name][1] if name in figures else None for name in least | most}
    return [
        f"{name} is {value}, not {least.get(name, 0)}"
        for name, value in values.items()
        if value is None or value < least.get(name, 0) or value > most.get(name, value)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=tuple(PARTS))
    parser.add_argument("--jobs", type=int, default=2, help="at once (%(default)s)")
    args = parser.parse_args()
    for part in args.only:
        folder = WORK / part
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        PARTS[part](args.jobs, folder)
    put_tables(tables(read_figures(OUTPUT)), DOCS)
    if goals := missed(read_figures(OUTPUT)):
        sys.exit("\n".join(("goals are missed:", *goals)))


if __name__ == "__main__":
    main()
