"""What is done to a network on each level of its verification, as independent tasks."""

import enum
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic

import numpy as np

from spikeloom.boards.family import Family
from spikeloom.boards.netlist import NETLISTS, check_netlist
from spikeloom.reference.network import FixedNetwork
from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.output import write_whole
from spikeloom.rtl_gen.protection import Protection
from spikeloom.rtl_gen.weights import WeightStore
from spikeloom.sim.bins import Bin, golden_bins
from spikeloom.sim.campaign import campaign, corner_scenarios
from spikeloom.sim.coverage import coverage_evidence, measure_coverage
from spikeloom.sim.engine import run_engine
from spikeloom.sim.evidence import Evidence, Strength
from spikeloom.sim.formal.prove import prove_network
from spikeloom.sim.formal.tools import find_prover
from spikeloom.sim.mutation import mutate_network
from spikeloom.sim.runner import SimulationError
from spikeloom.sim.tools import Tool, find_simulators, find_solver
from spikeloom.sim.unknowns import check_reset
from spikeloom.sim.upset_player import find_compiler
from spikeloom.sim.upsets import inject
from spikeloom.sim.yosys import find_yosys

__all__ = ["Finding", "Level", "Source", "Task", "newest_words", "tasks_of"]

_NOW = "now.txt"
"""File in which a task says what it is doing."""
GAPS = (0, 40, 128, 220)
"""Of 256 cycles, how many are idle at the input and how many refuse the output, in turn."""


class Level(enum.Enum):
    """How thoroughly a network is verified."""

    QUICK = "quick"
    """Equality and some resets: some minutes."""
    FULL = "full"
    """Proofs, coverage and some planted faults too: half an hour."""
    SIGNOFF = "signoff"
    """A thousand planted faults, netlists and flipped bits too: some hours."""


@dataclass(frozen=True, eq=False)
class Source:
    """A network's hardware, as another process can make it again.

    Attributes
    ----------
    network, lanes, stores, protection
        As :class:`~spikeloom.rtl_gen.network.NetworkTop`'s.
    profile
        Name of the profile.
    """

    network: FixedNetwork
    lanes: tuple[int, ...]
    stores: tuple[WeightStore, ...]
    protection: Protection
    profile: str

    def top(self) -> NetworkTop:
        """The hardware, anew."""
        return NetworkTop(self.network, self.lanes, self.stores, protection=self.protection)

    @classmethod
    def of(cls, top: NetworkTop, profile: str) -> "Source":
        """What makes a network's hardware again."""
        return cls(
            top.network,
            tuple(each.lanes for each in top.populations),
            tuple(each.weights.store for each in top.populations),
            top.protection,
            profile,
        )


@dataclass(frozen=True)
class Finding:
    """What comes of a task.

    Attributes
    ----------
    evidence
        What it found.
    figures
        Unit and value of each number, by name.
    """

    evidence: tuple[Evidence, ...]
    figures: dict[str, tuple[str, float]]


@dataclass(frozen=True)
class Task:
    """Something to do.

    Attributes
    ----------
    title
        What it is, in some words.
    run
        Does it; can be pickled.
    """

    title: str
    run: Callable[[], Finding]


@dataclass(frozen=True)
class _Effort:
    """How much of what can be repeated is done.

    Attributes
    ----------
    stimuli
        Random stimuli in the fastest simulator, beside the data and the corners; in another one a
        tenth of them, without corners, and two samples of the data.
    proofs
        Whether all is proven that can be.
    mutants, upsets
        How many faults are planted, and how many bits of each kind flip; 0 for none.
    netlists
        Whether netlists are played.
    resets
        How often it is reset in the middle of something.
    """

    stimuli: int
    proofs: bool
    mutants: int
    upsets: int
    netlists: bool
    resets: int


_EFFORTS = {
    Level.QUICK: _Effort(stimuli=4, proofs=False, mutants=0, upsets=0, netlists=False, resets=4),
    Level.FULL: _Effort(stimuli=40, proofs=True, mutants=250, upsets=0, netlists=False, resets=40),
    Level.SIGNOFF: _Effort(
        stimuli=200, proofs=True, mutants=1000, upsets=300, netlists=True, resets=200
    ),
}


def newest_words(folder: Path) -> str:
    """What one of the tasks that work in a folder has last said of itself, if one has."""
    said = max(folder.glob(f"*/{_NOW}"), key=lambda path: path.stat().st_mtime_ns, default=None)
    return "" if said is None else said.read_text(encoding="utf-8")


