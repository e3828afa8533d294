"""check_pacs.py store PHANTOM STUDIES: stores one head in several orders of axes, and once as one file of many frames.
check_pacs.py read STUDIES RESULTS: reads our DICOM objects of them with pydicom and highdicom, and compares.
"""

import json
import sys
from pathlib import Path

import highdicom
import numpy
import pydicom
from pydicom.uid import EnhancedMRImageStorage, generate_uid

# How columns, rows and slices run through those of the phantom: which of them, and whether against it.
ORDERS = {
    "plain": ((2, 1, 0), ()),
    "mirrored": ((2, 1, 0), (2,)),
    "upside-down": ((2, 1, 0), (0, 1)),
    "transposed": ((1, 2, 0), ()),
    "transposed-and-mirrored": ((1, 2, 0), (1,)),
    "frames": ((2, 1, 0), (1,)),
}


def check(holds, words):
    if not holds:
        sys.exit(f"error: {words}")


def slices_of(folder):
    files = [pydicom.dcmread(path) for path in sorted(Path(folder).iterdir())]
    return sorted(files, key=lambda file: float(file.ImagePositionPatient[2]))


class Grid:
    """Voxels with the place of the first one and the steps along slices, rows and columns (LPS, millimetres)."""

    def __init__(self, files):
        self.voxels = numpy.stack([file.pixel_array for file in files])
        first, second = (numpy.array(file.ImagePositionPatient, float) for file in files[:2])
        across, down = numpy.array(files[0].ImageOrientationPatient, float).reshape(2, 3)
        between_rows, between_columns = (float(mm) for mm in files[0].PixelSpacing)
        self.origin = first
        self.steps = [second - first, down * between_rows, across * between_columns]

    def stored(self, axes, flipped):
        """The same in another order: `axes` says what columns, rows and slices are of."""
        origin, steps, voxels = self.origin.copy(), [step.copy() for step in self.steps], self.voxels
        for axis in flipped:
            origin += steps[axis] * (voxels.shape[axis] - 1)
            steps[axis] = -steps[axis]
            voxels = numpy.flip(voxels, axis)
        order = tuple(reversed(axes))
        self.origin, self.steps, self.voxels = origin, [steps[axis] for axis in order], voxels.transpose(order)
        return self

    def orientation(self):
        directions = [step / numpy.linalg.norm(step) for step in (self.steps[2], self.steps[1])]
        return [round(float(part), 9) for part in numpy.concatenate(directions)]

    def spacing(self):
        return [float(numpy.linalg.norm(step)) for step in (self.steps[1], self.steps[2])]

    def position(self, index):
        return [round(float(part), 6) for part in self.origin + index * self.steps[0]]


def described(template, grid, series):
    """A file like the phantom's own, of another series of the same study."""
    file = pydicom.dcmread(template.filename)
    file.SeriesInstanceUID = series
    file.Rows, file.Columns = grid.voxels.shape[1:]
    file.PatientName, file.PatientID = "Canary^Gr\u00fcn", "4711"
    file.IssuerOfPatientID, file.AccessionNumber = "H1", "A-77"
    return file


def single_frames(template, grid, folder):
    series = generate_uid(None)
    # In no order: only positions say how slices follow one another.
    for number, index in enumerate(sorted(range(len(grid.voxels)), key=lambda index: index * 7 % 24)):
        file = described(template, grid, series)
        file.SOPInstanceUID = file.file_meta.MediaStorageSOPInstanceUID = generate_uid(None)
        file.ImagePositionPatient, file.ImageOrientationPatient = grid.position(index), grid.orientation()
        file.PixelSpacing, file.InstanceNumber = grid.spacing(), number + 1
        file.PixelData = numpy.ascontiguousarray(grid.voxels[index]).tobytes()
        file.save_as(folder / f"{number:03}.dcm")


