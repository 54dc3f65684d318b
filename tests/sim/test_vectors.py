import numpy as np
import pytest

from spikeloom.reference.dense import FixedDense, fixed_stack
from spikeloom.reference.fixed import QFormat
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.neuron import NeuronArray
from spikeloom.sim.vectors import Command, Vectors, Wait, decode_outputs, decode_rows, vectors


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


def test_words_of_an_array_by_hand():
    # Currents 1, -1, 2 in two rows of two lanes: lane 0 lowest, restart behind the four-bit
    # currents, and only in the first row of a sample.
    scenario = Scenario(
        np.array([[[1, -1, 2]]]), np.array([[[0, 3, 1]]]), (np.array([[[-2, 5, 6]]]),)
    )
    played = vectors(_array(), scenario, wait=Wait.STEP, probe=True)
    assert played.commands == [
        (Command.SEND, 0b1_1111_0001),
        (Command.SEND, 0b0_0000_0010),
        (Command.AWAIT, 2),
        (Command.PROBE, 0),
        (Command.PROBE, 1),
    ]
    # Counts of two bits, restart, last.
    assert played.outputs == [0b0_1_11_00, 0b1_0_00_01]
    assert played.rows == [0x05FE, 0x0006]


def test_words_of_a_network_by_hand():
    # An event is kind, address, count from the lowest bit.
    scenario = Scenario(
        np.array([[[0, 1], [0, 0]]]),
        np.array([[[1, 0], [0, 0]]]),
        (np.array([[[1, 2, 3], [4, 5, -1]]]), np.array([[[7, 8], [9, 10]]])),
    )
    played = vectors(_network(), scenario, wait=Wait.STEP, probe=True)
    restart, tick, second = 0b0_0_10, 0b0_0_01, 0b1_1_00
    probes = [(Command.PROBE, word) for word in (0b0_0, 0b1_0, 0b0_1, 0b1_1)]
    assert played.commands == [
        (Command.SEND, restart),
        (Command.SEND, second),
        (Command.SEND, tick),
        (Command.AWAIT, 3),
        *probes,
        (Command.SEND, tick),
        (Command.AWAIT, 4),
        *probes,
    ]
    assert played.outputs == [restart, 0b1_0_00, tick, tick]
    assert played.rows == [0x0201, 3, 7, 8, 0x0504, 0xFF, 9, 10]


def test_without_probes_nothing_is_awaited():
    scenario = Scenario(np.array([[[0, 1]]]), np.array([[[1, 0]]]), ())
    played = vectors(_network(), scenario, wait=Wait.NEVER, probe=False)
    assert {command for command, _ in played.commands} == {Command.SEND}
    assert played.rows == []


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("make", [_array, _network])
def test_decoding_inverts_encoding(make, seed):
    rng = np.random.default_rng(seed)
    top = make()
    sizes = (3, 2) if make is _network else (3,)
    most = 1 if make is _network else 3
    scenario = Scenario(
        rng.integers(0, 2, (4, 5, 2 if make is _network else 3)),
        rng.integers(0, most + 1, (4, 5, sizes[-1])),
        tuple(rng.integers(-128, 128, (4, 5, size)) for size in sizes),
    )
    played = vectors(top, scenario, wait=Wait.STEP, probe=True)
    assert np.array_equal(decode_outputs(top, played.outputs, 4, 5), scenario.spikes)
    for seen, expected in zip(decode_rows(top, played.rows, 4, 5), scenario.membrane, strict=True):
        assert np.array_equal(seen, expected)


def test_wrong_numbers_of_words():
    with pytest.raises(ValueError, match="words must be 2, not 1"):
        decode_outputs(_array(), [0], 1, 1)
    with pytest.raises(ValueError, match="words must be 4, not 3"):
        decode_rows(_network(), [0, 0, 0], 1, 1)
    with pytest.raises(ValueError, match="words must be those of 2 samples, not 1"):
        decode_outputs(_network(), [0b10, 0b01], 2, 1)


def test_addition_shifts_what_is_awaited():
    both = Vectors([(Command.AWAIT, 2)], [5, 6], [7]) + Vectors(
        [(Command.SEND, 2), (Command.AWAIT, 1)], [8], [9]
    )
    assert both.commands == [(Command.AWAIT, 2), (Command.SEND, 2), (Command.AWAIT, 3)]
    assert (both.outputs, both.rows) == ([5, 6, 8], [7, 9])


def test_save_and_load(tmp_path):
    saved = Vectors([(Command.SEND, 1 << 70), (Command.PROBE, 3)], [1, 255], [1 << 130])
    saved.save(tmp_path / "vectors")
    loaded = Vectors.load(tmp_path / "vectors")
    assert loaded.commands == saved.commands
    assert (loaded.outputs, loaded.rows) == (saved.outputs, saved.rows)


@pytest.mark.parametrize("content", ["0 zz\n", "nonsense\n", "0\n", "\udcff"])
def test_damaged_vectors_are_refused(tmp_path, content):
    Vectors([], [], []).save(tmp_path)
    (tmp_path / "stimulus.hex").write_text(content, errors="surrogateescape")
    with pytest.raises(ValueError, match="must hold golden vectors, but"):
        Vectors.load(tmp_path)


def test_missing_vectors_are_refused(tmp_path):
    with pytest.raises(ValueError, match="must hold golden vectors, but"):
        Vectors.load(tmp_path)
