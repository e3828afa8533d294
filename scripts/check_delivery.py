"""What check-delivery.sh asks of medseg's REST face: check_delivery.py URL PASSWORD FOLDER STORESCP DCMQRSCP ARCHIVE MLLP FHIR, the last five ports.

Names the destinations, sends the phantom in FOLDER, waits until all deliveries have ended as they should, and looks at what arrived.
"""

import io
import json
import sys
import time
import urllib.parse
import urllib.request
import zipfile
from collections import Counter
from pathlib import Path

PATIENCE_S = 240
DICOM = ["seg.dcm", "sr.dcm", "text.dcm", "capture.dcm", "report.dcm"]


def check(holds, words):
    if not holds:
        sys.exit(f"error: {words}")


class Face:
    """medseg over REST, as an administrator who is a clinician, too."""

    def __init__(self, url, password):
        self.url, self.password = url, password

    def call(self, path, body=None, media_type="application/json"):
        headers = {"authorization": f"Bearer {self.token()}", "content-type": media_type}
        request = urllib.request.Request(f"{self.url}{path}", data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def token(self):
        form = {"grant_type": "password", "username": "admin", "password": self.password}
        with urllib.request.urlopen(f"{self.url}/v1/token", urllib.parse.urlencode(form).encode(), timeout=60) as answer:
            return json.load(answer)["access_token"]

    def ended(self, count):
        """The deliveries by their destinations' names, once none of them waits."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            deliveries = self.call("/v1/deliveries?limit=100")["deliveries"]
            if len(deliveries) == count and all(one["state"] != "waiting" for one in deliveries):
                return {one["destination"]: one for one in deliveries}
            time.sleep(0.5)
        sys.exit(f"error: deliveries wait: {deliveries}")


def destinations(storescp, dcmqrscp, archive, mllp, fhir):
    by_c_store = {"kind": "cstore", "calling_ae_title": "AI"}
    yield {"name": "storescp", "url": f"dicom://127.0.0.1:{storescp}", "called_ae_title": "STORESCP", "formats": DICOM, **by_c_store}
    yield {"name": "dcmqrscp", "url": f"dicom://127.0.0.1:{dcmqrscp}", "called_ae_title": "DCMQRSCP", "formats": DICOM, **by_c_store}
    pacs = {"url": f"dicom://127.0.0.1:{archive}", "called_ae_title": "ARCHIVE", **by_c_store}
    yield {"name": "archive", "formats": ["seg.dcm", "sr.dcm", "capture.dcm"], **pacs}
    yield {"name": "sentences", "formats": ["text.dcm"], **pacs}
    yield {"name": "his", "kind": "mllp", "url": f"mllp://127.0.0.1:{mllp}", "formats": ["report.hl7"]}
    server = {"kind": "fhir", "url": f"http://127.0.0.1:{fhir}/", "secret": "Bearer of the server"}
    yield {"name": "fhir", "formats": ["report.fhir.json"], **server}


def zipped(phantom):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        for path in sorted(Path(phantom).iterdir()):
            files.write(path, path.name)
    return archive.getvalue()


def check_archives(folder):
    stored = list((folder / "storescp").iterdir())
    check(len(stored) == len(DICOM), f"storescp has {len(stored)} objects, not {len(DICOM)}")
    files = {path.stem for path in (folder / "archive").glob("*.dcm")}
    lines = Counter(line.split()[0] for line in (folder / "archive" / "stored.txt").read_text().splitlines())
    check(len(files) == 3 and set(lines) == files, f"the archive has {files}, and was sent {lines}")
    # All but the one for which there was no room were sent twice, under one UID each.
    check(sorted(lines.values()) == [1, 2, 2], f"objects were sent {lines}")
    # storescp names what it stores by the instance's UID, too.
    check(all(any(uid in path.name for path in stored) for uid in files), "two archives have two objects of one result")


def check_systems(folder):
    messages = json.loads((folder / "systems" / "hl7.json").read_text())
    check(len(messages) == 2 and messages[0] == messages[1], "what was refused is not sent again as it was")
    told = json.loads((folder / "systems" / "fhir.json").read_text())
    check(told["ok"], "the transaction is none, or came without its token")
    bundle = told["bundle"]
    check(len(told["kept"]) == len(bundle["entry"]), "what was executed twice is there twice")
    check(all(entry["resource"]["resourceType"] != "Patient" for entry in bundle["entry"]), "a patient was made")


def main(url, password, folder, *ports):
    face, folder = Face(url, password), Path(folder)
    named = list(destinations(*ports))
    for destination in named:
        face.call("/v1/destinations", json.dumps(destination).encode())
    face.call("/v1/scans", zipped(folder / "phantom"), "application/zip")
    ended = face.ended(len(named))
    for name, delivery in ended.items():
        expected = "failed" if name == "sentences" else "delivered"
        check(delivery["state"] == expected, f"{name}: {delivery}")
    check("text.dcm is of a class that it refuses" in ended["sentences"]["words"], f"{ended['sentences']}")
    attempts = {name: delivery["attempts"] for name, delivery in ended.items()}
    check(attempts == {"storescp": 1, "dcmqrscp": 1, "archive": 2, "sentences": 1, "his": 2, "fhir": 2}, f"attempts: {attempts}")
    shown = {one["name"]: one["takes"] for one in face.call("/v1/destinations")["destinations"]}
    check(shown["archive"] == "takes seg.dcm, sr.dcm, capture.dcm", f"the archive is said to take {shown}")
    check_archives(folder)
    check_systems(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
