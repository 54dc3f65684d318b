"""Change the golden model in one place at a time, and count how often its tests notice.

    pip install -e '.[mutants]'
    python benchmarks/golden_mutants.py

The operators are cosmic-ray's, all that take no argument: another operator, comparison, number or
truth value, a negated condition, a loop that does not run, a decorator gone. Of all mutants a
sample with a fixed seed is tried, as many of each module as its share is. Each runs, in a process
of its own that is forked from a warm one, the tests of its module alone, with the same examples
every time, until the first failure. A mutant is also killed by ten times the processor time of its
tests, by memory beyond 4 GiB, and where it cannot be imported.

Not counted are mutants of what computes nothing: annotations, type aliases, ``__all__``, the words
of errors; those that are no Python, or of which Python itself warns; ``==`` for ``is``, which is
the same for None and the members of enumerations; any other negative number for ``-1`` in the shape
of a ``reshape``; ``strict=False`` for ``strict=True``, which refuses what never comes; and those in
``golden_mutants.toml``, equal to the original in all that can be observed, each with its reason. An
entry there that fits no mutant is an error.

Writes its part of ``benchmarks/results/signoff.json``, and names every survivor.
"""

import argparse
import ast
import importlib.abc
import importlib.util
import json
import os
import random
import re
import resource
import signal
import sys
import tempfile
import time
import tomllib
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import CodeType
from typing import Any, TextIO

import h5py
import numpy as np
import pytest
import threadpoolctl
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.operators.provider import OperatorProvider
from figures import CHECKOUT, RESULTS, Figures, merge_figures
from parso.tree import Leaf

PACKAGE = "spikeloom.reference"
FOLDER = CHECKOUT / "reference" / "spikeloom" / "reference"
TESTS = CHECKOUT / "tests" / "reference"
EQUIVALENTS = Path(__file__).with_suffix(".toml")
MEMORY = 4 << 30

# What fixes integers that hardware has to come to, or bytes that a device has to take, and the
# files of tests for it.
MODULES = {
    "coding": ("coding",),
    "dense": ("network", "contracts"),
    "digest": ("digest",),
    "events": ("events",),
    "exact_product": ("exact_product",),
    "fixed": ("fixed", "contracts"),
    "flash_image": ("flash_image",),
    "latency": ("latency", "contracts"),
    "link_codec": ("link_codec",),
    "link_frames": ("link_frames", "contracts"),
    "maps": ("maps", "contracts"),
    "memory_map": ("memory_map", "contracts"),
    "network": ("network", "contracts"),
    "neuron_fixed": ("neuron_fixed", "contracts"),
    "neuron_rounding": ("quantize",),
    "neurons": ("neurons",),
    "precision": ("precision", "contracts"),
    "profile": ("profile", "contracts"),
    "quantize": ("quantize",),
    "scaling": ("scaling", "quantize", "contracts"),
    "scatter": ("scatter", "contracts"),
    "simulate": ("simulate", "contracts"),
}

# In a shape NumPy takes any negative number for the one length that it is to find by itself.
UNKNOWN_LENGTH = re.compile(r"(\breshape\(.*)(?:-\s*2|~\s*1)\b")

# Identity and equality are one for None and the members of enumerations.
SAME = ("ReplaceComparisonOperator_Is_Eq", "ReplaceComparisonOperator_IsNot_NotEq")

Place = tuple[int, int]
"""Line, from 1, and column, from 0."""
KILLED, TIMED_OUT, SURVIVED = "killed", "timed out", "survived"


