"""connectathon senders URL PASSWORD FILE REPORTS: makes an API client, and the table that lets SCANNER and ORTHANC send in its name.
connectathon orthanc FILE FOLDER PLUGIN HTTP_PORT DICOM_PORT MEDSEG_PORT: Orthanc's configuration.
connectathon walk FACTS OUT: walks one study through all systems, and writes what was checked into the folder OUT.

Settings are those that docs/manual/recipes.md shows. FACTS is a JSON file that check-connectathon.sh writes: where everything answers. Exit status 1: a check failed.
"""

import datetime
import importlib.metadata
import json
import subprocess
import sys
import time
from pathlib import Path

import page
import recipes
import results
import sending
from page import FAILED, PASSED, SKIPPED, Row
from place import Failed, Lacking, Medseg, Place


def senders(url, password, file, reports):
    client = {"name": "scanners", "roles": ["integrator"], "scopes": ["scans"]}
    made = Medseg(url, password).told("/v1/clients", client)
    Path(file).write_text(json.dumps(recipes.senders(made, reports)))


def orthanc(file, *settings):
    Path(file).write_text(json.dumps(recipes.orthanc(*settings)))


def first_line(*words):
    try:
        said = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    except OSError:
        return "not here"
    lines = (said.stdout + said.stderr).splitlines()
    return lines[0].strip("$ ") if lines else "?"


# Of what a program is a part.
OF = {"echoscu": "dcmtk", "storescu": "dcmtk", "storescp": "dcmtk", "dciodvfy": "dicom3tools", "dcentvfy": "dicom3tools"}


def versions(place):
    """What is asked of programs and packages themselves."""
    told = {"medseg": first_line(place.programs / "medseg", "--version").removeprefix("medseg ")}
    told["dcmtk"] = first_line("storescu", "--version").removeprefix("dcmtk: storescu ")
    told["dicom3tools"] = first_line("dciodvfy", "-version").removeprefix("dicom3tools Version: ")
    if place.peer:
        told["Orthanc"] = place.peer.told("/system")["Version"]
        told["Orthanc DICOMweb"] = place.peer.told("/plugins/dicom-web")["Version"]
    if place.ohif:
        told["dcmjs"] = json.loads((Path(place.ohif) / "node_modules/dcmjs/package.json").read_text())["version"]
    if place.viewer["folder"]:
        told["OHIF"] = json.loads((Path(place.viewer["folder"]) / "package.json").read_text())["version"]
    for package in ("pydicom", "pynetdicom", "highdicom", "dicomweb-client", "fhir.resources", "hl7"):
        try:
            told[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            told[package] = "not here"
    return told


def made(place, known, what, standard, client, run):
    """The row of one check, by a client whose version is known, or by several."""
    names = client.split(", ")
    client = ", ".join(f"{name} {known.get(OF.get(name, name), '')}".strip() for name in names)
    begun = time.monotonic()
    try:
        outcome, words = PASSED, run(place)
    except Lacking as why:
        outcome, words = SKIPPED, str(why)
    except Failed as fault:
        outcome, words = FAILED, str(fault)
    # Whatever a client makes of an answer is the check's outcome, and no end of the others.
    except Exception as error:
        outcome, words = FAILED, f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"
    row = Row(what, standard, client, outcome, words, round(time.monotonic() - begun, 1))
    print(f"connectathon: {outcome}: {what} ({client}): {words}", flush=True)
    return row


def walk(facts, out):
    place = Place(json.loads(Path(facts).read_text()))
    known = versions(place)
    rows = [made(place, known, *one) for one in (*results.FIRST, *sending.CHECKS, *results.CHECKS)]
    at = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    about = {"at": at, "versions": known}
    Path(out).mkdir(parents=True, exist_ok=True)
    (Path(out) / "connectathon.json").write_text(page.as_json(about, rows))
    (Path(out) / "connectathon.html").write_text(page.as_html(about, rows, place.pictures))
    told = ", ".join(f"{count} {outcome}" for outcome, count in page.counts(rows).items())
    print(f"connectathon: {told}; {out}/connectathon.html says what was checked")
    return 1 if any(row.outcome == FAILED for row in rows) else 0


if __name__ == "__main__":
    sys.exit({"senders": senders, "orthanc": orthanc, "walk": walk}[sys.argv[1]](*sys.argv[2:]))
