"""Feed the NIR reader damaged and hostile files, and count what is neither read nor refused.

    python benchmarks/fuzz_nir.py --files 20000

File ``n`` is the same on every run: ``--first n --files 1 --keep folder`` leaves it for a look.
Each file is read in a process of its own under limits: 1 GiB of memory, 5 seconds of processor
time, a minute in all. To be quick, that process does by itself what
:func:`~spikeloom.reference.nir_import.read_nir` has a child do. If it comes to harm, and for every
hundredth file, ``read_nir`` as users call it is what counts. Times are processor times, those of
children included: they say the same on a busy machine.
"""

import argparse
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from figures import RESULTS, SHARED, Figures, write_figures

from spikeloom.reference import graph as g
from spikeloom.reference import nir_import
from spikeloom.reference.nir_export import write_nir
from spikeloom.reference.nir_file import NIRError, extract, grow

MEMORY = 1 << 30
SECONDS = 5
READ, REFUSED, OTHER = 0, 1, 2
Edit = Callable[[random.Random, h5py.File], None]


# Seeds: sound files of every kind of node.


def seed_graphs() -> Iterator[g.Graph]:
    """Graphs that hold all 19 node types between them."""
    rng = np.random.default_rng(1)

    def real(*shape: int) -> g.Array:
        return rng.uniform(0.5, 1.5, shape)

    def chain(*nodes: tuple[str, g.Node]) -> g.Graph:
        names = [name for name, _ in nodes]
        return g.Graph(dict(nodes), tuple(pairwise(names)))

    image = (2, 6, 5)
    yield chain(
        ("input", g.Input(image)),
        ("conv", g.Conv2d(real(4, 1, 3, 2), real(4), (1, 1), (1, 0), (1, 2), 2)),
        ("if", g.IF(*(real(4, 6, 3) for _ in range(3)))),
        ("sum", g.SumPool2d((2, 1), (2, 1), (0, 0))),
        ("avg", g.AvgPool2d((1, 3), (1, 3), (0, 0))),
        ("flatten", g.Flatten(0, -1)),
        ("affine", g.Affine(real(3, 12), real(3))),
        ("lif", g.LIF(*(real(3) for _ in range(5)))),
        ("output", g.Output((3,))),
    )
    yield chain(
        ("input", g.Input((2, 9))),
        ("conv", g.Conv1d(real(2, 2, 3), real(2), (2,), (1,), (1,), 1)),
        ("scale", g.Scale(real(2, 5))),
        ("delay", g.Delay(real(2, 5))),
        ("threshold", g.Threshold(real(2, 5))),
        ("i", g.I(real(2, 5))),
        ("li", g.LI(*(real(2, 5) for _ in range(3)))),
        ("cubali", g.CubaLI(*(real(2, 5) for _ in range(5)))),
        ("output", g.Output((2, 5))),
    )
    inner = g.Graph(
        {
            "input": g.Input((4,)),
            "lif": g.CubaLIF(*(real(4) for _ in range(7))),
            "w_rec": g.Linear(real(4, 4)),
            "output": g.Output((4,)),
        },
        (("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")),
    )
    yield chain(("input", g.Input((4,))), ("a", inner), ("b", inner), ("output", g.Output((4,))))


def write_seeds(folder: Path) -> list[Path]:
    """Seeds as files, plain and compressed, and those of other tools where they are there."""
    seeds = []
    for n, graph in enumerate(seed_graphs()):
        plain, packed = folder / f"{n}.nir", folder / f"{n}-gzip.nir"
        write_nir(graph, plain)
        with h5py.File(plain) as source, h5py.File(packed, "w") as target:
            source.visititems(partial(_pack, target))
        seeds += [plain, packed]
    return seeds + sorted(
        path for path in SHARED.glob("nir/**/*.nir") if path.stat().st_size < 100_000
    )


def _pack(target: h5py.File, name: str, member: Any) -> None:
    if not isinstance(member, h5py.Dataset):
        target.require_group(name)
    elif h5py.check_string_dtype(member.dtype) or not member.shape:
        target.create_dataset(name, data=member[()], dtype=member.dtype)
    else:
        target.create_dataset(name, data=member[()], compression="gzip", shuffle=True)


# Damage to bytes.


