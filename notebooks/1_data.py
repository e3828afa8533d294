# %% [markdown]
# # Looking at the data
#
# What a scan is here, on a head that nobody has: `medseg phantom` makes it of a seed, with a lesion whose size is known exactly. No server is needed.

# %%
import gzip
import struct

import matplotlib.figure
import numpy

from client import WORK, phantom, program

# %% [markdown]
# ## A volume, its mask and the truth about it

# %%
truth = phantom("head.nii.gz", "--format", "nifti", "--lesion-ml", "20", "--mask", "mask.nii.gz")
lesion = truth["lesion"]
print("slices, rows, columns:", truth["shape"], " millimetres between them:", truth["spacing_mm"])
print(f"the lesion: {lesion['volume_ml']:.2f} mL, largest in slice {lesion['slice']} (from 0)")

# %% [markdown]
# ## NIfTI, read by hand
#
# 348 bytes of header, then voxels: columns run fastest, then rows, then slices. A library (nibabel, SimpleITK) reads it as well.

# %%
TYPES = {2: "u1", 4: "<i2", 16: "<f4", 512: "<u2"}


def read(name):
    """Voxels as slices, rows and columns, and the size of one in millimetres."""
    data = gzip.decompress((WORK / name).read_bytes())
    columns, rows, slices = struct.unpack_from("<3h", data, 42)
    (kind,) = struct.unpack_from("<h", data, 70)
    sizes = struct.unpack_from("<3f", data, 80)
    start, slope, intercept = struct.unpack_from("<3f", data, 108)
    voxels = numpy.frombuffer(data, TYPES[kind], count=columns * rows * slices, offset=int(start))
    voxels = voxels.reshape(slices, rows, columns).astype("f4")
    return (voxels * slope + intercept if slope else voxels), sizes[::-1]


head, spacing_mm = read("head.nii.gz")
mask, _ = read("mask.nii.gz")
print("voxels from", head.min(), "to", head.max(), " marked:", int(mask.sum()))
assert head.shape == mask.shape == (24, 256, 256)

# %% [markdown]
# ## Sizes
#
# A volume is voxels times the size of one. What the phantom's formula says and what its voxels come to differ by little: an outline goes through
# voxels, which
# belong to it whole or not at all. A small lesion in thick slices is measured worse.

# %%
volume_ml = float(mask.sum() * numpy.prod(spacing_mm) / 1000)
print(f"by its formula {lesion['volume_ml']:.2f} mL, by its voxels {volume_ml:.2f} mL")
assert abs(volume_ml - lesion["voxels"]["volume_ml"]) < 0.05
assert abs(volume_ml / lesion["volume_ml"] - 1) < 0.15

# %% [markdown]
# ## Window and level
#
# A screen shows 256 greys. Which values are black and white is the *window*; the model never sees it, and a lesion may be seen in one and not in
# another.

# %%
figure = matplotlib.figure.Figure(figsize=(9, 3.4))
largest = int(mask.sum(axis=(1, 2)).argmax())
inside, brain = head[mask > 0], head[(mask == 0) & (head > 0.2 * head.max())]
for place, (low, high) in enumerate(((0, head.max()), (brain.mean(), head.max()), (0, brain.mean()))):
    axes = figure.add_subplot(1, 3, place + 1)
    axes.imshow(head[largest], cmap="gray", vmin=low, vmax=high)
    axes.contour(mask[largest], [0.5], colors="gold", linewidths=0.8)
    axes.set_title(f"{low:.0f} to {high:.0f}")
    axes.set_axis_off()
figure.savefig(WORK / "windows.png")
print("three windows:", WORK / "windows.png")
print(f"inside the lesion {inside.mean():.0f} on average, in the brain around it {brain.mean():.0f}")
assert inside.mean() > brain.mean()

# %% [markdown]
# ## A labelled data set
#
# `medseg dataset` takes such pairs, splits them by patient, and looks for all that must not be learned from. Two slices of a head on two sides of
# a split would let a model be
# tested on what it has seen.

# %%
labelled = WORK / "labelled"
for patient in range(1, 7):
    for slice_, healthy in ((1, []), (2, ["--no-lesion"])):
        name = f"labelled/p{patient}_{slice_}"
        phantom(f"{name}.png", "--mask", f"{name}_mask.png", "--size", "64", "--seed", str(patient), *healthy)
if not (WORK / "set").exists():
    print(program("medseg", "dataset", "import", "labelled", "--out", "set", "--sequence", "flair"))
    print(program("medseg", "dataset", "split", "set", "--validation", "0.34", "--test", "0.17"))
print(program("medseg", "dataset", "validate", "set"))
version = program("medseg", "dataset", "version", "set").strip()
print("data version", version)
assert len(version) == 64
