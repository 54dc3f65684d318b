"""What is proven of the neurons of all profiles, and of a network."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from amaranth.lib import wiring

from spikeloom.reference.neuron_fixed import Emission, NeuronConfig
from spikeloom.reference.profile import Accumulation
from spikeloom.rtl_gen.delay import EventQueue, StepDelay, StepMerge
from spikeloom.rtl_gen.emit import emit_rtlil
from spikeloom.rtl_gen.event_neuron import EventNeuronArray
from spikeloom.rtl_gen.events import EventLayout
from spikeloom.rtl_gen.junction import Source
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.neuron import NeuronArray
from spikeloom.rtl_gen.scatter import Accumulators
from spikeloom.rtl_gen.sorter import StepSorter
from spikeloom.rtl_gen.stream import StreamBuffer
from spikeloom.rtl_gen.synapse import EventList
from spikeloom.sim.evidence import Evidence, Strength
from spikeloom.sim.formal.handshakes import (
    accumulators_claim,
    array_claim,
    event_array_claim,
    merge_claim,
)
from spikeloom.sim.formal.options import option_neurons
from spikeloom.sim.formal.planted import (
    UpdateClaim,
    planted_holder,
    planted_progress,
    planted_stream,
    planted_update,
)
from spikeloom.sim.formal.presets import any_parameters, preset_neurons
from spikeloom.sim.formal.probes import probes_claim
from spikeloom.sim.formal.progress import progress_claim
from spikeloom.sim.formal.proof import Claim, Method, Proof
from spikeloom.sim.formal.queues import buffer_claim, queue_claim
from spikeloom.sim.formal.runner import run_proofs
from spikeloom.sim.formal.sorter import sorter_claim
from spikeloom.sim.formal.steps import delay_claim, list_claim
from spikeloom.sim.formal.streams import Behind, components, leaves, stream_claim, unchanged
from spikeloom.sim.formal.update import (
    Update,
    comparison_claim,
    event_claim,
    step_claim,
    update_of,
)

__all__ = [
    "STEP_CYCLES",
    "network_proofs",
    "preset_proofs",
    "probes_proof",
    "progress_proof",
    "prove_network",
    "stream_proof",
    "update_proofs",
]

STEP_CYCLES = 12
"""Cycles from reset in which lists and delays are looked at."""

_COMPARISON = "each comparison finds one place of the spike count"

_SMALL = 3
"""Sources of the lists and delays that are looked at; more take a solver too long."""

_FAULT_CYCLES = 12
"""Cycles in which a fault in what goes through a queue shows."""

_MOST_SORTED = 64
"""Sources up to which sorting is looked at."""


def prove_network(
    top: NetworkTop, folder: Path, *, timeout: float = 600, jobs: int = 1
) -> Iterator[Evidence]:
    """Prove what can be proven of a network: its neurons, its streams, and what holds its events.

    Parameters
    ----------
    top
        The network.
    folder
        Where files may be written; each proof has a folder in it, with a counterexample if there
        is one.
    timeout
        Seconds after which a proof is given up.
    jobs
        How many run at once.
    """
    for outcome in run_proofs(network_proofs(top), folder, timeout=timeout, jobs=jobs):
        yield outcome.evidence()
    yield from _omitted(top)


def preset_proofs(widths: Iterable[int]) -> Iterator[Proof]:
    """The proofs that neurons compute what is specified, whatever their parameters are.

    The neurons are those of all profiles, and those with the options that no profile has.

    Parameters
    ----------
    widths
        Bits of the state.
    """
    for width in widths:
        compared: set[Hashable] = set()
        neurons: list[tuple[str, NeuronConfig, str | None]] = [
            (label, config, None) for label, config in preset_neurons(width).items()
        ]
        neurons += [(each.label, each.config, each.fault) for each in option_neurons(width)]
        for label, config, fault in neurons:
            update = update_of(any_parameters(config))
            what = f"{label}, at {width} bits and with any parameters"
            for proof in update_proofs(what, update, fault):
                if proof.name.startswith(_COMPARISON):
                    # It has nothing to do with the rest of the update.
                    alike = (config.max_spikes, config.comparison)
                    if alike in compared:
                        continue
                    compared.add(alike)
                yield proof


def update_proofs(label: str, update: Update, fault: str | None = None) -> Iterator[Proof]:
    """The proofs that a population's neurons compute what is specified.

    Parameters
    ----------
    label
        Whose update it is, for people to read.
    update
        The update.
    fault
        The bug to plant, as :func:`~spikeloom.sim.formal.planted.planted_update`'s.
    """
    config = update.config
    claims: dict[str, UpdateClaim] = {"a step is as specified": step_claim}
    at_once = config.accumulation is not Accumulation.SPIKING_EVENT
    if config.max_spikes > 1 and at_once and config.emission is Emission.SPIKES:
        claims[_COMPARISON] = comparison_claim
    if config.accumulation is not Accumulation.STEP:
        claims["an event is as specified"] = event_claim
    for statement, claim in claims.items():
        yield Proof(
            name=f"{statement}: {label}",
            claim=partial(claim, update),
            method=Method.COMBINATIONAL,
            twin=planted_update(label, claim, update, fault),
        )


def network_proofs(top: NetworkTop) -> Iterator[Proof]:
    """The proofs of :func:`prove_network`. Of components that are alike one is looked at."""
    if len(top.populations) > 1:
        yield probes_proof(top)
    for name, population in zip(top.network.populations, top.populations, strict=True):
        yield from update_proofs(f"population {name!r}", update_of(population.core.array))
    seen: set[str] = set()
    for path, component in leaves(top):
        if _is_new(component, seen):
            yield stream_proof(path, component)
    for path, component in components(top):
        proof = _holding_proof(path, component, top)
        if proof is not None and _is_new(component, seen, proof.name.partition(":")[0]):
            yield proof


def probes_proof(top: NetworkTop) -> Proof:
    """The proof that a network of several populations answers probes one at a time."""
    claim = partial(probes_claim, top)
    return Proof(
        name="probes are answered one at a time, each by the population that it asks",
        claim=claim,
        method=Method.INDUCTION,
        depth=2,
        any_memory=True,
        twin=planted_stream("answers to probes", claim),
    )


def _is_new(component: wiring.Component, seen: set[str], of: str = "") -> bool:
    text = of + emit_rtlil(component, "component")
    known = text in seen
    seen.add(text)
    return not known


def stream_proof(path: str, component: wiring.Component) -> Proof:
    """The proof that a component's streams keep to the handshake.

    Parameters
    ----------
    path
        Where it is.
    component
        The component.
    """
    claim: Callable[..., Claim] = partial(stream_claim, component)
    match component:
        case StepMerge():
            claim = partial(merge_claim, component)
        case Accumulators():
            claim = partial(accumulators_claim, component)
        case EventNeuronArray():
            claim = partial(event_array_claim, component)
        case NeuronArray():
            claim = partial(array_claim, component)
    whose = _whose(path, component)
    return Proof(
        name=f"streams hold what they offer until it is taken: {whose}",
        claim=claim,
        method=Method.INDUCTION,
        depth=2,
        any_memory=True,
        twin=planted_stream(whose, claim),
    )


def _holding_proof(path: str, component: wiring.Component, top: NetworkTop) -> Proof | None:
    """The proof that a component loses, doubles and swaps nothing, if it is to hold anything."""
    claim: Callable[..., Claim]
    whose, cycles = _whose(path, component), _FAULT_CYCLES
    match component:
        case StreamBuffer():
            claim = partial(buffer_claim, component)
        case EventQueue() if component.depth > 2:
            claim = partial(queue_claim, component)
        case StepSorter() if component.size <= _MOST_SORTED:
            claim = partial(sorter_claim, _sources(component, top), component)
            # It clears its tables first, and then reads them.
            cycles += 2 * component.size
        case EventList() | StepDelay():
            return _bounded(path, component)
        case _:
            return None
    return Proof(
        name=f"nothing is lost, doubled or swapped: {whose}",
        claim=claim,
        method=Method.INDUCTION,
        depth=2,
        any_memory=True,
        twin=planted_holder(whose, claim, cycles),
    )


def _bounded(path: str, component: EventList | StepDelay) -> Proof:
    small = min(component.size, _SMALL)
    claim: Callable[..., Claim]
    whose = _whose(path, component)
    if isinstance(component, EventList):
        most = component.i.p.count.shape().width
        claim = partial(_list_claim, small, (1 << most) - 1, min(component.sweeps, 2))
    else:
        delays = sorted(set(component.delays))[-small:]
        claim = partial(_delay_claim, [min(each, 3) for each in delays])
    return Proof(
        name=f"nothing is lost or doubled: {whose}",
        claim=claim,
        method=Method.BOUNDED,
        depth=STEP_CYCLES,
        detail=f"looked at with up to {_SMALL} sources, 2 sweeps and delays of 3 steps",
        twin=planted_holder(whose, claim, STEP_CYCLES),
    )


def _list_claim(size: int, most: int, sweeps: int, behind: Behind = unchanged) -> Claim:
    return list_claim(EventList(size, most, sweeps), behind)


def _delay_claim(delays: list[int], behind: Behind = unchanged) -> Claim:
    return delay_claim(StepDelay(EventLayout(len(delays)), (len(delays),), delays), behind)


def _sources(sorter: StepSorter, top: NetworkTop) -> tuple[Source, ...]:
    return next(
        population.sources
        for population in top.populations
        if any(component is sorter for _, component in components(population))
    )


def _whose(path: str, component: wiring.Component) -> str:
    kind = type(component).__name__
    return f"{path}, {'an' if kind[0] in 'AEIOU' else 'a'} {kind}" if path else kind


def progress_proof(name: str, top: NetworkTop, *, within: int, patience: int, depth: int) -> Proof:
    """The proof that a network goes on, up to a bound.

    Parameters
    ----------
    name
        Which network it is, for people to read.
    top
        The network.
    within, patience
        As :func:`~spikeloom.sim.formal.progress.progress_claim`'s.
    depth
        Cycles from reset.
    """
    claim = partial(progress_claim, top, within=within, patience=patience)
    return Proof(
        name=f"each event is taken and each tick answered in {within} cycles: {name}",
        claim=claim,
        method=Method.BOUNDED,
        depth=depth,
        resets=False,
        twin=planted_progress(name, claim, depth),
        detail=f"whoever listens is ready at least once in {patience} cycles",
    )


def _omitted(top: NetworkTop) -> Iterator[Evidence]:
    """What is not looked at, and why."""
    missing = Evidence(group="proofs", name="", strength=Strength.OMITTED, passed=False)
    yield replace(
        missing,
        name="the network never deadlocks",
        detail="a whole network is too large for a solver; it is proven of small ones up to a"
        " bound, and each simulation ends with all ticks answered",
    )
    for path, component in components(top):
        if isinstance(component, StepSorter) and component.size > _MOST_SORTED:
            yield replace(
                missing,
                name=f"nothing is lost, doubled or swapped: {_whose(path, component)}",
                detail=f"{component.size} sources are more than the {_MOST_SORTED} that are"
                " looked at",
            )
