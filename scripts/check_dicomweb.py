"""check_dicomweb.py URL PASSWORD PHANTOM FILE: what dicomweb-client finds and is given. PYTHONPATH names it, with pydicom and highdicom.

The phantom is sent as a zip; dicomweb-client finds its study, its series and its instances, and is given each image byte for byte, in
one part and among others, its frames, its attributes and its pixels; and the result as a segmentation that highdicom reads. FILE is
told the scan's id.
"""

import io
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

import highdicom
import numpy
import pydicom
from dicomweb_client.api import DICOMwebClient

# Beyond it an analysis has been lost.
PATIENCE_S = 240


def check(holds, words):
    if not holds:
        sys.exit(f"error: {words}")


def called(url, token=None, body=None, **headers):
    headers = {**headers, **({"authorization": f"Bearer {token}"} if token else {})}
    with urllib.request.urlopen(urllib.request.Request(url, data=body, headers=headers), timeout=60) as answer:
        return answer.read()


def token_of(url, password):
    form = {"grant_type": "password", "username": "admin", "password": password}
    return json.loads(called(f"{url}/v1/token", body=urllib.parse.urlencode(form).encode()))["access_token"]


def sent(url, token, phantom):
    """Sends the phantom as one zip, and waits for its result; the scan's id."""
    packed = io.BytesIO()
    # Deflated, as zips mostly are: medseg's own are not.
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(Path(phantom).iterdir()):
            archive.write(path, path.name)
    scan = json.loads(called(f"{url}/v1/scans", token, packed.getvalue(), **{"content-type": "application/octet-stream"}))
    end = time.monotonic() + PATIENCE_S
    while scan["state"] != "done":
        check(time.monotonic() < end, "the phantom was not analysed in time")
        time.sleep(0.2)
        scan = json.loads(called(f"{url}/v1/scans/{scan['id']}", token))
    check(scan["answer"] == "found", f"the phantom's answer is {scan['answer']}")
    return scan["id"]


def main(url, password, phantom, file):
    token = token_of(url, password)
    Path(file).write_text(sent(url, token, phantom))
    files = {}
    for path in sorted(Path(phantom).iterdir()):
        files[str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)] = path.read_bytes()
    first = pydicom.dcmread(io.BytesIO(next(iter(files.values()))))
    client = DICOMwebClient(f"{url}/dicomweb", headers={"authorization": f"Bearer {token}"})

    family = str(first.PatientName).split("^")[0]
    studies = client.search_for_studies(search_filters={"PatientName": f"{family}*", "ModalitiesInStudy": "MR"})
    found = [pydicom.Dataset.from_json(study) for study in studies]
    check([study.StudyInstanceUID for study in found] == [first.StudyInstanceUID], f"found {len(found)} studies")
    check(found[0].PatientID == first.PatientID and str(found[0].PatientName) == str(first.PatientName), "the study is another patient's")
    check(not client.search_for_studies(search_filters={"PatientID": "nobody's"}), "a study of nobody is found")

    study = first.StudyInstanceUID
    series = {one["0020000E"]["Value"][0]: one["00080060"]["Value"][0] for one in client.search_for_series(study)}
    check(sorted(series.values()) == ["DOC", "MR", "OT", "SEG", "SR", "SR"], f"the study's series are {sorted(series.values())}")
    images = first.SeriesInstanceUID
    listed = {one["00080018"]["Value"][0] for one in client.search_for_instances(study, images)}
    check(listed == set(files), "the images are not those that were sent")

    def raw(path, accept):
        return called(f"{url}/dicomweb/{path}", token, accept=accept)

    for instance, file in files.items():
        check(raw(f"studies/{study}/series/{images}/instances/{instance}", "application/dicom") == file, "an image is another than was sent")
    together = raw(f"studies/{study}/series/{images}", 'multipart/related; type="application/dicom"; transfer-syntax=*')
    check(all(file in together for file in files.values()), "an image in a series is another than was sent")
    given = client.retrieve_series(study, images)
    check({one.SOPInstanceUID for one in given} == set(files), "a series is not whole")

    instance = str(first.SOPInstanceUID)
    told = pydicom.Dataset.from_json(client.retrieve_instance_metadata(study, images, instance), bulk_data_uri_handler=lambda *_: b"")
    for word in ("PatientName", "PatientID", "Rows", "Columns", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient"):
        check(told.get(word) == first.get(word), f"{word} is told as {told.get(word)}, not {first.get(word)}")
    [frame] = client.retrieve_instance_frames(study, images, instance, [1])
    pixels = numpy.frombuffer(frame, first.pixel_array.dtype).reshape(first.pixel_array.shape)
    check(numpy.array_equal(pixels, first.pixel_array), "a frame is another than was sent")
    check(client.retrieve_instance_rendered(study, images, instance, media_types=("image/png",)).startswith(b"\x89PNG"), "no picture is drawn")

    segmentation = next(uid for uid, modality in series.items() if modality == "SEG")
    [made] = client.retrieve_series(study, segmentation)
    seg = highdicom.seg.Segmentation.from_dataset(made)
    check(seg.number_of_segments > 0 and seg.StudyInstanceUID == study, "the segmentation marks nothing, or is of another study")
    sources = {source[2] for source in seg.get_source_image_uids()}
    check(sources <= set(files), "the segmentation refers to images that are not there")

    try:
        called(f"{url}/dicomweb/studies", token, accept="application/dicom+xml")
        sys.exit("error: XML is answered with something else")
    except urllib.error.HTTPError as error:
        check(error.code == 406, f"XML is answered with {error.code}")
    print(f"pacs: dicomweb-client finds a study of {len(files)} images and its results, and is given each as it came")


if __name__ == "__main__":
    main(*sys.argv[1:])
