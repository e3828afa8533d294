"""bench_dicom.py: what bench-dicom.sh measures, as a Markdown table. Exits 1 where something that was asked for is missed.

Rates are of instances that are accepted durably. Both servers are sent the same files by the same program, one after the other, in turns;
each time as another study, for what a server has already costs it less, and once medseg has put the one before into its series. A ratio is the
median of the turns' own.
"""

import argparse
import http.client
import io
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.parse
import zipfile
from pathlib import Path

import pydicom
from place import Medseg, Orthanc
from pydicom.uid import generate_uid

# A request of STOW-RS has so many instances.
PART = 50
BOUNDARY = "medseg-bench"
FORMATS = ["result", "mask.nii.gz", "seg.dcm", "sr.dcm", "text.dcm", "capture.dcm", "report.dcm", "report.pdf", "report.fhir.json", "report.hl7"]
FORMATS += ["contours.geojson"]
# From the first slice to the last, and across a slice.
HEAD_MM = (150, 200)
# What is asked for.
RATIO, DECODE_S, FORMATS_MS = 1.0, 2.0, 300
# How much more the service may hold after the last study than after the first: allocators keep some of what was freed.
GROWTH = 1.1
# What is free is given back every ten seconds.
GIVEN_BACK_S = 12


def phantom(medseg, folder, slices, side):
    # The same head, however finely it is cut.
    spacing = f"{HEAD_MM[0] / slices:g},{HEAD_MM[1] / side:g},{HEAD_MM[1] / side:g}"
    words = ["--format", "dicom", "--slices", slices, "--size", side, "--spacing", spacing, "--lesion-ml", 8, "--seed", 5]
    subprocess.run([medseg, "phantom", *map(str, words), "--out", folder], check=True, stdout=subprocess.DEVNULL)
    return [pydicom.dcmread(path) for path in sorted(Path(folder).iterdir())]


def another(files, folder):
    """The files as those of another study; its UID."""
    study, series = generate_uid(None), generate_uid(None)
    folder.mkdir()
    for number, file in enumerate(files):
        file.StudyInstanceUID, file.SeriesInstanceUID = study, series
        file.SOPInstanceUID = file.file_meta.MediaStorageSOPInstanceUID = generate_uid(None)
        file.save_as(folder / f"{number:04}.dcm")
    return str(study)


def by_c_store(folder, title, port):
    words = ["storescu", "-aet", "SCANNER", "-aec", title, "+sd", "127.0.0.1", str(port), str(folder)]
    begun = time.monotonic()
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    took = time.monotonic() - begun
    if ended.returncode != 0:
        sys.exit(f"error: storescu to {title} ends with {ended.returncode}: {ended.stderr.strip()[-400:]}")
    return took


def bodies(folder):
    """Requests of STOW-RS, made before the clock runs."""
    paths = sorted(folder.iterdir())
    for at in range(0, len(paths), PART):
        head = f"--{BOUNDARY}\r\ncontent-type: application/dicom\r\n\r\n".encode()
        parts = b"".join(head + path.read_bytes() + b"\r\n" for path in paths[at : at + PART])
        yield parts + f"--{BOUNDARY}--\r\n".encode()


def by_stow(folder, url, authorization):
    requests, place = list(bodies(folder)), urllib.parse.urlsplit(url)
    headers = {"authorization": authorization, "accept": "application/dicom+json"}
    headers["content-type"] = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=600)
    begun = time.monotonic()
    for body in requests:
        connection.request("POST", place.path, body, headers)
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            sys.exit(f"error: {url} answers {answer.status}: {said[:300]}")
    return time.monotonic() - begun


def rates(options, files, medseg, orthanc):
    """For each way, instances a second of both servers in each turn."""
    folder, count, found = Path(options.folder), len(files), {}
    ways = {
        "C-STORE": (lambda at: by_c_store(at, "MEDSEG", options.dicom), lambda at: by_c_store(at, "ORTHANC", options.orthanc)),
        "STOW-RS": (
            lambda at: by_stow(at, f"{medseg.url}/dicomweb/studies", f"Bearer {medseg.token()}"),
            lambda at: by_stow(at, f"{orthanc.url}/dicom-web/studies", orthanc.basic),
        ),
    }
    for turn in range(options.rounds):
        for name, (ours, theirs) in ways.items():
            at = folder / f"study-{turn}-{name}"
            another(files, at)
            # Whoever is second reads the files from memory: both are, in turns.
            pair = [("medseg", ours), ("orthanc", theirs if orthanc else None)]
            for server, send in pair if turn % 2 == 0 else reversed(pair):
                if send:
                    rests(options.pid)
                    found.setdefault((name, server), []).append(count / send(at))
    return found


def zipped(folder):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(folder.iterdir()):
            packed.write(path, path.name)
    return archive.getvalue()


def done(medseg, scan):
    while medseg.told(f"/v1/scans/{scan}")["state"] != "done":
        time.sleep(0.2)


def intake(options, medseg):
    """Seconds from the first byte of a zip to 202, and the scan."""
    folder = Path(options.folder)
    another(phantom(options.medseg, folder / "series", options.series, 512), folder / "sent")
    body, begun = zipped(folder / "sent"), time.monotonic()
    scan = medseg.told_of(body)["id"]
    took = time.monotonic() - begun
    done(medseg, scan)
    return took, scan


