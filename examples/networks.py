"""Networks of rectified-linear units to convert, in PyTorch: MLP, LeNet, residual and VGG."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

__all__ = ["NETWORKS", "Residual"]


def mlp() -> nn.Module:
    """784-128-10."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def lenet() -> nn.Module:
    """Two convolutions and two dense layers, after LeCun et al., Proc. IEEE 86:2278, 1998."""
    return nn.Sequential(
        *_unit(1, 12, 5, padding=0),
        nn.AvgPool2d(2),
        *_unit(12, 24, 5, padding=0),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(384, 64),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(64, 10),
    )


def vgg() -> nn.Module:
    """Three blocks of two convolutions, after Simonyan & Zisserman, ICLR 2015."""
    layers: list[nn.Module] = []
    before = 1
    for channels in (8, 16, 32):
        layers += [*_unit(before, channels), *_unit(channels, channels), nn.AvgPool2d(2)]
        before = channels
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.2), nn.Linear(32 * 9, 10))


class Block(nn.Module):
    """Two convolutions and a way past them, after He et al., CVPR 2016."""

    def __init__(self, before: int, channels: int) -> None:
        super().__init__()
        stride = 1 if before == channels else 2
        self.body = nn.Sequential(
            *_unit(before, channels, stride=stride), *_unit(channels, channels)[:-1]
        )
        self.past: nn.Module = nn.Identity()
        if stride > 1:
            self.past = nn.Sequential(*_unit(before, channels, 1, stride=stride, padding=0)[:-1])
        self.relu = nn.ReLU()

    def forward(self, x: Any) -> Any:
        return self.relu(self.body(x) + self.past(x))


class Residual(nn.Module):
    """A convolution, three residual blocks, the mean over all places and a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_unit(1, 16, stride=2))
        self.blocks = nn.Sequential(Block(16, 16), Block(16, 32), Block(32, 32))
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))

    def forward(self, x: Any) -> Any:
        return self.head(self.blocks(self.stem(x)))


def _unit(
    before: int, channels: int, kernel: int = 3, *, stride: int = 1, padding: int = 1
) -> list[nn.Module]:
    convolution = nn.Conv2d(before, channels, kernel, stride=stride, padding=padding, bias=False)
    return [convolution, nn.BatchNorm2d(channels), nn.ReLU()]


NETWORKS: Mapping[str, Callable[[], nn.Module]] = {
    "mlp": mlp,
    "lenet": lenet,
    "residual": Residual,
    "vgg": vgg,
}
"""What makes each network, by name; all take images of shape (1, 28, 28) from 0 to 1."""
