"""The few calls that the notebooks make.

MEDSEG_URL, MEDSEG_USER (`admin` without) and MEDSEG_PASSWORD say where medseg answers, and for whom. The program `medseg` is taken from
PATH. What the notebooks make goes to NOTEBOOKS_WORK, or to the folder `work`.
"""

import hashlib
import json
import os
import pathlib
import subprocess
import time

import requests

ROOT = pathlib.Path(__file__).resolve().parents[1]
WORK = pathlib.Path(os.environ.get("NOTEBOOKS_WORK", "work")).resolve()
WORK.mkdir(parents=True, exist_ok=True)

# A token lives for five minutes.
TOKEN_S = 240
PATIENCE_S = 120


class Refused(Exception):
    """A call that was answered with a problem (RFC 9457)."""

    def __init__(self, answer):
        self.status = answer.status_code
        self.problem = answer.json()
        super().__init__(f"{self.status} {self.problem.get('title')}: {self.problem.get('detail')}")


class Medseg:
    """A medseg that answers, for somebody who has signed in."""

    def __init__(self, user=None, password=None):
        self.url = os.environ["MEDSEG_URL"].rstrip("/")
        self.user = user or os.environ.get("MEDSEG_USER", "admin")
        self._password = password or os.environ["MEDSEG_PASSWORD"]
        self._http = requests.Session()
        self._signed_in_s = None

    def call(self, method, path, **what):
        """The answer to a call; what is no success is raised."""
        self._sign_in()
        answer = self._http.request(method, f"{self.url}/v1/{path}", timeout=60, **what)
        if not answer.ok:
            raise Refused(answer)
        return answer

    def get(self, path, **query):
        return self.call("GET", path, params=query).json()

    def send(self, scan, **query):
        """Sends a scan, and tells its id. The key is made of the bytes: the same scan again is found, and not made twice."""
        key = hashlib.sha256(scan).hexdigest()
        return self.call("POST", "scans", data=scan, params=query, headers={"idempotency-key": key}).json()["id"]

    def result(self, scan_id):
        """The result, once there is one."""
        end = time.monotonic() + PATIENCE_S
        while self.get(f"scans/{scan_id}")["state"] != "done":
            if time.monotonic() > end:
                raise TimeoutError(f"the scan {scan_id} is not done after {PATIENCE_S} s")
            time.sleep(0.1)
        return self.get(f"scans/{scan_id}/result")

    def say(self, scan_id, **word):
        """Gives a verdict."""
        return self.call("POST", f"scans/{scan_id}/feedback", json=word).json()

    def _sign_in(self):
        now = time.monotonic()
        if self._signed_in_s is not None and now < self._signed_in_s + TOKEN_S:
            return
        form = {"grant_type": "password", "username": self.user, "password": self._password}
        answer = requests.post(f"{self.url}/v1/token", data=form, timeout=60)
        if not answer.ok:
            raise Refused(answer)
        self._http.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
        self._signed_in_s = now


def program(*words, where=None, env=None):
    """What a program prints, one that does what it says."""
    words = [str(word) for word in words]
    ended = subprocess.run(words, cwd=where or WORK, env=env, text=True, capture_output=True, check=False)
    if ended.returncode != 0:
        raise RuntimeError(f"{' '.join(words)} ends with {ended.returncode}: {ended.stderr or ended.stdout}")
    return ended.stdout


def phantom(name, *options):
    """Makes a head that nobody has, in the file of that name, and tells the truth about it."""
    return json.loads(program("medseg", "phantom", "--out", name, *options))


def until(what, is_so, patience_s=PATIENCE_S):
    """What `is_so` answers, once that is something."""
    end = time.monotonic() + patience_s
    while not (answer := is_so()):
        if time.monotonic() > end:
            raise TimeoutError(f"after {patience_s} s it is not so that {what}")
        time.sleep(0.2)
    return answer
