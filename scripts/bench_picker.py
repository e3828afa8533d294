"""bench_picker.py MEDSEG FLAIR T1_CONTRAST [OPTION...]: how often the choice among a study's series is right where their descriptions say
nothing, or what is not so: with descriptions alone, and with a model that looks at them. Prints a table with Wilson's intervals.

FLAIR and T1_CONTRAST are folders with labelled slices of those kinds and a manifest.csv. Slices of a patient are put into a DICOM series
whose attributes say nothing of its kind, and two patients' series into a study. Only patients of the split's validation are taken, whom the
model has not learned from, unless --part says otherwise. What distances slices have is not known: they are made up, as any scanner's could be.
"""

import argparse
import csv
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

KINDS = ["flair", "t1_contrast"]
# What somebody typed of a series of each kind.
WORDS = {
    "true": {"flair": "AX T2 FLAIR", "t1_contrast": "AX T1 POST GAD"},
    "silent": {"flair": "AX BRAIN", "t1_contrast": "AX BRAIN"},
    "lying": {"flair": "AX T1 POST GAD", "t1_contrast": "AX T2 FLAIR"},
}
# Fewer slices are no volume to the picker, at this distance.
SLICES_MIN, SLICE_MM, PIXEL_MM = 8, 8.0, 0.9
FIGURES = {"series chosen rightly": "chosen", "kinds told, of those told": "kinds", "studies without a mistake": "studies"}


def part_of(medseg, model, manifest, part):
    """The patients of that part of the split, as `medseg evaluate` draws it; all of them where no part is asked for."""
    with (manifest / "manifest.csv").open() as lines:
        slices = list(csv.DictReader(lines))
    everybody = {line["patient"] for line in slices}
    if part == "all":
        return slices, everybody
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.csv"
        words = ["--split", part, "--table", table, "--plot", Path(folder) / "plot.svg", *(["--model", model] if model else [])]
        subprocess.run([medseg, "evaluate", "--manifest", manifest / "manifest.csv", *words], check=True, stdout=subprocess.DEVNULL)
        with table.open() as lines:
            return slices, everybody & {line["patient"] for line in csv.DictReader(lines)}


def series_of(medseg, model, manifest, part):
    """The pictures of each patient who has enough of them, in their order."""
    slices, patients = part_of(medseg, model, manifest, part)
    series = {}
    for line in sorted(slices, key=lambda line: int(line["slice"])):
        # Of whom nobody knows who they are, no two slices belong together.
        if line["patient"] in patients and not line["patient"].startswith("unknown-"):
            series.setdefault(line["patient"], []).append(manifest / line["image"])
    return [pictures for _, pictures in sorted(series.items()) if len(pictures) >= SLICES_MIN]


def wrapped(pictures, study, words, folder):
    """Writes the pictures as an MR series whose attributes say nothing of its kind."""
    folder.mkdir(parents=True)
    series, frame = generate_uid(), generate_uid()
    sides = numpy.asarray(Image.open(pictures[0]).convert("L")).shape
    for number, picture in enumerate(pictures):
        pixels = numpy.asarray(Image.open(picture).convert("L")).astype(numpy.uint16)
        if pixels.shape != sides:
            sys.exit(f"error: {picture} has {pixels.shape} pixels, and the series {sides}")
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MRImageStorage, generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image = Dataset()
        image.file_meta = meta
        image.SOPClassUID, image.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = study, series, frame
        image.PatientName, image.PatientID, image.Modality = "", "", "MR"
        image.ImageType, image.SeriesDescription = ["ORIGINAL", "PRIMARY", "M", "SE"], words
        image.InstanceNumber, image.SliceThickness = number + 1, SLICE_MM
        image.ImageOrientationPatient, image.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, number * SLICE_MM]
        image.PixelSpacing = [PIXEL_MM, PIXEL_MM]
        image.Rows, image.Columns = pixels.shape
        image.SamplesPerPixel, image.PhotometricInterpretation, image.PixelRepresentation = 1, "MONOCHROME2", 0
        image.BitsAllocated, image.BitsStored, image.HighBit = 16, 16, 15
        image.PixelData = pixels.tobytes()
        image.save_as(folder / f"{number:04}.dcm", enforce_file_format=True)


def written(series, words, folder):
    """The studies, with what each of their series is."""
    lines = ["study,series,kind"]
    for number in range(max(map(len, series.values()))):
        study = generate_uid()
        for kind in KINDS:
            if number < len(series[kind]):
                wrapped(series[kind][number], study, words[kind], folder / f"{number:03}" / kind)
                lines.append(f"{number:03},{kind},{kind}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def measured(medseg, folder, words):
    said = subprocess.run([medseg, "dataset", "series", folder, *words], check=True, capture_output=True, text=True).stdout
    found = dict(re.findall(r"^([a-z, ]+): +(\d.*)$", said, re.MULTILINE))
    return [found[name] for name in FIGURES]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("medseg", type=Path)
    parser.add_argument("flair", type=Path)
    parser.add_argument("t1_contrast", type=Path)
    parser.add_argument("--model", default=str(Path(__file__).parent.parent / "models/medseg-mr"))
    parser.add_argument("--part", choices=["validation", "all"], default="validation")
    parser.add_argument("--device", default="auto")
    asked = parser.parse_args()
    folders = {"flair": asked.flair, "t1_contrast": asked.t1_contrast}
    series = {kind: series_of(asked.medseg, asked.model, folder, asked.part) for kind, folder in folders.items()}
    print(", ".join(f"{len(series[kind])} series of {kind}" for kind in KINDS))
    looking = ["--model", asked.model, "--device", asked.device]
    print(f"\n| descriptions | told by | models for | {' | '.join(FIGURES.values())} |\n|---|---|---|{'---|' * len(FIGURES)}")
    with tempfile.TemporaryDirectory() as folder:
        for name, words in WORDS.items():
            place = Path(folder) / name
            written(series, words, place)
            for told_by, model in (("words", []), ("the image first", looking)):
                for made_for, only in (("both kinds", []), *((kind, ["--only", kind]) for kind in KINDS)):
                    figures = measured(asked.medseg, place, [*model, *only])
                    print(f"| {name} | {told_by} | {made_for} | {' | '.join(figures)} |", flush=True)


if __name__ == "__main__":
    main()
