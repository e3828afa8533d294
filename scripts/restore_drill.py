"""restore_drill.py: the drill of docs/operations.md, on the servers that TEST_MYSQL_URL and TEST_AMQP_URL name.

Scans are sent to a mesh and saved (deploy/backup.sh); one more is sent; databases, objects, keys and processes are destroyed.
One patient of the backup is erased after it, and one scan deleted. What deploy/restore.sh brings back is served by a new mesh: the scans
and the models of the backup must be there with the very same bytes, those two and the scan after it must not, and the new mesh must take another.
"""

import hashlib
import os
import pathlib
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid

import demo

MODEL = pathlib.Path("models/medseg-mr").resolve()
PROGRAMS = pathlib.Path(os.environ.get("PROGRAMS", "target/debug"))
SECRET = "what the workers of the drill sign in with"
FIRST_PASSWORD = "the password that this drill has chosen"
SCANS = 5
ARTEFACTS = ["result", "original", "image.png", "mask.png"]
PATIENCE_S = 60


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Mesh:
    """One process for each service, on databases and a folder of its own."""

    def __init__(self, folder, names, data_keys="off"):
        self.folder, self.running = folder, []
        folder.mkdir(parents=True)
        server = os.environ["TEST_MYSQL_URL"].rsplit("/", 1)[0]
        self.settings = {
            **{f"{service.upper()}_DATABASE_URL": f"{server}/{name}" for service, name in names.items()},
            "BLOB_URL": f"file://{folder}/objects",
            "REGISTRY_BLOB_URL": f"file://{folder}/models",
            "SIGNING_KEY": f"{folder}/key.pem",
            "MODEL_KEY": f"{folder}/model-key.pem",
            "DATA_KEYS_URL": data_keys,
        }
        for name in names.values():
            subprocess.run(
                ["deploy/mysql.py", "mariadb", "TEST_MYSQL_URL", "-e", f"create database {name}"], check=True
            )

    def start(self, **settings):
        services = ["auth", "storage", "ingest", "registry", "inference", "drift", "delivery", "gateway"]
        address = {service: f"127.0.0.1:{free_port()}" for service in services}
        urls = {f"{service.upper()}_URL": f"http://{at}" for service, at in address.items()}
        common = {**os.environ, **self.settings, **settings, **urls, "QUEUE_URL": os.environ["TEST_AMQP_URL"]}
        common |= {"SERVICE_SECRET": SECRET, "DELIVERY_SECRET": SECRET[::-1], "GATEWAY_SECRET": SECRET + SECRET, "FIRST_PASSWORD": FIRST_PASSWORD, "SPOOL": f"{self.folder}/spool", "MODEL_URL": "threshold:", "RESEARCH": "true"}
        for service in services:
            probes = f"127.0.0.1:{free_port()}"
            own = {"LISTEN": address[service], "PROBES": probes, "DATABASE_URL": self.settings.get(f"{service.upper()}_DATABASE_URL", "")}
            own["BLOB_URL"] = self.settings.get(f"{service.upper()}_BLOB_URL", common["BLOB_URL"])
            with open(self.folder / f"{service}.log", "ab") as log, open(self.folder / f"{service}.out", "ab") as out:
                self.running.append(subprocess.Popen([PROGRAMS / service], env={**common, **own}, stdout=out, stderr=log))
            until(lambda at=probes: answers(f"http://{at}/readyz"), f"{service} is ready")
        self.url = urls["GATEWAY_URL"]

    def stop(self, how="terminate"):
        for process in self.running:
            getattr(process, how)()
        for process in self.running:
            process.wait()
        self.running = []


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def until(true, what):
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > deadline:
            sys.exit(f"error: after {PATIENCE_S} s it is not so that {what}")
        time.sleep(0.1)


def send(mesh, token, folder, seed):
    image = folder / f"phantom-{seed}.dcm"
    make = [PROGRAMS / "medseg", "phantom", "--format", "dicom", "--slices", "1", "--seed", str(seed), "--out", image]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
    sent = demo.call(f"{mesh.url}/v1/scans", token, image.read_bytes(), "application/octet-stream")
    return demo.until_done(mesh.url, token, demo.json.loads(sent))["id"]


def digests(mesh, token, scan):
    """What each face of a scan is, as a digest."""
    bodies = {name: demo.call(f"{mesh.url}/v1/scans/{scan}/{name}", token) for name in ARTEFACTS}
    return {name: hashlib.sha256(body).hexdigest() for name, body in bodies.items()}


def listed(mesh, token):
    return demo.json.loads(demo.call(f"{mesh.url}/v1/models", token))["versions"]


def models(mesh, token):
    """Each version as it is told, with the digests of its files as they are read, which verifies its signature."""
    versions = listed(mesh, token)
    for version in versions:
        files = f"{mesh.url}/v1/models/{version['name']}/{version['version']}/files"
        bodies = {file["name"]: demo.call(f"{files}/{file['name']}", token) for file in version["files"]}
        version["digests"] = {name: hashlib.sha256(body).hexdigest() for name, body in bodies.items()}
    return versions


def missing(mesh, token, scan):
    request = urllib.request.Request(f"{mesh.url}/v1/scans/{scan}", headers={"authorization": f"Bearer {token}"})
    try:
        urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        return error.code == 404
    return False


