"""What check-dicom.sh asks of pynetdicom, of dicomweb-client and of medseg's REST face. PYTHONPATH names both.

check_dicom.py table URL PASSWORD FILE PORT: makes an API client, and the table that lets SCANNER send in its name, and takes reports there.
check_dicom.py series PHANTOM FOLDER: the phantom once more, as a series of a study of its own.
check_dicom.py jpeg-2000 FOLDER [RATIO]: writes its files in JPEG 2000, without loss or so many times smaller. PYTHONPATH names pylibjpeg, too.
check_dicom.py coded PORT FOLDER: sends its files, each in the transfer syntax that it has.
check_dicom.py odd|aborted|parallel|killed PORT PHANTOM: sends one such series in an odd way.
check_dicom.py stow URL PASSWORD PHANTOM: stores one such series by STOW-RS, and what is refused beside it.
check_dicom.py commitment PORT PHANTOM REPORTS: sends one, and is promised that it is kept: on the association, and at the port REPORTS.
check_dicom.py tls PORT PHANTOM FOLDER: sends one by TLS, with the certificates in that folder.
check_dicom.py compare URL PASSWORD PHANTOM COUNT RESULT...: whether there are so many scans, each with the mask that the phantom's zip has,
    but one for each RESULT, a folder of `medseg segment`, with the mask that lies there.
"""

import concurrent.futures
import gzip
import io
import json
import queue
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections import Counter
from pathlib import Path

import pydicom
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.uid import JPEG2000, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import MRImageStorage, StorageCommitmentPushModel, StorageCommitmentPushModelInstance, Verification

SUCCESS = 0x0000
# Beyond it a scan is lost.
PATIENCE_S = 240
# Longer than a series has to be quiet and a scan takes: what comes by then and should not is seen.
AFTER_S = 12
# Nobody has registered it.
UNKNOWN_CLASS = "1.2.840.10008.5.1.4.99.99"
HTJ2K = "1.2.840.10008.1.2.4.202"


def check(holds, words):
    if not holds:
        sys.exit(f"error: {words}")