def item(**values):
    made = pydicom.Dataset()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def many_frames(template, grid, folder):
    """An Enhanced MR image, its frames in no order."""
    file = described(template, grid, generate_uid(None))
    file.SOPClassUID = file.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    file.SOPInstanceUID = file.file_meta.MediaStorageSOPInstanceUID = generate_uid(None)
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices"):
        if name in file:
            delattr(file, name)
    order = sorted(range(len(grid.voxels)), key=lambda index: index * 7 % 24)
    thickness = float(numpy.linalg.norm(grid.steps[0]))
    file.NumberOfFrames = len(order)
    file.SharedFunctionalGroupsSequence = [
        item(
            PlaneOrientationSequence=[item(ImageOrientationPatient=grid.orientation())],
            PixelMeasuresSequence=[item(PixelSpacing=grid.spacing(), SliceThickness=thickness)],
        )
    ]
    file.PerFrameFunctionalGroupsSequence = [
        item(PlanePositionSequence=[item(ImagePositionPatient=grid.position(index))]) for index in order
    ]
    file.PixelData = numpy.ascontiguousarray(grid.voxels[order]).tobytes()
    file.save_as(folder / "frames.dcm")


def store(phantom, studies):
    files = slices_of(phantom)
    for name, (axes, flipped) in ORDERS.items():
        folder = Path(studies) / name
        folder.mkdir(parents=True)
        grid = Grid(files).stored(axes, flipped)
        (many_frames if name == "frames" else single_frames)(files[0], grid, folder)


def places_of(study):
    """Where each image, or each frame of one, lies: position and orientation by instance and frame."""
    places = {}
    for path in study.iterdir():
        file = pydicom.dcmread(path)
        if "PerFrameFunctionalGroupsSequence" not in file:
            places[file.SOPInstanceUID, None] = (file.ImagePositionPatient, file.ImageOrientationPatient)
            continue
        shared = file.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient
        for number, groups in enumerate(file.PerFrameFunctionalGroupsSequence, 1):
            places[file.SOPInstanceUID, number] = (groups.PlanePositionSequence[0].ImagePositionPatient, shared)
    return places


def near(one, other, within):
    return numpy.allclose(numpy.array(one, float), numpy.array(other, float), rtol=0, atol=within)


def segments_of(name, seg, places):
    """Of each segment its millilitres and the middle of its voxels in the patient; frames lie where their images lie."""
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    orientation = seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient
    across, down = numpy.array(orientation, float).reshape(2, 3)
    between_rows, between_columns = (float(mm) for mm in measures.PixelSpacing)
    voxel_ml = between_rows * between_columns * float(measures.SpacingBetweenSlices) / 1000
    pixels = seg.pixel_array.reshape(int(seg.NumberOfFrames), seg.Rows, seg.Columns)
    found = {}
    for frame, groups in zip(pixels, seg.PerFrameFunctionalGroupsSequence, strict=True):
        check(frame.any(), f"{name}: a frame of the segmentation is empty")
        position = groups.PlanePositionSequence[0].ImagePositionPatient
        source = groups.DerivationImageSequence[0].SourceImageSequence[0]
        number = source.get("ReferencedFrameNumber")
        place = places.get((source.ReferencedSOPInstanceUID, None if number is None else int(number)))
        check(place is not None, f"{name}: a frame refers to an image that is not there")
        check(near(place[0], position, 1e-3) and near(place[1], orientation, 1e-6), f"{name}: a frame lies elsewhere than its image")
        rows, columns = numpy.nonzero(frame)
        points = numpy.array(position, float) + numpy.outer(columns * between_columns, across) + numpy.outer(rows * between_rows, down)
        found.setdefault(int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber), []).append(points)
    points = {number: numpy.concatenate(parts) for number, parts in found.items()}
    return {number: (len(all_of) * voxel_ml, all_of.mean(axis=0)) for number, all_of in points.items()}