def damaged(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """The bytes with some of them changed, moved, or gone."""
    result = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        # Headers of HDF5 lie mostly, not only, in front.
        at = rng.randrange(max(1, rng.choice((96, 2048, len(result)))))
        word = at & ~7
        match rng.randrange(9):
            case 0 | 1:
                result[at : at + 1] = bytes([rng.randrange(256)])
            case 2:
                result[at : at + 1] = bytes(b ^ 1 << rng.randrange(8) for b in result[at : at + 1])
            case 3:
                numbers = (0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, rng.randrange(len(data)))
                result[word : word + 8] = rng.choice(numbers).to_bytes(8, "little")
            case 4:
                result[at:at] = rng.randbytes(rng.choice((1, 8, 100)))
            case 5:
                del result[at : at + rng.choice((1, 8, 100))]
            case 6:
                start = rng.randrange(len(data))
                result[at : at + 64] = data[start : start + 64]
            case 7:
                start = rng.randrange(len(other))
                result[at : at + 512] = other[start : start + 512]
            case _ if rng.random() < 0.3:
                del result[rng.randrange(len(result) + 1) :]
    return bytes(result)


# Damage to what the bytes say, done by h5py.


def _members(file: h5py.File, kind: type) -> list[str]:
    names: list[str] = []
    file.visititems(lambda name, member: names.append(name) if isinstance(member, kind) else None)
    return names


def _datasets(file: h5py.File) -> list[str]:
    """Data sets small enough to look at; an edit before may have declared terabytes."""
    return [name for name in _members(file, h5py.Dataset) if (file[name].size or 0) < 1_000_000]


def _replace(file: h5py.File, name: str, *args: Any, **options: Any) -> None:
    if name in file:
        del file[name]
    file.create_dataset(name, *args, **options)


def edit_numbers(rng: random.Random, file: h5py.File) -> None:
    name = rng.choice(_datasets(file))
    value = np.array(file[name][()])
    if value.dtype.kind not in "biuf" or not value.size:
        return
    number = rng.choice(
        (0, -1, 1, -0.5, 2, 3, 127, 2**31, -(2**62), 1e30, 1e-300, np.nan, np.inf, -np.inf)
    )
    if value.dtype.kind in "iub":
        number = int(np.clip(np.nan_to_num(number), -(2**63), 2**62))
        value = value.astype(np.int64)
    value.reshape(-1)[rng.randrange(value.size)] = number
    if rng.random() < 0.3:
        value = np.full_like(value, number)
    _replace(file, name, data=value)


def edit_kind(rng: random.Random, file: h5py.File) -> None:
    """Another type of number, or none at all."""
    name = rng.choice(_datasets(file))
    shape = file[name].shape or ()
    kind = rng.choice(
        (
            *("i1", "u8", ">i4", ">f8", "f2", "f4", "f8", "g", "c8", "?", "S3", "S5000", "V7"),
            [("a", "f4"), ("b", "i2")],
            h5py.string_dtype(),
            h5py.vlen_dtype(np.int32),
            h5py.ref_dtype,
            h5py.enum_dtype({"A": 1, "B": 2}),
            np.dtype(("f4", (2,))),
        )
    )
    _replace(file, name, shape=shape, dtype=kind)


def edit_shape(rng: random.Random, file: h5py.File) -> None:
    name = rng.choice(_datasets(file))
    value = file[name][()]
    shape = rng.choice(
        ((), (0,), (1,), (2,), (3,), (4,), (1, 1), (4, 1), (1, 4), (2, 5), (5, 2), (1,) * 31)
    )
    if rng.random() < 0.5 and isinstance(value, np.ndarray):
        _replace(file, name, data=rng.choice((value.T, value[..., None], value[None], value[:1])))
    else:
        _replace(file, name, shape=shape, dtype=file[name].dtype)


def edit_size(rng: random.Random, file: h5py.File) -> None:
    """Sizes that are declared, and cost nothing to declare."""
    name = rng.choice(_datasets(file))
    size = rng.choice((2**16, 2**20, 2**24, 2**25, 2**26, 2**40))
    dtype = rng.choice(("f4", "f8", "i8", h5py.string_dtype()))
    chunk = rng.choice((1, 64, 2**16, 2**24))
    match rng.randrange(3):
        case 0:
            _replace(file, name, shape=(size,), dtype=dtype, chunks=(chunk,))
        case 1:
            shape = (size, rng.choice((1, 3, 2**20)))
            _replace(file, name, shape=shape, dtype=dtype, chunks=(chunk, 1))
        case _:
            count = min(size, 2**22)
            _replace(file, name, data=np.ones(count, "f4"), compression="gzip")


def edit_storage(rng: random.Random, file: h5py.File) -> None:
    name = rng.choice(_datasets(file))
    shape = (4, 4)
    match rng.randrange(6):
        case 0:
            _replace(file, name, shape, "u1", external=[("/etc/passwd", 0, 16)])
        case 1:
            layout = h5py.VirtualLayout(shape, "f4")
            layout[:] = h5py.VirtualSource(rng.choice((".", "other.h5")), "version", shape)
            del file[name]
            file.create_virtual_dataset(name, layout)
        case 2:
            _replace(file, name, shape, "f4", compression="lzf")
        case 3:
            _replace(file, name, shape, "f4", fletcher32=True)
        case 4:
            _replace(file, name, shape, "i4", scaleoffset=0)
        case _:
            _replace(file, name, data=h5py.Empty("f4"))


def edit_links(rng: random.Random, file: h5py.File) -> None:
    name = rng.choice([n for n in _members(file, object) if n != "node"] or ["version"])
    target = rng.choice(("/", "/node", "/node/nodes", "/version", "/gone", f"/{name}", ".."))
    if rng.random() < 0.6:
        del file[name]
    else:
        name = f"{name.rpartition('/')[0] or '/node'}/more"
        if name in file:
            return
    match rng.randrange(3):
        case 0:
            file[name] = h5py.SoftLink(target)
        case 1:
            file[name] = h5py.ExternalLink(rng.choice(("/etc/passwd", "other.h5", "")), target)
        case _:
            if target in file:
                file[name] = file[target]


def edit_groups(rng: random.Random, file: h5py.File) -> None:
    groups = _members(file, h5py.Group)
    group = rng.choice(groups)
    match rng.randrange(7):
        case 0:
            del file[group]
        case 1:
            del file[group]
            file[group] = 1.0
        case 2:
            name = rng.choice(_datasets(file))
            del file[name]
            file.create_group(name)
        case 3:
            names = ["x", "a.b", "lif", "input", "\n", "x" * 300, b"\xff\xfe", "metadata", "nodes"]
            name = rng.choice(names)
            if name not in file[group]:
                file[group].create_group(name)
        case 4:
            other = rng.choice(groups)
            if not other.startswith(group) and "new" not in file[other]:
                file.copy(file[group], file[other], "new")
        case 5:
            for _ in range(rng.choice((3, 20, 60))):
                file.copy(file["node"], file, "older")
                nodes = file.create_group("newer/nodes")
                file.move("older", f"{nodes.name}/n")
                del file["node"]
                file.move("newer", "node")
                file["node/type"] = "NIRGraph"
                file["node/edges"] = [["n", "n"]]
                if file.id.get_filesize() > 2_000_000:
                    break
        case _:
            file[group].attrs["type"] = rng.choice(("LIF", 1.0, np.ones(1000)))


def edit_types(rng: random.Random, file: h5py.File) -> None:
    types = [name for name in _datasets(file) if name.endswith("type")]
    if types:
        kinds = [*g.NODE_TYPES, "", "x" * 1000, "Identity", "lif", "\n"]
        _replace(file, rng.choice(types), data=rng.choice(kinds))


def edit_edges(rng: random.Random, file: h5py.File) -> None:
    places = [name for name in _datasets(file) if name.endswith("edges")]
    if not places:
        return
    place = rng.choice(places)
    names = [*file[f"{place.removesuffix('edges')}nodes"], "x", "a.lif", "lif1.lif", ""]
    value = np.array(file[place][()]).tolist()
    edges = value if value and isinstance(value[0], list) else []
    for _ in range(rng.choice((1, 2, 5))):
        match rng.randrange(4):
            case 0:
                edges.append([rng.choice(names), rng.choice(names)])
            case 1 if edges:
                edges.pop(rng.randrange(len(edges)))
            case 2 if edges:
                edges[rng.randrange(len(edges))][rng.randrange(2)] = rng.choice(names)
            case 3 if edges:
                edges.append(rng.choice(edges))
    if rng.random() < 0.1:
        edges *= 10_000
    if edges:
        _replace(file, place, data=edges, dtype=h5py.string_dtype())


def edit_parameters(rng: random.Random, file: h5py.File) -> None:
    """Parameters that are gone, swapped or scalar."""
    names = [name for name in _datasets(file) if name.startswith("node/nodes/")]
    if len(names) < 2:
        return
    a, b = rng.sample(names, 2)
    match rng.randrange(3):
        case 0:
            del file[a]
        case 1:
            file.move(a, "swap")
            file.move(b, a)
            file.move("swap", b)
        case _:
            value = np.array(file[a][()])
            _replace(file, a, data=value.reshape(-1)[0] if value.size else 1)


EDITS: tuple[Edit, ...] = (
    edit_numbers,
    edit_kind,
    edit_shape,
    edit_size,
    edit_storage,
    edit_links,
    edit_groups,
    edit_types,
    edit_edges,
    edit_parameters,
)


def make_file(number: int, seeds: list[Path], path: Path) -> int:
    """Write the file of a number; a second edit of a file already hostile may crash HDF5."""
    rng = random.Random(number)
    data = rng.choice(seeds).read_bytes()
    if number % 2:
        path.write_bytes(damaged(rng, data, rng.choice(seeds).read_bytes()))
        return 0
    path.write_bytes(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        try:
            with h5py.File(path, "r+") as file:
                rng.choice(EDITS)(rng, file)
        # An edit may find nothing left to edit, or ask for what h5py does not write.
        except (OSError, RuntimeError, TypeError, ValueError, KeyError, IndexError):
            continue
    if rng.random() < 0.1:
        path.write_bytes(damaged(rng, path.read_bytes(), data))
    return 0


# The judgement.


@dataclass(frozen=True)
class Outcome:
    """How reading a file ended, and what it took."""

    kind: int
    seconds: float
    kibibytes: int


def in_child(work: Callable[[], int]) -> tuple[int, resource.struct_rusage]:
    """Status and usage of a process that does some work, for a minute at most."""
    child = os.fork()
    if not child:
        signal.alarm(60)
        os._exit(work())
    _, status, usage = os.wait4(child, 0)
    return status, usage


def judge(path: Path, direct: bool) -> Outcome:
    """Outcome of reading a file, in a process of its own under limits.

    Parameters
    ----------
    direct
        Whether that process takes in the HDF5 itself, instead of having a child do it.
    """
    status, usage = in_child(partial(_read, path, direct))
    seconds = usage.ru_utime + usage.ru_stime
    kind = os.waitstatus_to_exitcode(status)
    if kind not in (READ, REFUSED) or (not direct and seconds > SECONDS):
        kind = OTHER
    return Outcome(kind, seconds, usage.ru_maxrss)


def _read(path: Path, direct: bool) -> int:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if direct:
        nir_import.read_tree = lambda path: grow(extract(str(path), alone=True))
    try:
        nir_import.read_nir(path)
    except NIRError as error:
        text = str(error)
        return REFUSED if text.startswith(repr(str(path))) and "\n" not in text else OTHER
    except BaseException as error:
        print(f"{path.name}: {error!r:.300}", file=sys.stderr)
        return OTHER
    return READ


def run(numbers: range, keep: Path | None) -> tuple[Counter[int], list[int], float, int]:
    """Outcomes of the files of some numbers: counts, failures, most seconds and memory."""
    counts: Counter[int] = Counter()
    failures = []
    slowest, largest = 0.0, 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seeds = write_seeds(folder)
        for number in numbers:
            path = (keep or folder) / f"file{number}.nir"
            in_child(partial(make_file, number, seeds, path))
            outcome = judge(path, direct=True)
            if outcome.kind == OTHER or number % 100 == 0:
                first, outcome = outcome, judge(path, direct=False)
                if first.kind not in (OTHER, outcome.kind):
                    outcome = Outcome(OTHER, outcome.seconds, outcome.kibibytes)
            counts[outcome.kind] += 1
            failures += [number] * (outcome.kind == OTHER)
            slowest = max(slowest, outcome.seconds)
            largest = max(largest, outcome.kibibytes)
            if not keep:
                path.unlink(missing_ok=True)
    return counts, failures, slowest, largest


def main() -> None:
    """Run, print, and write the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, default=20_000, help="how many (%(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first (%(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="at a time (%(default)s)")
    parser.add_argument("--keep", type=Path, help="folder to leave the files in")
    parser.add_argument("--output", type=Path, default=RESULTS / "fuzz_nir.json")
    args = parser.parse_args()
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
    last = args.first + args.files
    parts = [range(n, min(n + 250, last)) for n in range(args.first, last, 250)]
    counts: Counter[int] = Counter()
    failures: list[int] = []
    slowest, largest = 0.0, 0
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(args.processes, mp_context=context) as pool:
        for part in pool.map(partial(run, keep=args.keep), parts):
            counts += part[0]
            failures += part[1]
            slowest, largest = max(slowest, part[2]), max(largest, part[3])
            print(f"{counts.total()} files, failures: {failures}", file=sys.stderr, flush=True)
    figures: Figures = {
        "fuzz.files": ("files", counts.total()),
        "fuzz.failures": ("files", len(failures)),
        "fuzz.refused": ("files", counts[REFUSED]),
        "fuzz.slowest_seconds": ("s", round(slowest, 2)),
        "fuzz.largest_memory": ("MiB", largest >> 10),
    }
    write_figures(figures, args.output)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