def erase(mesh, token, scan):
    """Erases the patient of that scan; only when nothing of it is left, its receipt is one."""
    body = demo.json.dumps({"scan_id": scan, "reason": "the drill asks for it"}).encode()
    made = demo.json.loads(demo.call(f"{mesh.url}/v1/erasures", token, body))
    receipt = lambda: demo.json.loads(demo.call(f"{mesh.url}/v1/erasures/{made['id']}", token))["statement"]
    until(lambda: receipt()["left"] == {}, "nothing is left of an erased patient")


def delete(mesh, token, scan):
    request = urllib.request.Request(f"{mesh.url}/v1/scans/{scan}", method="DELETE", headers={"authorization": f"Bearer {token}"})
    urllib.request.urlopen(request, timeout=30).close()


def tombstones(mesh, folder):
    """Copies what says which scans were deleted, as a copy of the bucket elsewhere would have it."""
    folder.mkdir()
    for pattern in ("deleted.*", "erased.*"):
        for one in (mesh.folder / "objects").glob(pattern):
            shutil.copy(one, folder)
    return folder


def run(script, mesh, saved, *more):
    subprocess.run([f"deploy/{script}.sh", saved, *more], env={**os.environ, **mesh.settings}, check=True)


def rows(saved):
    """How many keys are in a backup."""
    return len(re.findall(r"\),\s*\(", (saved / "storage-keys.sql").read_text())) + 1


def encrypted(objects):
    """No object of a scan lies as it came."""
    scans = [path for path in objects.glob("*-*-*-*-*/*") if path.is_file()]
    open_ones = [path.name for path in scans if not path.read_bytes().startswith(b"medseg\x00\x01")]
    if not scans or open_ones:
        sys.exit(f"error: of {len(scans)} objects these are not encrypted: {open_ones}")


def drill(folder):
    drawn = uuid.uuid4().hex[:8]
    names = lambda when: {service: f"drill_{drawn}_{when}_{service}" for service in ("auth", "storage", "drift", "delivery", "registry")}
    # The key ring is kept apart from what is saved.
    ring, saved = folder / "data-keys", folder / "saved"
    ring.write_text(f"{secrets.token_hex(32)}\n")
    ring.chmod(0o600)
    first, second = (Mesh(folder / name, names(name), ring.as_uri()) for name in ("first", "second"))
    try:
        first.start(FIRST_MODEL=str(MODEL))
        password = FIRST_PASSWORD
        token = demo.sign_in(first.url, password)
        until(lambda: any(version["state"] == "serving" for version in listed(first, token)), "a model is registered and serves")
        models_before = models(first, token)
        before = {scan: digests(first, token, scan) for scan in (send(first, token, folder, seed) for seed in range(SCANS))}
        run("backup", first, saved)
        late = send(first, token, folder, SCANS)
        erased, deleted, *_ = before
        erase(first, token, erased)
        delete(first, token, deleted)
        # Of data keys the newest are kept alone: an erased patient's are in no backup any more.
        run("backup", first, folder / "later")
        if rows(folder / "later") >= rows(saved):
            sys.exit("error: the keys of an erased patient and of a deleted scan are still saved")
        shutil.copy(folder / "later/storage-keys.sql", saved)
        encrypted(saved / "objects")
        buried = tombstones(first, folder / "buried")
        if len(list(buried.iterdir())) != 2:
            sys.exit(f"error: two scans were deleted, and their tombstones are {list(buried.iterdir())}")
        first.stop("kill")
        shutil.rmtree(first.folder)

        # Without its tombstones a restore would bring back whoever was erased: one that cannot find them brings back nothing.
        mistyped = subprocess.run(["deploy/restore.sh", saved, folder / "buired"], env={**os.environ, **second.settings}, check=False)
        if mistyped.returncode == 0:
            sys.exit("error: a restore with tombstones that are nowhere has gone on")
        run("restore", second, saved, buried)
        second.start()
        # The restored users sign in with their own passwords.
        token = demo.sign_in(second.url, password)
        for scan in (erased, deleted):
            until(lambda scan=scan: missing(second, token, scan), "what was deleted after the backup is deleted again")
            del before[scan]
        after = {scan: digests(second, token, scan) for scan in before}
        if after != before:
            sys.exit(f"error: what came back is not what was saved: {before} {after}")
        # Nothing registers a model here: what is there has come back.
        if (models_after := models(second, token)) != models_before:
            sys.exit(f"error: the models that came back are not those that were saved: {models_before} {models_after}")
        if not missing(second, token, late):
            sys.exit("error: a scan of after the backup is there: the drill compares nothing")
        send(second, token, folder, SCANS)
    finally:
        first.stop("kill")
        second.stop()
    bodies = len(before) * len(ARTEFACTS)
    print(f"restore drill: {len(before)} scans came back, {bodies} of {bodies} bodies the same, {len(models_before)} version of a model, signed as it was, and two scans that were deleted since are gone again")


def main():
    with tempfile.TemporaryDirectory(prefix="medseg-drill.") as folder:
        drill(pathlib.Path(folder))


if __name__ == "__main__":
    main()
