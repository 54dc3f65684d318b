from spikeloom.cli.fault_page import render_faults
from spikeloom.sim.upsets import Accuracy, Fate, Kind

FATES = {
    Kind.WEIGHTS: {Fate.MASKED: 30, Fate.LASTING: 10},
    Kind.CONTROL: {Fate.MASKED: 20, Fate.TRANSIENT: 15, Fate.HANG: 5},
}
BITS = {Kind.WEIGHTS: 2048, Kind.CONTROL: 77}
ACCURACIES = [
    Accuracy(Kind.WEIGHTS, 1, None, 50, 48),
    Accuracy(Kind.WEIGHTS, 10, None, 50, 30),
    Accuracy(Kind.WEIGHTS, 10, None, 50, 40),
    Accuracy(Kind.WEIGHTS, 5, 0, 50, 47),
    Accuracy(Kind.WEIGHTS, 5, 1, 50, 12),
]


def test_page() -> None:
    """Every share and every accuracy is there in words, for those who see no drawing."""
    page = render_faults("Mine & yours", {"samples": "50"}, FATES, BITS, ACCURACIES, 98.0)
    assert "<h1>Mine &amp; yours</h1>" in page
    assert "weights: masked 75.0 %, transient 0.0 %, lasting 25.0 %, hang 0.0 %" in page
    assert "control registers: masked 50.0 %, transient 37.5 %, lasting 0.0 %, hang 12.5 %" in page
    # Two draws of ten bits are one accuracy.
    assert "Accuracy with weights flipped: 96.0, 70.0" in page
    assert "Accuracy with weights: 5 bits of the network flipped: 94.0, 24.0" in page
    assert "2,048" in page
    assert "without: 98.0" in page
    assert "<script" not in page


def test_nothing_tried() -> None:
    page = render_faults("None", {}, {Kind.WEIGHTS: {}}, {Kind.WEIGHTS: 8}, ACCURACIES, 98.0)
    assert "weights: masked 0.0 %" in page