def formats(medseg, scan):
    """Milliseconds for all formats of a result, one after the other on one connection: the median of five."""
    place, headers = urllib.parse.urlsplit(medseg.url), {"authorization": f"Bearer {medseg.token()}"}
    took, connection = [], http.client.HTTPConnection(place.hostname, place.port, timeout=60)
    for _ in range(5):
        begun = time.monotonic()
        for name in FORMATS:
            connection.request("GET", f"/v1/scans/{scan}/{name}", headers=headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                sys.exit(f"error: {name} is answered with {answer.status}")
        took.append((time.monotonic() - begun) * 1000)
    return statistics.median(took)


def mib(pid, what):
    """What the process holds (VmRSS), or has held at most (VmHWM)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(what))) / 1024


def calculated_s(pid):
    """Processor time of the process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def rests(pid):
    """Waits until it has nothing to do, a minute at most: what is left of one study is no part of the next one's time."""
    before = calculated_s(pid)
    for _ in range(60):
        time.sleep(1)
        now = calculated_s(pid)
        if now - before < 0.1:
            return
        before = now


def memory(options, medseg):
    """What the service holds after each of five studies, which come by C-STORE and are analysed, once it has given back what is free."""
    folder, held = Path(options.folder), []
    files = phantom(options.medseg, folder / "small", 100, 256)
    for number in range(5):
        at = folder / f"memory-{number}"
        study = another(files, at)
        by_c_store(at, "MEDSEG", options.dicom)
        medseg.told(f"/v1/studies/{study}/complete", {"instances": len(files)})
        while not (scans := medseg.told(f"/v1/scans?study_uid={study}")["scans"]):
            time.sleep(0.2)
        done(medseg, scans[0]["id"])
        rests(options.pid)
        time.sleep(GIVEN_BACK_S)
        held.append(mib(options.pid, "VmRSS"))
    return held


class Bench(Medseg):
    def told_of(self, body):
        """What is told of a zip that was sent."""
        return json.loads(self.call("/v1/scans", body, "application/zip"))


def row(name, ours, theirs, ratio, asked):
    print(f"| {name} | {ours} | {theirs} | {ratio} | {asked} |", flush=True)


def verdict(asked, holds):
    return f"{asked}: {'met' if holds else '**missed**'}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("medseg", "url", "password", "pid", "dicom", "folder", "orthanc", "orthanc-http"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--instances", type=int, default=500, help="slices of a study of which the rate is measured")
    parser.add_argument("--side", type=int, default=256, help="their rows and columns")
    parser.add_argument("--rounds", type=int, default=3, help="turns")
    parser.add_argument("--series", type=int, default=200, help="slices of 512 x 512 that are decoded")
    parser.add_argument("--least", type=float, default=RATIO, help="the ratio that is asked for; 0: nothing is asked for, of anything")
    options = parser.parse_args()
    medseg = Bench(options.url, options.password)
    orthanc = Orthanc(options.orthanc_http, options.orthanc) if options.orthanc else None
    version = f"Orthanc {orthanc.told('/system')['Version']}" if orthanc else "no Orthanc here"
    met = []
    # A debug build's figures say nothing.
    build, cores = Path(options.medseg).parent.name, len(os.sched_getaffinity(0))
    print(f"| {cores} cores, {build} build | medseg | {version} | ratio | asked |\n|---|--:|--:|--:|---|", flush=True)
    files = phantom(options.medseg, Path(options.folder) / "many", options.instances, options.side)
    found = rates(options, files, medseg, orthanc)
    for name in ("C-STORE", "STOW-RS"):
        ours, theirs = found[name, "medseg"], found.get((name, "orthanc"))
        what = f"{options.instances} instances of {options.side} x {options.side} by {name}, durably"
        if theirs is None:
            row(what, f"{statistics.median(ours):.0f}/s", "skipped", "", "its package could not be had")
            continue
        ratio = statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
        met.append(ratio >= options.least)
        row(what, f"{statistics.median(ours):.0f}/s", f"{statistics.median(theirs):.0f}/s", f"{ratio:.2f}", verdict(f">= {options.least}", met[-1]))
    took, scan = intake(options, medseg)
    met.append(took <= DECODE_S)
    row(f"512 x 512 x {options.series} as a zip, from its first byte to 202, decoding in it", f"{took:.2f} s", "", "", verdict(f"<= {DECODE_S} s", met[-1]))
    took_ms = formats(medseg, scan)
    met.append(took_ms <= FORMATS_MS)
    row(f"its result in {len(FORMATS)} formats, one after the other", f"{took_ms:.0f} ms", "", "", verdict(f"<= {FORMATS_MS} ms", met[-1]))
    held = memory(options, medseg)
    met.append(held[-1] <= GROWTH * held[0])
    shown = ", ".join(f"{one:.0f}" for one in held) + f" MiB (at most, once: {mib(options.pid, 'VmHWM'):.0f})"
    row("memory after each of five studies of 100 instances", shown, "", f"{held[-1] / held[0]:.2f}", verdict(f"<= {GROWTH} x", met[-1]))
    if options.least and not all(met):
        sys.exit("error: something that was asked for is missed")


if __name__ == "__main__":
    main()
