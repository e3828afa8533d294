"""bench_training.py SIDE BATCH STEPS: trains the network of crates/model in PyTorch, on images that are ready, and prints images/s.

The same structure, loss, optimiser and averaging, in bfloat16 autocast and channels-last: what `medseg train --speed` is
measured against. Drawing and varying examples costs it nothing.
"""

import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

WARM_STEPS = 5
WIDTH, DEPTHS = 64, (3, 4, 6, 3)


def unit(inputs, outputs, kernel, stride=1, relu=True):
    layers = [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if relu else nn.Sequential(*layers)


class Bottleneck(nn.Module):
    def __init__(self, inputs, inner, stride):
        super().__init__()
        self.reduce = unit(inputs, inner, 1)
        self.spatial = unit(inner, inner, 3, stride)
        self.expand = unit(inner, 4 * inner, 1, relu=False)
        project = inputs != 4 * inner or stride != 1
        self.project = unit(inputs, 4 * inner, 1, stride, relu=False) if project else nn.Identity()

    def forward(self, x):
        return F.relu_(self.expand(self.spatial(self.reduce(x))).add_(self.project(x)))


class Level(nn.Module):
    def __init__(self, below, available, kept, outputs, refined):
        super().__init__()
        self.skip = unit(available, kept, 1) if kept else nn.Identity()
        self.merge = unit(below + (kept or available), outputs, 3)
        self.refine = unit(outputs, outputs, 3) if refined else nn.Identity()

    def forward(self, y, skip):
        skip = self.skip(skip)
        y = F.interpolate(y, skip.shape[2:], mode="bilinear", align_corners=False)
        return self.refine(self.merge(torch.cat([y, skip], 1)))


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = unit(3, WIDTH, 7, 2)
        inputs, stages = WIDTH, []
        for stage, depth in enumerate(DEPTHS):
            inner, blocks = WIDTH << stage, []
            for block in range(depth):
                blocks.append(Bottleneck(inputs, inner, 2 if stage and not block else 1))
                inputs = 4 * inner
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.bridge = unit(inputs, 4 * WIDTH, 1)
        rows = [
            (WIDTH * 16, WIDTH * 2, WIDTH * 3),
            (WIDTH * 8, WIDTH, WIDTH * 2),
            (WIDTH * 4, WIDTH, WIDTH),
            (WIDTH, WIDTH // 2, WIDTH // 2),
            (3, None, WIDTH // 4),
        ]
        below, levels = 4 * WIDTH, []
        for depth, (available, kept, outputs) in enumerate(rows):
            levels.append(Level(below, available, kept, outputs, depth < 3))
            below = outputs
        self.levels = nn.ModuleList(levels)
        self.head = nn.Conv2d(below, 1, 1)

    def forward(self, x):
        stem = self.stem(x)
        y, skips = F.max_pool2d(stem, 3, 2, 1), [x, stem]
        for stage in self.stages:
            y = stage(y)
            skips.append(y)
        skips.pop()
        y = self.bridge(y)
        for level in self.levels:
            y = level(y, skips.pop())
        return self.head(y)


def loss_of(logits, targets):
    logits = logits.float()
    entropy = F.binary_cross_entropy_with_logits(logits, targets)
    p = logits.sigmoid()
    dice = (2 * (p * targets).sum() + 1) / (p.sum() + targets.sum() + 1)
    return entropy + 1 - dice


def main():
    side, batch, steps = map(int, sys.argv[1:])
    torch.manual_seed(7)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = Network().to(device, memory_format=torch.channels_last)
    average = [parameter.detach().clone() for parameter in network.parameters()]
    optimiser = torch.optim.AdamW(network.parameters(), 1e-4, weight_decay=0.05, fused=True)
    images = torch.randn(batch, 3, side, side, device=device).to(memory_format=torch.channels_last)
    targets = (torch.rand(batch, 1, side, side, device=device) > 0.97).float()
    for step in range(WARM_STEPS + steps):
        if step == WARM_STEPS:
            began = time.perf_counter()
        with torch.autocast(device, torch.bfloat16):
            logits = network(images)
        loss = loss_of(logits, targets)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        torch._foreach_lerp_(average, [parameter.detach() for parameter in network.parameters()], 0.004)
        loss.item()
    print(f"{batch * steps / (time.perf_counter() - began):.2f}")


if __name__ == "__main__":
    main()
