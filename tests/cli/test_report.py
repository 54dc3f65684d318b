import os
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeloom.cli.chart import Scale, nice_ticks
from spikeloom.cli.markup import decimal, duration, tag
from spikeloom.cli.report import render_report, write_report
from spikeloom.cli.report_data import (
    Accuracy,
    Layer,
    Outcome,
    Raster,
    Report,
    Resources,
    Trace,
    TransferCurve,
    Verdict,
)
from spikeloom.reference.ann import dense_ann
from spikeloom.reference.calibrate import Conversion, Normalisation
from spikeloom.reference.coding import rate_code
from spikeloom.reference.convert import convert
from spikeloom.reference.dense import dense_layers
from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.neuron_rounding import quantize_neurons
from spikeloom.reference.profile import TEXTBOOK_IAF, TEXTBOOK_LIF
from spikeloom.reference.quantize import quantize
from spikeloom.reference.simulate import run_fixed, run_neurons

VOID = {"meta"}
VERILATOR = Verdict(
    engine="verilator",
    version="5.48.0",
    samples=360,
    spikes=115_200,
    membranes=1_036_800,
    seconds=21.4,
    cycles=2_140_920,
)
ICARUS = replace(VERILATOR, engine="icarus", version="11.0", seconds=184.0)
DIFFERS = replace(ICARUS, difference="word 17 of o must be 3, but is 5 (90 words came out)")
SKIPPED = Verdict(engine="amaranth", version="", skipped="the fast engines were there")

DIGIT = np.array(
    [
        [0, 0, 9, 14, 8, 1, 0, 0],
        [0, 0, 12, 14, 14, 12, 0, 0],
        [0, 0, 9, 10, 0, 15, 4, 0],
        [0, 0, 3, 16, 12, 14, 2, 0],
        [0, 0, 4, 16, 16, 2, 0, 0],
        [0, 3, 16, 8, 10, 13, 2, 0],
        [0, 1, 15, 1, 3, 16, 8, 0],
        [0, 0, 11, 16, 15, 11, 1, 0],
    ]
)


def neuron_run(neuron: FloatNeuron, current: np.ndarray, scale: float) -> tuple[np.ndarray, ...]:
    """Float and fixed spikes and potentials of a neuron, the fixed ones in real units."""
    state = neuron.initial((1,))
    spikes, potential = [], []
    for value in current:
        state, count = neuron.step(state, value)
        spikes.append(int(count[0]))
        potential.append(float(state.v[0]))
    config = quantize_neurons(neuron, 1, scale=scale, decay_fraction=16)
    drive = np.rint(current * neuron.gain * scale).astype(np.int64)[None, :, None]
    fixed_spikes, fixed_v = run_neurons(config, drive)
    return (
        np.array(spikes),
        np.array(potential),
        fixed_spikes[0, :, 0],
        fixed_v[0, :, 0] / scale,
    )


def trace(title: str, neuron: FloatNeuron, current: np.ndarray, scale: float, note: str) -> Trace:
    float_spikes, float_v, fixed_spikes, fixed_v = neuron_run(neuron, current, scale)
    return Trace(
        title=title,
        current=current,
        float_v=float_v,
        fixed_v=fixed_v,
        rtl_v=fixed_v.copy(),
        threshold=neuron.v_th,
        float_spikes=float_spikes,
        fixed_spikes=fixed_spikes,
        rtl_spikes=fixed_spikes,
        note=note,
    )


def transfer_curve() -> TransferCurve:
    current = np.round(np.arange(-5, 5.1, 0.2), 1)
    neuron = FloatNeuron(profile=TEXTBOOK_IAF, v_th=1.0)
    runs = [neuron_run(neuron, np.full(100, value), 256.0) for value in current]
    counts = [np.array([run[kind].sum() for run in runs]) for kind in (0, 2)]
    return TransferCurve(
        current=current,
        float_counts=counts[0],
        fixed_counts=counts[1],
        rtl_counts=counts[1],
        steps=100,
    )


