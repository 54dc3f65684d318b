"""What one event does to one neuron, and what the end of a step does, where events come one by one.

With the accumulation ``EVENT`` an event is added to the synaptic current ``i_syn``, or where there
is none to ``total``, which begins each step at 0. With ``SPIKING_EVENT`` it is added to the
potential, and ``fired`` counts the step's spikes.
"""

from dataclasses import replace
from functools import partial

from amaranth.hdl import Const, Mux, Value

from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.profile import Accumulation, Order
from spikeloom.rtl_gen.datapath import Lane, Stage, decay_stages, fire, preceded, update_stages
from spikeloom.rtl_gen.fixed import fit

__all__ = ["add_event", "step_stages"]


def add_event(config: NeuronConfig, lane: Lane, event: Value) -> Lane:
    """The lane after an event that adds so much; combinational.

    Equal to one event of :meth:`spikeloom.reference.neurons.Neurons.step_events`; an event of 0
    changes nothing. With ``EVENT`` one of several times the amount stands for as many of the
    amount: what saturates on the way saturates at its end, and what wraps is the same.
    """
    if config.accumulation is Accumulation.EVENT:
        if config.synapse is None:
            return lane | {"total": fit(lane["total"] + event, config.state)}
        return lane | {"i_syn": fit(lane["i_syn"] + event, config.synapse.state)}
    v = fit(lane["v"] + event, config.state)
    if config.floor is not None:
        v = Mux(v < lane["floor"], lane["floor"], v)
    after = fire(config, 0, lane | {"v": v})
    reached = event != 0
    fired = lane["fired"]
    spikes = reached & after["spikes"] & (fired != config.max_spikes)
    return lane | {
        "v": Mux(reached, after["v"], lane["v"]),
        "fired": (fired + spikes)[: config.count_width],
    }


def step_stages(config: NeuronConfig) -> list[Stage]:
    """The stages that end a step, in order, as :func:`~spikeloom.rtl_gen.datapath.update_stages`.

    The first takes a lane with the parameters and what
    :func:`~spikeloom.rtl_gen.datapath.state_shapes` names, after all events; the last leaves the
    state before the first event of the next step: a current that decays before its input has
    decayed.
    """
    if config.accumulation is Accumulation.SPIKING_EVENT:
        return [("bias", partial(_spend, config))]
    plain = replace(config, synapse=None, accumulation=Accumulation.STEP)
    membrane = update_stages(plain)
    if config.synapse is None:
        return preceded(membrane, _drive_with_total)
    decay = decay_stages(config.synapse, "i_syn", "synapse_decay", "synapse_")
    if config.synapse.order is Order.DECAY_FIRST:
        return preceded([*decay, *membrane], _drive_with_synapse)
    return [*decay, *preceded(membrane, _drive_with_synapse)]


def _spend(config: NeuronConfig, lane: Lane) -> Lane:
    """The bias as the last event, and all spikes."""
    after = add_event(config, lane, lane["bias"])
    return {"v": after["v"], "spikes": after["fired"], "fired": Const(0)}


def _drive_with_total(lane: Lane) -> Lane:
    return lane | {"current": lane["total"], "total": Const(0)}


def _drive_with_synapse(lane: Lane) -> Lane:
    return lane | {"current": lane["i_syn"]}
