"""The study that goes through all systems: a phantom's slices, with an identity that is nobody's and awkward to write."""

from pathlib import Path

import numpy
import pydicom
from pydicom.uid import generate_uid

# What all systems have to say of it in the same letters.
IDENTITY = {
    "PatientName": "Gr\u00fcn^Zo\u00e9",
    "PatientID": "CONNECT-4711",
    "IssuerOfPatientID": "H1",
    "PatientBirthDate": "19700131",
    "PatientSex": "F",
    "AccessionNumber": "A-77",
    "StudyID": "7",
    "StudyDate": "20240131",
}


def made(phantom, folder):
    """Writes the study; its files in the order of the slices."""
    study, series, frame = generate_uid(None), generate_uid(None), generate_uid(None)
    files = [pydicom.dcmread(path) for path in sorted(Path(phantom).iterdir())]
    files.sort(key=lambda file: float(file.ImagePositionPatient[2]))
    Path(folder).mkdir()
    for number, file in enumerate(files):
        file.SpecificCharacterSet = "ISO_IR 192"
        for word, value in IDENTITY.items():
            setattr(file, word, value)
        file.StudyInstanceUID, file.SeriesInstanceUID, file.FrameOfReferenceUID = study, series, frame
        file.SOPInstanceUID = file.file_meta.MediaStorageSOPInstanceUID = generate_uid(None)
        file.save_as(Path(folder) / f"{number:03}.dcm")
    return files


def whose(data_set):
    return {word: str(data_set.get(word, "")) for word in (*IDENTITY, "StudyInstanceUID")}


def where(data_set):
    words = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
    return [numpy.array(data_set.get(word), float) for word in words]


def differ(sent, got):
    """In words how an image that came back differs from the one that was sent; None where it does not."""
    if whose(sent) != whose(got):
        return f"it is said to be of {whose(got)}"
    if not all(numpy.array_equal(one, other) for one, other in zip(where(sent), where(got), strict=True)):
        return "it lies elsewhere in the patient"
    if sent.FrameOfReferenceUID != got.FrameOfReferenceUID:
        return "it is of another frame of reference"
    return None if numpy.array_equal(sent.pixel_array, got.pixel_array) else "it has other pixels"


def compared(sent, got):
    """Of two series, by instance."""
    theirs = {file.SOPInstanceUID: file for file in got}
    if set(theirs) != {file.SOPInstanceUID for file in sent}:
        return f"{len(theirs)} instances are there, {len(sent)} were sent, and they are not the same"
    faults = ((file.SOPInstanceUID, differ(file, theirs[file.SOPInstanceUID])) for file in sent)
    return next((f"{uid}: {words}" for uid, words in faults if words), None)
