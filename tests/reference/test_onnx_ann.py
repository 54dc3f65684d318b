"""ONNX models: scores by hand, the same integers as through PyTorch, and refusals."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeloom.reference.ann import activations, relu_network
from spikeloom.reference.calibrate import Conversion
from spikeloom.reference.convert import convert
from spikeloom.reference.maps import Weighted
from spikeloom.reference.precision import Precision, Scale
from spikeloom.reference.quantize import quantize

onnx = pytest.importorskip("onnx", reason="ONNX is not installed: the extra onnx has it")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from spikeloom.reference.onnx_ann import ann_from_onnx  # noqa: E402


def model(nodes: list[Any], shape: tuple[Any, ...], **constants: Any) -> Any:
    """A model from ``x`` to ``y``."""
    sizes = ("N", *shape)
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, sizes)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    return helper.make_model(graph)


def scores(source: Any, x: Any, shape: Any = None) -> Any:
    return activations(relu_network(ann_from_onnx(source, shape)), np.asarray(x))["output"]


def node(kind: str, *inputs: str, out: str = "y", **options: Any) -> Any:
    return helper.make_node(kind, list(inputs), [out], name=f"the {kind}", **options)


W = np.array([[1.0, -2.0], [0.5, 3.0]], np.float32)


def test_gemm_by_hand() -> None:
    """alpha x W + beta c."""
    source = model(
        [node("Gemm", "x", "w", "c", alpha=2.0, beta=3.0)], (2,), w=W, c=np.float32([1, 2])
    )
    assert scores(source, [[1.0, 1.0]]).tolist() == [[6, 8]]
    source = model([node("Gemm", "x", "w", transB=1)], (2,), w=W)
    assert scores(source, [[1.0, 1.0]]).tolist() == [[-1, 3.5]]


def test_classifier_of_scikit_learn_by_hand() -> None:
    """Cast, MatMul, Add and Relu; all from the Softmax on is left out."""
    nodes = [
        node("Cast", "x", out="a", to=TensorProto.FLOAT),
        node("MatMul", "a", "w", out="b"),
        node("Add", "b", "c", out="d"),
        node("Relu", "d", out="e"),
        node("MatMul", "e", "w", out="f"),
        node("Softmax", "f", out="g"),
        node("ArgMax", "g", out="h", axis=1),
        node("Cast", "h", out="y", to=TensorProto.FLOAT),
    ]
    source = model(nodes, (2,), w=W, c=np.float32([[1, 2]]))
    # (1.5, 1) + (1, 2), both positive; times W once more.
    assert scores(source, [[1.0, 1.0]]).tolist() == [[2.5 + 1.5, -5 + 9]]


def test_softmax_in_the_middle() -> None:
    """It is no end there; beside the way to the output it does not matter."""
    nodes = [
        node("MatMul", "x", "w", out="a"),
        node("Softmax", "a", out="b"),
        node("MatMul", "b", "w"),
    ]
    message = r"\(Softmax\): must stand at the end of the network alone, behind flat scores$"
    with pytest.raises(ValueError, match=message):
        ann_from_onnx(model(nodes, (2,), w=W))
    nodes = [
        node("MatMul", "x", "w", out="a"),
        node("Softmax", "a", out="unheard"),
        node("Relu", "a", out="b"),
        node("MatMul", "b", "w"),
    ]
    assert scores(model(nodes, (2,), w=W), [[1.0, 1.0]]).tolist() == [[2.0, 0.0]]


def test_keras_by_hand() -> None:
    """Channels last: a Transpose at the input, and one before the dense layer."""
    rng = np.random.default_rng(0)
    kernel, dense = rng.normal(size=(2, 1, 2, 2)), rng.normal(size=(2 * 2 * 2, 3))
    nodes = [
        node("Transpose", "x", out="a", perm=[0, 3, 1, 2]),
        node("Div", "a", "scale", out="b"),
        node("Conv", "b", "k", out="c"),
        node("Relu", "c", out="d"),
        node("Transpose", "d", out="e", perm=[0, 2, 3, 1]),
        node("Reshape", "e", "flat", out="f"),
        node("MatMul", "f", "w"),
    ]
    source = model(
        nodes,
        (3, 3, 1),
        k=kernel.astype(np.float32),
        w=dense.astype(np.float32),
        flat=np.array([-1, 8]),
        scale=np.float32(2),
    )
    x = rng.random((1, 3, 3))
    windows = np.array([[x[0, i : i + 2, j : j + 2] for j in range(2)] for i in range(2)]) / 2
    hidden = np.maximum(np.einsum("ijab,cab->ijc", windows, kernel[:, 0]), 0)
    assert scores(source, x[None])[0] == pytest.approx(hidden.reshape(-1) @ dense, abs=1e-5)


def test_pools_and_norms_by_hand() -> None:
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    nodes = [
        node("AveragePool", "x", out="a", kernel_shape=[2, 2], strides=[2, 2]),
        node("BatchNormalization", "a", "s", "b", "m", "v", out="c", epsilon=0.0),
        node("Clip", "c", "low", "high", out="d"),
        node("GlobalAveragePool", "d", out="e"),
        node("Flatten", "e"),
    ]
    one = {name: np.float32([value]) for name, value in (("s", 2), ("b", 1), ("m", 3), ("v", 4))}
    source = model(nodes, (1, 4, 4), low=np.float32(0), high=np.float32(9), **one)
    # Means 2.5, 4.5, 10.5, 12.5; less 3, plus 1, no less than 0 and no more than 9.
    assert scores(source, x).tolist() == [[(0.5 + 2.5 + 8.5 + 9) / 4]]


def test_packed_weights() -> None:
    """Of half precision, or of 8 bits with a scale and a zero for each column."""
    nodes = [node("Cast", "h", out="w", to=TensorProto.FLOAT), node("MatMul", "x", "w")]
    assert scores(model(nodes, (2,), h=W.astype(np.float16)), [[1.0, 1.0]]).tolist() == [[1.5, 1]]
    nodes = [node("DequantizeLinear", "q", "s", "z", out="w", axis=1), node("MatMul", "x", "w")]
    source = model(
        nodes,
        (2,),
        q=np.array([[5, 1], [3, 2]], np.uint8),
        s=np.float32([0.5, 2]),
        z=np.array([1, 3], np.uint8),
    )
    assert scores(source, [[1.0, 1.0]]).tolist() == [[2 + 1, -4 - 2]]


def test_file(tmp_path: Path) -> None:
    onnx.save(model([node("MatMul", "x", "w")], (2,), w=W), tmp_path / "m.onnx")
    assert scores(tmp_path / "m.onnx", [[1.0, 1.0]]).tolist() == [[1.5, 1]]


@pytest.mark.filterwarnings("ignore")  # PyTorch's exporter has some about itself
@pytest.mark.parametrize("name", ["mlp", "lenet", "residual", "vgg"])
def test_integers_are_those_of_pytorch(name: str, tmp_path: Path, examples: Any) -> None:
    """The same network through both front doors, with all its normalisations."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: the extra torch has it")
    pytest.importorskip("onnxscript", reason="PyTorch's exporter needs onnxscript")
    from spikeloom.reference.torch_ann import ann_from_torch

    torch.manual_seed(0)
    module = examples("networks").NETWORKS[name]()
    for each in module.modules():
        if isinstance(each, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(each.running_mean, 0, 0.1)
            torch.nn.init.uniform_(each.running_var, 0.5, 2)
    module.eval()
    x = torch.rand(8, 1, 28, 28)
    torch.onnx.export(module, (x,), tmp_path / "m.onnx", verbose=False)
    networks = [
        quantize(
            convert(ann, x.numpy(), Conversion(steps=4)).network,
            Precision(scale=Scale.NEURON, state_fraction=2),
        )
        for ann in (ann_from_torch(module, (1, 28, 28)), ann_from_onnx(tmp_path / "m.onnx"))
    ]
    pairs = list(zip(*(each.populations.values() for each in networks), strict=True))
    assert len(pairs) > 1
    for one, other in pairs:
        assert one.neurons == other.neurons
        assert len(one.connections) == len(other.connections)
        for a, b in zip(one.connections, other.connections, strict=True):
            assert a.shift == b.shift
            for m, n in zip(a.maps, b.maps, strict=True):
                assert not isinstance(m, Weighted) or np.array_equal(m.weight, n.weight)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            [node("MaxPool", "x", kernel_shape=[2, 2])],
            r"^layer 'the MaxPool' \(MaxPool\) must be replaced by an AvgPool of the same size",
        ),
        ([node("Tanh", "x")], r"^layer 'the Tanh' \(Tanh\) must be replaced by a ReLU"),
        ([node("Resize", "x")], r"^layer 'the Resize' \(Resize\) must be replaced by one of"),
        ([node("Clip", "x", "one", "six")], r"^layer 'the Clip' .* from 0 to a positive number"),
        ([node("Add", "x", "x")], r"^layer 'the Add' \(Add\): must not add a value to itself"),
        (
            [node("AveragePool", "x", kernel_shape=[2, 2], pads=[1, 1, 1, 1])],
            r"^layer 'the AveragePool' .* ceil_mode must be off, and padding counted",
        ),
        (
            [node("Conv", "x", "k", pads=[0, 0, 1, 1])],
            r"^layer 'the Conv' \(Conv\): must be padded by as much on both sides",
        ),
        (
            [node("Reshape", "x", "sizes")],
            r"^layer 'the Reshape' \(Reshape\): must make one dimension of all",
        ),
    ],
)
def test_wrong_layer(source: list[Any], message: str) -> None:
    constants = {
        "one": np.float32(1),
        "six": np.float32(6),
        "k": np.ones((1, 1, 2, 2), np.float32),
        "sizes": np.array([-1, 4, 4]),
    }
    with pytest.raises(ValueError, match=message):
        ann_from_onnx(model(source, (1, 4, 4), **constants))


def test_wrong_shape() -> None:
    source = model([node("Relu", "x")], ("a", "b"))
    with pytest.raises(ValueError, match=r"^input 'x' must say its shape, but leaves sizes open"):
        ann_from_onnx(source)
    ann = relu_network(ann_from_onnx(source, (1, 2)))
    assert list(activations(ann, np.array([[[1.0, -1.0]]])).values())[-1].tolist() == [[[1, 0]]]


def test_wrong_file(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    with pytest.raises(ValueError, match=r"m\.onnx cannot be opened: No such file"):
        ann_from_onnx(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"m\.onnx must be an ONNX file, but is not"):
        ann_from_onnx(path)
