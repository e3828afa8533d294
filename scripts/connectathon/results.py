"""The result on its way out: pushed to an archive, an information system, a FHIR server and a webhook, and read there."""

import base64
import hashlib
import hmac
import json
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import highdicom
import numpy
import pydicom
from place import Lacking, check, until
from recipes import shown
from study import whose
from viewer import viewer

DICOM = ["seg.dcm", "sr.dcm", "text.dcm", "capture.dcm"]


class Webhook(BaseHTTPRequestHandler):
    """Keeps what it is told, with its headers."""

    received = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.received.append((dict(self.headers.items()), body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def destinations(place):
    """Named before there is anything to send."""
    hook = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    ports = place.ports
    named = [
        {"name": "webhook", "kind": "webhook", "url": f"http://127.0.0.1:{hook.server_port}/", "formats": ["cloudevent"]},
        shown("his", url=f"mllp://127.0.0.1:{ports['mllp']}"),
        shown("fhir", url=f"http://127.0.0.1:{ports['fhir']}/"),
        shown("orthanc-cstore", name="storescp", url=f"dicom://127.0.0.1:{ports['storescp']}", called_ae_title="STORESCP", formats=[*DICOM, "report.dcm"]),
    ]
    if place.peer:
        named.append(shown("orthanc-cstore", url=f"dicom://127.0.0.1:{ports['orthanc']}"))
        named.append(shown("orthanc-stow", url=f"{place.peer.url}/dicom-web/studies"))
    secrets = {one["name"]: place.medseg.told("/v1/destinations", one).get("secret") for one in named}
    place.keep(destinations=[one["name"] for one in named], webhook_secret=secrets["webhook"])
    return ", ".join(secrets)


def delivered(place):
    count = len(place.destinations)

    def ended():
        deliveries = place.medseg.told(f"/v1/deliveries?scan={place.scan}&limit=100")["deliveries"]
        return deliveries if len(deliveries) == count and all(one["state"] != "waiting" for one in deliveries) else None

    deliveries = until("an end of all deliveries", ended)
    bad = [f"{one['destination']}: {one['state']}, {one.get('words')}" for one in deliveries if one["state"] != "delivered"]
    check(not bad, "; ".join(bad))
    place.keep(delivered=True)
    return f"{count} destinations, {sum(one['attempts'] for one in deliveries)} attempts"


def objects(place):
    """What medseg gives for the same scan, by the objects' names."""
    files = {}
    (place.folder / "objects").mkdir()
    for name in DICOM:
        path = place.folder / "objects" / name
        path.write_bytes(place.medseg.call(f"/v1/scans/{place.scan}/{name}"))
        files[name] = pydicom.dcmread(path)
    place.keep(objects=files)
    bad = [name for name, file in files.items() if whose(file) != whose(place.files[0])]
    check(not bad, f"{bad} are said to be another patient's or study's")
    bad = [name for name, file in files.items() if file.get("ContentQualification") != "RESEARCH"]
    check(not bad, f"{bad} are not said to be research")
    return f"{len(files)} objects, of the images' own patient and study"


def in_orthanc(place):
    """Sent by C-STORE and by STOW-RS, each is there once, and is what medseg gives itself."""
    orthanc = place.orthanc
    check(place.delivered, "nothing was delivered")
    client = orthanc.dicomweb()
    for name, file in place.objects.items():
        found = orthanc.found("Instance", SOPInstanceUID=str(file.SOPInstanceUID))
        check(len(found) == 1, f"{name} is there {len(found)} times")
        got = client.retrieve_instance(place.study, file.SeriesInstanceUID, file.SOPInstanceUID)
        differing = [f"{element.tag} {element.keyword}" for element in file if got.get(element.tag) != element]
        check(not differing, f"{name}: the archive's copy differs in {', '.join(differing[:5])}")
    return f"{len(place.objects)} objects once each, every attribute as medseg gives it"


def in_storescp(place):
    check(place.delivered, "nothing was delivered")
    files = [pydicom.dcmread(path) for path in (place.folder / "storescp").iterdir()]
    # What is printed is another document than medseg gives itself, which has in it what readers say.
    printed = [file for file in files if file.Modality == "DOC"]
    got, expected = ({str(file.SOPInstanceUID) for file in each} for each in (files, [*place.objects.values(), *printed]))
    check(got == expected and len(files) == len(got), f"storescp has {len(files)} objects")
    check(len(printed) == 1 and whose(printed[0]) == whose(place.files[0]), f"{len(printed)} reports came, or another patient's")
    check(printed[0].EncapsulatedDocument.startswith(b"%PDF-"), "the report is no PDF")
    path = place.folder / "objects" / "pushed-report.dcm"
    printed[0].save_as(path, enforce_file_format=True)
    said = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    errors = [line for line in (said.stdout + said.stderr).splitlines() if line.lower().startswith("error")]
    check(not errors, f"the report that came: {errors[:1]}")
    return f"{len(files)} objects, the printed report among them"


def archived(place, name):
    """The archive's copy of an object, or medseg's own where there is no archive."""
    file = place.objects[name]
    if place.peer:
        return place.peer.dicomweb().retrieve_instance(place.study, file.SeriesInstanceUID, file.SOPInstanceUID)
    return file


def whence(place):
    """What the page says of a row about the archive's copy where there is no archive."""
    return "" if place.peer else "; medseg's own copy, for there is no archive here"


def segmentation(place):
    seg = highdicom.seg.Segmentation.from_dataset(archived(place, "seg.dcm"))
    result = place.medseg.told(f"/v1/scans/{place.scan}/result")
    findings = result["findings"]
    check(seg.number_of_segments == len(findings), f"{seg.number_of_segments} segments of {len(findings)} findings")
    sources = {str(file.SOPInstanceUID): file for file in place.files}
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    voxel_ml = float(numpy.prod([float(mm) for mm in (*measures.PixelSpacing, measures.SpacingBetweenSlices)])) / 1000
    pixels = seg.pixel_array.reshape(int(seg.NumberOfFrames), seg.Rows, seg.Columns)
    marked = {}
    for frame, groups in zip(pixels, seg.PerFrameFunctionalGroupsSequence, strict=True):
        source = sources.get(groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID)
        check(source is not None, "a frame refers to an image that was never sent")
        position = groups.PlanePositionSequence[0].ImagePositionPatient
        check(numpy.allclose(numpy.array(position, float), numpy.array(source.ImagePositionPatient, float), atol=1e-3), "a frame lies elsewhere")
        number = int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        marked[number] = marked.get(number, 0) + int(frame.sum())
    for number, finding in enumerate(findings, 1):
        told, there = finding["volume_ml"], marked[number] * voxel_ml
        check(abs(there / told - 1) < 1e-5, f"segment {number}: {there} mL are marked, {told} are told")
        described = seg.get_segment_description(number)
        check(described.algorithm_identification.version == result["model"]["version"], "another algorithm made it")
    place.keep(result=result, marked=marked, tracking={seg.get_segment_description(number).tracking_uid for number in marked})
    return f"{len(pixels)} frames on their images, {sum(finding['volume_ml'] for finding in findings):.2f} mL as told{whence(place)}"


def report(place):
    path = place.folder / "archived-sr.dcm"
    archived(place, "sr.dcm").save_as(path, enforce_file_format=True)
    groups = highdicom.sr.srread(path).content.get_volumetric_roi_measurement_groups()
    by_segment = [group for group in groups if group.reference_type.value == "121191"]
    findings = place.result["findings"]
    check(len(by_segment) == len(findings), f"{len(by_segment)} groups of {len(findings)} findings")
    check({group.tracking_uid for group in by_segment} == place.tracking, "its tracking ids are not those of the segmentation")
    for group, finding in zip(by_segment, findings, strict=True):
        values = {one.name.value: (one.value, one.unit.value) for one in group.get_measurements()}
        value, unit = values.get("118565006", (0.0, ""))
        check(unit == "mL" and abs(value / finding["volume_ml"] - 1) < 1e-6, f"a volume is {value} {unit}")
    return f"{len(by_segment)} measurement groups, volumes and tracking ids as in result and segmentation{whence(place)}"


def ohif_reads(place):
    """dcmjs, with what OHIF's handlers ask of such objects."""
    if not place.ohif:
        raise Lacking("dcmjs could not be fetched: is an npm registry reachable?")
    paths = [place.folder / "objects" / name for name in place.objects if name in ("seg.dcm", "sr.dcm")]
    reader = Path(__file__).resolve().parents[2] / "tests/ohif/read.cjs"
    said = subprocess.run(["node", reader, place.ohif, *paths], capture_output=True, text=True, check=False)
    check(said.returncode == 0, f"dcmjs: {said.stderr.strip()[-400:]}")
    told = json.loads(said.stdout)
    seg, groups = told["seg"], told["sr"]["measured"]
    check((seg["series"], seg["frameOfReference"]) == (place.series, str(place.files[0].FrameOfReferenceUID)), "it is of other images")
    check(set(seg["tracking"]) == place.tracking == {group["tracking"] for group in groups}, "tracking ids differ")
    marked = {int(number): count for number, count in seg["marked"].items()}
    check(marked == place.marked, f"{marked} voxels are marked, by highdicom {place.marked}")
    volumes = [volume for group in groups for volume in group["volumes"]]
    expected = [finding["volume_ml"] for finding in place.result["findings"]]
    check(numpy.allclose(volumes, expected, rtol=1e-6), f"volumes are {volumes}, not {expected}")
    return f"{sum(marked.values())} voxels and {len(groups)} measurement groups, as highdicom reads them"


def checkers(place):
    """dicom3tools on medseg's objects, and together with the images."""
    paths = [place.folder / "objects" / name for name in place.objects]
    for path in paths:
        said = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
        errors = [line for line in (said.stdout + said.stderr).splitlines() if line.lower().startswith("error")]
        check(not errors, f"{path.name}: {errors[:1]}")
    images = sorted((place.folder / "study").iterdir())
    said = subprocess.run(["dcentvfy", *images, *paths], capture_output=True, text=True, check=False)
    errors = [line for line in (said.stdout + said.stderr).splitlines() if line.lower().startswith("error")]
    check(not errors, f"with the images: {errors[:1]}")
    return "no error"


def message(place):
    """Read by the package hl7, which refused it once and was sent the same again."""
    check(place.delivered, "nothing was delivered")
    messages = json.loads((place.folder / "systems/hl7.json").read_text())
    check(len(messages) == 2 and messages[0] == messages[1], f"{len(messages)} messages came, or another one the second time")
    check("CONNECT-4711" in messages[0] and "ORU^R01" in messages[0], "it is no ORU^R01 of the patient")
    return "ORU^R01 of the patient; after AE the same again, then AA"


def bundle(place):
    """Read by fhir.resources (R4B), whose server executed the first one and forgot to answer."""
    check(place.delivered, "nothing was delivered")
    told = json.loads((place.folder / "systems/fhir.json").read_text())
    check(told["ok"], "it is no transaction, or came without its token")
    kinds = sorted(entry["resource"]["resourceType"] for entry in told["bundle"]["entry"])
    check(len(told["kept"]) == len(kinds), "what was executed twice is there twice")
    check("DiagnosticReport" in kinds and "Patient" not in kinds, f"its resources are {kinds}")
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds)))


