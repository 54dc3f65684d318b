import numpy as np
import pytest

from spikeloom.reference.dense import FixedDense, fixed_stack
from spikeloom.reference.fixed import QFormat
from spikeloom.reference.maps import Dense
from spikeloom.reference.network import Connection, FixedInput, FixedNetwork, FixedPopulation
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.neuron import NeuronArray
from spikeloom.sim.vectors import Vectors, Wait, decode_outputs, decode_rows, vectors


def _array(lanes: int = 2) -> NeuronArray:
    config = NeuronConfig(
        size=3, state=QFormat(word_length=8), current_width=4, threshold=5, max_spikes=3
    )
    return NeuronArray(config, lanes)


def _network() -> NetworkTop:
    state = QFormat(word_length=8)
    hidden = NeuronConfig(size=3, state=state, current_width=4, threshold=5)
    out = NeuronConfig(size=2, state=state, current_width=4, threshold=3)
    return NetworkTop(
        fixed_stack(
            (
                FixedDense(weight=np.ones((2, 3), np.int64), weight_width=4, neurons=hidden),
                FixedDense(weight=np.ones((3, 2), np.int64), weight_width=4, neurons=out),
            ),
            "test",
        ),
        lanes=(2, 1),
    )


def _scenario(stimulus, outputs, membrane=()) -> Scenario:
    return Scenario({"input": np.array(stimulus)}, {"output": np.array(outputs)}, membrane)


def test_words_of_an_array_by_hand():
    # Currents 1, -1, 2 in two rows of two lanes: lane 0 lowest, restart behind the four-bit
    # currents, and only in the first row of a sample.
    scenario = _scenario([[[1, -1, 2]]], [[[0, 3, 1]]], (np.array([[[-2, 5, 6]]]),))
    played = vectors(_array(), scenario, wait=Wait.STEP, probe=True)
    assert played.stimulus == {
        "i": [(0, 0b1_1111_0001), (0, 0b0_0000_0010)],
        "probe_i": [(2, 0), (3, 1)],
    }
    # Counts of two bits, restart, last.
    assert played.outputs == {"o": [0b0_1_11_00, 0b1_0_00_01], "probe_o": [0x05FE, 0x0006]}


def test_words_of_a_network_by_hand():
    # An event is kind, address, count from the lowest bit.
    scenario = _scenario(
        [[[0, 1], [0, 0]]],
        [[[1, 0], [0, 0]]],
        (np.array([[[1, 2, 3], [4, 5, -1]]]), np.array([[[7, 8], [9, 10]]])),
    )
    played = vectors(_network(), scenario, wait=Wait.STEP, probe=True)
    restart, tick, second = 0b0_0_10, 0b0_0_01, 0b1_1_00
    probes = (0b0_0, 0b1_0, 0b0_1, 0b1_1)
    # Three words come out in the first step, one in the second, and four answers in each.
    assert played.stimulus == {
        "i": [(0, restart), (0, second), (0, tick), (7, tick)],
        "probe_i": [*zip((3, 4, 5, 6, 8, 9, 10, 11), probes * 2, strict=True)],
    }
    assert played.outputs == {
        "o": [restart, 0b1_0_00, tick, tick],
        "probe_o": [0x0201, 3, 7, 8, 0x0504, 0xFF, 9, 10],
    }
    assert played.count == 12


def test_words_of_several_inputs_and_outputs_by_hand():
    state = QFormat(word_length=8)
    neurons = NeuronConfig(size=1, state=state, current_width=4, threshold=5)
    one = np.ones((1, 1), np.int64)
    heard = tuple(Connection(source=name, maps=(Dense(one),)) for name in ("x", "y"))
    population = FixedPopulation(shape=(1,), neurons=neurons, connections=heard)
    inputs = {"x": FixedInput(shape=(1,)), "y": FixedInput(shape=(1,))}
    top = NetworkTop(FixedNetwork(inputs, {"p": population}, {"a": "p", "b": "y"}, "test"), 1)
    x, y, p = np.array([[[1], [0]]]), np.array([[[0], [1]]]), np.array([[[0], [0]]])
    scenario = Scenario({"y": y, "x": x}, {"b": y, "a": p}, ())
    restart, tick, spike = 0b0_0_10, 0b0_0_01, 0b1_0_00
    played = vectors(top, scenario, wait=Wait.STEP, probe=False)
    # Two words and two come out in the first step.
    assert played.stimulus == {
        "i_0": [(0, restart), (0, spike), (0, tick), (4, tick)],
        "i_1": [(0, restart), (0, tick), (4, spike), (4, tick)],
        "probe_i": [],
    }
    assert played.outputs == {
        "o_0": [restart, tick, tick],
        "o_1": [restart, tick, spike, tick],
        "probe_o": [],
    }
    decoded = decode_outputs(top, played.outputs, 1, 2)
    assert list(decoded) == ["a", "b"]
    assert np.array_equal(decoded["a"], p)
    assert np.array_equal(decoded["b"], y)


