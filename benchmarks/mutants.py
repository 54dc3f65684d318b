"""Faults in the digits network's hardware, what of it the tests reach, and how it comes up.

    pip install -e '.[sim,boards,demo]'
    python benchmarks/mutants.py

Single faults are put into the hardware one at a time and its testbench must notice; those that it
does not are tried to be proven to make no difference. Then the same is played with coverage, and in
four values from an unknown state, with resets at random moments.

Takes most of an hour. Writes ``benchmarks/results/mutants.json`` and, beside it, ``mutants.txt``
with all survivors and all that was not reached.
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from figures import RESULTS, Figures, write_figures

from spikeloom.cli.digits import DIGITS_LANES, load_digits_demo
from spikeloom.reference.quantize import quantize
from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.sim.bins import Bin, golden_bins
from spikeloom.sim.campaign import campaign, corner_scenarios
from spikeloom.sim.coverage import Coverage, coverage_evidence, measure_coverage
from spikeloom.sim.evidence import Evidence
from spikeloom.sim.mutation import Mutation, mutate_network
from spikeloom.sim.unknowns import check_reset

COUNT = 1200
SEED = 1
SAMPLES = 8


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


def figures_of(mutation: Mutation, coverage: Coverage, bins: Sequence[Bin]) -> Figures:
    reachable = [each for each in bins if not each.unreachable]
    reached = sum(each.reached for each in reachable)
    return {
        "rtl.mutants": ("mutants", len(mutation.run.mutants)),
        "rtl.killed": ("mutants", len(mutation.run.killed)),
        "rtl.equivalent": ("mutants", len(mutation.equivalent)),
        "rtl.mutation_score": ("%", mutation.score),
        "coverage.line": ("%", coverage.share("line")),
        "coverage.toggle": ("%", coverage.share("toggle")),
        "coverage.functional": ("%", 100 * reached / len(reachable)),
        "coverage.bins": ("situations", len(reachable)),
    }


def reset_lines(evidence: Sequence[Evidence]) -> Iterator[str]:
    for each in evidence:
        yield f"{each.name}: {'passed' if each.passed else 'FAILED'}, {each.detail}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=COUNT, help=f"faults (default {COUNT})")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of all chance (default {SEED})")
    parser.add_argument("--work", type=Path, default=Path("build/mutants"), help="working folder")
    parser.add_argument("--output", type=Path, default=RESULTS / "mutants.json")
    arguments = parser.parse_args()

    digits = load_digits_demo()
    top = NetworkTop(quantize(digits.network), DIGITS_LANES)
    scenario = Scenario.of(top.network, digits.stimulus[:SAMPLES])
    work, seed = arguments.work.resolve(), arguments.seed

    unknown = check_reset(top, scenario, work / "unknown", seed=seed, progress=progress)
    coverage = measure_coverage(
        top, campaign(top, scenario, seed), work / "coverage", progress=progress
    )
    read = [scenario.head(1), *corner_scenarios(top, seed)]
    bins = [*golden_bins(top.network, read), *coverage.bins]
    mutation = mutate_network(
        top, scenario, work / "mutants", count=arguments.count, seed=seed, progress=progress
    )
    parts = (reset_lines(unknown), mutant_lines(mutation), coverage_lines(coverage, bins))
    text = "\n\n".join("\n".join(part) for part in parts)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.with_suffix(".txt").write_text(text + "\n", encoding="utf-8")
    write_figures(figures_of(mutation, coverage, bins), arguments.output)
    print(*reset_lines(unknown), sep="\n")


if __name__ == "__main__":
    main()
