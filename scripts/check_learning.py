"""check_learning.py judged | consented DRAWN | exported FOLDER DRAWN | served NAME VERSION DATA_VERSION: a reader's words on their way
to the next version.

MEDSEG_URL and MEDSEG_PASSWORD say where medseg answers, and for its admin; NOTEBOOKS_WORK, where phantoms go. `judged` sends heads, and
says of each what is true of it; but one head is only made, for the reader to correct in the page (tests/browser/corrected.mjs, which
notes in DRAWN what was drawn). `consented` lets the hospital's scans be learned from; `exported` looks at the data set that was made of
them, and finds in it, voxel for voxel, what was drawn; `served` lets the version that was learned serve, through the gate if that lets
it through, and waits until it answers. Asked for by check-dvc.sh.
"""

import csv
import gzip
import json
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "notebooks"))
from client import WORK, Medseg, Refused, phantom, until  # noqa: E402

# Whom check-dvc.sh lets draw, too.
READER = ("reader", "a long and right one")
# So many that a part of the patients without one of either kind is a rare chance.
WITH_TUMOUR, WITHOUT = 16, 8
VOLUME = ("--format", "nifti", "--slices", 12, "--size", 96)
# On two cores, beside other work.
EVALUATED_S = 300
# A promotion is on every worker within ten seconds.
SERVED_S = 60
# What a gate may find of so short a training. All else must pass: the version is whole, of this machine and quick enough.
FIGURES = {"dice", "far", "frr"}


def judged():
    admin = Medseg()
    name, password = READER
    admin.call("POST", "users", json={"user_name": name, "password": password, "roles": ["clinician"]})
    reader = Medseg(name, password)
    phantom("drawn.nii.gz", "--mask", "drawn_mask.nii.gz", "--seed", 100, "--lesion-ml", 20, *VOLUME)
    for mask, scan_id in [sent(reader, number) for number in range(1, WITH_TUMOUR)]:
        correct(reader, scan_id, mask)
    for _, scan_id in [sent(reader, WITH_TUMOUR + number, "--no-lesion") for number in range(WITHOUT)]:
        deny(reader, scan_id)
    refused_without_consent(admin)


def consented(drawn):
    admin = Medseg()
    admin.call("PUT", "consent", json={"learning": True})
    confirmed = admin.get("dataset")
    drawn = json.loads(pathlib.Path(drawn).read_text())
    by_hand = [scan for scan in confirmed["scans"] if scan["scan_id"] == drawn["scan"]]
    assert [(scan["verdict"], scan["shape"]) for scan in by_hand] == [("correct", drawn["shape"])], (by_hand, drawn["shape"])
    truths = [scan["truth"] for scan in confirmed["scans"]]
    assert (truths.count("tumour"), truths.count("no_tumour")) == (WITH_TUMOUR, WITHOUT), confirmed
    assert {scan["mask_source"] for scan in confirmed["scans"]} == {"reader", "empty"}, confirmed


def sent(reader, number, *options):
    """A head, one as a volume and the others as pictures: its true mask, and the id of its scan."""
    ending = "nii.gz" if number == 1 else "png"
    volume = VOLUME if number == 1 else ()
    head, mask = f"{number}.{ending}", f"{number}_mask.{ending}"
    phantom(head, "--mask", mask, "--seed", 100 + number, *volume, *options)
    return WORK / mask, reader.send((WORK / head).read_bytes())


def correct(reader, scan_id, mask):
    """Whatever was answered, the tumour is where it was drawn."""
    reader.result(scan_id)
    word = {"verdict": "correct", "truth": "tumour", "reason": "outline"}
    # The word comes first.
    form = [("feedback", (None, json.dumps(word))), ("mask", (f"mask.{mask.name.partition('.')[2]}", mask.read_bytes()))]
    given = reader.call("POST", f"scans/{scan_id}/feedback", files=form).json()
    assert given["mask"] is True and given["reader"] == READER[0], given


def deny(reader, scan_id):
    """There is no tumour, whatever was answered."""
    if reader.result(scan_id)["answer"] == "none_found":
        reader.say(scan_id, verdict="agree")
    else:
        reader.say(scan_id, verdict="reject", truth="no_tumour", reason="false_finding")


def refused_without_consent(admin):
    try:
        admin.get("dataset")
    except Refused as refused:
        assert refused.status == 403, refused
    else:
        sys.exit("error: learning: scans are listed that nobody has consented to learn from")