def test_after_each_sample():
    """A restart and a tick in the first step of each, and a tick in the second."""
    scenario = _scenario(np.zeros((2, 2, 2), int), np.zeros((2, 2, 2), int))
    played = vectors(_network(), scenario, wait=Wait.SAMPLE, probe=False)
    assert [count for count, _ in played.stimulus["i"]] == [0, 0, 0, 3, 3, 3]


def test_without_waiting_there_are_no_probes():
    scenario = _scenario([[[0, 1]]], [[[1, 0]]])
    played = vectors(_network(), scenario, wait=Wait.NEVER, probe=True)
    assert {count for count, _ in played.stimulus["i"]} == {0}
    assert played.stimulus["probe_i"] == played.outputs["probe_o"] == []


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("make", [_array, _network])
def test_decoding_inverts_encoding(make, seed):
    rng = np.random.default_rng(seed)
    top = make()
    sizes = (3, 2) if make is _network else (3,)
    most = 1 if make is _network else 3
    scenario = _scenario(
        rng.integers(0, 2, (4, 5, 2 if make is _network else 3)),
        rng.integers(0, most + 1, (4, 5, sizes[-1])),
        tuple(rng.integers(-128, 128, (4, 5, size)) for size in sizes),
    )
    played = vectors(top, scenario, wait=Wait.STEP, probe=True)
    (decoded,) = decode_outputs(top, played.outputs, 4, 5).values()
    assert np.array_equal(decoded, scenario.spikes)
    rows = decode_rows(top, played.outputs["probe_o"], 4, 5)
    for seen, expected in zip(rows, scenario.membrane, strict=True):
        assert np.array_equal(seen, expected)


def test_wrong_numbers_of_words():
    with pytest.raises(ValueError, match="words must be 2, not 1"):
        decode_outputs(_array(), {"o": [0]}, 1, 1)
    with pytest.raises(ValueError, match="words must be 4, not 3"):
        decode_rows(_network(), [0, 0, 0], 1, 1)
    with pytest.raises(ValueError, match="words must be those of 2 samples, not 1"):
        decode_outputs(_network(), {"o": [0b10, 0b01]}, 2, 1)


def test_addition_waits_for_the_first():
    """One word is loaded and three come out."""
    first = Vectors({"load": [(0, 9)], "i": [(2, 1)]}, {"o": [5, 6], "probe_o": [7]})
    both = first + Vectors({"i": [(0, 2), (1, 3)]}, {"o": [8], "probe_o": []})
    assert first.count == 4
    assert both.stimulus == {"load": [(0, 9)], "i": [(2, 1), (4, 2), (5, 3)]}
    assert both.outputs == {"o": [5, 6, 8], "probe_o": [7]}


def test_save_and_load(tmp_path):
    stimulus = {"i_0": [(0, 1 << 70)], "i_1": [], "probe_i": [(17, 3)]}
    saved = Vectors(stimulus, {"o": [1, 255], "probe_o": [1 << 130]})
    saved.save(tmp_path / "vectors")
    loaded = Vectors.load(tmp_path / "vectors", saved.stimulus, saved.outputs)
    assert loaded.stimulus == saved.stimulus
    assert loaded.outputs == saved.outputs


@pytest.mark.parametrize("stream", ["i_0", "i_1", "o"])
@pytest.mark.parametrize("content", ["0 zz\n", "nonsense\n", "0 1 2\n", "\n", "\udcff"])
def test_damaged_vectors_are_refused(tmp_path, stream, content):
    Vectors({"i_0": [], "i_1": []}, {"o": []}).save(tmp_path)
    (tmp_path / f"{stream}.hex").write_text(content, errors="surrogateescape")
    with pytest.raises(ValueError, match="must hold golden vectors, but"):
        Vectors.load(tmp_path, ["i_0", "i_1"], ["o"])


@pytest.mark.parametrize(("stream", "content"), [("i", "0\n"), ("o", "0 1\n")])
def test_too_few_or_too_many_numbers(tmp_path, stream, content):
    Vectors({"i": []}, {"o": []}).save(tmp_path)
    (tmp_path / f"{stream}.hex").write_text(content)
    with pytest.raises(ValueError, match="must hold golden vectors, but"):
        Vectors.load(tmp_path, ["i"], ["o"])


@pytest.mark.parametrize("missing", ["i_0", "i_1", "o_0", "o_1"])
def test_missing_vectors_are_refused(tmp_path, missing):
    Vectors({"i_0": [], "i_1": []}, {"o_0": [], "o_1": []}).save(tmp_path)
    (tmp_path / f"{missing}.hex").unlink()
    with pytest.raises(ValueError, match=rf"must hold golden vectors, but .*{missing}\.hex"):
        Vectors.load(tmp_path, ["i_0", "i_1"], ["o_0", "o_1"])
