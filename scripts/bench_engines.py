"""bench_engines.py ENGINE FOLDER OPTIONS: one engine of `make bench-model`, in a process of its own; prints JSON.

`prepare` in place of an engine proves that PyTorch's network is ours, and exports it for the others: FOLDER/exact holds tiles and
probabilities as `medseg bench --tiles` writes them. OPTIONS is JSON: `weights`, `threads`, `batches`, `passes`, and `probabilities`, a
file for what the engine says to all tiles.
"""

import json
import math
import os
import pathlib
import sys
import time

import numpy

from bench_network import folded

# Passes before the clock counts, as in medseg.
WARM_PASSES = 3
# How far two float32 engines may be apart, and how many tiles prove it.
TOLERANCE = 1e-3
PROVED = 16


class Torch:
    def __init__(self, folder, options, bfloat16, compiled):
        import torch

        torch.set_num_threads(options["threads"])
        self.torch, self.kind = torch, torch.bfloat16 if bfloat16 else torch.float32
        network = folded(options["weights"]).to(self.kind, memory_format=torch.channels_last)
        if compiled:
            import torch._inductor.config

            # Weights are laid out ahead for what multiplies them: its fastest form, for inference only.
            torch._inductor.config.freezing = True
            network = torch.compile(network, dynamic=False)
        self.network = network

    def predict(self, images):
        with self.torch.no_grad():
            x = self.torch.from_numpy(images).to(self.kind, memory_format=self.torch.channels_last)
            return self.network(x).float().sigmoid().numpy()


class OnnxRuntime:
    def __init__(self, folder, options):
        import onnxruntime

        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads, settings.inter_op_num_threads = options["threads"], 1
        self.session = onnxruntime.InferenceSession(folder / "network.onnx", settings, providers=["CPUExecutionProvider"])

    def predict(self, images):
        return self.session.run(None, {"images": images})[0]


class OpenVino:
    def __init__(self, folder, options, precision):
        import openvino

        self.core = openvino.Core()
        self.model = self.core.read_model(folder / "network.xml")
        self.settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": options["threads"],
            "PERFORMANCE_HINT": "LATENCY",
        }
        self.compiled = self.shape = None

    def predict(self, images):
        # A graph of one fixed size is its fastest.
        if self.shape != images.shape:
            self.model.reshape(list(images.shape))
            self.compiled = None
            self.compiled, self.shape = self.core.compile_model(self.model, "CPU", self.settings), images.shape
        return self.compiled(images)[0]


ENGINES = {
    "pytorch-f32": lambda *told: Torch(*told, bfloat16=False, compiled=False),
    "pytorch-bf16": lambda *told: Torch(*told, bfloat16=True, compiled=False),
    "compile-f32": lambda *told: Torch(*told, bfloat16=False, compiled=True),
    "compile-bf16": lambda *told: Torch(*told, bfloat16=True, compiled=True),
    "onnxruntime-f32": OnnxRuntime,
    "openvino-f32": lambda *told: OpenVino(*told, precision="f32"),
    "openvino-bf16": lambda *told: OpenVino(*told, precision="bf16"),
}


def since_start_ms():
    """How long ago the kernel started this process, as medseg asks it."""
    uptime = float(pathlib.Path("/proc/uptime").read_text().split()[0])
    started = int(pathlib.Path("/proc/self/stat").read_text().rsplit(") ", 1)[1].split()[19])
    return 1000 * (uptime - started / os.sysconf("SC_CLK_TCK"))


def peak_mib():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def floats(path, *shape):
    return numpy.fromfile(path, numpy.float32).reshape(-1, *shape)


def timed(engine, images, passes):
    for _ in range(WARM_PASSES):
        engine.predict(images)
    ms = []
    for _ in range(passes):
        began = time.perf_counter()
        engine.predict(images)
        ms.append(1000 * (time.perf_counter() - began))
    return ms


def all_tiles(engine, tiles, batch):
    """What the engine says to all tiles, in batches of one size: the last one is filled up."""
    said = []
    for first in range(0, len(tiles), batch):
        part = tiles[first : first + batch]
        filled = numpy.concatenate([part, numpy.zeros((batch - len(part), *tiles.shape[1:]), numpy.float32)])
        said.append(engine.predict(filled)[: len(part)])
    return numpy.concatenate(said)


def measure(name, folder, options):
    exact = folder / "exact"
    side = json.loads((exact / "tiles.json").read_text())["side"]
    images = floats(exact / "timed.f32", 3, side, side)
    engine = ENGINES[name](folder, options)
    engine.predict(images[: min(options["batches"])])
    result = {"first_answer_ms": since_start_ms(), "batches": []}
    for batch in options["batches"]:
        result["batches"].append({"batch": batch, "ms": timed(engine, images[:batch], options["passes"])})
    # Before the tiles, whose memory is not the engine's.
    result["peak_mib"] = peak_mib()
    if options.get("probabilities"):
        tiles = floats(exact / "tiles.f32", 3, side, side)
        all_tiles(engine, tiles, max(options["batches"])).astype(numpy.float32).tofile(options["probabilities"])
    print(json.dumps(result))


def prepare(folder, options):
    import openvino
    import torch

    exact = folder / "exact"
    side = json.loads((exact / "tiles.json").read_text())["side"]
    tiles = floats(exact / "tiles.f32", 3, side, side)[:PROVED]
    ours = floats(exact / "probabilities.f32", 1, side, side)[:PROVED]
    apart = numpy.abs(Torch(folder, options, bfloat16=False, compiled=False).predict(tiles) - ours).max()
    if math.isnan(apart) or apart > TOLERANCE:
        sys.exit(f"error: PyTorch's network is not ours: probabilities are up to {apart:.4f} apart")
    network = torch.nn.Sequential(folded(options["weights"]), torch.nn.Sigmoid())
    torch.onnx.export(
        network,
        (torch.from_numpy(tiles[:2]),),
        folder / "network.onnx",
        dynamo=False,
        input_names=["images"],
        dynamic_axes={"images": {0: "batch"}},
        opset_version=17,
    )
    openvino.save_model(openvino.convert_model(folder / "network.onnx"), folder / "network.xml", compress_to_fp16=False)
    print(json.dumps({"apart": float(apart)}))


def main():
    name, folder, options = sys.argv[1], pathlib.Path(sys.argv[2]), json.loads(sys.argv[3])
    prepare(folder, options) if name == "prepare" else measure(name, folder, options)


if __name__ == "__main__":
    main()
