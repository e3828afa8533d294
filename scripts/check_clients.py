"""check_clients.py WHAT URL PASSWORD IMAGE: uses a generated client as an integrator would, from sign-in to mask.

WHAT is the client's generator, `openapi-python-client` or `openapi-generator`; or `prepare`, which prints an access
token and the id of a batch.
"""

import importlib
import pkgutil
import sys
import time
from pathlib import Path

WHAT, URL, PASSWORD, IMAGE = sys.argv[1:]
PATIENCE_S = 60


def check(holds, words):
    if not holds:
        sys.exit(f"error: {WHAT}: {words}")


def whole(name):
    """The package, once all that is in it has been imported: most of it is used by nobody here."""
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, f"{name}."):
        importlib.import_module(module.name)
    return package


def until_done(scan):
    """Asks until the scan is done."""
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        now = scan()
        if now.completed_at:
            return now
        time.sleep(0.2)
    sys.exit(f"error: {WHAT}: the scan is not done in time")


def look_at(scan, result, mask, identity, found):
    """What must hold of the phantom, whichever client asked."""
    check(scan.completed_at.tzinfo is not None, "times have no zone")
    check(type(result).__name__ == "ResultDocument", f"the result is a {type(result).__name__}")
    check(str(result.scan_id) == str(scan.id), "the result is another scan's")
    check(result.findings and result.findings[0].voxels > 0, "nothing is found in the phantom")
    check(mask.startswith(b"\x89PNG"), "the mask is no PNG")
    check((identity.patient_id, identity.reference) == (WHAT, "order 1"), "the identity is another")
    check([one.id for one in found.scans] == [scan.id], "the list does not find it")


def python_client():
    """A module for each operation."""
    whole("medseg_client")
    from medseg_client import AuthenticatedClient, Client
    from medseg_client.api.batches import upload_batch
    from medseg_client.api.results import get_mask, get_result
    from medseg_client.api.scans import get_identity, get_scan, list_scans, upload_scan, watch_scan
    from medseg_client.api.token import sign_in
    from medseg_client.models import Form, GrantRequest, GrantType
    from medseg_client.types import File

    def file():
        return File(payload=Path(IMAGE).open("rb"), file_name="scan.png")

    grant = GrantRequest(grant_type=GrantType.PASSWORD, username="admin", password=PASSWORD)
    token = sign_in.sync(client=Client(base_url=URL), body=grant).access_token
    client = AuthenticatedClient(base_url=URL, token=token)
    scan = upload_scan.sync(client=client, body=file(), patient_id=WHAT, reference="order 1")
    look_at(
        until_done(lambda: get_scan.sync(client=client, id=scan.id)),
        get_result.sync(client=client, id=scan.id),
        get_mask.sync(client=client, id=scan.id).payload.read(),
        get_identity.sync(client=client, id=scan.id),
        list_scans.sync(client=client, patient_id=WHAT),
    )
    check("event: scan" in watch_scan.sync(client=client, id=scan.id), "there are no events")
    batch = upload_batch.sync(client=client, body=Form(file=[file(), file()]))
    check(len(batch.entries) == 2 and all(entry.scan for entry in batch.entries), "the batch is another")


def generator():
    """A class for each tag."""
    made = whole("openapi_client")
    with made.ApiClient(made.Configuration(host=URL)) as stranger:
        token = made.TokenApi(stranger).sign_in("password", username="admin", password=PASSWORD).access_token
    with made.ApiClient(made.Configuration(host=URL, access_token=token)) as client:
        scans, results = made.ScansApi(client), made.ResultsApi(client)
        scan = scans.upload_scan(Path(IMAGE).read_bytes(), patient_id=WHAT, reference="order 1").actual_instance
        look_at(
            until_done(lambda: scans.get_scan(scan.id)),
            results.get_result(scan.id),
            bytes(results.get_mask(scan.id)),
            scans.get_identity(scan.id),
            scans.list_scans(patient_id=WHAT),
        )
        check("event: scan" in scans.watch_scan(scan.id).actual_instance, "there are no events")


def prepare():
    """For schemathesis, with nothing but the standard library: an access token, and a batch that is done."""
    import io
    import json
    import zipfile
    from types import SimpleNamespace
    from urllib.parse import urlencode
    from urllib.request import Request, urlopen

    fields = {"grant_type": "password", "username": "admin", "password": PASSWORD}
    token = json.load(urlopen(f"{URL}/v1/token", urlencode(fields).encode()))["access_token"]

    def call(path, body=None):
        headers = {"authorization": f"Bearer {token}", "content-type": "application/zip"}
        return json.load(urlopen(Request(f"{URL}{path}", body, headers)), object_hook=lambda fields: SimpleNamespace(**fields))

    images = io.BytesIO()
    with zipfile.ZipFile(images, "w") as archive:
        archive.write(IMAGE, "scan.png")
    batch = call("/v1/batches", images.getvalue())
    until_done(lambda: call(f"/v1/batches/{batch.id}").entries[0].scan)
    print(token, batch.id)


{"openapi-python-client": python_client, "openapi-generator": generator, "prepare": prepare}[WHAT]()