def compare(name, study, folder):
    """Checks the objects of one result; answers with the middle of its first finding."""
    result = json.loads((folder / "result.json").read_text())
    findings, model = result["findings"], result["model"]
    seg = highdicom.seg.segread(folder / "seg.dcm")
    check(seg.number_of_segments == len(findings), f"{name}: {seg.number_of_segments} segments of {len(findings)} findings")
    segments = segments_of(name, seg, places_of(study))
    report = highdicom.sr.srread(folder / "sr.dcm")
    groups = report.content.get_volumetric_roi_measurement_groups()
    measured = [group for group in groups if group.reference_type.value == "121191"]
    boxes = [group for group in groups if group.reference_type.value == "121231"]
    check(len(measured) == len(boxes) == len(findings), f"{name}: {len(measured)} groups and {len(boxes)} boxes")
    for number, (finding, group, box) in enumerate(zip(findings, measured, boxes, strict=True), 1):
        volume_ml, middle = segments[number]
        check(abs(volume_ml / finding["volume_ml"] - 1) < 1e-5, f"{name}: {volume_ml} mL are marked, {finding['volume_ml']} are told")
        check(near(middle, finding["centroid_mm"], 1e-2), f"{name}: marked at {middle}, told at {finding['centroid_mm']}")
        described = seg.get_segment_description(number)
        tracked = {described.tracking_uid, group.tracking_uid, box.tracking_uid}
        check(len(tracked) == 1, f"{name}: tracking ids differ: {tracked}")
        algorithm = described.algorithm_identification
        check((algorithm.name, algorithm.version) == (model["name"], model["version"]), f"{name}: another algorithm made it")
        values = {one.name.value: (one.value, one.unit.value) for one in group.get_measurements()}
        expected = {
            "118565006": (finding["volume_ml"], "mL"),
            "103339001": (finding["longest_diameter"]["length"], "mm"),
            "103340004": (finding["perpendicular_diameter"]["length"], "mm"),
        }
        for code, (value, unit) in expected.items():
            check(code in values and values[code][1] == unit, f"{name}: {code} is not in {unit}")
            check(abs(values[code][0] / value - 1) < 1e-6, f"{name}: {code} is {values[code][0]}, not {value}")
    whose(name, study, folder)
    return segments[1][1], findings[0]["laterality"]


def whose(name, study, folder):
    """Whose they are, each object says as its images do."""
    image = pydicom.dcmread(next(study.iterdir()))
    said = ("PatientName", "PatientID", "IssuerOfPatientID", "AccessionNumber", "StudyInstanceUID", "StudyDate", "PatientBirthDate")
    for path in sorted(folder.glob("*.dcm")):
        made = pydicom.dcmread(path)
        for word in said:
            check(str(image.get(word, "")) == str(made.get(word, "")), f"{name}/{path.name}: {word} is another")
        check(made.ContentQualification == "RESEARCH", f"{name}/{path.name}: it is not said to be research")
    capture = pydicom.dcmread(folder / "capture.dcm")
    check(list(capture.PatientOrientation) == ["L", "P"], f"{name}: the picture is said to look {capture.PatientOrientation}")
    check(capture.pixel_array.shape[2] == 3, f"{name}: the picture has no colours")
    document = pydicom.dcmread(folder / "report.dcm")
    check(document.EncapsulatedDocument.startswith(b"%PDF-"), f"{name}: the report is no PDF")


def nothing(folder):
    check(not (folder / "seg.dcm").exists(), "there is a segmentation of nothing")
    report = highdicom.sr.srread(folder / "sr.dcm")
    check(not report.content.get_volumetric_roi_measurement_groups(), "nothing is measured")
    check("NONE_FOUND" in str(report), "the report does not say that nothing was found")


def read(studies, results):
    places = {}
    for name in ORDERS:
        places[name] = compare(name, Path(studies) / name, Path(results) / name)
    middle, side = places["plain"]
    check(abs(middle[0]) > 5, "the phantom is not asymmetric: a mirrored one would not be seen")
    for name, (other, other_side) in places.items():
        check(near(middle, other, 0.5) and side == other_side, f"{name}: found at {other} ({other_side}), plainly at {middle} ({side})")
    nothing(Path(results) / "healthy")
    print(f"pacs: pydicom and highdicom read {len(ORDERS)} studies, and find each finding where it is")


if __name__ == "__main__":
    {"store": store, "read": read}[sys.argv[1]](*sys.argv[2:])