def raster() -> Raster:
    random = np.random.default_rng(8)
    weights = [random.normal(0, 0.25, (64, 24)), random.normal(0, 0.4, (24, 10))]
    biases = [np.zeros(24), np.zeros(10)]
    options = Conversion(
        normalisation=Normalisation.PERCENTILE,
        max_spikes=1,
        bias_correction=False,
        weight_width=None,
    )
    network = convert(dense_ann(weights, biases), random.random((50, 64)), options).network
    fixed = quantize(network)
    stimulus = rate_code(DIGIT.reshape(1, 64) / 16, 32)
    run = run_fixed(fixed, stimulus)
    return Raster(
        title="Test image 0",
        layers=(
            ("input", stimulus[0]),
            ("hidden", run.spikes["layer_0"][0]),
            ("output", run.spikes["layer_1"][0]),
        ),
        membrane=run.membrane["layer_1"][0],
        threshold=dense_layers(fixed)[1].neurons.threshold,
        image=DIGIT,
        label=8,
        decision=int(run.decision[0]),
    )


def sample_report() -> Report:
    """Sizes and verdicts are made up; neurons and spikes are the reference's own."""
    lif = FloatNeuron(profile=TEXTBOOK_LIF, v_th=10.0, tau=20.0)
    iaf = FloatNeuron(profile=TEXTBOOK_IAF, v_th=1.0)
    random = np.random.default_rng(3)
    return Report(
        title="Handwritten digits on an iCEBreaker",
        command="spikeloom demo --board icebreaker",
        version="0.1.0",
        tools={"Amaranth": "0.5.10", "Verilator": "5.48.0", "Icarus Verilog": "11.0"},
        profile={"name": "iaf", "decay": "none", "reset": "subtract", "dt": "1.0"},
        layers=(
            Layer(
                name="hidden",
                inputs=64,
                neurons=24,
                lanes=8,
                weight_bits=8,
                state_bits=16,
                threshold=1203,
                decay="none",
                reset="subtract",
            ),
            Layer(
                name="output",
                inputs=24,
                neurons=10,
                lanes=8,
                weight_bits=8,
                state_bits=16,
                threshold=(401, 433, 433),
                decay="none",
                reset="subtract",
            ),
        ),
        accuracies=(
            Accuracy(name="ANN it came from", correct=353, samples=360),
            Accuracy(name="float", correct=352, samples=360),
            Accuracy(name="fixed", correct=351, samples=360),
            Accuracy(name="RTL in Verilator", correct=351, samples=360),
        ),
        verdicts=(VERILATOR, ICARUS),
        traces=(
            trace(
                "Leaky integrate-and-fire (LIF)", lif, np.full(100, 11.0), 1024.0, "Constant input"
            ),
            trace(
                "Integrate-and-fire (IAF)",
                iaf,
                random.uniform(-0.5, 1.5, 60),
                256.0,
                "Random input",
            ),
        ),
        curve=transfer_curve(),
        raster=raster(),
        resources=Resources(
            board="iCEBreaker",
            chip="iCE40UP5K",
            used={
                "logic cells": (1454, 5280),
                "block RAMs": (29, 30),
                "multipliers (DSP)": (0, 8),
                "SPRAMs": (4, 4),
            },
            fmax_mhz=31.84,
            target_mhz=24.0,
            critical_path=tuple(f"clk-to-q population.array.lane{n}.state[{n}]" for n in range(9)),
            bitstream="digits.bin",
            bitstream_bytes=104_090,
            seconds={"yosys": 14.2, "nextpnr": 121.0, "icepack": 0.41},
        ),
        cycles_per_image=5947.0,
        clock_mhz=24.0,
        warnings=("The bitstream was not run on a board.",),
    )


@pytest.fixture(scope="module")
def report() -> Report:
    return sample_report()


