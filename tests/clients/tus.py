"""tus.py URL PASSWORD IMAGE: uploads a scan with tuspy, as it comes from its package, in parts and with an interruption.

The medseg at URL finds a tumour in IMAGE.
"""

import json
import sys
import time
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from tusclient.client import TusClient

URL, PASSWORD, IMAGE = sys.argv[1:]
PATIENCE_S = 60
CHUNK_BYTES = 8 * 1024


def check(holds, words):
    if not holds:
        sys.exit(f"error: tuspy: {words}")


def signed_in():
    fields = {"grant_type": "password", "username": "admin", "password": PASSWORD}
    token = json.load(urlopen(f"{URL}/v1/token", urlencode(fields).encode()))["access_token"]
    return {"Authorization": f"Bearer {token}"}


def asked(path, headers):
    return json.load(urlopen(Request(f"{URL}{path}", headers=headers)))


def main():
    headers = signed_in()
    client = TusClient(f"{URL}/v1/uploads?patient_id=tuspy", headers=headers)
    begun = client.uploader(IMAGE, chunk_size=CHUNK_BYTES, metadata={"filename": "head.png"})
    begun.upload_chunk()
    check(begun.offset == CHUNK_BYTES, f"{begun.offset} bytes are kept of {CHUNK_BYTES}")

    # As a program that has been started anew: it knows the address alone.
    goes_on = client.uploader(IMAGE, chunk_size=CHUNK_BYTES, url=begun.url)
    check(goes_on.offset == CHUNK_BYTES, f"it goes on at {goes_on.offset}")
    goes_on.upload()
    path = begun.url.removeprefix(URL)
    scan = asked(path, headers)["scan"]
    ends = time.monotonic() + PATIENCE_S
    while scan["state"] != "done" and time.monotonic() < ends:
        time.sleep(0.2)
        scan = asked(f"/v1/scans/{scan['id']}", headers)
    check(scan["answer"] == "found", f"the scan is {scan}")
    check(asked(path, headers)["scan"]["id"] == scan["id"], "the upload has become another scan")
    check(asked(f"/v1/scans/{scan['id']}/identity", headers)["patient_id"] == "tuspy", "it is another patient's")
    print("clients: tuspy: in parts, with an interruption")


main()
