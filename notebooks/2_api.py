# %% [markdown]
# # Calling the API
#
# From an upload to a verdict. Start a medseg of your own (`medseg serve --data data`), and set MEDSEG_URL and MEDSEG_PASSWORD. Every call is
# described at `/docs` of that server.

# %%
import io

import numpy
from PIL import Image

from client import WORK, Medseg, Refused, phantom

medseg = Medseg()

# %% [markdown]
# ## Send a scan
#
# One DICOM slice: unlike a PNG it says how large its pixels are. With the answer it is kept. Sent again under the same key it is found, and not
# made a second time.

# %%
truth = phantom("scan.dcm", "--format", "dicom", "--slices", "1", "--seed", "1")
data = (WORK / "scan.dcm").read_bytes()
scan = medseg.send(data, reference="notebook")
assert medseg.send(data, reference="notebook") == scan
print(medseg.get(f"scans/{scan}"))

# %% [markdown]
# ## Read the result
#
# There are four answers. `not_analysable` and `failed` say nothing about the patient: whoever takes them for "nothing found" harms somebody.

# %%
result = medseg.result(scan)
print(result["answer"], " confidence:", result["confidence"], " model:", result["model"]["name"], result["model"]["version"])
for finding in result["findings"]:
    longest, across = (finding[name]["length"] for name in ("longest_diameter", "perpendicular_diameter"))
    print(f"  {finding['role']} {finding['label']}: {longest:.1f} x {across:.1f} {finding['unit']}, {finding['laterality']}")
for remark in result["quality"]["remarks"]:
    print("  note:", remark)
print(result["limits"])
assert result["answer"] in ("found", "none_found")

# %% [markdown]
# ## Pictures and mask
#
# `mask.png` has 255 in main findings and 127 in lesser ones. Any slice is drawn with a window of your choice.

# %%
mask = numpy.asarray(Image.open(io.BytesIO(medseg.call("GET", f"scans/{scan}/mask.png").content)))
slice_ = medseg.call("GET", f"scans/{scan}/slices/0.png", params={"window": "0,800"})
(WORK / "overlay.png").write_bytes(medseg.call("GET", f"scans/{scan}/overlay.png").content)
print("marked pixels:", int((mask == 255).sum()), " window shown:", slice_.headers["x-window"])
shape = result["image"]["shape"]
assert mask.shape == (shape["rows"], shape["columns"])
assert ((mask == 255).sum() > 0) == (result["answer"] == "found")

# %% [markdown]
# ## How well does it fit?
#
# Of a phantom the truth is known: Dice is twice what both mark, over what each of them marks.

# %%
phantom("truth.png", "--seed", "1", "--mask", "truth_mask.png")
true = numpy.asarray(Image.open(WORK / "truth_mask.png")) > 0
marked = mask == 255
dice = 2 * (true & marked).sum() / max(true.sum() + marked.sum(), 1)
print(f"Dice {dice:.3f}; expected without knowing the truth: {result['expected_dice']}")

# %% [markdown]
# ## A refusal is a value, too
#
# What does not meet the requirements is refused before anything looks at it: 422, with a `type` for programs and a sentence for people.

# %%
try:
    medseg.send(b"this is no scan\n" * 100)
    raise AssertionError("a text was taken for a scan")
except Refused as refused:
    print(refused.problem["type"], "-", refused.problem["detail"])
    assert refused.status == 422

# %% [markdown]
# ## Say what you make of it
#
# A verdict is one person's word. A later one stands beside it.

# %%
word = medseg.say(scan, verdict="unsure", note="given by a notebook")
said = medseg.get(f"scans/{scan}/feedback")
print(said["state"], [(one["reader"], one["verdict"]) for one in said["feedback"]])
assert said["feedback"][0]["id"] == word["id"]
