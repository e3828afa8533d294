"""check_variants.py DECODER PHANTOM [COUNT]: whether what the decoder reads of DICOM files is what pydicom reads of them. PYTHONPATH names it.

The phantom is written COUNT times (1,008), in 48 orders of axes, seven encodings and three forms, each time with another identity,
oblique or tilted, scaled, and in no order of its slices. Of each, the jailed decoder has to tell the identity that pydicom tells and the
instances or frames in the order of the slices, and each voxel has to have pydicom's value in the place where pydicom's geometry has it.
"""

import concurrent.futures
import copy
import io
import itertools
import json
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter

import numpy
import pydicom
from check_pacs import Grid, check, item, slices_of
from pydicom.dataset import FileMetaDataset
from pydicom.pixels import apply_rescale
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

# Where columns, rows and slices may lead: each along one of the patient's axes (L, P, S), either way.
ORDERS = [(axes, ways) for axes in itertools.permutations(range(3)) for ways in itertools.product((1, -1), repeat=3)]
# In turn; a series has up to 64 files, and takes as long as all others.
FORMS = ("series", *("frames", "slice") * 3)
ENCODINGS = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "undefined lengths": ExplicitVRLittleEndian,
    "big-endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "RLE": RLELossless,
    "JPEG-LS": JPEGLSLossless,
}
COUNT = 3 * len(ORDERS) * len(FORMS)
# Coordinates are written with so many decimals; what is computed of them may stray by a few of the last.
DECIMALS, WITHIN_MM, WITHIN_VOXELS = 6, 1e-3, 1e-3
DEGREES_OBLIQUE, DEGREES_TILTED = 20, 15
NAMES = (
    ("ISO_IR 100", "Canary^Gr\u00fcn"),
    ("ISO_IR 192", "Diallo^A\u00efssatou"),
    ("ISO_IR 192", "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce=\u3084\u307e\u3060^\u305f\u308d\u3046"),
    ("ISO_IR 144", "\u041b\u044e\u043ace\u043c\u0431\u0443\u0440\u0433"),
    ("GB18030", "Wang^XiaoDong=\u738b^\u5c0f\u4e1c"),
    (["", "ISO 2022 IR 149"], "Hong^Gildong=\u6d2a^\u5409\u6d1e=\ud64d^\uae38\ub3d9"),
    (None, "Plain^Name^Middle^Dr^Jr"),
    (None, ""),
)
# What the decoder calls it, and what DICOM does.
IDENTITY = {
    "patient_name": "PatientName",
    "patient_id": "PatientID",
    "issuer_of_patient_id": "IssuerOfPatientID",
    "patient_birth_date": "PatientBirthDate",
    "patient_sex": "PatientSex",
    "patient_age": "PatientAge",
    "accession_number": "AccessionNumber",
    "study_id": "StudyID",
    "study_date": "StudyDate",
    "study_time": "StudyTime",
    "study_description": "StudyDescription",
    "series_description": "SeriesDescription",
    "series_number": "SeriesNumber",
    "referring_physician_name": "ReferringPhysicianName",
    "institution_name": "InstitutionName",
    "study_instance_uid": "StudyInstanceUID",
    "series_instance_uid": "SeriesInstanceUID",
    "sop_class_uid": "SOPClassUID",
    "frame_of_reference_uid": "FrameOfReferenceUID",
}


def copied(data_set):
    """With elements of its own, whose values may be the same: a copy of all values takes longer than all else here."""
    made = FileMetaDataset() if isinstance(data_set, FileMetaDataset) else pydicom.Dataset()
    for element in data_set:
        made.add(copy.copy(element))
    return made