@dataclass(frozen=True)
class Mutant:
    """A module with one change, and where it is.

    The change is in the statement from line ``first`` on, from 0, to before line ``end``.
    """

    module: str
    function: str
    line: int
    before: str
    after: str
    first: int
    end: int
    statement: str

    @property
    def source(self) -> str:
        """The whole module, changed."""
        lines = _source(self.module).splitlines(keepends=True)
        return "".join([*lines[: self.first], self.statement, *lines[self.end :]])

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from others, whatever is written above it."""
        return f"{self.module}.{self.function}".rstrip("."), self.before, self.after


# What is changed.


def _columns(source: str, node: ast.AST) -> tuple[Place, Place]:
    """Start and end of a node, columns in characters."""
    lines = source.splitlines()
    at: Any = node

    def place(line: int, offset: int) -> Place:
        return line, len(lines[line - 1].encode()[:offset].decode())

    return place(at.lineno, at.col_offset), place(at.end_lineno, at.end_col_offset)


def computes_nothing(source: str) -> list[tuple[Place, Place]]:
    """Spans of a module whose mutants say nothing about its tests."""
    module = ast.parse(source)
    spans: list[ast.AST | None] = []
    for node in ast.walk(module):
        match node:
            case ast.FunctionDef():
                spans.append(node.returns)
            case ast.arg():
                spans.append(node.annotation)
            case ast.AnnAssign():
                spans.append(node.annotation)
                if isinstance(node.annotation, ast.Name) and node.annotation.id == "TypeAlias":
                    spans.append(node.value)
            case ast.Raise():
                spans += [text for text in ast.walk(node) if isinstance(text, ast.JoinedStr)]
            case ast.Assign() if node in module.body and _is_type_or_list_of_names(node):
                spans.append(node.value)
    return [_columns(source, node) for node in spans if node is not None]


def _is_type_or_list_of_names(node: ast.Assign) -> bool:
    """Whether ``__all__`` is given, or a name to a union of types."""
    if isinstance(node.value, ast.BinOp):
        return isinstance(node.value.op, ast.BitOr)
    return any(isinstance(each, ast.Name) and each.id == "__all__" for each in node.targets)


def _source(module: str) -> str:
    return (FOLDER / f"{module}.py").read_text(encoding="utf-8")


def _functions(source: str) -> list[tuple[int, int, str]]:
    """First line, last line and dotted name of functions and classes, the inner after the outer."""
    found = []

    def visit(node: ast.AST, above: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                name = f"{above}.{child.name}".lstrip(".")
                first = min([child.lineno, *(each.lineno for each in child.decorator_list)])
                found.append((first, child.end_lineno or child.lineno, name))
                visit(child, name)
            else:
                visit(child, above)

    visit(ast.parse(source), "")
    return found


def mutants(module: str) -> tuple[list[Mutant], int]:
    """The mutants of a module, and how many were left out by a rule."""
    source = _source(module)
    lines = source.splitlines(keepends=True)
    excluded, functions = computes_nothing(source), _functions(source)
    found, left_out = [], 0
    for statement in ast.parse(source).body:
        first, end = _lines(statement)
        part = "".join(lines[first:end])
        for start, stop, changed in _changes(part):
            begin, finish = (start[0] + first, start[1]), (stop[0] + first, stop[1])
            if any(low <= begin and finish <= high for low, high in excluded):
                left_out += 1
            elif _is_python(changed):
                at, before, after = _difference(part, changed)
                if before in (UNKNOWN_LENGTH.sub(r"\1-1", after), _strict(after)):
                    left_out += 1
                    continue
                line = first + at
                name = max((f for f in functions if f[0] <= line <= f[1]), default=(0, 0, ""))[2]
                found.append(Mutant(module, name, line, before, after, first, end, changed))
    return found, left_out


def _strict(line: str) -> str:
    return line.replace("strict=False", "strict=True")


def _lines(statement: ast.stmt) -> tuple[int, int]:
    """First line of a statement, from 0, and the one behind it."""
    decorators = getattr(statement, "decorator_list", [])
    first = min([statement.lineno, *(each.lineno for each in decorators)])
    return first - 1, statement.end_lineno or first


def _changes(part: str) -> Iterator[tuple[Place, Place, str]]:
    """Where cosmic-ray changes some lines, and what becomes of them."""
    lines = part.splitlines(keepends=True)
    provider = OperatorProvider()
    operators = [provider[name] for name in sorted(provider) if name not in SAME]
    nodes = list(ast_nodes(get_ast(part)))
    for operator in (each() for each in operators if not each.arguments()):
        for node in nodes:
            for index, (start, stop) in enumerate(list(operator.mutation_positions(node))):
                # The operators change the tree: to put it back is much quicker than to read anew.
                kept = [(each, dict(_state(each))) for each in ast_nodes(node)]
                changed = operator.mutate(node, index)
                text = "" if changed is None else changed.get_code()
                for each, values in kept:
                    for name, value in values.items():
                        setattr(each, name, value)
                before, after = node.get_start_pos_of_prefix(), node.end_pos
                head = "".join(lines[: before[0] - 1]) + lines[before[0] - 1][: before[1]]
                rest = lines[after[0] - 1][after[1] :] if after[0] <= len(lines) else ""
                yield start, stop, head + text + rest + "".join(lines[after[0] :])


def _state(node: Any) -> Iterator[tuple[str, Any]]:
    """What an operator may change of a node of parso."""
    if isinstance(node, Leaf):
        yield "value", node.value
    else:
        yield "children", list(node.children)


def _is_python(source: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("error", SyntaxWarning)
        try:
            compile(source, "mutant", "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            return False
    return True


def _difference(source: str, mutant: str) -> tuple[int, str, str]:
    """The first line that differs: its number, and what it was and is."""
    for number, (before, after) in enumerate(
        zip(source.splitlines(), mutant.splitlines(), strict=False), 1
    ):
        if before != after:
            return number, before.strip(), after.strip()
    raise ValueError("a mutant must differ from its original")


# What notices.


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
    """Finds one module, and loads another source in its place."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant
        self.path = str(FOLDER / f"{mutant.module}.py")
        self.loaded = False

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name == f"{PACKAGE}.{self.mutant.module}":
            return importlib.util.spec_from_file_location(name, self.path, loader=self)
        return None

    def get_filename(self, name: str) -> str:
        return self.path

    def get_data(self, path: str | os.PathLike[str]) -> bytes:
        return self.mutant.source.encode()

    def get_code(self, name: str) -> CodeType:
        self.loaded = True
        return compile(self.mutant.source, self.path, "exec", dont_inherit=True)


