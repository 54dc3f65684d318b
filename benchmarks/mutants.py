"""Faults in the digits network's hardware, what of it the tests reach, and how it comes up.

    pip install -e '.[sim,boards,demo]'
    python benchmarks/mutants.py

Single faults are put into the hardware one at a time and its testbench must notice; those that it
does not are tried to be proven to make no difference. Then the same is played with coverage, and in
four values from an unknown state, with resets at random moments.

Takes most of an hour. Writes ``benchmarks/results/mutants.json`` and, beside it,
``mutants_survivors.txt``, ``mutants_coverage.txt`` with all that was not reached, and
``mutants_resets.txt``; with ``--only`` what was asked for, and leaves the rest as it was.
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from figures import RESULTS, Figures, read_figures, write_figures

from spikeloom.cli.digits import DIGITS_LANES, load_digits_demo
from spikeloom.reference.quantize import quantize
from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.sim.bins import Bin, golden_bins
from spikeloom.sim.campaign import campaign, corner_scenarios, reset_stages
from spikeloom.sim.coverage import Coverage, coverage_evidence, measure_coverage
from spikeloom.sim.evidence import Evidence
from spikeloom.sim.mutation import Mutation, mutate_network
from spikeloom.sim.unknowns import check_reset

COUNT = 1200
SEED = 1
SAMPLES = 8
RESETS = 300
PARTS = ("resets", "coverage", "mutants")


def progress(words: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {words}", flush=True)


def mutant_lines(mutation: Mutation) -> Iterator[str]:
    """All survivors, those that are not proven equivalent first."""
    (evidence,) = mutation.evidence()
    yield f"{evidence.name}: {evidence.detail}"
    yield ""
    yield "What noticed how many:"
    for stage, count in Counter(stage for stage, _ in mutation.run.killed.values()).most_common():
        yield f"  {count:5} {stage}"
    yield ""
    yield "Survivors:"
    yield from mutation.lines()


def coverage_lines(coverage: Coverage, bins: Sequence[Bin]) -> Iterator[str]:
    """What was not reached, and what was left out and why."""
    for each in coverage_evidence(coverage, 0.0):
        yield f"{each.name}: {each.detail}"
    yield ""
    yield "Left out:"
    for reason, count in Counter(coverage.excluded.values()).most_common():
        yield f"  {count:5} {reason}"
    yield ""
    yield "Not reached:"
    for point in coverage.missed:
        yield f"  {point.kind} {point.what} in {point.scope}, line {point.line}"
    yield ""
    yield "Situations:"
    for each in bins:
        state = "reached" if each.reached else f"unreachable: {each.unreachable}"
        state = state if each.reached or each.unreachable else "NOT REACHED"
        yield f"  {each.name} ({each.source}): {state}"


def shares(coverage: Coverage, bins: Sequence[Bin]) -> Figures:
    reachable = [each for each in bins if not each.unreachable]
    reached = sum(each.reached for each in reachable)
    return {
        "coverage.line": ("%", coverage.share("line")),
        "coverage.toggle": ("%", coverage.share("toggle")),
        "coverage.functional": ("%", 100 * reached / len(reachable)),
        "coverage.bins": ("situations", len(reachable)),
    }


def scores(mutation: Mutation) -> Figures:
    return {
        "rtl.mutants": ("mutants", len(mutation.run.mutants)),
        "rtl.killed": ("mutants", len(mutation.run.killed)),
        "rtl.equivalent": ("mutants", len(mutation.equivalent)),
        "rtl.mutation_score": ("%", mutation.score),
    }


def reset_lines(evidence: Sequence[Evidence]) -> Iterator[str]:
    for each in evidence:
        yield f"{each.name}: {'passed' if each.passed else 'FAILED'}, {each.detail}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="what to run")
    parser.add_argument("--count", type=int, default=COUNT, help=f"faults (default {COUNT})")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of all chance (default {SEED})")
    parser.add_argument("--work", type=Path, default=Path("build/mutants"), help="working folder")
    parser.add_argument("--output", type=Path, default=RESULTS / "mutants.json")
    arguments = parser.parse_args()

    digits = load_digits_demo()
    top = NetworkTop(quantize(digits.network), DIGITS_LANES)
    scenario = Scenario.of(top.network, digits.stimulus[:SAMPLES])
    work, seed, output = arguments.work.resolve(), arguments.seed, arguments.output
    output.parent.mkdir(parents=True, exist_ok=True)
    figures = read_figures(output)

    def report(part: str, lines: Iterator[str]) -> None:
        path = output.with_name(f"{output.stem}_{part}.txt")
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    if "resets" in arguments.only:
        evidence = check_reset(
            top, scenario, work / "unknown", resets=RESETS, seed=seed, progress=progress
        )
        report("resets", reset_lines(evidence))
        figures["resets"] = ("resets", RESETS)
        figures["resets.failed"] = ("statements", sum(not each.passed for each in evidence))
    if "coverage" in arguments.only:
        more = reset_stages(top, scenario, seed=seed + 1, resets=RESETS)
        stages = [*campaign(top, scenario, seed), *more]
        coverage = measure_coverage(top, stages, work / "coverage", progress)
        read = [scenario.head(1), *corner_scenarios(top, seed)]
        bins = [*golden_bins(top.network, read), *coverage.bins]
        report("coverage", coverage_lines(coverage, bins))
        figures |= shares(coverage, bins)
    if "mutants" in arguments.only:
        mutation = mutate_network(
            top, scenario, work / "mutants", count=arguments.count, seed=seed, progress=progress
        )
        report("survivors", mutant_lines(mutation))
        figures |= scores(mutation)
    write_figures(figures, output)


if __name__ == "__main__":
    main()
