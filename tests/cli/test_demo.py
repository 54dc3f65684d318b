"""The demonstration's parts; the whole of it is `make demo`."""

import numpy as np
import pytest

from spikeloom.cli.digits import DIGITS_LANES, load_digits_demo, write_design
from spikeloom.cli.files import read_toml
from spikeloom.cli.generate import read_design
from spikeloom.cli.textbook import textbook_curve, textbook_traces
from spikeloom.reference.dense import dense_layers
from spikeloom.reference.quantize import quantize
from spikeloom.reference.simulate import run_fixed, run_float


@pytest.fixture(scope="module")
def digits():
    return load_digits_demo()


def test_the_digits_are_recognised(digits):
    assert digits.stimulus.shape == (360, 16, 64)
    # A pixel of grey level g, 0 to 16, gives g spikes in 16 steps.
    levels = np.rint(digits.images.reshape(360, 64) * 16)
    assert np.array_equal(digits.stimulus.sum(axis=1), levels)
    fixed = run_fixed(quantize(digits.network), digits.stimulus)
    floating = run_float(digits.network, digits.stimulus)
    assert np.mean(fixed.decision == digits.labels) >= 0.96
    assert np.mean(floating.decision == digits.labels) >= 0.96
    assert digits.ann_correct >= 0.96 * 360


def test_the_design_file_says_the_same_network(digits, tmp_path):
    config = write_design(digits, tmp_path)
    arguments = type("Arguments", (), {"config": config, "calibration": None})()
    design = read_design(arguments, read_toml(config))
    assert tuple(p.lanes for p in design.top.populations) == DIGITS_LANES
    expected = quantize(digits.network)
    for seen, layer in zip(dense_layers(design.top.network), dense_layers(expected), strict=True):
        assert np.array_equal(seen.weight, layer.weight)
        assert seen.neurons == layer.neurons


def test_textbook_traces(tmp_path):
    (lif, iaf), runs = textbook_traces("amaranth", tmp_path)
    assert all(run.equal for run in runs)
    for spikes in (lif.float_spikes, lif.fixed_spikes, lif.rtl_spikes):
        assert np.flatnonzero(spikes).tolist() == [47, 94]
    for spikes in (iaf.float_spikes, iaf.fixed_spikes, iaf.rtl_spikes):
        assert spikes.sum() == 2


def test_the_transfer_curve_is_the_rectified_linear_one(tmp_path):
    curve, run = textbook_curve("amaranth", tmp_path)
    assert run.equal
    relu = np.rint(np.maximum(0, 100 * curve.current)).astype(int)
    for counts in (curve.float_counts, curve.fixed_counts, curve.rtl_counts):
        assert np.all(np.abs(counts.astype(int) - relu) <= 1)