def webhook(place):
    check(place.delivered, "nothing was delivered")
    check(len(Webhook.received) == 1, f"{len(Webhook.received)} calls came")
    [(headers, body)] = Webhook.received
    headers = {name.lower(): value for name, value in headers.items()}
    key = base64.b64decode(place.webhook_secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    check(any(hmac.compare_digest(expected, one) for one in headers["webhook-signature"].split(" ")), "its signature is another")
    check(abs(time.time() - int(headers["webhook-timestamp"])) < 300, "it is too old")
    event = json.loads(body)
    check(event["data"]["scan_id"] == place.scan and event["data"]["answer"] == "found", f"it tells of {event['data'].get('scan_id')}")
    check(not any(word in body.decode() for word in ("CONNECT-4711", "Gr\u00fcn")), "it names the patient")
    return f"CloudEvent {event['specversion']} of type {event['type']}, signature as the convention has it, no name in it"


def validator(_):
    raise Lacking("the official FHIR validator is a Java program of no package index; fhir.resources (R4B) has read the bundle instead")


FIRST = [("where results go is named", "", "medseg", destinations)]
CHECKS = [
    ("the result is pushed everywhere", "", "medseg", delivered),
    ("the objects are of the images' own patient and study", "PS3.3 C.7.1, C.7.2", "pydicom", objects),
    ("what came by C-STORE and by STOW-RS is in the archive once", "PS3.4 B, PS3.18 10.5", "Orthanc, dicomweb-client", in_orthanc),
    ("what came by C-STORE is in a second archive", "PS3.4 B, PS3.3 A.45", "storescp, dciodvfy", in_storescp),
    ("the archive's segmentation, its frames and volumes", "PS3.3 A.51, C.8.20", "highdicom", segmentation),
    ("the archive's structured report", "PS3.3 A.35.13, PS3.16 TID 1500", "highdicom", report),
    ("segmentation and report as OHIF reads them", "PS3.3 A.51, PS3.16 TID 1500", "dcmjs", ohif_reads),
    ("all objects, alone and with the images", "PS3.3", "dciodvfy, dcentvfy", checkers),
    ("the information system has the message", "HL7 v2.5.1 ORU^R01, MLLP", "hl7", message),
    ("the FHIR server has the bundle", "FHIR R4 transaction", "fhir.resources", bundle),
    ("the webhook is signed", "Standard Webhooks, CloudEvents 1.0", "Python's hmac", webhook),
    ("the bundle by the official validator", "FHIR R4 4.0.1", "validator_cli", validator),
    ("the study in a viewer, from another origin", "PS3.18 10.4, 10.6", "OHIF", viewer),
]
