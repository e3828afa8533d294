"""upgrade_drill.py [--note RELEASE]: the drill of docs/operations.md from the last release to what is built here, and back.

What the last release has left is made by code: its tables by its own migrations, of which scripts/released.json says which there were, and in them
the rows of a deployment that was filled for this, with those columns alone that the release had, beside the deployment's objects and keys. Today's
services start on that: every scan, result, account, destination and reader's word must be served as it was. Then a patient is erased, a scan is
deleted, and the backup of before the upgrade is restored: the tables are the release's to the column, so that it would run on them, and today's
services on them bring back all but those two. It is done once in a mesh on MariaDB and once on the directory of `medseg serve`.

--note writes scripts/released.json anew: with each release.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import uuid

import demo
import released
import restore_drill
from released import SERVICES

SCANS = 4
# What today's services write into columns that a migration fills for what was there before: both must say the same.
FILLED = {
    "storage": "SELECT scan_id, patient_id, accession_number, study_uid, patient_name, study_date FROM identities ORDER BY scan_id",
}
PASSWORD = "what this drill's clinician has chosen"
DESTINATION = {"name": "information system", "kind": "webhook", "url": "https://ris.invalid/hook", "formats": ["cloudevent"]}


def copied(source, target, *without):
    """What a deployment keeps beside its rows; tombstones and anchors are none of the last release's."""
    skip = shutil.ignore_patterns("deleted.*", "erased.*", "audit-anchor-*", "lock", *without)
    shutil.copytree(source, target, ignore=skip, dirs_exist_ok=True)


class InMesh:
    """A service each, on MariaDB; saved and restored by deploy/."""

    title = "mesh on MariaDB"

    def __init__(self, folder):
        drawn = uuid.uuid4().hex[:8]
        self.databases = {service: released.MariaDb(f"upgrade_{drawn}_{service}") for service in SERVICES}
        self.mesh = restore_drill.Mesh(folder, {service: database.name for service, database in self.databases.items()})
        self.folder = folder

    def start(self, first=False):
        self.mesh.start(**({"FIRST_MODEL": str(restore_drill.MODEL)} if first else {}))
        self.url = self.mesh.url

    def stop(self, how="terminate"):
        self.mesh.stop(how)

    def take_files(self, other):
        copied(other.folder, self.folder, "spool", "*.log", "*.out")

    def save(self, folder):
        restore_drill.run("backup", self.mesh, folder)

    def restore(self, saved, buried):
        restore_drill.run("restore", self.mesh, saved, buried)

    def audit(self):
        places = {"DATABASE_URL": self.databases["storage"].url, "ACCOUNTS_URL": self.databases["auth"].url, "BLOB_URL": self.mesh.settings["BLOB_URL"]}
        return subprocess.run([restore_drill.PROGRAMS / "medseg", "audit", "verify"], env={**os.environ, **places}, capture_output=True, text=True, check=False)


class InDirectory:
    """`medseg serve`, whose directory is all that there is to be saved."""

    title = "directory of medseg serve"

    def __init__(self, folder):
        folder.mkdir(parents=True, mode=0o700)
        self.folder, self.process = folder, None
        self.databases = {service: released.Sqlite(folder / f"{service}.db") for service in SERVICES}

    def start(self, first=False):
        at = f"127.0.0.1:{restore_drill.free_port()}"
        env = {**os.environ, "FIRST_PASSWORD": restore_drill.FIRST_PASSWORD, "MODEL_URL": "threshold:", "RESEARCH": "true"}
        if first:
            # The last release encrypts nothing; what is built here does once it runs on what that has left.
            env["DATA_KEYS_URL"] = "off"
        with open(self.folder.with_suffix(".log"), "ab") as log:
            command = [restore_drill.PROGRAMS / "medseg", "serve", "--data", self.folder, "--listen", at]
            self.process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        self.url = f"http://{at}"
        restore_drill.until(lambda: restore_drill.answers(f"{self.url}/readyz"), "medseg serve is ready")

    def stop(self, how="terminate"):
        if self.process:
            getattr(self.process, how)()
            self.process.wait()
            self.process = None

    def take_files(self, other):
        copied(other.folder, self.folder, "spool", *(f"{service}.db*" for service in SERVICES))

    def save(self, folder):
        shutil.copytree(self.folder, folder)

    def restore(self, saved, buried):
        shutil.copytree(saved, self.folder, dirs_exist_ok=True)
        for tombstone in buried.iterdir():
            shutil.copy(tombstone, self.folder / "objects")

    def audit(self):
        return subprocess.run([restore_drill.PROGRAMS / "medseg", "audit", "verify", "--data", self.folder], capture_output=True, text=True, check=False)