class _Plugin:
    """Runs a module's tests for each of its mutants, in a child process before they are imported.

    The quickest tests come first, and none looks for the simplest example that fails.
    """

    def __init__(self, tried: Sequence[Mutant], folder: Path, results: TextIO) -> None:
        self.tried = tried
        self.log, self.times = folder / "log", folder / "times"
        self.results = results
        self.finder: _Mutated | None = None
        self.seconds: dict[str, float] = {}
        self.taken: dict[str, float] = defaultdict(float)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        # Not above: pytest wants to be there before it is imported.
        from hypothesis import Phase, settings

        profile, phases = settings.get_profile("ci"), (Phase.explicit, Phase.generate)
        settings.register_profile("mutants", profile, phases=phases, database=None)
        settings.load_profile("mutants")
        if any(name.startswith(f"{PACKAGE}.") for name in sys.modules):
            raise RuntimeError("the golden model must not be imported before it is mutated")
        limit = 600.0
        for number, mutant in enumerate(self.tried):
            child = os.fork()
            if not child:
                self._become(mutant, limit)
                return
            code, taken = _waited(child, limit)
            if number == 0 and code == pytest.ExitCode.OK:
                self.seconds = json.loads(self.times.read_text(encoding="utf-8"))
                limit = 10 + 10 * taken
            print(json.dumps((code, taken)), file=self.results, flush=True)
        os._exit(0)

    def _become(self, mutant: Mutant, limit: float) -> None:
        """Be the process of a mutant."""
        os.setsid()
        whole = int(limit) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (whole, whole))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with self.log.open("w") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        self.finder = _Mutated(mutant)
        sys.meta_path.insert(0, self.finder)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: self.seconds.get(item.nodeid, 0.0))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.taken[report.nodeid] += report.duration

    def pytest_sessionfinish(self) -> None:
        if self.finder is None or not self.finder.loaded:
            raise RuntimeError("the tests must import the module of the mutant, but do not")
        self.times.write_text(json.dumps(self.taken), encoding="utf-8")


def _waited(child: int, limit: float) -> tuple[int, float]:
    """The exit code of a child, negative for a signal, and the processor time that it took."""
    # A mutant that waits for ever takes no processor time: its end is by the clock.
    deadline = time.monotonic() + 20 * limit
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
        if time.monotonic() > deadline:
            os.killpg(child, signal.SIGKILL)
            _, status, usage = os.wait4(child, 0)
            return -signal.SIGKILL, usage.ru_utime + usage.ru_stime
        time.sleep(0.005)


def run(tried: Sequence[Mutant]) -> Iterator[tuple[int, float, str]]:
    """Run the tests of a module for it and for its mutants, each in a process of its own.

    Returns
    -------
    For each the exit code of its tests, the processor time that they took, and what they said.
    """
    module = tried[0].module
    original = Mutant(module, "", 0, "", "", 0, 0, "")
    files = [str(TESTS / f"test_{stem}.py") for stem in MODULES[module]]
    options = ["-x", "-q", "--tb=short", "-n0", "-c", str(CHECKOUT / "pyproject.toml")]
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    with tempfile.TemporaryDirectory() as folder:
        child = os.fork()
        if not child:
            os.close(reader)
            code = 99
            try:
                with os.fdopen(writer, "w") as results, open(os.devnull, "w") as nothing:
                    os.dup2(nothing.fileno(), 1)
                    plugin = _Plugin([original, *tried], Path(folder), results)
                    code = int(pytest.main([*options, *files], plugins=[plugin]))
            finally:
                os._exit(code)
        os.close(writer)
        with os.fdopen(reader) as results:
            for line in results:
                code, taken = json.loads(line)
                yield code, taken, Path(folder, "log").read_text(encoding="utf-8")
        if os.waitpid(child, 0)[1]:
            raise RuntimeError(f"the tests of {module} must be there to run, but are not")


def judge(code: int, said: str) -> str:
    """What an exit code says of the mutant; pytest's are 0 for passed and 1 to 3 for not."""
    if code == pytest.ExitCode.OK:
        return SURVIVED
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return TIMED_OUT
    if code < 0 or code in (1, 2, 3):
        return KILLED
    raise RuntimeError(f"the tests must run, but ended with {code}:\n{said}")


