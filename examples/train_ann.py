"""Train one of ``networks.py`` on MNIST or Fashion-MNIST, in minutes on two cores.

    pip install -e '.[torch,onnx]' onnxscript     # the last for PyTorch's exporter
    python examples/train_ann.py lenet mnist --data ../shared/data -o lenet-mnist.onnx

The networks in ``examples/trained`` were made like this. Weights are rounded to half precision,
which makes the files small; the accuracy printed is that of the rounded ones.
"""

import argparse
import gzip
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from networks import NETWORKS
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.fx.experimental.optimization import fuse

SEED = 0
BATCH = 128
EPOCHS = {"mlp": 15, "lenet": 6, "residual": 4, "vgg": 4}


def images_of(folder: Path, part: str) -> tuple[Any, Any]:
    """Images of shape (images, 1, 28, 28) from 0 to 1, and labels."""
    with gzip.open(folder / f"{part}-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return torch.from_numpy(images / np.float32(255)), torch.from_numpy(labels.astype(np.int64))


def moved(images: Any, most: int, *, flip: bool) -> Any:
    """A batch shifted by a random number of pixels, and mirrored or not."""
    move = torch.randint(-most, most + 1, (2,)).tolist()
    images = torch.roll(images, move, (2, 3))
    return images.flip(3) if flip and torch.rand(()) < 0.5 else images


def train(model: nn.Module, images: Any, labels: Any, epochs: int, *, flip: bool) -> None:
    """Train by Adam with one cycle of the learning rate."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.01)
    steps = -(-len(images) // BATCH)
    model.to(memory_format=torch.channels_last)  # a third faster
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, epochs * steps)
    for epoch in range(epochs):
        model.train()
        total = 0.0
        for batch in torch.randperm(len(images)).split(BATCH):
            scores = model(moved(images[batch], 1 if flip else 2, flip=flip))
            loss = nn.functional.cross_entropy(scores, labels[batch], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            cycle.step()
            total += float(loss.detach())
        print(f"epoch {epoch + 1} of {epochs}: loss {total / steps:.4f}", flush=True)
    model.eval()


def accuracy(model: nn.Module, images: Any, labels: Any) -> float:
    """The share of images that are recognised, in percent."""
    with torch.inference_mode():
        decided = torch.cat([model(each).argmax(1) for each in images.split(500)])
    return 100 * float((decided == labels).float().mean())


def without_norms(model: nn.Module) -> nn.Module:
    """The same with each normalisation in the weights of the convolution before it."""
    return fuse(model)


def write_onnx(model: nn.Module, path: Path) -> None:
    """Write an ONNX file with weights in half precision, which a Cast makes whole again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's, about itself
        program = torch.onnx.export(
            model, (torch.zeros(1, 1, 28, 28),), input_names=["input"], verbose=False
        )
    proto = program.model_proto
    proto.producer_version = ""
    del proto.metadata_props[:]
    graph = proto.graph
    for each in (*graph.node, *graph.input, *graph.output):
        del each.metadata_props[:]
    del graph.value_info[:]
    casts = []
    for weight in graph.initializer:
        numbers = numpy_helper.to_array(weight)
        if numbers.dtype == np.float32:
            half = f"{weight.name}.half"
            casts.append(helper.make_node("Cast", [half], [weight.name], to=TensorProto.FLOAT))
            weight.CopyFrom(numpy_helper.from_array(numbers.astype(np.float16), half))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(proto)
    path.write_bytes(proto.SerializeToString(deterministic=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("set", choices=("mnist", "fashion-mnist"))
    parser.add_argument("--data", type=Path, required=True, help="folder of both data sets")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("-o", "--output", type=Path, required=True, help="ONNX file to write")
    arguments = parser.parse_args()
    torch.manual_seed(SEED)
    model = NETWORKS[arguments.network]()
    folder = arguments.data / arguments.set
    flip = arguments.set == "fashion-mnist"
    epochs = arguments.epochs or EPOCHS[arguments.network]
    train(model, *images_of(folder, "train"), epochs, flip=flip)
    plain = without_norms(model).half().float()
    print(f"accuracy {accuracy(plain, *images_of(folder, 't10k')):.2f} %")
    write_onnx(plain, arguments.output)


if __name__ == "__main__":
    main()
