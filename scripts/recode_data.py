"""recode_data.py OUT MANIFEST...: copies labelled slices into OUT with pictures as WebP (quality 90) and masks as 1-bit PNG.

For sending: the loss is far below what training varies. Each manifest's folder keeps its name, patients, numbers and folds.
"""

import csv
import pathlib
import sys

from PIL import Image

QUALITY = 90
# The digests of files that are not copied.
LEFT_OUT = ("image_sha256", "mask_sha256")


def recode(manifest: pathlib.Path, out: pathlib.Path) -> None:
    out.mkdir(parents=True)
    with open(manifest, newline="") as source, open(out / "manifest.csv", "w", newline="") as sink:
        reader = csv.DictReader(source)
        columns = [name for name in reader.fieldnames if name not in LEFT_OUT]
        writer = csv.DictWriter(sink, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for row in reader:
            image, mask = (pathlib.PurePath(row[column]) for column in ("image", "mask"))
            row["image"], row["mask"] = (str(image.with_suffix(".webp")), str(mask.with_suffix(".png")))
            for name in (row["image"], row["mask"]):
                (out / name).parent.mkdir(parents=True, exist_ok=True)
            with Image.open(manifest.parent / image) as picture:
                picture.convert("L").convert("RGB").save(out / row["image"], quality=QUALITY, method=6)
            with Image.open(manifest.parent / mask) as picture:
                picture.convert("L").point(lambda value: 255 if value else 0).convert("1").save(out / row["mask"], optimize=True)
            writer.writerow(row)


def main() -> None:
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1])
    for manifest in map(pathlib.Path, sys.argv[2:]):
        recode(manifest, out / manifest.resolve().parent.name)


main()
