"""Plans as files: from `spikeloom plan` to `spikeloom generate` and `spikeloom build`."""

import json
from pathlib import Path
from typing import Any

from spikeloom.boards.plan import Plan, PopulationPlan
from spikeloom.boards.resources import Memory
from spikeloom.reference.network import FixedNetwork
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.weights import WeightStore

__all__ = ["plan_facts", "planned_top"]

_STORES = {store.name.lower().replace("_", "-"): store for store in WeightStore}


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
    (store,) = (name for name, store in _STORES.items() if store is each.store)
    return {
        "name": each.name,
        "neurons": each.neurons,
        "lanes": each.lanes,
        "rows": each.rows,
        "store": store,
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


def planned_top(network: FixedNetwork, path: Path) -> NetworkTop:
    """The hardware of a network as a plan has it.

    Raises
    ------
    ValueError
        If the file cannot be read, is no plan, or is one of another network.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(
            f"{path} must be a file that `spikeloom plan` wrote, but {error}"
        ) from error
    except UnicodeDecodeError:
        text = ""
    try:
        populations = json.loads(text)["populations"]
        planned = [(each["name"], each["neurons"]) for each in populations]
        lanes = [each["lanes"] for each in populations]
        stores = [_STORES[each["store"]] for each in populations]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} must be a file that `spikeloom plan` wrote") from None
    if planned != _names(network):
        layers = ", ".join(f"{name} of {neurons}" for name, neurons in planned)
        raise ValueError(f"{path} must be a plan of this network, but is of {layers} neurons")
    return NetworkTop(network, lanes, stores)


def _names(network: FixedNetwork) -> list[tuple[str, int]]:
    return [(name, each.neurons.size) for name, each in network.populations.items()]
