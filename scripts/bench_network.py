"""The network of a weights file in PyTorch, normalisation folded in: the structure of bench_training.py, our weights."""

import json
import struct

import numpy
import torch
from torch import nn

from bench_training import DEPTHS, WIDTH, Network

KINDS = {"I8": numpy.int8, "F32": numpy.float32}


def tensors(path):
    """The tensors of a safetensors file, and what its header says besides."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header, data = json.loads(file.read(length)), file.read()
    facts = json.loads(header.pop("__metadata__")["medseg"])

    def tensor(said):
        first, last = said["data_offsets"]
        return torch.from_numpy(numpy.frombuffer(data[first:last], KINDS[said["dtype"]]).reshape(said["shape"]).copy())

    return {name: tensor(said) for name, said in header.items()}, facts


def convolutions(network):
    """Where each unit's convolution stands, by the unit's name in weights files (crates/model/src/network.rs)."""
    yield "encoder.stem", (network.stem, 0)
    for number, stage in enumerate(network.stages):
        for place, block in enumerate(stage):
            for part in ("reduce", "spatial", "expand", "project"):
                yield f"encoder.{number}.{place}.{part}", (getattr(block, part), 0)
    yield "decoder.bridge", (network.bridge, 0)
    for number, level in enumerate(network.levels):
        for part in ("skip", "merge", "refine"):
            yield f"decoder.{number}.{part}", (getattr(level, part), 0)


def folded_convolution(conv, name, stored):
    """The convolution with the stored int8 levels times their scales (output channel, row, column, input channel), and a bias."""
    weight = stored.pop(f"{name}.weight").float() * stored.pop(f"{name}.scale").view(-1, 1, 1, 1)
    made = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding)
    with torch.no_grad():
        made.weight.copy_(weight.permute(0, 3, 1, 2))
        made.bias.copy_(stored.pop(f"{name}.bias"))
    return made


def folded(path):
    """The network for inference; an error where the file holds another network."""
    stored, facts = tensors(path)
    if facts["design"] != {"width": WIDTH, "depths": list(DEPTHS), "neighbours": True}:
        raise SystemExit(f"error: {path} is of another design than the ResNet-50 for three slices")
    network = Network().eval()
    for name, (unit, place) in convolutions(network):
        if isinstance(unit, nn.Identity):
            continue
        unit[place] = folded_convolution(unit[place], name, stored)
        unit[place + 1] = nn.Identity()
    network.head = folded_convolution(network.head, "head", stored)
    left = {name for name in stored if not name.startswith("kind.")}
    if left:
        raise SystemExit(f"error: {path} holds units that the network has not: {sorted(left)}")
    return network