def ask(place, path, token, body=None):
    sent = None if body is None else json.dumps(body).encode()
    return json.loads(demo.call(f"{place.url}{path}", token, sent))


def fill(place, folder):
    """What a deployment has: accounts, a destination, scans with results, a reader's word. Answers whom to sign in, and the scans."""
    token = demo.sign_in(place.url, restore_drill.FIRST_PASSWORD)
    ask(place, "/v1/users", token, {"user_name": "ada", "password": PASSWORD, "roles": ["clinician"]})
    client = ask(place, "/v1/clients", token, {"name": "archive", "roles": ["integrator"]})
    ask(place, "/v1/destinations", token, DESTINATION)
    scans = [restore_drill.send(place, token, folder, seed) for seed in range(SCANS)]
    ask(place, f"/v1/scans/{scans[-1]}/feedback", token, {"verdict": "agree", "note": "as I see it"})
    restore_drill.until(lambda: len(ask(place, "/v1/deliveries?limit=100", token)["deliveries"]) == SCANS, "each result has a delivery")
    observed = "SELECT scan_id FROM observations"
    restore_drill.until(lambda: len(place.databases["drift"].rows(observed)) == SCANS, "each result is observed")
    return client, scans


def faces(place, client, scans):
    """What everybody sees of it who could sign in before: and they can."""
    token = demo.sign_in(place.url, restore_drill.FIRST_PASSWORD)
    ask(place, "/v1/token", None, {"grant_type": "password", "username": "ada", "password": PASSWORD})
    ask(place, "/v1/token", None, {"grant_type": "client_credentials", "client_id": client["client_id"], "client_secret": client["client_secret"]})
    chosen = lambda one, *names: [one.get(name) for name in names]
    of_scan = ("state", "answer", "accepted_ms", "completed_ms", "modality", "priority", "original_sha256", "volume_sha256")
    listed = ask(place, "/v1/scans?limit=100", token)["scans"]
    deliveries = ask(place, "/v1/deliveries?limit=100", token)["deliveries"]
    words = {scan: ask(place, f"/v1/scans/{scan}/feedback", token)["feedback"] for scan in scans}
    return {
        "scans": {one["id"]: chosen(one, *of_scan) for one in listed},
        "bodies": {scan: restore_drill.digests(place, token, scan) for scan in scans},
        "identities": {scan: ask(place, f"/v1/scans/{scan}/identity", token) for scan in scans},
        "words": {scan: [chosen(word, "id", "reader", "verdict", "note", "given_at") for word in words[scan]] for scan in scans},
        "deliveries": {one["id"]: chosen(one, "scan_id", "destination_id", "formats") for one in deliveries if one["scan_id"] in scans},
        "accounts": {one["user_name"]: chosen(one, "id", "roles", "state") for one in ask(place, "/v1/users", token)["users"]},
        "clients": {one["client_id"]: chosen(one, "name", "roles") for one in ask(place, "/v1/clients", token)["clients"]},
        "destinations": [chosen(one, "id", *DESTINATION, "enabled", "has_secret") for one in ask(place, "/v1/destinations", token)["destinations"]],
        "models": restore_drill.models(place, token),
    }


def same(what, there, expected):
    if there == expected:
        return
    if isinstance(expected, dict):
        names = [name for name in {**expected, **there} if there.get(name) != expected.get(name)]
        there, expected = {name: there.get(name) for name in names}, {name: expected.get(name) for name in names}
    sys.exit(f"error: {what} is not what it was: {there}, and was {expected}")


