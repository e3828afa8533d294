"""The study on its way in: into Orthanc, and by each door into medseg."""

import copy
import hashlib
import subprocess

from place import Failed, check, until
from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import MRImageStorage, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
from study import compared, made


def ran(*words):
    ended = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise Failed(f"{words[0]} ends with {ended.returncode}: {(ended.stdout + ended.stderr).strip()[-400:]}")
    return ended.stdout + ended.stderr


def study(place):
    size = ["--slices", "24", "--size", "96", "--spacing", "6,2.5,2.5", "--lesion-ml", "20", "--seed", "5"]
    ran(place.programs / "medseg", "phantom", "--format", "dicom", *size, "--out", place.folder / "phantom")
    files = made(place.folder / "phantom", place.folder / "study")
    place.keep(files=files, study=str(files[0].StudyInstanceUID), series=str(files[0].SeriesInstanceUID))
    # The reference has no door in it: the same program on the same files, on the command line.
    words = [place.programs / "medseg", "segment", place.folder / "study", "--model", "threshold:", "--research"]
    ended = subprocess.run([*words, "--out", place.folder / "reference"], capture_output=True, text=True, check=False)
    # 10: something was found.
    check(ended.returncode == 10, f"medseg segment ends with {ended.returncode}: {ended.stderr.strip()[-400:]}")
    mask = (place.folder / "reference/study/mask.nii.gz").read_bytes()
    place.keep(reference=mask)
    return f"{len(files)} slices; SHA-256 of the mask {hashlib.sha256(mask).hexdigest()[:16]}"


def echo(place):
    ran("echoscu", "-aet", "SCANNER", "-aec", "MEDSEG", "127.0.0.1", place.ports["dicom"])
    return "answered"


def stranger(place):
    words = ["echoscu", "-aet", "STRANGER", "-aec", "MEDSEG", "127.0.0.1", str(place.ports["dicom"])]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    check(ended.returncode != 0, "a title that nobody knows is let in")
    check("Calling AE Title Not Recognized" in ended.stdout + ended.stderr, "who is rejected is not told why")
    return "rejected: calling AE title not recognized"


def into_orthanc(place):
    orthanc = place.orthanc
    files = place.files
    ran("storescu", "-aet", "SCANNER", "-aec", "ORTHANC", "+sd", "127.0.0.1", orthanc.dicom_port, place.folder / "study")
    [study_id] = orthanc.found("Study", StudyInstanceUID=place.study)
    [series_id] = orthanc.found("Series", SeriesInstanceUID=place.series)
    place.keep(study_in_orthanc=study_id, series_in_orthanc=series_id)
    return f"{len(files)} instances"


def by_storescu(place):
    ran("storescu", "-aet", "SCANNER", "-aec", "MEDSEG", "+sd", "127.0.0.1", place.ports["dicom"], place.folder / "study")
    place.keep(sent=True)
    return f"{len(place.files)} times 0000"


def by_orthanc(place):
    answer = place.orthanc.told("/modalities/medseg/store", {"Resources": [place.series_in_orthanc], "Synchronous": True})
    check(answer["FailedInstancesCount"] == 0 and answer["InstancesCount"] == len(place.files), f"Orthanc tells {answer}")
    place.keep(sent=True)
    return f"{answer['InstancesCount']} instances, none failed"


def commitment_to_orthanc(place):
    """Orthanc asks on one association, hangs up, and is told on one of medseg's own."""
    orthanc = place.orthanc
    asked = orthanc.told("/modalities/medseg/storage-commitment", {"Resources": [place.series_in_orthanc]})

    def told():
        report = orthanc.told(f"/storage-commitment/{asked['ID']}")
        return report if report["Status"] != "Pending" else None

    report = until("a report of the commitment", told)
    check(report["Status"] == "Success" and len(report["Success"]) == len(place.files), f"Orthanc is told {report['Status']}")
    return f"{len(report['Success'])} instances are promised, on an association of medseg's own"


