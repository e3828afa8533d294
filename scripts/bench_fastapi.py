"""bench_fastapi.py PORT usual|tuned: segmentation as a service of the usual kind, for `make bench-mesh` to measure ours against.

FastAPI in one process, PyTorch in the request, the answer in the response; nothing is kept, queued, checked or signed in for.
The network is that of crates/model with weights drawn by chance, which cost the same: squares of 192 pixels, three slices (a
slice alone stands in for its neighbours), each with test-time augmentation by a flip.

`usual` is PyTorch as it comes: float32. `tuned` is what ours does as well: bfloat16, channels last, normalisation folded
into the convolutions.
"""

import base64
import io
import sys

import numpy
import torch
import uvicorn
from fastapi import FastAPI, UploadFile
from PIL import Image
from torch.nn import Sequential
from torch.nn.utils.fusion import fuse_conv_bn_eval

from bench_training import Network

SIDE = 192
THRESHOLD = 0.5

tuned = sys.argv[2] == "tuned"
torch.manual_seed(7)
network = Network().eval()
if tuned:
    for unit in [module for module in network.modules() if isinstance(module, Sequential)]:
        if isinstance(unit[0], torch.nn.Conv2d):
            unit[0], unit[1] = fuse_conv_bn_eval(unit[0], unit[1]), torch.nn.Identity()
    network = network.to(torch.bfloat16, memory_format=torch.channels_last)

app = FastAPI()


@app.get("/readyz")
def ready():
    return "ok"


@app.post("/predict")
def predict(file: UploadFile):
    image = Image.open(file.file).convert("L")
    pixels = numpy.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR), dtype=numpy.float32)
    low, high = numpy.percentile(pixels, (1, 99))
    pixels = numpy.clip((pixels - low) / max(high - low, 1), 0, 1).astype(numpy.float32)
    slices = torch.from_numpy(numpy.repeat(pixels[None], 3, 0))
    both = torch.stack([slices, slices.flip(-1)])
    if tuned:
        both = both.to(torch.bfloat16, memory_format=torch.channels_last)
    with torch.inference_mode():
        seen, mirrored = network(both).float().sigmoid()[:, 0]
    probabilities = ((seen + mirrored.flip(-1)) / 2).numpy()
    full = Image.fromarray(probabilities).resize(image.size, Image.Resampling.BILINEAR)
    mask = numpy.asarray(full) > THRESHOLD
    rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
    box = [int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])] if mask.any() else None
    png = io.BytesIO()
    Image.fromarray(mask.astype(numpy.uint8) * 255).save(png, "PNG")
    return {"area_pixels": int(mask.sum()), "box": box, "mask_png": base64.b64encode(png.getvalue()).decode()}


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
