"""Proves all that is proven of the hardware, and that each proof finds the bug planted for it.

    python benchmarks/proofs.py

The neurons of all profiles, and those with the options that no profile has, at 8, 16 and 24 bits;
the streams and queues of four networks that have all kinds of components in them, those of the
link, and the probes of a network of three populations; and that a network with a loop goes on.
Takes half an hour on one core; ``--jobs`` runs several at once, ``--only`` those whose name it
finds.

Writes its part of ``benchmarks/results/signoff.json``, but not what ``--only`` some have come to.
Ends with 1 if a proof fails, has no bug planted, or does not find it.
"""

import argparse
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from figures import RESULTS, Figures, merge_figures, print_figures

from spikeloom.reference.fixed import QFormat
from spikeloom.reference.maps import Convolution, Dense
from spikeloom.reference.network import (
    Connection,
    FixedInput,
    FixedNetwork,
    FixedPopulation,
    LateBias,
)
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.profile import Accumulation
from spikeloom.rtl_gen.events import EventLayout
from spikeloom.rtl_gen.link.codec import EventDecoder, EventEncoder
from spikeloom.rtl_gen.link.frames import FrameReceiver, FrameSender
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.sim.formal.proof import Method, Outcome, Proof, Verdict
from spikeloom.sim.formal.prove import (
    network_proofs,
    preset_proofs,
    probes_proof,
    progress_proof,
    stream_proof,
)
from spikeloom.sim.formal.runner import run_proofs

WIDTHS = (8, 16, 24)


def neurons(size: int, **options: object) -> NeuronConfig:
    chosen = {"state": QFormat(word_length=8), "current_width": 4, "threshold": 5} | options
    return NeuronConfig(size=size, **chosen)


def network(shape: tuple[int, ...], population: FixedPopulation) -> FixedNetwork:
    return FixedNetwork({"in": FixedInput(shape=shape)}, {"a": population}, {"out": "a"}, "proofs")


def looped(
    accumulation: Accumulation = Accumulation.STEP, *late_bias: LateBias, size: int = 3
) -> FixedNetwork:
    """Two inputs, and neurons that hear themselves, some of them later than others."""
    weights = np.arange(1, 1 + size * (2 + size)).reshape(2 + size, size) % 7 - 2
    own = Connection(
        source="a", maps=(Dense(weights[2:]),), delay=np.array([1, 2, 3][:size] or [1])
    )
    heard = Connection(source="in", maps=(Dense(weights[:2]),))
    config = neurons(size, accumulation=accumulation, max_spikes=3)
    population = FixedPopulation(
        shape=(size,), neurons=config, connections=(heard, own), late_bias=late_bias
    )
    return network((2,), population)


def convolved() -> FixedNetwork:
    weights = np.arange(2 * 2 * 3).reshape(2, 2, 3) % 5 - 2
    maps = Convolution(weights, (2, 4), stride=(1,), padding=(1,), dilation=(1,), groups=1)
    heard = Connection(source="in", maps=(maps,))
    population = FixedPopulation(shape=(2, 4), neurons=neurons(8), connections=(heard,))
    return network((2, 4), population)


def least_loop() -> FixedNetwork:
    """One input and one neuron that hears itself."""
    config = neurons(1, state=QFormat(word_length=4), current_width=3, threshold=3)
    heard = Connection(source="in", maps=(Dense(np.array([[2]])),))
    own = Connection(source="a", maps=(Dense(np.array([[1]])),), delay=1)
    return network((1,), FixedPopulation(shape=(1,), neurons=config, connections=(heard, own)))


def layered() -> FixedNetwork:
    """Three populations in a row, all of other sizes and widths."""
    populations, heard = {}, ("in", 2)
    for name, size, width in (("a", 3, 8), ("b", 4, 6), ("c", 1, 5)):
        source, before = heard
        weights = np.arange(before * size).reshape(before, size) % 5 - 2
        populations[name] = FixedPopulation(
            shape=(size,),
            neurons=neurons(size, state=QFormat(word_length=width)),
            connections=(Connection(source=source, maps=(Dense(weights),)),),
        )
        heard = name, size
    return FixedNetwork(
        {"in": FixedInput(shape=(2,))}, populations, {"out": "c", "between": "a"}, "proofs"
    )


def all_proofs() -> Iterator[Proof]:
    networks = {
        "gathering": NetworkTop(looped(Accumulation.STEP, LateBias(2, np.array([1, -3, 2]))), 2),
        "scattering": NetworkTop(convolved(), 1),
        "event by event": NetworkTop(looped(Accumulation.EVENT), 2),
        "spiking event by event": NetworkTop(looped(Accumulation.SPIKING_EVENT), 2),
    }
    for name, top in networks.items():
        for proof in network_proofs(top):
            yield replace(proof, name=f"{proof.name} ({name})")
    event = EventLayout(300, 3)
    for part in (EventDecoder(event), EventEncoder(event), FrameReceiver(), FrameSender()):
        yield replace(proof := stream_proof("", part), name=f"{proof.name} (link)")
    yield probes_proof(NetworkTop(layered(), (2, 1, 1)))
    top = NetworkTop(least_loop(), 1)
    yield progress_proof("a neuron that hears itself", top, within=28, patience=2, depth=40)
    yield from preset_proofs(WIDTHS)


def run(proofs: list[Proof], options: argparse.Namespace, kind: str) -> list[Outcome]:
    found = []
    for outcome in run_proofs(
        proofs, options.work / kind, timeout=options.timeout, jobs=options.jobs
    ):
        found.append(outcome)
        evidence = outcome.evidence()
        print(
            f"{len(found):>4} of {len(proofs)}  {outcome.seconds:>6.0f} s ",
            f"{outcome.verdict.name:<8} {evidence.name}  {evidence.detail}",
            flush=True,
        )
    return found


def is_caught(outcome: Outcome) -> bool:
    """Whether a bug breaks what is claimed, rather than what an induction must know."""
    return outcome.verdict is Verdict.FAILED and not outcome.broken.startswith("invariant")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", type=Path, default=Path("build/proofs"))
    parser.add_argument("--output", type=Path, default=RESULTS / "signoff.json")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=1800, help="seconds a proof")
    parser.add_argument("--only", default="", help="a regular expression")
    options = parser.parse_args()
    proofs = [proof for proof in all_proofs() if re.search(options.only, proof.name)]
    begin = time.monotonic()
    outcomes = run(proofs, options, "proofs")
    planted = run([proof.twin for proof in proofs if proof.twin], options, "planted")
    seconds = time.monotonic() - begin
    proven = [each for each in outcomes if each.verdict is Verdict.PROVEN]
    caught = [each for each in planted if is_caught(each)]
    bounded = sum(each.proof.method is Method.BOUNDED for each in proven)
    figures: Figures = {
        "proofs.inductive": ("proofs", len(proven) - bounded),
        "proofs.bounded": ("proofs", bounded),
        "proofs.failed": ("proofs", len(outcomes) - len(proven)),
        "proofs.without_twin": ("proofs", len(proofs) - len(planted)),
        "proofs.planted_bugs": ("bugs", len(planted)),
        "proofs.planted_bugs_caught": ("bugs", len(caught)),
        "proofs.seconds": ("s", seconds),
    }
    if options.only:
        print_figures(figures)
    else:
        merge_figures("proofs", figures, options.output)
    if len(proven) < len(proofs) or len(caught) < len(proofs):
        sys.exit("a proof fails, has no bug planted, or does not find it")


if __name__ == "__main__":
    main()
