"""Where a check finds what it needs: medseg's and Orthanc's faces, the study that was made, and what earlier checks have found."""

import base64
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import requests
from dicomweb_client.api import DICOMwebClient

# Beyond it a scan or a delivery has been lost.
PATIENCE_S = 240


class Failed(Exception):
    """Something is not as it should be: in words."""


class Lacking(Exception):
    """A check cannot be made here: in words."""


def check(holds, words):
    if not holds:
        raise Failed(words)


def until(what, found):
    """What `found` gives, once it gives something."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.5)
    raise Failed(f"{what}: not within {PATIENCE_S} s")


class Medseg:
    """medseg over REST, as an administrator who is a clinician, too."""

    def __init__(self, url, password):
        self.url, self.password = url, password

    def call(self, path, body=None, media_type="application/json"):
        headers = {"authorization": f"Bearer {self.token()}", "content-type": media_type}
        request = urllib.request.Request(f"{self.url}{path}", data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")[:400]
            raise Failed(f"medseg answers {error.code} to {path}: {said}") from None

    def told(self, path, body=None):
        return json.loads(self.call(path, None if body is None else json.dumps(body).encode()))

    def token(self):
        form = {"grant_type": "password", "username": "admin", "password": self.password}
        with urllib.request.urlopen(f"{self.url}/v1/token", urllib.parse.urlencode(form).encode(), timeout=60) as answer:
            return json.load(answer)["access_token"]

    def dicomweb(self):
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {self.token()}"
        return DICOMwebClient(f"{self.url}/dicomweb", session=session)

    def scans(self, study):
        return self.told(f"/v1/scans?study_uid={study}&limit=100")["scans"]


class Orthanc:
    """Orthanc over its own REST face and by DICOMweb."""

    user, password = "connectathon", "connectathon"

    def __init__(self, port, dicom_port):
        self.url, self.dicom_port = f"http://127.0.0.1:{port}", dicom_port

    @property
    def basic(self):
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    def call(self, path, body=None, method=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data=data, method=method, headers={"authorization": self.basic})
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")[:400]
            raise Failed(f"Orthanc answers {error.code} to {path}: {' '.join(said.split())}") from None

    def told(self, path, body=None, method=None):
        return json.loads(self.call(path, body, method))

    def dicomweb(self):
        session = requests.Session()
        session.auth = (self.user, self.password)
        return DICOMwebClient(f"{self.url}/dicom-web", session=session)

    def found(self, level, **query):
        return self.told("/tools/find", {"Level": level, "Query": query})


class Place:
    """All that checks share. What one finds, later ones are given by name; where it has found nothing, they cannot be made."""

    def __init__(self, facts):
        self.folder, self.programs = Path(facts["folder"]), Path(facts["programs"])
        self.ports = facts["ports"]
        self.medseg = Medseg(facts["url"], facts["password"])
        self.peer = Orthanc(self.ports["orthanc_http"], self.ports["orthanc"]) if facts["orthanc"] else None
        self.without_orthanc = facts["without_orthanc"]
        self.ohif = facts["ohif"]
        # Where OHIF's viewer and what drives a browser lie, or why there is none.
        self.viewer = facts["viewer"]
        # For the page: what it is of, and the picture as PNG.
        self.pictures = []
        self.kept = {}

    @property
    def orthanc(self):
        if self.peer is None:
            raise Lacking(self.without_orthanc)
        return self.peer

    def keep(self, **facts):
        self.kept |= facts

    def __getattr__(self, name):
        kept = self.__dict__.get("kept", {})
        if name not in kept:
            raise Lacking(f"an earlier check has given no {name}")
        return kept[name]
