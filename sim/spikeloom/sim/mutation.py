"""How much of what can be wrong with a network's hardware its testbench notices."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.sim.campaign import campaign
from spikeloom.sim.evidence import Evidence, Strength
from spikeloom.sim.mutants import Mutant, MutantRun, Proof, kill_mutants, sample_mutants, write_flat
from spikeloom.sim.runner import SimulationError
from spikeloom.sim.tools import find_solver

__all__ = ["GOAL", "Mutation", "mutate_network"]

GOAL = 98.0
"""Per cent of the mutants not proven equivalent that must be killed."""


@dataclass(frozen=True, eq=False)
class Mutation:
    """What became of the mutants of a network.

    Attributes
    ----------
    run
        What the testbench made of them.
    proofs
        For the number of each survivor, and perhaps of others, what became of the proof that it is
        equivalent.
    seed, seconds
        Of the draw; how long all took.
    """

    run: MutantRun
    proofs: Mapping[int, Proof]
    seed: int
    seconds: float

    @property
    def equivalent(self) -> tuple[Mutant, ...]:
        """Survivors that are proven never to make a difference."""
        return tuple(each for each in self.run.survivors if self.proofs[each.number].equivalent)

    @property
    def missed(self) -> tuple[Mutant, ...]:
        """Survivors that are not."""
        return tuple(each for each in self.run.survivors if not self.proofs[each.number].equivalent)

    @property
    def score(self) -> float:
        """Per cent killed of those that are not proven equivalent."""
        counted = len(self.run.mutants) - len(self.equivalent)
        return 100 * len(self.run.killed) / counted

    def lines(self) -> Iterator[str]:
        """All survivors: where they are, which lines of the generator made the cell, and why."""
        for each in sorted(self.run.survivors, key=lambda m: self.proofs[m.number].equivalent):
            proof = self.proofs[each.number]
            yield f"{each.number}. {each}"
            yield f"    made by {', '.join(each.sources) or 'a switch of several lines'}"
            yield f"    {'equivalent' if proof.equivalent else 'NOT KILLED'}: {proof.how}"

    def evidence(self) -> list[Evidence]:
        """What it says of the testbench."""
        killed, equivalent = len(self.run.killed), len(self.equivalent)
        return [
            Evidence(
                group="mutants",
                name=f"the testbench notices {GOAL:g} % of single faults",
                strength=Strength.TESTED,
                passed=self.score >= GOAL,
                detail=f"{self.score:.2f} %: of {len(self.run.mutants)} faults {killed} are"
                f" noticed ({len(self.run.crashed)} by a crash of the simulation), {equivalent}"
                f" are proven to make no difference, {len(self.missed)} are neither",
                repeat=f"seed {self.seed}",
                seconds=self.seconds,
            )
        ]


def mutate_network(
    top: NetworkTop,
    scenario: Scenario,
    folder: Path,
    *,
    count: int = 1000,
    seed: int = 1,
    progress: Callable[[str], None] = lambda words: None,
) -> Mutation:
    """Put faults into a network's hardware, one at a time, and see which its testbench notices.

    Parameters
    ----------
    top
        The design.
    scenario
        Ordinary data, of which the first samples are used.
    folder
        Where it is built and run.
    count
        How many faults; fewer where there are no more.
    seed
        Of the draw of faults, and of all chance in what is played.
    progress
        Is called with words on what is going on.

    Raises
    ------
    SimulationError
        If Verilator, yosys or Bitwuzla is missing, the design without a fault is noticed, or there
        is no fault that could be.
    """
    solver = find_solver()
    if solver.found is None:
        raise SimulationError(f"{solver.name} was not found; to get it: {solver.remedy}")
    # Its module cannot be imported where Bitwuzla is missing.
    from spikeloom.sim.equivalence import prove_equivalent

    start = monotonic()
    write_flat(top, folder)
    mutants = sample_mutants(folder, count, seed)
    if not mutants:
        raise SimulationError("yosys must draw faults of the design, but it drew none")
    stages = campaign(top, scenario, seed)
    run = kill_mutants(top, mutants, [each for each in stages if not each.long], folder, progress)
    proofs = prove_equivalent(run.survivors, folder, progress)
    # A proof takes less than a second, a stage that is long many.
    unproven = [each for each in run.survivors if not proofs[each.number].equivalent]
    if unproven:
        long = [each for each in stages if each.long]
        run = run.followed_by(kill_mutants(top, unproven, long, folder, progress))
    found = Mutation(run, proofs, seed, monotonic() - start)
    if len(found.equivalent) == len(mutants):
        raise SimulationError(
            f"a fault must make a difference, but all {len(mutants)} are proven to make none; draw"
            " more"
        )
    return found
