"""check_learning.py judged | exported REPORT | served NAME VERSION DATA_VERSION: a reader's words on their way to the next version.

MEDSEG_URL and MEDSEG_PASSWORD say where medseg answers, and for its admin; NOTEBOOKS_WORK, where phantoms go. `judged` sends heads, and
says of each what is true of it; `exported` looks at the report of the export; `served` lets the version that was learned serve, through
the gate if that lets it through, and waits until it answers. Asked for by check-dvc.sh.
"""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "notebooks"))
from client import WORK, Medseg, Refused, phantom, until  # noqa: E402

READER = ("reader", "a long and right one")
# So many that a part of the patients without one of either kind is a rare chance.
WITH_TUMOUR, WITHOUT = 16, 8
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
    for mask, scan_id in [sent(reader, number) for number in range(WITH_TUMOUR)]:
        correct(reader, scan_id, mask)
    for _, scan_id in [sent(reader, WITH_TUMOUR + number, "--no-lesion") for number in range(WITHOUT)]:
        deny(reader, scan_id)
    refused_without_consent(admin)
    admin.call("PUT", "consent", json={"learning": True})
    confirmed = admin.get("dataset")
    truths = [scan["truth"] for scan in confirmed["scans"]]
    assert (truths.count("tumour"), truths.count("no_tumour")) == (WITH_TUMOUR, WITHOUT), confirmed
    assert {scan["mask_source"] for scan in confirmed["scans"]} == {"reader", "empty"}, confirmed


def sent(reader, number, *options):
    """A head, the first as a volume and the others as pictures: its true mask, and the id of its scan."""
    ending = "nii.gz" if number == 0 else "png"
    volume = ("--format", "nifti", "--slices", 12, "--size", 96) if number == 0 else ()
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


def exported(report):
    report = json.loads(pathlib.Path(report).read_text())
    counted = (report["scans"], report["without_tumour"], report["left_out"])
    assert counted == (WITH_TUMOUR + WITHOUT, WITHOUT, []), report


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


STEPS = {"judged": judged, "exported": exported, "served": served}

if __name__ == "__main__":
    STEPS[sys.argv[1]](*sys.argv[2:])