# What comes of it.


def read_equivalents() -> dict[tuple[str, str, str], str]:
    """The reasons why mutants are equal to their original."""
    entries = tomllib.loads(EQUIVALENTS.read_text(encoding="utf-8"))["equivalent"]
    return {
        (each["place"], each["before"], after): each["why"]
        for each in entries
        for after in each["after"]
    }


def chosen(population: Sequence[Mutant], count: int, seed: int) -> list[Mutant]:
    """A sample, the same for the same seed, in the order of the modules."""
    if count >= len(population):
        return list(population)
    places = random.Random(seed).sample(range(len(population)), count)
    return [population[k] for k in sorted(places)]


def tried(sample: Sequence[Mutant]) -> Iterator[tuple[Mutant, str]]:
    """Run a sample, and print what comes of each."""
    number = 0
    for module, group in groupby(sample, key=lambda mutant: mutant.module):
        mutants = list(group)
        results = run(mutants)
        code, taken, said = next(results)
        if code != pytest.ExitCode.OK:
            sys.exit(f"the tests of {module} must pass, but ended so:\n{said}")
        print(f"{module}: its tests take {taken:.1f} s", file=sys.stderr)
        for mutant, (code, taken, said) in zip(mutants, results, strict=True):
            number += 1
            outcome = judge(code, said)
            place = f"{module}.py:{mutant.line}"
            print(f"{number}/{len(sample)} {place} {outcome} {taken:.1f} s", file=sys.stderr)
            yield mutant, outcome


def table(counts: dict[str, Counter[str]], totals: dict[str, int]) -> Figures:
    """Print a row for each module, and give the figures."""
    figures: Figures = {}
    print(f"{'module':<16} {'mutants':>8} {'tried':>6} {'killed':>7} {'timed out':>10}", end="")
    print(f" {'survived':>9} {'score':>7}")
    everything: Counter[str] = sum(counts.values(), Counter())
    rows = [("golden", everything, sum(totals.values()))]
    rows += [(f"golden.{module}", count, totals[module]) for module, count in counts.items()]
    for name, count, total in rows:
        noticed = count[KILLED] + count[TIMED_OUT]
        score = 100 * noticed / count.total() if count.total() else 0.0
        print(
            f"{name.removeprefix('golden.'):<16} {total:>8} {count.total():>6} {count[KILLED]:>7}"
            f" {count[TIMED_OUT]:>10} {count[SURVIVED]:>9} {score:>6.1f}%"
        )
        figures[f"{name}.mutants"] = "mutants", count.total()
        figures[f"{name}.mutation_score"] = "%", score
    figures["golden.mutants_total"] = "mutants", sum(totals.values())
    figures["golden.killed"] = "mutants", everything[KILLED]
    figures["golden.timed_out"] = "mutants", everything[TIMED_OUT]
    figures["golden.survived"] = "mutants", everything[SURVIVED]
    return figures


def main() -> None:
    """Sample, run, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mutants", type=int, default=400, help="how many (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the sample (%(default)s)")
    parser.add_argument("--modules", nargs="+", choices=MODULES, default=list(MODULES))
    parser.add_argument("--output", type=Path, default=RESULTS / "signoff.json")
    args = parser.parse_args()

    equivalents = read_equivalents()
    unused = {key for key in equivalents if key[0].partition(".")[0] in args.modules}
    population: list[Mutant] = []
    left_out = equal = 0
    for module in args.modules:
        found, nothing = mutants(module)
        left_out += nothing
        unused -= {each.key for each in found}
        different = [each for each in found if each.key not in equivalents]
        equal += len(found) - len(different)
        population += different
    if unused:
        sys.exit(f"{EQUIVALENTS.name} must fit the source, but these do not: {sorted(unused)}")
    totals = Counter(each.module for each in population)
    print(f"{len(population)} mutants; left out: {left_out} by rule, {equal} that are equal")

    counts: dict[str, Counter[str]] = {module: Counter() for module in args.modules}
    survivors = []
    for mutant, outcome in tried(chosen(population, args.mutants, args.seed)):
        counts[mutant.module][outcome] += 1
        if outcome == SURVIVED:
            survivors.append(mutant)
            print(f"{mutant.module}.py:{mutant.line} in {mutant.function or 'module'}")
            print(f"  - {mutant.before}\n  + {mutant.after}", flush=True)
    figures = table(counts, totals)
    figures["golden.left_out"] = "mutants", left_out
    figures["golden.equivalent"] = "mutants", equal
    if len(args.modules) < len(MODULES):
        sys.exit("these are not all modules: nothing is written")
    merge_figures("golden", figures, args.output)


WARM = (h5py, np, threadpoolctl)
"""What the children need not import any more."""

if __name__ == "__main__":
    main()