def check_audit(place):
    ended = place.audit()
    if ended.returncode:
        sys.exit(f"error: the audit trail does not go on where the release ended: {ended.stdout}{ended.stderr}")


def upgraded(then, now, columns, before, client, scans, folder):
    """Starts today's services on what the release has left, and looks at all of it; deletes two scans, whose tombstones it answers."""
    then.start()
    same("what the release has left", faces(then, client, scans), before)
    for service, query in FILLED.items():
        same(f"what a migration of {service} has filled", then.databases[service].rows(query), now.databases[service].rows(query))
    for service, tables in then.databases.items():
        released.check_expanded(service, columns[service], tables)
    check_audit(then)
    token = demo.sign_in(then.url, restore_drill.FIRST_PASSWORD)
    restore_drill.send(then, token, folder, SCANS)
    restore_drill.erase(then, token, scans[0])
    restore_drill.delete(then, token, scans[1])
    objects = then.folder / "objects"
    buried = lambda: [*objects.glob("deleted.*"), *objects.glob("erased.*")]
    restore_drill.until(lambda: len(buried()) == 2, "two deleted scans have their tombstones")
    return restore_drill.tombstones(then, folder / "buried")


def back_again(back, columns, versions, before, client, scans, saved, buried):
    """Restores what was saved before the upgrade: what the release would start on, and what today's services make of it."""
    back.restore(saved, buried)
    for service, tables in back.databases.items():
        known = {table: names for table, names in tables.columns().items() if table != "_sqlx_migrations"}
        same(f"the database of {service}", known, columns[service])
        same(f"what was applied to {service}", tables.rows("SELECT version FROM _sqlx_migrations ORDER BY version"), versions[service])
    back.start()
    token = demo.sign_in(back.url, restore_drill.FIRST_PASSWORD)
    for scan in scans[:2]:
        restore_drill.until(lambda scan=scan: restore_drill.missing(back, token, scan), "what was deleted after the upgrade is deleted again")
    left = scans[2:]
    kept = {name: {key: one for key, one in before[name].items() if key in left} for name in ("scans", "bodies", "identities", "words")}
    deliveries = {key: one for key, one in before["deliveries"].items() if one[0] in left}
    same("what was restored", faces(back, client, left), {**before, **kept, "deliveries": deliveries})
    check_audit(back)


def drill(kind, migrations, folder):
    now, then, back = (kind(folder / name) for name in ("now", "then", "back"))
    try:
        now.start(first=True)
        if kind is InMesh:
            token = demo.sign_in(now.url, restore_drill.FIRST_PASSWORD)
            serving = lambda: any(version["state"] == "serving" for version in restore_drill.listed(now, token))
            restore_drill.until(serving, "a model is registered and serves")
        client, scans = fill(now, folder)
        before = faces(now, client, scans)
        now.stop()
        then.take_files(now)
        columns = {service: released.as_released(service, migrations[service], now.databases[service], then.databases[service]) for service in SERVICES}
        versions = {service: [(str(released.number(file)),) for file in migrations[service]] for service in SERVICES}
        then.save(folder / "saved")
        buried = upgraded(then, now, columns, before, client, scans, folder)
        then.stop("kill")
        back_again(back, columns, versions, before, client, scans, folder / "saved", buried)
    finally:
        for place in (now, then, back):
            place.stop("kill")
    print(f"upgrade drill, {kind.title}: {len(scans)} scans, their results, accounts, destination and words are served after the upgrade, and after the way back all but two that were deleted since")


def main():
    if sys.argv[1:2] == ["--note"] and len(sys.argv) == 3:
        return released.note(sys.argv[2])
    migrations = released.migrations()
    with tempfile.TemporaryDirectory(prefix="medseg-upgrade.") as folder:
        for kind in (InDirectory, InMesh):
            drill(kind, migrations, pathlib.Path(folder) / kind.__name__)
    return None


if __name__ == "__main__":
    main()
