"""Plans as files: from `spikeloom plan` to `spikeloom generate` and `spikeloom build`."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from spikeloom.boards.plan import Plan, PopulationPlan
from spikeloom.boards.resources import Memory
from spikeloom.reference.latency import EarlyStop
from spikeloom.reference.network import FixedNetwork
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.protection import UNGUARDED, Protection
from spikeloom.rtl_gen.weights import WeightStore

__all__ = ["plan_facts", "planned_clock", "planned_top"]

_T = TypeVar("_T")

_STORES = {store.word: store for store in WeightStore}


def plan_facts(plan: Plan) -> dict[str, Any]:
    """A plan as plain data."""
    return {
        "board": plan.board.name,
        "clock_mhz": plan.frequency / 1e6,
        "populations": [_population(each) for each in plan.populations],
        "used": {name: vars(usage) for name, usage in plan.usage.items()},
        "bottleneck": plan.bottleneck.name,
        "samples": plan.samples,
        "steps": plan.steps,
        "cycles": list(plan.cycles),
        "period_cycles": plan.period,
        "latency_us": 1e6 * plan.latency,
        "samples_per_second": plan.throughput,
    }


def _population(each: PopulationPlan) -> dict[str, Any]:
    return {
        "name": each.name,
        "neurons": each.neurons,
        "lanes": each.lanes,
        "rows": each.rows,
        "store": each.store.word,
        "memories": {name: _memory(memory) for name, memory in each.memories.items()},
        "used": dict(each.usage),
        "work_cycles": each.work,
        "step_cycles": list(each.step_cycles),
        "utilisation": each.utilisation,
    }


def _memory(memory: Memory) -> dict[str, Any]:
    return {
        "depth": memory.shape.depth,
        "width": memory.shape.width,
        "written": not memory.shape.rom,
        "cell": "logic" if memory.cell is None else memory.cell.name,
        "count": memory.count,
    }


@dataclass(frozen=True)
class _PlanFile:
    """What a plan says of the hardware: board, clock in Hz, and of each population its name and how
    many neurons it has, its lanes and its weight store."""

    board: str
    frequency: float
    populations: tuple[tuple[str, int], ...]
    lanes: tuple[int, ...]
    stores: tuple[WeightStore, ...]


def planned_top(
    network: FixedNetwork,
    path: Path,
    stop: EarlyStop | None = None,
    protection: Protection = UNGUARDED,
) -> NetworkTop:
    """The hardware of a network as a plan has it, with a read-out that stops or without.

    Raises
    ------
    ValueError
        If the file cannot be read, is no plan, or is one of another network.
    """
    plan = _read_plan(path)
    names = tuple((name, each.neurons.size) for name, each in network.populations.items())
    if plan.populations != names:
        layers = ", ".join(f"{name} of {neurons}" for name, neurons in plan.populations)
        raise ValueError(f"{path} must be a plan of this network, but is of {layers} neurons")
    return NetworkTop(network, plan.lanes, plan.stores, stop, protection)


def planned_clock(path: Path, board: str) -> float:
    """The clock in Hz of a plan for a board of this name.

    Raises
    ------
    ValueError
        If the file cannot be read, is no plan, or is one for another board.
    """
    plan = _read_plan(path)
    if plan.board != board:
        raise ValueError(f"{path} must be a plan for {board}, but is for {plan.board}")
    return plan.frequency


def _read_plan(path: Path) -> _PlanFile:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"{path} must be a file that `spikeloom plan` wrote, but {error}"
        ) from error
    try:
        facts = json.loads(text)
        populations = facts["populations"]
        if not populations:
            raise ValueError("populations must not be empty")
        return _PlanFile(
            board=_is(str, facts["board"]),
            frequency=_positive(facts["clock_mhz"]) * 1e6,
            populations=tuple(
                (_is(str, each["name"]), _is(int, each["neurons"])) for each in populations
            ),
            lanes=tuple(_is(int, each["lanes"]) for each in populations),
            stores=tuple(_STORES[each["store"]] for each in populations),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError(f"{path} must be a file that `spikeloom plan` wrote") from None


def _is(kind: type[_T], value: Any) -> _T:
    if type(value) is not kind:
        raise TypeError(f"must be of type {kind.__name__}, not {value!r}")
    return value


def _positive(value: Any) -> float:
    if type(value) not in (int, float) or not 0 < value < math.inf:
        raise ValueError(f"must be a positive number, not {value!r}")
    return float(value)