def _say(folder: Path, words: str) -> None:
    """Tell who waits what is being done; the task may be on another machine."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / _NOW, words)


def tasks_of(
    level: Level, source: Source, scenario: Scenario, seed: int, folder: Path
) -> Iterator[Task]:
    """What is to be done; what a level leaves out, and what lacks its tool, is a task that says so.

    Parameters
    ----------
    level
        How thoroughly.
    source
        The network.
    scenario
        Ordinary data.
    seed
        Of all chance.
    folder
        Where the tasks work, each in a folder of its own.
    """
    effort = _EFFORTS[level]
    simulators = find_simulators()
    tools = simulators["verilator"], find_yosys()
    slow = False
    for name, tool in simulators.items():
        title = f"the Verilog equals the golden model in {name.capitalize()}"
        stimuli = 1 + effort.stimuli // 10 if slow else effort.stimuli
        work = partial(_equality, source, scenario, name, slow, stimuli, seed, folder / name)
        yield _task("equality", title, work, tool)
        slow = slow or tool.found is not None
    yield from _faults(effort, source, scenario, seed, folder, tools)
    title = "a reset at any time leaves nothing behind"
    work = partial(_reset, source, scenario, effort.resets, seed, folder / "reset")
    yield _task("reset", title, work, simulators["icarus"])
    title = "neurons, streams and queues are proven"
    if effort.proofs:
        yield _task("proofs", title, partial(_prove, source, folder / "proofs"), find_prover())
    else:
        yield _omitted("proofs", title, _left_out(Level.FULL))
    for family in NETLISTS:
        title = f"the netlist for {family.name} equals the golden model"
        if effort.netlists:
            place = folder / f"netlist_{family.name.lower()}"
            work = partial(_netlist, source, scenario, family, place)
            yield _task("netlists", title, work, *tools)
        else:
            yield _omitted("netlists", title, _left_out(Level.SIGNOFF))


def _faults(
    effort: _Effort,
    source: Source,
    scenario: Scenario,
    seed: int,
    folder: Path,
    tools: Sequence[Tool],
) -> Iterator[Task]:
    coverage, mutants = "the hardware is used", "planted faults are noticed"
    if effort.mutants:
        work = partial(_mutants, source, scenario, effort.mutants, seed, folder / "mutants")
        yield _task("mutants", mutants, work, *tools, find_solver())
        work = partial(_coverage, source, scenario, seed, folder / "coverage")
        yield _task("coverage", coverage, work, *tools)
    else:
        yield _omitted("coverage", coverage, _left_out(Level.FULL))
        yield _omitted("mutants", mutants, _left_out(Level.FULL))
    upsets = "what becomes of bits that flip"
    if effort.upsets:
        work = partial(_upsets, source, scenario, effort.upsets, seed, folder / "upsets")
        yield _task("upsets", upsets, work, find_compiler())
    else:
        yield _omitted("upsets", upsets, _left_out(Level.SIGNOFF))


def _task(group: str, title: str, work: Callable[[], Finding], *tools: Tool) -> Task:
    """A task, or where one of its tools is missing one that says so."""
    for tool in tools:
        if tool.found is None:
            return _omitted(group, title, f"{tool.name} was not found; to get it: {tool.remedy}")
    return Task(title, partial(_attempt, group, title, work))


def _attempt(group: str, title: str, work: Callable[[], Finding]) -> Finding:
    """What comes of it, a tool that fails included: that must not hide what others find."""
    try:
        return work()
    except SimulationError as error:
        evidence = Evidence(
            group=group, name=title, strength=Strength.TESTED, passed=False, detail=str(error)
        )
        return Finding((evidence,), {})


def _left_out(level: Level) -> str:
    return f"only from --level {level.value} on"


def _omitted(group: str, name: str, why: str) -> Task:
    evidence = Evidence(group=group, name=name, strength=Strength.OMITTED, passed=False, detail=why)
    return Task(name, partial(Finding, (evidence,), {}))


def _equality(
    source: Source,
    scenario: Scenario,
    engine: str,
    slow: bool,
    stimuli: int,
    seed: int,
    folder: Path,
) -> Finding:
    """The data, the corners, and random stimuli, with and without back-pressure."""
    top = source.top()
    evidence = []
    name = engine.capitalize()
    played = {"the data": [scenario.head(2) if slow else scenario]}
    if not slow:
        played["corners of the network and of its potentials"] = list(corner_scenarios(top, seed))
    random = list(_random_scenarios(source, scenario, stimuli, seed))
    played[f"random stimuli, {stimuli}"] = random
    for title, parts in played.items():
        _say(folder, f"{name}: {title}")
        start = monotonic()
        difference, words = "", 0
        for k, part in enumerate(parts):
            gap = GAPS[k % len(GAPS)]
            run = run_engine(engine, top, part, folder, profile=source.profile, gap=gap)
            words += sum(each.size for each in (*part.outputs.values(), *part.membrane))
            if not run.equal:
                difference = f"; stimulus {k}, gap {gap}: {run.difference}"
                break
        evidence.append(
            Evidence(
                group="equality",
                name=f"the Verilog equals the golden model in {name}: {title}",
                strength=Strength.TESTED,
                passed=not difference,
                detail=f"{words:,} outputs and membrane potentials compared{difference}",
                repeat=f"seed {seed}",
                seconds=monotonic() - start,
            )
        )
    cases = f"equivalence.cases.{engine}"
    return Finding(tuple(evidence), {cases: ("count", sum(map(len, played.values())))})


def _random_scenarios(
    source: Source, scenario: Scenario, count: int, seed: int
) -> Iterator[Scenario]:
    """Stimuli from silence to all inputs at their ends, as long as the data."""
    samples, steps = 2, min(32, scenario.stimulus.shape[1])
    for k in range(count):
        rng = _generator(seed, k)
        density = rng.choice([0.05, 0.3, 0.7, 1.0])
        inputs = {}
        for name, entry in source.network.inputs.items():
            shape = (samples, steps, *entry.shape)
            values = rng.integers(entry.low, entry.high + 1, shape)
            inputs[name] = values * (rng.random(shape) < density)
        yield Scenario.of(source.network, inputs)


def _generator(seed: int, number: int) -> np.random.Generator:
    return np.random.default_rng([seed, number])


def _reset(source: Source, scenario: Scenario, resets: int, seed: int, folder: Path) -> Finding:
    say = partial(_say, folder)
    found = check_reset(source.top(), scenario, folder, resets=resets, seed=seed, progress=say)
    return Finding(tuple(found), {})


def _prove(source: Source, folder: Path) -> Finding:
    found = []
    for each in prove_network(source.top(), folder):
        found.append(each)
        _say(folder, f"{len(found)} proofs")
    counts = {
        "inductive": sum(each.strength is Strength.INDUCTIVE and each.passed for each in found),
        "bounded": sum(each.strength is Strength.BOUNDED and each.passed for each in found),
        "failed": sum(each.fails for each in found),
    }
    return Finding(tuple(found), {f"proofs.{name}": ("count", n) for name, n in counts.items()})


def _coverage(source: Source, scenario: Scenario, seed: int, folder: Path) -> Finding:
    top = source.top()
    start = monotonic()
    stages = campaign(top, scenario, seed)
    coverage = measure_coverage(top, stages, folder, partial(_say, folder))
    played = [scenario.head(1), *corner_scenarios(top, seed)]
    situations = golden_bins(top.network, played)
    evidence = coverage_evidence(coverage, situations, f"seed {seed}", monotonic() - start)
    bins = [*situations, *coverage.bins]
    text = "\n".join((*coverage.lines(), "Situations:", *map(_bin_line, bins)))
    (folder / "coverage.txt").write_text(text + "\n", encoding="utf-8")
    reachable = [each for each in bins if not each.unreachable]
    share = 100 * sum(each.reached for each in reachable) / len(reachable)
    figures = {f"coverage.{kind}": ("%", coverage.share(kind)) for kind in ("line", "toggle")}
    figures |= {"coverage.functional": ("%", share)}
    return Finding(_listed(evidence, "coverage.txt"), figures)


def _listed(evidence: Iterable[Evidence], name: str) -> tuple[Evidence, ...]:
    """Evidence that says where its particulars are."""
    return tuple(replace(each, detail=f"{each.detail}; all in {name}") for each in evidence)


def _bin_line(situation: Bin) -> str:
    state = "reached" if situation.reached else "NOT REACHED"
    if situation.unreachable and not situation.reached:
        state = f"left out: {situation.unreachable}"
    return f"  {situation.name} ({situation.source}): {state}"


def _mutants(source: Source, scenario: Scenario, count: int, seed: int, folder: Path) -> Finding:
    say = partial(_say, folder)
    found = mutate_network(source.top(), scenario, folder, count=count, seed=seed, progress=say)
    (folder / "survivors.txt").write_text("\n".join(found.lines()) + "\n", encoding="utf-8")
    figures = {
        "rtl.mutants": ("count", float(len(found.run.mutants))),
        "rtl.killed": ("count", float(len(found.run.killed))),
        "rtl.equivalent": ("count", float(len(found.equivalent))),
        "rtl.mutation_score": ("%", found.score),
    }
    return Finding(_listed(found.evidence(), "survivors.txt"), figures)


def _upsets(source: Source, scenario: Scenario, count: int, seed: int, folder: Path) -> Finding:
    say = partial(_say, folder)
    found = inject(source.top(), scenario, folder, count=count, seed=seed, progress=say)
    return Finding(tuple(found.evidence()), found.figures())


def _netlist(source: Source, scenario: Scenario, family: Family, folder: Path) -> Finding:
    found = check_netlist(source.top(), family, scenario.head(20), folder, profile=source.profile)
    return Finding((found,), {})