def exported(folder, drawn):
    folder = pathlib.Path(folder)
    report = json.loads((folder / "report.json").read_text())
    counted = (report["scans"], report["without_tumour"], report["left_out"])
    assert counted == (WITH_TUMOUR + WITHOUT, WITHOUT, []), report
    learned_as_drawn(folder, json.loads(pathlib.Path(drawn).read_text()))


def learned_as_drawn(folder, drawn):
    """What the reader drew in the page lies in the data set: in the file that was fetched, and in the slices that are learned from."""
    [name] = [scan["id"] for scan in Medseg().get("dataset")["scans"] if scan["scan_id"] == drawn["scan"]]
    slices, rows, columns = drawn["shape"]
    outline = bytearray(slices * rows * columns)
    for index in drawn["marked"]:
        outline[index] = 1
    fetched = labels(folder.with_name(f"{folder.name}.scans") / f"{name}.mask.nii.gz")
    assert fetched == ((columns, rows, slices), bytes(outline)), f"{name}: the mask that was fetched is not what was drawn"

    expected = [outline[at : at + rows * columns] for at in range(0, len(outline), rows * columns)]
    with (folder / "manifest.csv").open(newline="") as manifest:
        own = sorted((row for row in csv.DictReader(manifest) if row["patient"] == name), key=lambda row: int(row["slice"]))
    made = [labels(folder / row["mask"]) for row in own]
    # Empty slices at a volume's ends are not learned from.
    assert [mask for _, mask in made if any(mask)] == [bytes(mask) for mask in expected if any(mask)], f"{name}: other slices are marked"
    print(f"learning: {len(drawn['marked'])} voxels that were drawn in the page are marked in the data set, and no others of that scan")


def labels(path):
    """Columns, rows and slices of a mask as NIfTI, and its labels, a byte each."""
    file = gzip.decompress(path.read_bytes())
    lengths, (kind,), (offset,) = struct.unpack_from("<3h", file, 42), struct.unpack_from("<h", file, 70), struct.unpack_from("<f", file, 108)
    assert kind == 2, f"{path}: the labels are no bytes"
    return lengths, file[int(offset) :]


def served(name, version, data_version):
    admin, address = Medseg(), f"models/{name}/{version}"
    ours = admin.get(address)
    told = [ours[what] for what in ("state", "source", "data_version")]
    assert told == ["registered", "dvc repro", data_version], ours
    serving = next(one for one in admin.get("models")["versions"] if one["state"] == "serving")
    for one in (f"models/{serving['name']}/{serving['version']}", address):
        until(f"{one} is evaluated", lambda one=one: admin.get(one).get("evaluation"), EVALUATED_S)
    reason = promoted(admin, address)

    scan_id, result = until(f"{version} answers", lambda: answered_by(admin, version), SERVED_S)
    model = result["model"]
    assert (model["name"], model["data_version"]) == (name, data_version), model
    assert not reason or reason in str(result["quality"]["remarks"]), result["quality"]
    print(f"learning: the scan {scan_id} is answered by {name} {version}, which was learned from readers' corrections")


def promoted(admin, address):
    """Lets the version serve. The reason that it had to be forced for; none where the gate let it through."""
    try:
        admin.call("POST", f"{address}/promote", json={"force": False, "reason": "learned from corrections"})
    except Refused as refused:
        assert refused.status == 409 and "checks" in refused.problem, refused.problem
        failed = [check for check in refused.problem["checks"] if not check["passed"]]
        figures = ", ".join(f"{check['name']} {check['candidate']:.3f} beside {check['serving']:.3f}" for check in failed if check["name"] in FIGURES)
        others = [check for check in failed if check["name"] not in FIGURES]
        assert figures and not others, failed
        reason = "so short a training may be worse"
        admin.call("POST", f"{address}/promote", json={"force": True, "reason": reason})
        print(f"learning: promoted by force, for the gate refused it: {figures}")
        return reason
    print("learning: the gate let it through")
    return None


ASKED = iter(range(1000, 2000))


def answered_by(medseg, version):
    """A new scan and its result, once that is of this version."""
    phantom("new.png", "--seed", next(ASKED))
    scan_id = medseg.send((WORK / "new.png").read_bytes())
    result = medseg.result(scan_id)
    return (scan_id, result) if result["model"]["version"] == version else None


STEPS = {"judged": judged, "consented": consented, "exported": exported, "served": served}

if __name__ == "__main__":
    STEPS[sys.argv[1]](*sys.argv[2:])
