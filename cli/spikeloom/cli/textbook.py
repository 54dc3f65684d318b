"""The textbook neurons of the demonstration: in floating point, in fixed point and in RTL."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from spikeloom.cli.report_data import Trace, TransferCurve
from spikeloom.reference.fixed import IntArray, Rounding
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.neuron_float import FloatArray, FloatNeuron
from spikeloom.reference.neuron_rounding import quantize_neurons
from spikeloom.reference.profile import TEXTBOOK_IAF, TEXTBOOK_LIF
from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.neuron import NeuronArray
from spikeloom.sim.engine import EngineRun, run_engine

__all__ = ["textbook_curve", "textbook_traces"]

STEPS = 100
LANES = 8

LIF = FloatNeuron(profile=TEXTBOOK_LIF, tau=20.0, v_th=10.0)
IAF = FloatNeuron(profile=TEXTBOOK_IAF, v_th=1.0)


def textbook_traces(engine: str, folder: Path) -> tuple[list[Trace], list[EngineRun]]:
    """The two published spike trains: LIF with a current of 11, IAF with one of 0.025."""
    traces, runs = [], []
    for name, title, neuron, current, scale in (
        ("lif", "Leaky integrate and fire, forward Euler", LIF, 11.0, 2.0**10),
        ("iaf", "Integrate and fire, constant leak", IAF, 0.025, 2.0**13),
    ):
        currents = np.full((STEPS, 1), current)
        float_v, float_spikes = _run_float(neuron, currents)
        run, golden = _run_rtl(neuron, currents, scale, engine, folder / name)
        runs.append(run)
        at = ", ".join(map(str, np.flatnonzero(float_spikes[:, 0])))
        traces.append(
            Trace(
                title=title,
                current=currents[:, 0],
                float_v=float_v[:, 0],
                fixed_v=golden.membrane[0][0, :, 0] / scale,
                rtl_v=None if run.membrane is None else run.membrane[0][0, :, 0] / scale,
                threshold=float(np.asarray(neuron.v_th)),
                float_spikes=float_spikes[:, 0],
                fixed_spikes=golden.spikes[0, :, 0],
                rtl_spikes=None if run.spikes is None else run.spikes[0, :, 0],
                note=f"constant current {current:g}; float spikes in steps {at}",
            )
        )
    return traces, runs


def textbook_curve(engine: str, folder: Path) -> tuple[TransferCurve, EngineRun]:
    """Spike count of the IAF neuron against a constant current from -5 to 5."""
    current = np.arange(-25, 26) * 0.2
    currents = np.tile(current, (STEPS, 1))
    _, spikes = _run_float(IAF, currents)
    run, golden = _run_rtl(IAF, currents, 2.0**12, engine, folder / "curve", state_width=24)
    curve = TransferCurve(
        current=current,
        float_counts=spikes.sum(axis=0),
        fixed_counts=golden.spikes[0].sum(axis=0),
        rtl_counts=None if run.spikes is None else run.spikes[0].sum(axis=0),
        steps=STEPS,
    )
    return curve, run


def _run_float(neuron: FloatNeuron, currents: FloatArray) -> tuple[FloatArray, IntArray]:
    state = neuron.initial(currents.shape[1:])
    v = np.empty(currents.shape)
    spikes = np.empty(currents.shape, dtype=np.int64)
    for t, current in enumerate(currents):
        state, spikes[t] = neuron.step(state, current)
        v[t] = state.v
    return v, spikes


def _run_rtl(
    neuron: FloatNeuron,
    currents: FloatArray,
    scale: float,
    engine: str,
    folder: Path,
    state_width: int = 16,
) -> tuple[EngineRun, Scenario]:
    config = _quantized(neuron, currents.shape[1], scale, state_width)
    units = np.rint(currents * neuron.gain * scale).astype(np.int64)
    golden = Scenario.of_neurons(config, units[None])
    top = NeuronArray(config, min(LANES, config.size))
    run = run_engine(engine, top, golden, folder, profile=neuron.profile.name)
    return run, golden


def _quantized(neuron: FloatNeuron, size: int, scale: float, width: int) -> NeuronConfig:
    profile = replace(neuron.profile, rounding=Rounding.NEAREST_EVEN)
    return quantize_neurons(
        replace(neuron, profile=profile),
        size,
        scale=scale,
        state_width=width,
        current_width=width,
        decay_fraction=16,
    )
