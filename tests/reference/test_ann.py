"""Networks of rectified-linear units: activations by naive loops, normalisations folded."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from spikeloom.reference.ann import Norm, ReLU, activations, dense_ann, global_pool, relu_network
from spikeloom.reference.graph import (
    LIF,
    Affine,
    AvgPool2d,
    Conv2d,
    Flatten,
    Graph,
    Input,
    Linear,
    Node,
    Output,
)


def chain(shape: tuple[int, ...], out: tuple[int, ...], **nodes: Node) -> Graph:
    names = ["input", *nodes, "output"]
    whole = {"input": Input(shape), **nodes, "output": Output(out)}
    return Graph(whole, tuple(pairwise(names)))


def conv(rng: np.random.Generator, channels: int, before: int, kernel: int = 3) -> Conv2d:
    weight, bias = rng.normal(size=(channels, before, kernel, kernel)), rng.normal(size=channels)
    return Conv2d(weight, bias, (1, 1), (kernel // 2,) * 2, (1, 1), 1)


def naive_conv(x: Any, node: Conv2d) -> Any:
    """Loops over places and channels, with zeros around."""
    pad = node.padding[0]
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    out = np.zeros((len(node.weight), *x.shape[1:]))
    for c, i, j in np.ndindex(*out.shape):
        k = node.weight.shape[2]
        out[c, i, j] = (padded[:, i : i + k, j : j + k] * node.weight[c]).sum() + node.bias[c]
    return out


def test_activations_by_hand() -> None:
    ann = relu_network(dense_ann([[[2.0, -1.0], [4.0, 0.0]], [[2.0], [5.0]]], [[0, 1], [-3]]))
    sent = activations(ann, [[1.0, 1.0], [0.0, 0.0]])
    assert sent["layer_0"].tolist() == [[6, 0], [0, 1]]
    assert sent["layer_1"].tolist() == [[9], [2]]
    assert ann.ceilings == {"layer_0": math.inf, "layer_1": math.inf}


def test_ceiling() -> None:
    ann = relu_network(chain((1,), (1,), w=Linear(np.array([[10.0]])), r=ReLU(6.0)))
    assert activations(ann, [[0.5], [2.0], [-1.0]])["r"].tolist() == [[5], [6], [0]]


def test_convolutions_and_norms_are_those_of_loops() -> None:
    """A norm in weights, one behind a sum, one that has no weights before it."""
    rng = np.random.default_rng(0)
    a, b, c = conv(rng, 3, 2), conv(rng, 3, 3), conv(rng, 3, 2, 1)
    norms = [Norm(rng.uniform(0.5, 2, 3), rng.normal(size=3)) for _ in range(2)]
    first = Norm(rng.uniform(0.5, 2, 2), rng.normal(size=2))
    nodes = {
        "input": Input((2, 4, 4)),
        "first": first,
        "a": a,
        "norm": norms[0],
        "r": ReLU(),
        "b": b,
        "c": c,
        "both": norms[1],
        "s": ReLU(),
        "pool": AvgPool2d((2, 2), (2, 2), (0, 0)),
        "mean": global_pool((3, 2, 2)),
        "flat": Flatten(0, 2),
        "dense": Affine(rng.normal(size=(2, 3)), rng.normal(size=2)),
        "output": Output((2,)),
    }
    edges = (
        *(("input", "first"), ("first", "a"), ("a", "norm"), ("norm", "r"), ("r", "b")),
        *(("input", "c"), ("b", "both"), ("c", "both"), ("both", "s"), ("s", "pool")),
        *(("pool", "mean"), ("mean", "flat"), ("flat", "dense"), ("dense", "output")),
    )
    ann = relu_network(Graph(nodes, edges))
    x = rng.normal(size=(2, 4, 4))
    found = activations(ann, x[None])

    def through(norm: Norm, y: Any) -> Any:
        return norm.scale[:, None, None] * y + norm.shift[:, None, None]

    r = np.maximum(through(norms[0], naive_conv(through(first, x), a)), 0)
    s = np.maximum(through(norms[1], naive_conv(r, b) + naive_conv(x, c)), 0)
    dense = nodes["dense"]
    assert isinstance(dense, Affine)
    assert found["r"][0] == pytest.approx(r, abs=1e-5)
    assert found["s"][0] == pytest.approx(s, abs=1e-4)
    output = dense.weight @ s.mean(axis=(1, 2)) + dense.bias
    assert found["output"][0] == pytest.approx(output, abs=1e-4)


def test_norm_of_flat_numbers() -> None:
    norm = Norm(np.array([2.0, 3.0]), np.array([1.0, -1.0]))
    ann = relu_network(chain((2,), (2,), n=norm, r=ReLU()))
    assert activations(ann, [[1.0, 2.0]])["r"].tolist() == [[3, 5]]


def test_wrong_node() -> None:
    one = np.ones(1)
    graph = chain((1,), (1,), n=LIF(one, one, one, one, one))
    with pytest.raises(ValueError, match=r"^node 'n' must be linear or a ReLU, not of type LIF$"):
        relu_network(graph)


def test_wrong_inputs() -> None:
    nodes = {"a": Input((1,)), "b": Input((1,)), "r": ReLU(), "output": Output((1,))}
    graph = Graph(nodes, (("a", "r"), ("b", "r"), ("r", "output")))
    with pytest.raises(ValueError, match=r"^the network must have one Input, not 2$"):
        relu_network(graph)


def test_wrong_loop() -> None:
    nodes = {"input": Input((1,)), "r": ReLU(), "s": ReLU(), "output": Output((1,))}
    edges = (("input", "r"), ("r", "s"), ("s", "r"), ("s", "output"))
    with pytest.raises(ValueError, match=r"^node 'r': it must not be in a loop"):
        relu_network(Graph(nodes, edges))


def test_wrong_ceiling() -> None:
    with pytest.raises(ValueError, match=r"^ceiling must be positive, not -1$"):
        ReLU(-1)


def test_wrong_norm() -> None:
    message = r"^scale and shift must be of one shape \(channels,\), not \(2,\) and \(3,\)$"
    with pytest.raises(ValueError, match=message):
        Norm(np.ones(2), np.ones(3))


def test_wrong_samples() -> None:
    ann = relu_network(dense_ann([[[1.0]]], [[0.0]]))
    with pytest.raises(ValueError, match=r"^samples must be of shape \(samples, 1\), not \(2, 3\)"):
        activations(ann, np.ones((2, 3)))
