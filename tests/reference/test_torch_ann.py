"""PyTorch modules: activations are PyTorch's own, and layers that neurons have not are refused."""

from typing import Any

import numpy as np
import pytest

from spikeloom.reference.ann import activations, relu_network

torch = pytest.importorskip("torch", reason="PyTorch is not installed: the extra torch has it")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from spikeloom.reference.torch_ann import ann_from_torch  # noqa: E402


class Branches(nn.Module):
    """Functions and methods in place of modules, a residual addition, two ways to flatten."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(2, 4, 3, padding="same")
        self.norm = nn.BatchNorm2d(4)
        self.b = nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False)
        self.last = nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        x = functional.relu(self.norm(self.a(x)))
        y = torch.clamp(self.b(x), 0, 0.5)
        x = torch.relu(x + y)
        x = functional.avg_pool2d(x, 2)
        return functional.softmax(self.last(x.mean((2, 3))), dim=1)


def settled(model: nn.Module) -> nn.Module:
    """The module with statistics as after training."""
    torch.manual_seed(0)
    for each in model.modules():
        if isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(each.running_mean)
            nn.init.uniform_(each.running_var, 0.5, 2)
            nn.init.uniform_(each.weight, 0.5, 2)
            nn.init.normal_(each.bias)
    return model.eval()


def sequential() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1, dilation=1),
        nn.BatchNorm2d(4),
        nn.ReLU6(),
        nn.AvgPool2d(2, stride=1),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(16, 8),
        nn.BatchNorm1d(8),
        nn.Hardtanh(0, 0.7),
        nn.Identity(),
        nn.Linear(8, 3, bias=False),
    )


@pytest.mark.parametrize("build", [sequential, Branches])
def test_scores_are_those_of_pytorch(build: Any) -> None:
    model = settled(build())
    x = torch.rand(5, 2, 6, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = model(x).numpy()
    scores = activations(relu_network(ann_from_torch(model, (2, 6, 6))), x.numpy())["output"]
    if build is Branches:  # whose Softmax is left out
        scores = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    assert scores == pytest.approx(wanted, abs=1e-5)


def test_one_dimension() -> None:
    model = nn.Sequential(nn.Conv1d(2, 3, 3, dilation=2), nn.ReLU(), nn.Flatten(), nn.Linear(18, 2))
    x = torch.rand(4, 2, 10, generator=torch.Generator().manual_seed(1))
    ann = relu_network(ann_from_torch(model, (2, 10)))
    assert activations(ann, x.numpy())["output"] == pytest.approx(
        model(x).detach().numpy(), abs=1e-5
    )


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            nn.MaxPool2d(2),
            r"^layer '0' \(MaxPool2d\) must be replaced by an AvgPool of the same size: neurons",
        ),
        (nn.Sigmoid(), r"^layer '0' \(Sigmoid\) must be replaced by a ReLU, whose transfer"),
        (nn.LeakyReLU(), r"^layer '0' \(LeakyReLU\) must be replaced by a ReLU"),
        (nn.GroupNorm(1, 2), r"^layer '0' \(GroupNorm\) must be replaced by a BatchNorm"),
        (nn.Upsample(scale_factor=2), r"^layer '0' \(Upsample\) must be replaced by one of Linear"),
        (nn.Hardtanh(-1, 1), r"^layer '0' \(clip\): must be from 0 to a positive number, not -1"),
        (nn.Linear(6, 3), r"^layer '0' \(Linear\): its input must be flat, not of shape"),
        (
            nn.AvgPool2d(2, padding=1, count_include_pad=False),
            r"^layer '0' \(AvgPool2d\): ceil_mode must be off, padding counted",
        ),
    ],
)
def test_wrong_layer(layer: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ann_from_torch(nn.Sequential(layer, nn.Flatten(), nn.Linear(18, 2)), (2, 6, 6))


def test_wrong_place_of_a_softmax() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Softmax(1), nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"^layer '1' \(Softmax\): must stand at the end"):
        ann_from_torch(model, (2,))


def test_wrong_trace() -> None:
    class Choice(nn.Module):
        def forward(self, x: Any) -> Any:
            return x if x.sum() > 0 else -x

    with pytest.raises(ValueError, match=r"^Choice must be a module that torch\.fx can trace"):
        ann_from_torch(Choice(), (2,))


class Layers(nn.Module):
    """Two dense layers, put together by a function of them and the input."""

    def __init__(self, rule: Any) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)
        self.over = nn.ReLU(inplace=True)
        self.rule = rule

    def forward(self, x: Any) -> Any:
        return self.rule(self, x)


def overwritten(m: Any, x: Any) -> Any:
    """The way past is of what the units have made of their input."""
    y = m.a(x)
    return torch.relu(m.b(m.over(y)) + y)


def overwritten_by_method(m: Any, x: Any) -> Any:
    y = m.a(x)
    y.relu_()
    return m.b(y)


@pytest.mark.parametrize(
    "rule",
    [
        overwritten,
        overwritten_by_method,
        lambda m, x: m.b(m.a(x).clamp(min=0)),
        lambda m, x: m.b(torch.relu(m.a(input=x)).view(x.size(0), -1)),
        lambda m, x: m.b(torch.relu(m.a(x)).view(x.shape[0], 3)),
        lambda m, x: m.b(torch.relu(m.a(x)).reshape(-1, 3)),
    ],
)
def test_forms_of_modules(rule: Any) -> None:
    model = settled(Layers(rule))
    x = torch.randn(20, 3)
    with torch.no_grad():
        wanted = model(x.clone()).numpy()
    found = activations(relu_network(ann_from_torch(model, (3,))), x.numpy())
    assert next(reversed(found.values())) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (lambda m, x: torch.add(m.a(x), m.b(x), alpha=2), "must add two values as they are"),
        (lambda m, x: m.a(x).add(m.b(x), alpha=0.5), "must add two values as they are"),
        (lambda m, x: torch.softmax(m.a(x), 1) + m.b(x), "must stand at the end of the network"),
        (lambda m, x: m.b(torch.sigmoid(m.a(x))), "must be replaced by a ReLU"),
    ],
)
def test_wrong_forms(rule: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ann_from_torch(Layers(rule), (3,))


def test_sigmoid_at_the_end() -> None:
    """It changes no decision, and is left out."""
    model = nn.Sequential(nn.Linear(2, 3), nn.Sigmoid())
    (output,) = (each for each in relu_network(ann_from_torch(model, (2,))).network.outputs)
    assert output == "output"