def commitment_to_pynetdicom(place):
    told = []
    scanner = AE(ae_title="SCANNER")
    scanner.add_requested_context(StorageCommitmentPushModel, ImplicitVRLittleEndian)
    heard = [(evt.EVT_N_EVENT_REPORT, lambda event: (told.append((event.event_type, event.event_information)), (0x0000, None))[1])]
    association = scanner.associate("127.0.0.1", place.ports["dicom"], ae_title="MEDSEG", evt_handlers=heard)
    check(association.is_established, "pynetdicom is not let in")
    request = Dataset()
    request.TransactionUID = generate_uid()
    request.ReferencedSOPSequence = []
    for uid in [file.SOPInstanceUID for file in place.files] + ["1.2.3.4"]:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = MRImageStorage, uid
        request.ReferencedSOPSequence.append(item)
    status, _ = association.send_n_action(request, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
    check(status and status.Status == 0, f"the request is answered {status}")
    event, report = until("a report of the commitment", lambda: told[0] if told else None)
    association.release()
    failed = [(item.ReferencedSOPInstanceUID, item.FailureReason) for item in report.FailedSOPSequence]
    check((event, failed) == (2, [("1.2.3.4", 0x0112)]), f"event {event}, not kept: {failed}")
    return f"{len(report.ReferencedSOPSequence)} are promised; the one that was never sent is not (0112)"


def stow_by_orthanc(place):
    orthanc, medseg = place.orthanc, place.medseg
    # Orthanc shows the token that it is given; it is a new one, for they live for minutes.
    server = {"Url": f"{medseg.url}/dicomweb/", "HttpHeaders": {"Authorization": f"Bearer {medseg.token()}"}}
    orthanc.call("/dicom-web/servers/medseg", server, "PUT")
    place.keep(orthanc_knows=True)
    answer = orthanc.told("/dicom-web/servers/medseg/stow", {"Resources": [place.series_in_orthanc], "Synchronous": True})
    check(int(answer["InstancesCount"]) == len(place.files), f"Orthanc tells {answer}")
    place.keep(sent=True)
    return f"{answer['InstancesCount']} instances"


def stow_by_dicomweb_client(place):
    client = place.medseg.dicomweb()
    half = len(place.files) // 2
    for part in (place.files[:half], place.files[half:]):
        stored = client.store_instances(part, place.study)
        check("FailedSOPSequence" not in stored and len(stored.ReferencedSOPSequence) == len(part), f"STOW-RS answers {stored}")
    place.keep(sent=True)
    return "in two requests, none failed"


def partial_failure(place):
    """An instance of another study in a request for this one."""
    stranger = copy.deepcopy(place.files[0])
    stranger.StudyInstanceUID, stranger.SOPInstanceUID = generate_uid(None), generate_uid(None)
    stranger.file_meta.MediaStorageSOPInstanceUID = stranger.SOPInstanceUID
    stored = place.medseg.dicomweb().store_instances([place.files[0], stranger], place.study)
    failed = [(item.ReferencedSOPInstanceUID, item.FailureReason) for item in stored.get("FailedSOPSequence", [])]
    check(failed == [(stranger.SOPInstanceUID, 0xA900)], f"not stored are {failed}")
    return "one of another study: A900, and the other one is stored"


def one_scan(place):
    """By however many doors it came, it is one scan; and once it is complete, nothing is waited for."""
    check(place.sent, "nothing was sent")
    # Without their number: what came by two doors counts twice until it is one scan.
    place.medseg.told(f"/v1/studies/{place.study}/complete", {})

    def done():
        scans = place.medseg.scans(place.study)
        return scans if scans and all(scan["state"] == "done" for scan in scans) else None

    [*scans] = until("a result of the study", done)
    check(len(scans) == 1, f"the study has become {len(scans)} scans")
    check(scans[0]["answer"] == "found", f"its answer is {scans[0]['answer']}")
    place.keep(scan=scans[0]["id"])
    return f"scan {scans[0]['id']}"


def same_mask(place):
    mask = place.medseg.call(f"/v1/scans/{place.scan}/mask.nii.gz")
    told, expected = (hashlib.sha256(each).hexdigest() for each in (mask, place.reference))
    check(told == expected, f"the mask is {told[:16]}, and that of the files alone {expected[:16]}")
    return f"SHA-256 {told[:16]} by each way"


def searched(place):
    client = place.medseg.dicomweb()
    family = str(place.files[0].PatientName).split("^")[0]
    for asked in ({"PatientName": f"{family}*"}, {"PatientID": place.files[0].PatientID}, {"AccessionNumber": "A-77"}):
        found = [Dataset.from_json(one) for one in client.search_for_studies(search_filters=asked)]
        check([one.StudyInstanceUID for one in found] == [place.study], f"by {asked} are found {len(found)} studies")
    series = {one["0020000E"]["Value"][0]: one["00080060"]["Value"][0] for one in client.search_for_series(place.study)}
    check(sorted(series.values()) == ["DOC", "MR", "OT", "SEG", "SR", "SR"], f"its series are {sorted(series.values())}")
    place.keep(series_of_medseg=series)
    return "by name, number and accession number; " + ", ".join(sorted(series.values()))


def retrieved(place):
    got = place.medseg.dicomweb().retrieve_series(place.study, place.series)
    if words := compared(place.files, got):
        raise Failed(words)
    return f"{len(got)} images: identity, geometry and pixels are those that were sent"


def orthanc_searches(place):
    orthanc = place.orthanc
    check(place.orthanc_knows, "Orthanc does not know medseg")
    asked = {"Uri": "/studies", "Arguments": {"0020000D": place.study}, "HttpHeaders": {"Accept": "application/dicom+json"}}
    found = orthanc.told("/dicom-web/servers/medseg/qido", asked)
    told = [one["0020000D"]["Value"] for one in found]
    check(told == [place.study] or told == [[place.study]], f"Orthanc finds {told}")
    return "the study"


def orthanc_retrieves(place):
    """Orthanc fetches from medseg what it had itself sent there, having forgotten it."""
    orthanc = place.orthanc
    check(place.orthanc_knows, "Orthanc does not know medseg")
    orthanc.call(f"/series/{place.series_in_orthanc}", method="DELETE")
    asked = {"Resources": [{"Study": place.study, "Series": place.series}], "Synchronous": True}
    orthanc.call("/dicom-web/servers/medseg/retrieve", asked)
    got = orthanc.dicomweb().retrieve_series(place.study, place.series)
    if words := compared(place.files, got):
        raise Failed(words)
    return f"{len(got)} images, as they were before they went to medseg and back"


CHECKS = [
    ("a study is made, and analysed on the command line", "", "medseg", study),
    ("verification", "PS3.4 A.4, PS3.7 9.1.5", "echoscu", echo),
    ("a calling title that nobody knows is rejected", "PS3.8 9.3.4", "echoscu", stranger),
    ("the study goes into the archive", "PS3.4 B", "storescu, Orthanc", into_orthanc),
    ("from the scanner to medseg by C-STORE", "PS3.4 B, PS3.7 9.1.1", "storescu", by_storescu),
    ("from the archive to medseg by C-STORE", "PS3.4 B, PS3.7 9.1.1", "Orthanc", by_orthanc),
    ("from the archive to medseg by STOW-RS", "PS3.18 10.5", "Orthanc DICOMweb", stow_by_orthanc),
    ("from a program to medseg by STOW-RS", "PS3.18 10.5", "dicomweb-client", stow_by_dicomweb_client),
    ("what of a request cannot be stored is told alone", "PS3.18 10.5.3, table I.2-2", "dicomweb-client", partial_failure),
    ("the same study by all of these doors is one scan", "", "medseg", one_scan),
    ("storage commitment, told on an association of medseg's own", "PS3.4 J.3", "Orthanc", commitment_to_orthanc),
    ("storage commitment, told on the same association", "PS3.4 J.3", "pynetdicom", commitment_to_pynetdicom),
    ("its mask is that of the files without a door", "", "medseg", same_mask),
    ("medseg is searched", "PS3.18 10.6", "dicomweb-client", searched),
    ("images come back from medseg as they were sent", "PS3.18 10.4", "dicomweb-client, pydicom", retrieved),
    ("the archive searches medseg", "PS3.18 10.6", "Orthanc DICOMweb", orthanc_searches),
    ("the archive fetches images from medseg", "PS3.18 10.4", "Orthanc DICOMweb", orthanc_retrieves),
]