class Page(HTMLParser):
    """Checks that elements nest, and keeps what the tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.headings: list[str] = []
        self.headline = ""
        self.first_row: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        kind = dict(attrs).get("class") or ""
        if kind.startswith("headline "):
            self.headline = kind.removeprefix("headline ")
        if tag == "td" and self.tags.count("tr") == 2:
            self.first_row.append("")
        if tag in ("h1", "h2", "h3"):
            self.headings.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data
        if "td" in self.open and self.tags.count("tr") == 2:
            self.first_row[-1] += data
        if self.open and self.open[-1] in ("h1", "h2", "h3"):
            self.headings[-1] += data


def test_structure(report: Report) -> None:
    text = render_report(report)
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>\n<html lang=")
    assert page.headings == [
        "Handwritten digits on an iCEBreaker",
        "Equal, bit for bit: 115,200 spike counts, 1,036,800 membrane potentials,"
        " in Verilator 5.48.0 and Icarus 11.0",
        "Accuracy",
        "Equality with the golden model",
        "One image on its way through the network",
        "Test image 0",
        "Single neurons",
        "Leaky integrate-and-fire (LIF)",
        "Integrate-and-fire (IAF)",
        "Transfer curve",
        "Hardware: iCEBreaker",
        "Resources",
        "Clock",
        "The network",
        "Not run, and warnings",
        "How this was made",
    ]
    for said in (
        "351 of 360 images",
        "97.5\N{NO-BREAK SPACE}%",
        "1,454 of 5,280 (28 %)",
        "31.8 MHz",
        "met, 33 % to spare",
        "5,947 clock cycles an image; at 24 MHz that is 248\N{NO-BREAK SPACE}µs,"
        " or 4,036 images a second.",
        "spikes: float 2, fixed 2, RTL 2",
        "401 to 433",
        "The bitstream was not run on a board.",
        "spikeloom demo --board icebreaker",
    ):
        assert said in page.text


def test_what_is_missing_has_no_section() -> None:
    page = Page(render_report(Report(title="Bare", command="spikeloom", version="0.1.0")))
    assert page.headings == ["Bare", "Not proven: no engine ran", "How this was made"]


def test_escapes_everything(report: Report) -> None:
    evil = '<script>alert("x")</script>&\'"'
    assert report.resources is not None
    assert report.raster is not None
    page_of = replace(
        report,
        title=evil,
        command=evil,
        version=evil,
        tools={evil: evil},
        profile={evil: evil},
        layers=(replace(report.layers[0], name=evil, decay=evil, reset=evil),),
        accuracies=(replace(report.accuracies[0], name=evil),),
        verdicts=(
            replace(VERILATOR, engine=evil, version=evil),
            replace(DIFFERS, difference=evil),
            replace(SKIPPED, skipped=evil),
        ),
        traces=(replace(report.traces[0], title=evil, note=evil),),
        raster=replace(
            report.raster, title=evil, layers=tuple((evil, c) for _, c in report.raster.layers)
        ),
        resources=replace(
            report.resources,
            board=evil,
            chip=evil,
            used={evil: (1, 2)},
            critical_path=(evil,),
            bitstream=evil,
            seconds={evil: 1.0},
        ),
        warnings=(evil,),
    )
    text = render_report(page_of)
    assert "<script" not in text
    page = Page(text)
    assert "script" not in page.tags
    assert page.headings[0] == evil
    names = {name for name, _ in page.attributes}
    assert not any(name.startswith("on") or name in ("src", "href") for name in names)


def test_needs_nothing_from_outside(report: Report) -> None:
    text = render_report(report)
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object", "use", "image"} & set(page.tags)
    assert not {"src", "href", "xlink:href", "srcset"} & {name for name, _ in page.attributes}
    assert not re.search(r"https?:|url\(|@import|//\w", text)
    policy = dict(page.attributes[: page.attributes.index(("charset", "utf-8")) + 4])
    assert policy["content"].startswith("default-src 'none'")


def test_has_dark_colours_and_print_rules(report: Report) -> None:
    text = render_report(report)
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    used = set(re.findall(r"var\((--\w[\w-]*)\)", text))
    light = text[text.index(":root") : text.index("@media screen")]
    assert used <= set(re.findall(r"(--[\w-]+):", light))


@pytest.mark.parametrize(
    ("verdicts", "kind", "title"),
    [
        ((VERILATOR, ICARUS), "good", "Equal, bit for bit"),
        ((VERILATOR, DIFFERS), "bad", "Not equal: Icarus 11.0 differs from the golden model"),
        ((VERILATOR, SKIPPED), "good", "Equal, bit for bit"),
        ((SKIPPED, DIFFERS), "bad", "Not equal: Icarus 11.0 differs"),
        ((SKIPPED,), "warn", "Not proven: no engine ran"),
        ((), "warn", "Not proven: no engine ran"),
        ((replace(VERILATOR, spikes=0, membranes=0),), "warn", "Not proven: no engine ran"),
    ],
)
def test_headline(report: Report, verdicts: tuple[Verdict, ...], kind: str, title: str) -> None:
    page = Page(render_report(replace(report, verdicts=verdicts)))
    assert page.headline == kind
    assert page.headings[1].startswith(title)
    assert page.text.count("Not run: ") == sum(v.outcome is Outcome.NOT_RUN for v in verdicts)


def test_headline_tells_the_first_difference(report: Report) -> None:
    page = Page(render_report(replace(report, verdicts=(VERILATOR, DIFFERS))))
    assert f"First difference in Icarus 11.0: {DIFFERS.difference}" in page.text
    assert "Equal: 115,200 spike counts, 1,036,800 membrane potentials, in Verilator" in page.text


def test_engines_that_compared_less_are_told_apart(report: Report) -> None:
    fewer = replace(ICARUS, engine="amaranth", version="0.5.10", spikes=320, membranes=2880)
    page = Page(render_report(replace(report, verdicts=(VERILATOR, ICARUS, fewer))))
    assert page.headings[1] == (
        "Equal, bit for bit: 115,200 spike counts, 1,036,800 membrane potentials, in Verilator"
        " 5.48.0 and Icarus 11.0; 320 spike counts, 2,880 membrane potentials, in Amaranth 0.5.10"
    )


def test_designs_of_an_engine_are_summed_up(report: Report) -> None:
    network, neuron = replace(VERILATOR, design="network"), replace(VERILATOR, design="LIF")
    page = Page(render_report(replace(report, verdicts=(network, neuron))))
    assert page.headings[1] == (
        "Equal, bit for bit: 230,400 spike counts, 2,073,600 membrane potentials,"
        " in Verilator 5.48.0"
    )
    page = Page(render_report(replace(report, verdicts=(network, replace(neuron, difference="x")))))
    assert page.headings[1] == "Not equal: Verilator 5.48.0 differs from the golden model"
    assert "First difference in Verilator 5.48.0, LIF: x" in page.text


def test_skipped_engine_is_never_shown_as_passed(report: Report) -> None:
    claims = replace(SKIPPED, spikes=5, membranes=5, samples=1)
    page = Page(render_report(replace(report, verdicts=(claims,))))
    assert page.first_row == ["Amaranth", "not run", "–", "–", "–", "–", "–"]
    assert "Amaranth not run: the fast engines were there" in page.text


def test_table_of_engines(report: Report) -> None:
    page = Page(render_report(replace(report, verdicts=(DIFFERS,))))
    numbers = ["360", "115,200", "1,036,800", "2,140,920", "3\N{NO-BREAK SPACE}min 4"]
    assert page.first_row[:2] == ["Icarus 11.0", "differs"]
    assert [cell.removesuffix("\N{NO-BREAK SPACE}s") for cell in page.first_row[2:]] == numbers


def test_skipped_build(report: Report) -> None:
    missing = Resources(board="iCEBreaker", chip="iCE40UP5K", skipped="nextpnr is not installed")
    page = Page(render_report(replace(report, resources=missing)))
    assert "Hardware: iCEBreaker" not in page.headings
    assert "build for iCEBreaker not run: nextpnr is not installed" in page.text
    assert "5,947 clock cycles an image" in page.text


def test_timing_not_met(report: Report) -> None:
    assert report.resources is not None
    slow = replace(report.resources, fmax_mhz=23.9)
    assert not slow.timing_met
    assert "not met" in Page(render_report(replace(report, resources=slow))).text


def test_rtl_that_differs_is_marked(report: Report) -> None:
    good = report.traces[0]
    wrong_v = good.fixed_v.copy()
    wrong_v[31] += 1 / 1024
    wrong = replace(good, rtl_v=wrong_v)
    pages = [render_report(replace(report, traces=(t,))) for t in (good, wrong)]
    assert [page.count("RTL differs") for page in pages] == [0, 1]
    assert [page.count('class="dots bad"') for page in pages] == [0, 1]


def test_rtl_spikes_that_differ_are_marked(report: Report) -> None:
    late = np.roll(report.traces[0].fixed_spikes, 1)
    wrong = replace(report, traces=(replace(report.traces[0], rtl_spikes=late),))
    page = render_report(wrong)
    assert page.count("RTL differs") == 1
    assert page.count('class="dots bad"') == 1


def test_without_rtl(report: Report) -> None:
    assert report.curve is not None
    without = replace(
        report,
        traces=(replace(report.traces[0], rtl_v=None, rtl_spikes=None),),
        curve=replace(report.curve, rtl_counts=None),
    )
    text = render_report(without)
    assert 'class="dots rtl"' not in text
    assert "spikes: float 2, fixed 2<" in text


@pytest.mark.parametrize("steps", [1, 2, 3000])
def test_any_number_of_steps(report: Report, steps: int) -> None:
    zeros = np.zeros(steps)
    flat = replace(
        report.traces[0],
        current=zeros,
        float_v=zeros,
        fixed_v=zeros,
        rtl_v=zeros,
        threshold=0.0,
        float_spikes=zeros,
        fixed_spikes=zeros,
        rtl_spikes=zeros,
    )
    small = Raster(
        title="empty",
        layers=(("input", np.zeros((steps, 700), dtype=int)), ("out", np.ones((steps, 1), int))),
        membrane=np.zeros((steps, 1)),
        threshold=0.0,
        label=0,
        decision=0,
    )
    text = render_report(replace(report, traces=(flat,), raster=small))
    Page(text)
    assert not re.search(r"nan|inf\b", " ".join(re.findall(r' d="([^"]*)"', text)))


def test_same_bytes_every_time(report: Report, tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        write_report(report, tmp_path / name)
    first, second = ((tmp_path / name).read_bytes() for name in ("a.html", "b.html"))
    assert first == second == render_report(report).encode()
    assert sorted(os.listdir(tmp_path)) == ["a.html", "b.html"]
    assert len(first) < 200_000


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_failure_leaves_the_old_file(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(type(error)):
        write_report(report, path)
    assert os.listdir(tmp_path) == ["report.html"]
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda r: replace(SKIPPED, difference="x"), "difference must be empty for an engine"),
        (lambda r: replace(VERILATOR, spikes=-1), "spikes must be at least 0, not -1"),
        (lambda r: Accuracy(name="f", correct=0, samples=0), "samples must be positive, not 0"),
        (lambda r: Accuracy(name="f", correct=3, samples=2), "correct must be 0 to 2, not 3"),
        (
            lambda r: replace(r.traces[0], fixed_v=np.zeros(99)),
            r"fixed_v must be of shape \(100,\) and not empty, not \(99,\)",
        ),
        (
            lambda r: replace(r.traces[0], float_v=np.full(100, np.nan)),
            "float_v must be finite, but holds NaN or infinity",
        ),
        (
            lambda r: replace(r.curve, rtl_counts=np.zeros(3)),
            r"rtl_counts must be of shape \(51,\)",
        ),
        (lambda r: replace(r.raster, layers=()), "layers must hold the input at least"),
        (
            lambda r: replace(r.raster, membrane=np.zeros((32, 9))),
            r"membrane must be of shape \(32, 10\)",
        ),
        (lambda r: replace(r.raster, image=np.zeros(64)), "image must be of shape"),
        (lambda r: replace(r.raster, label=10), "label must be 0 to 9, not 10"),
    ],
)
def test_wrong_data(report: Report, make: Callable[[Any], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(report)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.1 + 0.2, "0.3"),
        (-0.497, "−0.497"),
        (31.84, "31.8"),
        (99.96, "100"),
        (5947.4, "5,947"),
        (123456.0, "123,456"),
        (2e-9, "2.00e−09"),
    ],
)
def test_decimal(value: float, text: str) -> None:
    assert decimal(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (3e-8, "30 ns"),
        (2.478e-4, "248 µs"),
        (0.41, "410 ms"),
        (21.4, "21.4 s"),
        (121.0, "2 min 1 s"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds).replace("\N{NO-BREAK SPACE}", " ") == text


def test_tag() -> None:
    assert tag("p", "<&", tag("b", "x"), None, class_='a"b', data_label=None) == (
        '<p class="a&quot;b">&lt;&amp;<b>x</b></p>'
    )


@pytest.mark.parametrize("most", range(2, 9))
def test_ticks_are_few_and_round(most: int) -> None:
    random = np.random.default_rng(most)
    for low, span in zip(random.normal(0, 50, 200), 10 ** random.uniform(-4, 5, 200), strict=True):
        ticks = nice_ticks(Scale(low, low + span), most)
        values = [value for value, _ in ticks]
        assert len({text for _, text in ticks}) == len(ticks)
        assert len(values) <= most + 1
        assert all(low <= value <= low + span for value in values)
        assert most < 4 or len(values) >= 1
