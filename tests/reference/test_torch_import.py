"""Imported models against the modules themselves, run by sinabs and snnTorch: every spike."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spikeloom.reference.graph import Affine
from spikeloom.reference.nir_network import network_of
from spikeloom.reference.profile import PROFILES, Reset
from spikeloom.reference.simulate import run_float
from spikeloom.reference.torch_import import Imported, from_sinabs, from_snntorch

torch = pytest.importorskip("torch", reason="PyTorch is not installed: extra sinabs or snntorch")
nn = torch.nn

SAMPLES, STEPS = 5, 40
RESETS = [("subtract", True), ("zero", True), ("zero", False), ("none", True)]
SPIKING = ("IAF", "IAFSqueeze", "LIF", "LIFSqueeze", "ExpLeak", "ExpLeakSqueeze")


@pytest.fixture
def sl() -> Any:
    return pytest.importorskip("sinabs.layers", reason="sinabs is not installed: extra sinabs")


@pytest.fixture
def sa() -> Any:
    return pytest.importorskip("sinabs.activation", reason="sinabs is not installed: extra sinabs")


@pytest.fixture
def snn() -> Any:
    return pytest.importorskip("snntorch", reason="snnTorch is not installed: extra snntorch")


def raster(seed: int, *shape: int) -> Any:
    rng = np.random.default_rng(seed)
    return (rng.random((SAMPLES, STEPS, *shape)) < 0.3).astype(np.float32)


def seeded(seed: int, *layers: Any) -> Any:
    """A sequence with random weights: multiples of 1/64, so that their sums have no order."""
    model = nn.Sequential(*layers)
    rng = np.random.default_rng(seed)
    for each in model.modules():
        if isinstance(each, nn.Linear | nn.Conv1d | nn.Conv2d):
            for parameter in each.parameters():
                scale = 2.0 / np.sqrt(np.prod(parameter.shape[1:]) if parameter.ndim > 1 else 50)
                values = np.rint(rng.normal(scale / 6, scale, tuple(parameter.shape)) * 64) / 64
                parameter.data = torch.tensor(values, dtype=torch.float32)
    return model.eval()


def assert_equal(imported: Imported, heard: dict[str, Any], inputs: Any) -> None:
    """What was heard of each layer, (samples, steps, ...), is what the import does."""
    network = network_of(imported.graph, imported.profile)
    run = run_float(network, inputs, dtype=np.float32)
    assert heard
    for name, expected in heard.items():
        if name in run.spikes:
            assert expected.any()
            assert np.array_equal(run.spikes[name], expected), name
        else:
            np.testing.assert_allclose(run.membrane[name], expected, rtol=1e-5, atol=1e-5)


def heard_of(model: Any, kinds: tuple[str, ...]) -> dict[str, list[Any]]:
    """Lists that fill with what layers of some kinds put out."""
    heard: dict[str, list[Any]] = {}
    for name, layer in model.named_modules():
        if type(layer).__name__ in kinds:
            heard[name] = []

            def listen(_: Any, __: Any, output: Any, into: list[Any] = heard[name]) -> None:
                output = output[0] if isinstance(output, tuple) else output
                into.append(output.detach().numpy())

            layer.register_forward_hook(listen)
    return heard


def check_sinabs(model: Any, inputs: Any, *, squeezed: bool = False) -> Imported:
    imported = from_sinabs(model, inputs.shape[2:])
    heard = heard_of(model, SPIKING)
    x = torch.tensor(inputs)
    with torch.no_grad():
        model(x.flatten(0, 1) if squeezed else x)
    whole = {
        name: each[0].reshape(SAMPLES, STEPS, *each[0].shape[1 if squeezed else 2 :])
        for name, each in heard.items()
    }
    assert_equal(imported, whole, inputs)
    return imported


def check_snntorch(model: Any, inputs: Any) -> Imported:
    imported = from_snntorch(model, inputs.shape[2:])
    heard = heard_of(model, ("Leaky", "Synaptic"))
    with torch.no_grad():
        for t in range(STEPS):
            model(torch.tensor(inputs[:, t]))
    assert_equal(imported, {n: np.stack(each, axis=1) for n, each in heard.items()}, inputs)
    return imported


@pytest.mark.parametrize("floor", [None, -1.0, -0.25])
@pytest.mark.parametrize("spike_fn", ["SingleSpike", "MultiSpike", "MaxSpike"])
def test_sinabs_iaf(sl: Any, sa: Any, spike_fn: str, floor: float | None) -> None:
    spikes = sa.MaxSpike(3) if spike_fn == "MaxSpike" else getattr(sa, spike_fn)
    options: dict[str, Any] = {"spike_fn": spikes, "min_v_mem": floor}
    model = seeded(
        1,
        nn.Linear(30, 20),
        sl.IAF(**options),
        nn.Dropout(0.5),
        nn.Sequential(nn.Linear(20, 10, bias=False), sl.IAF(**options)),
    )
    profile = check_sinabs(model, raster(1, 30)).profile
    assert profile.name == "sinabs"
    assert profile.max_spikes == {"SingleSpike": 1, "MultiSpike": 1023, "MaxSpike": 3}[spike_fn]
    assert profile.integrator_floor == floor


@pytest.mark.parametrize("tau_syn", [None, 4.0])
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_sinabs_lif(sl: Any, sa: Any, reset: str, norm: bool, tau_syn: float | None) -> None:
    options: dict[str, Any] = {
        "norm_input": norm,
        "tau_syn": tau_syn,
        "spike_threshold": torch.tensor(0.75 if not norm else 0.1),
        "min_v_mem": -1.0,
        "spike_fn": sa.SingleSpike,
        "reset_fn": sa.MembraneSubtract() if reset == "subtract" else sa.MembraneReset(),
    }
    model = seeded(
        2,
        nn.Linear(30, 20),
        sl.LIF(tau_mem=torch.linspace(3, 30, 20), **options),
        nn.Linear(20, 10),
        sl.LIF(tau_mem=10.0, train_alphas=True, **options),
    )
    check_sinabs(model, raster(2, 30))


def test_sinabs_convolutions(sl: Any) -> None:
    def squeezed(threshold: float = 1.0) -> Any:
        return sl.IAFSqueeze(
            batch_size=SAMPLES, spike_threshold=torch.tensor(threshold), min_v_mem=-threshold
        )

    model = seeded(
        3,
        nn.Conv2d(2, 6, (3, 2), stride=(1, 2), padding=1),
        squeezed(),
        sl.SumPool2d(2),
        nn.Conv2d(6, 6, 3, padding=1, groups=2, bias=False),
        squeezed(2.0),
        nn.AvgPool2d(2, 1),
        nn.Flatten(),
        nn.Linear(6 * 4 * 1, 8),
        squeezed(),
    )
    check_sinabs(model, raster(3, 2, 11, 6), squeezed=True)


def test_sinabs_leaky_readout(sl: Any) -> None:
    model = seeded(
        4,
        nn.Linear(30, 20),
        sl.LIFSqueeze(tau_mem=8.0, norm_input=False, batch_size=SAMPLES),
        nn.Linear(20, 6),
        sl.ExpLeakSqueeze(tau_mem=20.0, batch_size=SAMPLES),
    )
    check_sinabs(model, raster(4, 30), squeezed=True)


def test_sinabs_flatten_without_squeeze(sl: Any) -> None:
    model = seeded(5, nn.Flatten(2), nn.Linear(24, 9), sl.IAF())
    check_sinabs(model, raster(5, 4, 6))


def test_batch_norm(sl: Any) -> None:
    """Folded weights do what convolution and normalisation do one after the other."""
    norm = nn.BatchNorm2d(3)
    rng = np.random.default_rng(6)
    for name in ("running_mean", "running_var", "weight", "bias"):
        getattr(norm, name).data = torch.tensor(rng.uniform(0.5, 1.5, 3), dtype=torch.float32)
    model = seeded(6, nn.Conv2d(1, 3, 3), norm, sl.IAFSqueeze(batch_size=SAMPLES))
    check_sinabs(model, raster(6, 1, 7, 7), squeezed=True)


def test_a_linear_end() -> None:
    """A model may end without neurons; its output is the weighted sum."""
    imported = from_snntorch(seeded(7, nn.Linear(4, 3)), (4,))
    assert isinstance(imported.graph.nodes["0"], Affine)
    assert list(imported.graph.edges) == [("input", "0"), ("0", "output")]


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 1.0])
@pytest.mark.parametrize(("reset", "delay"), RESETS)
def test_snntorch_leaky(snn: Any, reset: str, beta: float, delay: bool) -> None:
    options = {"reset_mechanism": reset, "init_hidden": True, "reset_delay": delay}
    model = seeded(
        8,
        nn.Linear(30, 20),
        snn.Leaky(beta=beta, threshold=1.5, **options),
        nn.Sequential(nn.Linear(20, 10), snn.Leaky(beta=beta, **options)),
    )
    profile = check_snntorch(model, raster(8, 30)).profile
    late = Reset.SUBTRACT if beta == 1 else Reset.NONE
    assert profile.reset is {"subtract": late, "zero": Reset.TO_VALUE, "none": Reset.NONE}[reset]


@pytest.mark.parametrize(("alpha", "beta"), [(0.8, 0.9), (0.0, 0.5), (1.0, 0.5), (0.5, 1.0)])
@pytest.mark.parametrize(("reset", "delay"), RESETS)
def test_snntorch_synaptic(snn: Any, reset: str, alpha: float, beta: float, delay: bool) -> None:
    options = {"reset_mechanism": reset, "init_hidden": True, "reset_delay": delay}
    model = seeded(
        9,
        nn.Linear(30, 20),
        snn.Synaptic(alpha=alpha, beta=beta, threshold=3.0, **options),
        nn.Linear(20, 10),
        snn.Synaptic(alpha=alpha, beta=beta, threshold=3.0, **options),
    )
    check_snntorch(model, raster(9, 30))


def test_snntorch_parameters_of_each_neuron(snn: Any) -> None:
    """Betas and thresholds by neuron, convolutions, and layers that reset and do not."""
    model = seeded(
        10,
        nn.Conv1d(2, 4, 3, padding="valid"),
        snn.Leaky(beta=0.9, threshold=torch.linspace(0.5, 2, 4)[:, None], init_hidden=True),
        nn.Flatten(),
        nn.Linear(32, 10),
        snn.Leaky(beta=torch.linspace(0.1, 0.95, 10), init_hidden=True, reset_mechanism="none"),
        nn.Linear(10, 5),
        snn.Leaky(beta=1.0, init_hidden=True),
    )
    check_snntorch(model, raster(10, 2, 10))


def refused(read: Callable[..., Imported], text: str, *layers: Any) -> None:
    with pytest.raises(ValueError, match=text):
        read(nn.Sequential(nn.Flatten(1), nn.Linear(4, 3), *layers), (4,))


def test_refused(snn: Any) -> None:
    leaky = snn.Leaky(beta=0.5, reset_delay=False)
    refused(from_snntorch, r"^layer '2' \(Leaky\): reset_delay must be True", leaky)
    recurrent = snn.RLeaky(beta=0.5, linear_features=3)
    refused(from_snntorch, r"^layer '2' \(RLeaky\): recurrent layers cannot", recurrent)
    refused(from_snntorch, r"\(Lapicque\): it must be one of Linear", snn.Lapicque(beta=0.5))
    zero = snn.Leaky(beta=0.5, reset_mechanism="zero")
    refused(from_snntorch, r"^layer '3' \(Leaky\): reset must be", snn.Leaky(beta=0.5), zero)
    graded = snn.Leaky(beta=0.5, graded_spikes_factor=2.0)
    refused(from_snntorch, "graded_spikes_factor must be 1", graded)
    mixed = snn.Leaky(beta=torch.tensor([0.5, 1.0, 1.0]), reset_mechanism="zero")
    refused(from_snntorch, "beta must be below 1 for all neurons or 1 for all", mixed)
    refused(from_snntorch, r"^layer '2' \(ReLU\): it must be one of", nn.ReLU())
    refused(from_snntorch, r"BatchNorm1d\): it must have running .* eval\(\)", nn.BatchNorm1d(3))
    norm = nn.BatchNorm1d(3)
    refused(from_snntorch, "directly behind a Linear", snn.Leaky(beta=0.5), norm)
    wrong = nn.Linear(5, 3)
    refused(from_snntorch, r"^layer '2' \(Linear\): ", wrong)


def test_refused_of_sinabs(sl: Any, sa: Any) -> None:
    def of(text: str, *layers: Any) -> None:
        refused(from_sinabs, text, sl.IAFSqueeze(batch_size=1), *layers)

    recurrent = sl.LIFRecurrent(tau_mem=5.0, rec_connect=nn.Linear(3, 3))
    of(r"^layer '3' \(LIFRecurrent\): recurrent layers cannot .* NIR", recurrent)
    of("reset_value must be 0", sl.IAF(reset_fn=sa.MembraneReset(0.5)))
    of("max_spikes must be 1 where", sl.IAF(reset_fn=sa.MembraneReset()))
    of("max_spikes must be 1023, as in", sl.IAF(spike_fn=sa.SingleSpike))
    of("max_spikes must be 1, 3, 7", sl.IAF(spike_fn=sa.MaxSpike(10)))
    of("subtract_value must be None", sl.IAF(reset_fn=sa.MembraneSubtract(0.5)))
    of("integrator_floor must be None, as in", sl.IAF(min_v_mem=-1.0))
    of("min_v_mem must be at most 0", sl.LIF(tau_mem=5.0, min_v_mem=1.0))
    of("min_v_mem must be None where nothing", sl.ExpLeak(tau_mem=5.0, min_v_mem=-1.0))
    of("tau_syn must be None", sl.IAF(tau_syn=5.0))
    of("tau_mem must leave", sl.ExpLeak(tau_mem=1e12))
    of(r"^layer '3' \(ALIF\): it must be one of", sl.ALIF(tau_mem=5.0, tau_adapt=5.0))


def test_refused_shapes(sl: Any) -> None:
    def of(text: str, *layers: Any) -> None:
        with pytest.raises(ValueError, match=text):
            from_sinabs(nn.Sequential(*layers, sl.IAFSqueeze(batch_size=1)), (1, 6, 6))

    of("padding_mode must be 'zeros'", nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"))
    of("padding must be numbers", nn.Conv2d(1, 1, 3, padding="same"))
    of("ceil_mode must be False", nn.AvgPool2d(2, ceil_mode=True))
    of("count_include_pad must be True", nn.AvgPool2d(2, padding=1, count_include_pad=False))
    of("divisor_override must be None", nn.AvgPool2d(2, divisor_override=3))
    of("it must not join samples or steps", nn.Flatten(0))


def test_the_preset_stays() -> None:
    """The profile of sinabs' NIR files is the one with a floor; an import says its own."""
    assert PROFILES["sinabs"].integrator_floor == -1.0