class Face:
    """medseg over REST, as an administrator who is a clinician, too."""

    def __init__(self, url, password):
        self.url, self.password = url, password

    def call(self, path, body=None, **headers):
        request = urllib.request.Request(f"{self.url}{path}", data=body, headers={"authorization": f"Bearer {self.token()}", **headers})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def token(self):
        form = {"grant_type": "password", "username": "admin", "password": self.password}
        with urllib.request.urlopen(f"{self.url}/v1/token", urllib.parse.urlencode(form).encode(), timeout=60) as answer:
            return json.load(answer)["access_token"]

    def scans(self):
        page = json.loads(self.call("/v1/scans?limit=100"))
        return page["scans"]

    def mask(self, scan):
        """Once there is a result."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            if json.loads(self.call(f"/v1/scans/{scan}"))["state"] == "done":
                return gzip.decompress(self.call(f"/v1/scans/{scan}/mask.nii.gz"))
            time.sleep(0.5)
        sys.exit(f"error: scan {scan} is not done")


def table(url, password, file, report_port):
    face = Face(url, password)
    client = {"name": "scanners", "roles": ["integrator"], "scopes": ["scans"]}
    made = json.loads(face.call("/v1/clients", json.dumps(client).encode(), **{"content-type": "application/json"}))
    sender = {"ae_title": "SCANNER", "called_ae_title": "MEDSEG", "addresses": ["127.0.0.1"]}
    sender |= {"client_id": made["client_id"], "client_secret": made["client_secret"], "site": "north"}
    sender |= {"report_to": f"127.0.0.1:{report_port}"}
    Path(file).write_text(json.dumps({"senders": [sender]}))


def another_series(phantom):
    """The phantom's files, as those of another study: in it they are no others' instances."""
    study, series = generate_uid(None), generate_uid(None)
    files = [pydicom.dcmread(path) for path in sorted(Path(phantom).iterdir())]
    for file in files:
        file.StudyInstanceUID, file.SeriesInstanceUID, file.SOPInstanceUID = study, series, generate_uid(None)
        file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID
    return files


def series(phantom, folder):
    Path(folder).mkdir()
    for number, file in enumerate(another_series(phantom)):
        file.save_as(Path(folder) / f"{number:03}.dcm")


def associated(port, contexts=((MRImageStorage, [ExplicitVRLittleEndian]),), **options):
    scanner = AE(ae_title="SCANNER")
    for sop_class, syntaxes in contexts:
        scanner.add_requested_context(sop_class, syntaxes)
    association = scanner.associate("127.0.0.1", int(port), ae_title="MEDSEG", **options)
    check(association.is_established, "pynetdicom is not let in")
    return association


def sent(association, files):
    for file in files:
        status = association.send_c_store(file)
        check(status and status.Status == SUCCESS, f"pynetdicom is answered {status}")


def jpeg_2000(folder, ratio=None):
    for path in Path(folder).iterdir():
        file = pydicom.dcmread(path)
        if ratio is None:
            file.compress(JPEG2000Lossless, generate_instance_uid=False)
        else:
            file.compress(JPEG2000, j2k_cr=[float(ratio)], generate_instance_uid=False)
        file.save_as(path)


def coded(port, folder):
    files = [pydicom.dcmread(path) for path in sorted(Path(folder).iterdir())]
    association = associated(port, [(MRImageStorage, [files[0].file_meta.TransferSyntaxUID])])
    sent(association, files)
    association.release()


def odd(port, phantom):
    """Contexts that nobody knows beside those that are taken, and as many of them as there may be."""
    unknown = [(UNKNOWN_CLASS, [ImplicitVRLittleEndian]), (MRImageStorage, [HTJ2K])]
    contexts = unknown + [(Verification, [ImplicitVRLittleEndian]), (MRImageStorage, [ExplicitVRLittleEndian])]
    contexts += [(f"{UNKNOWN_CLASS}.{number}", [ImplicitVRLittleEndian]) for number in range(128 - len(contexts))]
    association = associated(port, contexts)
    accepted = {context.abstract_syntax for context in association.accepted_contexts}
    check(accepted == {Verification, MRImageStorage}, f"other contexts are taken than should be: {accepted}")
    check(association.send_c_echo().Status == SUCCESS, "the echo has none")
    # Backwards: only positions say how slices follow one another.
    sent(association, reversed(another_series(phantom)))
    association.release()
    print("dicom: pynetdicom with 128 contexts, of which three are known")


def aborted(port, phantom):
    """Half of a series, and the association is aborted; then all of it."""
    files = another_series(phantom)
    association = associated(port)
    sent(association, files[: len(files) // 2])
    association.abort()
    association = associated(port)
    sent(association, files)
    association.release()
    print("dicom: pynetdicom after an association that it has aborted")


def parallel(port, phantom):
    """One series in four associations at a time."""
    files = another_series(phantom)

    def part(number):
        association = associated(port)
        sent(association, files[number::4])
        association.release()

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(part, range(4)))
    print("dicom: pynetdicom in four associations at once")


def killed(port, phantom):
    """All of a series; whoever asks then kills the server."""
    association = associated(port)
    sent(association, another_series(phantom))
    association.release()


def stow(url, password, phantom):
    """A series as parts of one request, and as single ones; then what is of another study, and what is no image."""
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {Face(url, password).token()}"
    client = DICOMwebClient(f"{url}/dicomweb", session=session)
    files = another_series(phantom)
    half = len(files) // 2
    stored = client.store_instances(files[:half], files[0].StudyInstanceUID)
    check(len(stored.ReferencedSOPSequence) == half and "FailedSOPSequence" not in stored, f"STOW-RS answers {stored}")
    for file in files[half - 1 :]:
        stored = client.store_instances([file])
        check(stored.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == file.SOPInstanceUID, f"STOW-RS answers {stored}")
    stranger = another_series(phantom)[0]
    stored = client.store_instances([files[0], stranger], files[0].StudyInstanceUID)
    failed = stored.FailedSOPSequence
    check([item.ReferencedSOPInstanceUID for item in failed] == [stranger.SOPInstanceUID], f"STOW-RS answers {stored}")
    check(failed[0].FailureReason == 0xA900, f"an instance of another study fails for {failed[0].FailureReason:04x}")
    try:
        client.store_instances([stranger], files[0].StudyInstanceUID)
        sys.exit("error: a request of which nothing is stored succeeds")
    except requests.HTTPError as error:
        check(error.response.status_code == 409, f"a request of which nothing is stored is answered {error.response.status_code}")
    print("dicom: dicomweb-client has stored a series, and is told what is not stored and why")


def commitment(port, phantom, report_port):
    """Commitments that are told when the series has become a scan: on the association, to whom hangs up when told, and to whom does not wait."""
    files, told = another_series(phantom), queue.Queue()
    contexts = ((MRImageStorage, [ExplicitVRLittleEndian]), (StorageCommitmentPushModel, [ImplicitVRLittleEndian]))

    def heard(event):
        told.put((event.event_type, event.event_information))
        return 0x0000, None

    def hang_up(event):
        event.assoc.abort()
        return 0x0000, None

    def asked(association, missing):
        request = pydicom.Dataset()
        request.TransactionUID = generate_uid()
        request.ReferencedSOPSequence = []
        for uid in [file.SOPInstanceUID for file in files] + missing:
            item = pydicom.Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = MRImageStorage, uid
            request.ReferencedSOPSequence.append(item)
        status, _ = association.send_n_action(request, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
        check(status and status.Status == SUCCESS, f"a request for a commitment is answered {status}")
        return request.TransactionUID

    association = associated(port, contexts, evt_handlers=[(evt.EVT_N_EVENT_REPORT, heard)])
    sent(association, files)
    transaction, missing = asked(association, ["1.2.3.4"]), "1.2.3.4"
    event, report = told.get(timeout=PATIENCE_S)
    association.release()
    check((event, report.TransactionUID) == (2, transaction), f"the report is of another event or transaction: {report}")
    check(len(report.ReferencedSOPSequence) == len(files), "not all that was sent is promised")
    failed = [(item.ReferencedSOPInstanceUID, item.FailureReason) for item in report.FailedSOPSequence]
    check(failed == [(missing, 0x0112)], f"{failed} is not kept")

    receiver = AE(ae_title="SCANNER")
    receiver.add_supported_context(StorageCommitmentPushModel, [ImplicitVRLittleEndian], scu_role=False, scp_role=True)
    server = receiver.start_server(("127.0.0.1", int(report_port)), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, heard)])
    association = associated(port, contexts, evt_handlers=[(evt.EVT_N_EVENT_REPORT, hang_up)])
    transaction = asked(association, [])
    event, report = told.get(timeout=PATIENCE_S)
    check((event, report.TransactionUID) == (1, transaction), f"the report is of another event or transaction: {report}")

    # What is no scan yet is promised later: nobody waits for that here.
    files = another_series(phantom)
    association = associated(port, contexts)
    sent(association, files)
    transaction = asked(association, [])
    association.release()
    event, report = told.get(timeout=PATIENCE_S)
    server.shutdown()
    check((event, report.TransactionUID) == (1, transaction), f"the report is of another event or transaction: {report}")
    check("FailedSOPSequence" not in report, "something that was promised is not kept any more")
    print("dicom: pynetdicom is promised what it has sent, on its association and on another")


def tls(port, phantom, folder):
    context = ssl.create_default_context(cafile=f"{folder}/authority.pem")
    context.load_cert_chain(f"{folder}/scanner.pem", f"{folder}/scanner.key")
    association = associated(port, tls_args=(context, "localhost"))
    sent(association, another_series(phantom))
    association.release()
    print("dicom: pynetdicom comes by TLS")


def zipped(phantom):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        for path in sorted(Path(phantom).iterdir()):
            files.write(path, path.name)
    return archive.getvalue()


def compare(url, password, phantom, count, *lossy):
    face, count = Face(url, password), int(count)
    until = time.monotonic() + PATIENCE_S
    while len(face.scans()) < count and time.monotonic() < until:
        time.sleep(0.5)
    time.sleep(AFTER_S)
    ids = [scan["id"] for scan in face.scans()]
    check(len(ids) == count, f"{count} series were sent, and there are {len(ids)} scans")
    scan = json.loads(face.call("/v1/scans", zipped(phantom), **{"content-type": "application/zip"}))["id"]
    expected = face.mask(scan)
    check(any(expected[352:]), "nothing was found in the phantom")
    own = [gzip.decompress((Path(result) / "mask.nii.gz").read_bytes()) for result in lossy]
    masks = Counter(face.mask(each) for each in ids)
    check(masks == Counter([expected] * (count - len(own)) + own), "a scan by C-STORE has another mask than its zip or its own files")
    print(f"dicom: {count} series are {count} scans, each with the mask that the zip has, or where it lost something its own files")


if __name__ == "__main__":
    commands = {"table": table, "series": series, "odd": odd, "aborted": aborted, "parallel": parallel, "killed": killed, "stow": stow}
    commands |= {"jpeg-2000": jpeg_2000, "coded": coded}
    commands |= {"commitment": commitment, "tls": tls, "compare": compare}
    commands[sys.argv[1]](*sys.argv[2:])
