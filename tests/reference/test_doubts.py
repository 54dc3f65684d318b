"""Doubts about a profile, against time constants and thresholds worked out by hand."""

import re
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest

from spikeloom.reference.doubts import doubts, fitting
from spikeloom.reference.graph import (
    IF,
    LI,
    LIF,
    CubaLI,
    CubaLIF,
    Delay,
    Graph,
    Input,
    Linear,
    Node,
    Output,
    Threshold,
)
from spikeloom.reference.nir_network import network_of
from spikeloom.reference.profile import PROFILES, Decay, Profile

PLAIN = Profile(name="plain")


def chain(*nodes: Node) -> Graph:
    """``a`` to ``b`` to ``c`` and so on."""
    named = dict(zip("abcdef", nodes, strict=False))
    return Graph(named, tuple(pairwise(named)))


def full(kind: type[Node], **values: float) -> Node:
    """One neuron."""
    defaults = {
        **dict.fromkeys(("tau", "tau_mem", "tau_syn"), 20.0),
        **{"r": 1.0, "w_in": 1.0, "v_leak": 0.0, "v_threshold": 0.5, "v_reset": 0.0},
    } | values
    return kind(**{each.name: np.full(1, defaults[each.name]) for each in fields(kind)})


def alone(kind: type[Node], weight: float = 2.0, **values: float) -> Graph:
    return chain(Input((1,)), Linear(np.array([[weight]])), full(kind, **values), Output((1,)))


DT = r"; a dt of at most "


@pytest.mark.parametrize(
    ("graph", "profile", "rule"),
    [
        # 1 - 1/0.01 = -99, 1 - 1/0.8 = -0.25; all of both is too much for a threshold.
        (
            alone(LIF, tau=0.01),
            PLAIN,
            r"has a time constant of 0\.01, shorter than dt=1 of profile 'plain': forward Euler"
            rf" leaves -99 of its potential after a step, which grows without bound{DT}0\.001 .*",
        ),
        (
            alone(LI, tau=0.8),
            PLAIN,
            r"has a time constant of 0\.8, shorter .*: forward Euler leaves -0\.25 of its potential"
            rf" after a step, which changes its sign{DT}0\.08 .*",
        ),
        # exp(-1/0.5) = 0.135, exp(-1/0.001) is too small for a double.
        (
            alone(CubaLI, tau_mem=3.0, tau_syn=0.5),
            replace(PLAIN, decay=Decay.EXPONENTIAL),
            r"has a time constant of 0\.5, .*: 0\.14 of its synaptic current is left after a step;"
            r" .*",
        ),
        (
            alone(LI, tau=0.001),
            replace(PLAIN, decay=Decay.EXPONENTIAL),
            r"has a time constant of 0\.001, .*: all decays are zero, nothing of its potential is"
            rf" left after a step{DT}0\.0001 would fit",
        ),
        # 1 - 1/1 = 0, and 1 - 2**0 with log2(1.25) nearest to 0.
        (
            alone(LI, tau=1.0),
            PLAIN,
            r"has a time constant of 1, which with dt=1 and decay 'euler' of profile 'plain' means"
            rf" that all decays are zero, nothing of its potential is left after a step{DT}0\.1 .*",
        ),
        (
            alone(LI, tau=1.25),
            replace(PLAIN, decay=Decay.SHIFT),
            r"has a time constant of 1\.25, which with dt=1 and decay 'shift' .* all decays are .*",
        ),
        (
            alone(CubaLI, tau_syn=1.0),
            PLAIN,
            r"has a time constant of 1, which .* nothing of its synaptic current is left .*",
        ),
        (
            alone(LI, tau=30.0),
            PROFILES["norse"],
            r"has a time constant of 30, 300000 steps of dt=0\.0001: .*",
        ),
        (
            alone(LIF, weight=0.9, tau=100.0, v_threshold=1.0),
            PLAIN,
            r"never spikes: with one spike a step .* comes to 0\.9 of its .*",
        ),
    ],
)
def test_doubts(graph: Graph, profile: Profile, rule: str) -> None:
    (found,) = doubts(network_of(graph, profile))
    assert re.fullmatch(rf"node 'c' {rule}", found), found


def test_both_registers_are_told_apart() -> None:
    """The neuron that the issue is about: a potential and a current that nothing is left of."""
    first, second = doubts(network_of(alone(CubaLIF, tau_syn=1.0, tau_mem=1.0), PLAIN))
    assert "nothing of its potential is left" in first
    assert "nothing of its synaptic current is left" in second


def test_no_doubts() -> None:
    """The potential of a constant input of 1 is 1; the threshold is reached from 0.99 on."""
    for threshold, count in ((0.99, 0), (1.01, 1)):
        graph = alone(LIF, weight=1.0, tau=100.0, v_threshold=threshold)
        assert len(doubts(network_of(graph, PLAIN), graph)) == count
    assert doubts(network_of(alone(IF, v_threshold=1e6), PLAIN)) == []
    # 1 of 8 neurons forgets at once: that is what its file says.
    graph = chain(Input((2,)), LI(np.array([1.0, 8.0]), np.ones(2), np.zeros(2)), Output((2,)))
    assert doubts(network_of(graph, PLAIN), graph) == []


def test_what_has_no_memory_is_not_doubted() -> None:
    """An Output with weights, a Threshold, and a Delay that needs a buffer."""
    graph = chain(
        Input((2,)),
        Linear(np.eye(2)),
        Delay(np.array([1.0, 2.0])),
        Threshold(np.full(2, 0.5)),
        Linear(np.eye(2)),
        Output((2,)),
    )
    network = network_of(graph, PLAIN)
    assert [*network.populations] == ["c", "d", "f"]
    assert doubts(network, graph) == []


def test_a_threshold_that_nothing_reaches() -> None:
    graph = chain(Input((1,)), Threshold(np.full(1, 2.0)), Output((1,)))
    (found,) = doubts(network_of(graph, PLAIN), graph)
    assert re.fullmatch(
        r"node 'b' never spikes: with .* comes to 0\.5 of its threshold; no preset fits", found
    )


def test_presets_that_fit() -> None:
    """20 ms in seconds want steps of 0.1 ms; those of the most similar options come first."""
    graph = alone(LI, tau=0.02)
    sinabs = PROFILES["sinabs"]
    (found,) = doubts(network_of(graph, sinabs), graph)
    assert found.startswith("node 'c' has a time constant of 0.02, shorter than dt=1 of profile")
    assert fitting(graph, sinabs)[0] == "rockpool"
    assert re.search(r"; the presets 'rockpool', '\w+' and '\w+' fit$", found)
    assert fitting(graph, PROFILES["norse"]) == ["norse", "snntorch", "spinnaker2"]
    # A membrane of 20 steps is doubted where a step is 0.1 ms, and 'xylo' has shifts.
    steps = alone(LI, tau=20.0)
    assert fitting(steps, PROFILES["norse"]) == ["textbook", "sinabs", "xylo"]
    assert fitting(steps, PROFILES["xylo"])[0] == "xylo"


def test_one_preset_that_fits() -> None:
    """Euler and shifts leave nothing after one of one step, and 20 are too many of 0.1 ms."""
    graph = alone(CubaLI, tau_mem=1.0, tau_syn=20.0)
    (found,) = doubts(network_of(graph, PROFILES["textbook"]), graph)
    assert found.endswith("; the preset 'sinabs' fits")