class Variant:
    """One of them, by its number: the same number is the same variant."""

    def __init__(self, number, files):
        self.chance = random.Random(number)
        turn = number // len(ORDERS)
        self.order, self.form = ORDERS[number % len(ORDERS)], FORMS[turn % len(FORMS)]
        self.encoding = list(ENCODINGS)[(number + turn // len(FORMS)) % len(ENCODINGS)]
        self.name = f"{number} ({self.form}, {self.encoding}, {self.order})"
        self.template, self.grid = files[0], self.placed(files)

    def placed(self, files):
        """The phantom's voxels in that order, turned and tilted."""
        chance, (axes, ways) = self.chance, self.order
        grid = Grid(files)
        if self.form == "slice":
            # Its pixels are those of one slice of the head, and only its directions are of another plane.
            grid.voxels = grid.voxels[len(grid.voxels) // 2 :][:1]
            lengths = [numpy.linalg.norm(step) for step in reversed(grid.steps)]
            grid.steps = [self.axis(axes[at]) * ways[at] * lengths[at] for at in (2, 1, 0)]
        else:
            against = [2 - axis for axis, way in zip(axes, ways, strict=True) if way < 0]
            grid = grid.stored([2 - axis for axis in axes], against)
        turned = self.turn()
        grid.steps = [turned @ step for step in grid.steps]
        if self.form != "slice" and chance.random() < 0.3:
            # As a gantry does: each slice is shifted along its columns against the one before.
            down = grid.steps[1] / numpy.linalg.norm(grid.steps[1])
            slope = numpy.tan(numpy.radians(chance.uniform(-DEGREES_TILTED, DEGREES_TILTED)))
            grid.steps[0] = grid.steps[0] + down * numpy.linalg.norm(grid.steps[0]) * slope
        grid.origin = numpy.array([chance.uniform(-150, 150) for _ in range(3)])
        return grid

    @staticmethod
    def axis(number):
        return numpy.eye(3)[number]

    def turn(self):
        """About each axis in turn, by a few degrees; often by none."""
        turned = numpy.eye(3)
        if self.chance.random() < 0.5:
            return turned
        for axis in range(3):
            angle = numpy.radians(self.chance.uniform(-DEGREES_OBLIQUE, DEGREES_OBLIQUE))
            one, other = (axis + 1) % 3, (axis + 2) % 3
            about = numpy.eye(3)
            about[one, one] = about[other, other] = numpy.cos(angle)
            about[one, other], about[other, one] = -numpy.sin(angle), numpy.sin(angle)
            turned = about @ turned
        return turned

    def described(self):
        """A file's header, without what differs from file to file."""
        chance, file = self.chance, pydicom.dcmread(self.template.filename)
        for word in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices"):
            if word in file:
                delattr(file, word)
        charset, name = chance.choice(NAMES)
        file.PatientName, file.ReferringPhysicianName = name, chance.choice(("", "Refer^R"))
        if charset is not None:
            file.SpecificCharacterSet = charset
        elif "SpecificCharacterSet" in file:
            del file.SpecificCharacterSet
        maybe = {
            "PatientID": ("4711", " 04711", "47 11 ", "ab-1", "", None),
            "IssuerOfPatientID": ("North", "", None),
            "PatientBirthDate": ("19700131", "", None),
            "PatientSex": ("F", "M", "O", "", None),
            "PatientAge": ("053Y", None),
            "AccessionNumber": ("A-77", "", None),
            "StudyID": ("7", None),
            "StudyDate": ("20240131", None),
            "StudyTime": ("101112", "101112.250000", "1011", None),
            "StudyDescription": ("Head  with two blanks", "", None),
            "SeriesDescription": ("t2_tirm_tra_dark-fluid", None),
            "SeriesNumber": (3, None),
            "InstitutionName": ("General", "", None),
        }
        for word, values in maybe.items():
            value = chance.choice(values)
            if value is not None:
                setattr(file, word, value)
            elif word in file:
                delattr(file, word)
        file.StudyInstanceUID, file.SeriesInstanceUID, file.FrameOfReferenceUID = (generate_uid(None) for _ in range(3))
        file.Rows, file.Columns = self.grid.voxels.shape[1:]
        file.RescaleSlope, file.RescaleIntercept = chance.choice(((1, 0), (2, -1024), (0.5, 10)))
        file.PixelData = b""
        private = file.private_block(0x0099, "MEDSEG CHECK", create=True)
        private.add_new(0x01, "LO", "of nobody's dictionary")
        return file

    def files(self):
        """As bytes, in no order."""
        header, grid = self.described(), self.grid
        made = self.frames(header) if self.form == "frames" else self.slices(header)
        self.chance.shuffle(made)
        return [self.encoded(file) for file in made]

    def slices(self, header):
        made = []
        for number in range(len(self.grid.voxels)):
            file = copied(header)
            file.file_meta = copied(header.file_meta)
            file.SOPInstanceUID = file.file_meta.MediaStorageSOPInstanceUID = generate_uid(None)
            file.ImagePositionPatient, file.ImageOrientationPatient = self.grid.position(number), self.grid.orientation()
            file.PixelSpacing, file.InstanceNumber = self.grid.spacing(), number + 1
            # What lies between slices their positions say, and not this.
            file.SliceThickness = round(float(numpy.linalg.norm(self.grid.steps[0])) * self.chance.choice((1, 0.7)), DECIMALS)
            file.PixelData = numpy.ascontiguousarray(self.grid.voxels[number]).tobytes()
            made.append(file)
        return made

    def frames(self, file):
        file.SOPClassUID = file.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
        file.SOPInstanceUID = file.file_meta.MediaStorageSOPInstanceUID = generate_uid(None)
        order = list(range(len(self.grid.voxels)))
        self.chance.shuffle(order)
        thickness = round(float(numpy.linalg.norm(self.grid.steps[0])), DECIMALS)
        orientation = item(ImageOrientationPatient=self.grid.orientation())
        measures = item(PixelSpacing=self.grid.spacing(), SliceThickness=thickness)
        values = item(RescaleSlope=file.RescaleSlope, RescaleIntercept=file.RescaleIntercept, RescaleType="US")
        del file.RescaleSlope, file.RescaleIntercept
        shared = {"PixelMeasuresSequence": [measures], "PixelValueTransformationSequence": [values]}
        each = {}
        # What all frames share may stand in each of them.
        (each if self.chance.random() < 0.5 else shared)["PlaneOrientationSequence"] = [orientation]
        file.NumberOfFrames, file.SharedFunctionalGroupsSequence = len(order), [item(**shared)]
        file.PerFrameFunctionalGroupsSequence = [
            item(PlanePositionSequence=[item(ImagePositionPatient=self.grid.position(index))], **each) for index in order
        ]
        file.PixelData = numpy.ascontiguousarray(self.grid.voxels[order]).tobytes()
        return [file]

    def encoded(self, file):
        syntax = ENCODINGS[self.encoding]
        file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        if syntax.is_compressed and not syntax.is_deflated:
            file.compress(syntax, generate_instance_uid=False)
        elif syntax == ExplicitVRBigEndian:
            file.PixelData = numpy.frombuffer(file.PixelData, "<u2").byteswap().tobytes()
        file.file_meta.TransferSyntaxUID = syntax
        if self.encoding == "undefined lengths":
            for element in file.iterall():
                if element.VR == "SQ":
                    element.is_undefined_length = True
        written = io.BytesIO()
        pydicom.dcmwrite(written, file, enforce_file_format=True, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
        return written.getvalue()


def asked(decoder, files):
    """What the decoder says of them, as ingest asks it: a file or a zip of files over a socket."""
    with tempfile.TemporaryFile() as sent:
        if len(files) == 1:
            sent.write(files[0])
        else:
            with zipfile.ZipFile(sent, "w") as archive:
                for number, file in enumerate(files):
                    archive.writestr(f"{number:03}", file)
        sent.flush()
        ours, theirs = socket.socketpair()
        words = ["--memory-mib", "2048", "--cpu-s", "60", "--bytes-max", str(1 << 28), "--jail", "best-effort"]
        child = subprocess.Popen([decoder, *words, "decode", "--modalities=MR"], stdin=theirs, stdout=subprocess.PIPE)
        theirs.close()
        with ours, child:
            socket.send_fds(ours, [b"\0"], [sent.fileno()])
            said = child.stdout.read()
    check(child.returncode == 0, f"the decoder ends with {child.returncode}")
    length = struct.unpack("<I", said[:4])[0]
    answer, rest = json.loads(said[4 : 4 + length]), said[4 + length :]
    if "image" not in answer:
        return answer, None
    facts = answer["image"]
    return facts, rest[facts["preview_bytes"] :][: facts["volume_bytes"]]


class Volume:
    """Voxels and the way from the patient to them, of the stored form."""

    def __init__(self, stored):
        check(stored[:5] == b"MSVOL", "the decoder's volume is none")
        length = struct.unpack("<I", stored[8:12])[0]
        header = json.loads(stored[12 : 12 + length])
        self.shape = tuple(header["shape"][word] for word in ("slices", "rows", "columns"))
        self.voxels = numpy.frombuffer(stored, "<f4", offset=12 + length).reshape(self.shape)
        geometry = header["geometry"]
        check(geometry.get("known", "Place") in ("Place", "place"), f"nobody knows where it lies: {geometry}")
        self.origin = numpy.array(geometry["origin"])
        self.steps = numpy.array([geometry[word] for word in ("slice_step", "row_step", "column_step")])

    def index(self, places):
        return numpy.linalg.solve(self.steps.T, (places - self.origin).T).T


def planes(data_sets):
    """Of each slice, as pydicom reads it: its instance or the number of its frame, the first pixel's place, the steps along a row and down, values."""
    for file in data_sets:
        pixels = file.pixel_array
        if "PerFrameFunctionalGroupsSequence" not in file:
            yield file.SOPInstanceUID, *lying(file, file, file), apply_rescale(pixels, file)
            continue
        shared = file.SharedFunctionalGroupsSequence[0]
        values = shared.PixelValueTransformationSequence[0]
        for number, own in enumerate(file.PerFrameFunctionalGroupsSequence):
            place = own.PlanePositionSequence[0]
            orientation = (own if "PlaneOrientationSequence" in own else shared).PlaneOrientationSequence[0]
            lies = lying(place, orientation, shared.PixelMeasuresSequence[0])
            yield number + 1, *lies, apply_rescale(pixels[number], values)


def lying(place, orientation, measures):
    across, down = numpy.array(orientation.ImageOrientationPatient, float).reshape(2, 3)
    between_rows, between_columns = (float(mm) for mm in measures.PixelSpacing)
    return numpy.array(place.ImagePositionPatient, float), across * between_columns, down * between_rows


def disagreement(data_sets, facts, volume):
    """In words how the decoder's reading differs from pydicom's; None where it does not."""
    identity, first = facts["identity"], data_sets[0]
    for word, keyword in IDENTITY.items():
        expected = str(first.get(keyword, "") if first.get(keyword) is not None else "")
        told = identity.get(word) or ""
        # Outer blanks pad a value, and empty components a name: they mean nothing (PS3.5, 6.2).
        if told.strip() != expected.strip():
            return f"{keyword} is {told!r}, by pydicom {expected!r}"
    seen = sorted(planes(data_sets), key=lambda plane: numpy.dot(plane[1], numpy.cross(plane[2], plane[3])))
    names = [plane[0] for plane in seen]
    frames, instances = identity.get("frame_numbers", []), identity["sop_instance_uids"]
    if isinstance(names[0], int):
        if (frames, instances) != (names, [str(first.SOPInstanceUID)]):
            return f"its slices are the frames {frames} of {instances}, by pydicom {names}"
    elif instances != names:
        return "its slices are other instances, or in another order"
    if volume.voxels.size != sum(plane[4].size for plane in seen):
        return f"its shape is {volume.shape}"
    for _, origin, across, down, values in seen:
        rows, columns = (each.ravel() for each in numpy.indices(values.shape))
        places = origin + numpy.outer(columns, across) + numpy.outer(rows, down)
        index = volume.index(places)
        whole = numpy.rint(index)
        if numpy.abs((index - whole) @ volume.steps).max() > WITHIN_MM or numpy.abs(index - whole).max() > WITHIN_VOXELS:
            return f"a voxel lies {numpy.abs((index - whole) @ volume.steps).max()} mm from where pydicom has it"
        if (whole < 0).any() or (whole >= volume.shape).any():
            return "a voxel lies outside of the volume"
        told = volume.voxels[tuple(whole.astype(int).T)]
        if not numpy.array_equal(told, values.ravel().astype("f4")):
            return "a voxel has another value than pydicom reads there"
    return None


def compared(decoder, number, templates):
    """Of one variant: what it is, and what is wrong with how it is read."""
    variant = Variant(number, templates)
    files = variant.files()
    facts, stored = asked(decoder, files)
    if stored is None:
        return variant, f"it is refused: {facts}"
    read = [pydicom.dcmread(io.BytesIO(file)) for file in files]
    volume = Volume(stored)
    words = disagreement(read, facts, volume)
    if number == 0 and words is None:
        sees(read, facts, volume)
    return variant, words


def sees(read, facts, volume):
    """That this check sees what it is there to see."""
    moved = copy.deepcopy(read[0])
    moved.ImagePositionPatient = [float(mm) + 0.01 for mm in read[0].ImagePositionPatient]
    check(disagreement([moved, *read[1:]], facts, volume), "a slice that lies elsewhere is not seen")
    named = {**facts, "identity": {**facts["identity"], "patient_id": "another"}}
    check("PatientID" in (disagreement(read, named, volume) or ""), "another patient is not seen")
    mirrored = Volume.__new__(Volume)
    mirrored.__dict__ |= {**volume.__dict__, "voxels": volume.voxels[:, :, ::-1]}
    check(disagreement(read, facts, mirrored), "a mirrored head is not seen")


def some(decoder, phantom, numbers):
    templates = slices_of(phantom)
    return [(variant.name, variant.form, variant.encoding, words) for variant, words in (compared(decoder, number, templates) for number in numbers)]


def main(decoder, phantom, count=COUNT):
    workers, numbers = len(os.sched_getaffinity(0)), range(int(count))
    with concurrent.futures.ProcessPoolExecutor(workers) as pool:
        parts = [pool.submit(some, decoder, phantom, numbers[at::workers]) for at in range(workers)]
        done = [one for part in parts for one in part.result()]
    wrong = [f"{name}: {words}" for name, _, _, words in done if words]
    check(not wrong, f"{len(wrong)} of {len(done)} variants are read otherwise than by pydicom: " + "; ".join(wrong[:3]))
    told = Counter(form for _, form, _, _ in done)
    shown = ", ".join(f"{number} as {form}" for form, number in told.items())
    print(f"pacs: {len(done)} variants ({shown}; {len(ENCODINGS)} encodings, {len(ORDERS)} orders of axes) are where and whose pydicom says, voxel by voxel")


if __name__ == "__main__":
    main(*sys.argv[1:])
