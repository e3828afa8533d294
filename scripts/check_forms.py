"""check_forms.py RESULTS...: reads FHIR bundles, HL7 messages and contours of `medseg segment` with their receivers' own libraries.

Each folder holds results by name; what the three say is compared with `result.json` beside them.
"""

import json
import sys
from pathlib import Path

import hl7
from fhir.resources.R4B.bundle import Bundle
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message

# What is measured of a finding: code, where the result has it, unit.
MEASURES = {
    "118565006": (lambda finding: finding["volume_ml"], "mL"),
    "42798000": (lambda finding: finding["area_mm2"] if finding["volume_ml"] is None else None, "mm2"),
    "103339001": (lambda finding: finding["longest_diameter"]["length"], "mm"),
    "103340004": (lambda finding: finding["perpendicular_diameter"]["length"], "mm"),
}


def check(holds, words):
    if not holds:
        sys.exit(f"error: {words}")


def references(value):
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "reference":
                yield inner
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def code_of(resource):
    return resource.code.coding[0].code


def check_numbers(name, told, findings):
    """`told` has a list of (value, unit) for each code, in the order of the findings."""
    for code, (measured, unit) in MEASURES.items():
        expected = [value for value in map(measured, findings) if value is not None]
        got = told.get(code, [])
        check(len(got) == len(expected), f"{name}: {len(got)} of {len(expected)} numbers of {code}")
        for (value, of_unit), number in zip(got, expected, strict=True):
            check(of_unit in (unit, "{pixels}"), f"{name}: {code} is in {of_unit}")
            check(abs(float(value) - number) < 1e-5, f"{name}: {code} is {value}, not {number}")


def fhir(name, folder, result):
    text = (folder / "report.fhir.json").read_text()
    # R4B is what the library has nearest to 4.0.1: what is written here is the same in both.
    bundle = Bundle.model_validate_json(text)
    names = [entry.fullUrl for entry in bundle.entry]
    check(len(set(names)) == len(names), f"{name}: two entries share a name")
    check(set(references(json.loads(text))) <= set(names), f"{name}: a reference leads out of the bundle")
    resources = [entry.resource for entry in bundle.entry]
    kinds = [type(resource).__name__ for resource in resources]
    for resource in resources:
        check(resource.meta.security[0].code == "HRESCH", f"{name}: a resource is not said to be research")
    report, answer = resources[0], resources[1]
    check(report.status == "preliminary" and report.conclusion, f"{name}: the report says nothing")
    check(report.conclusionCode[0].coding[0].code == result["answer"].upper(), f"{name}: another answer")
    present = {"found": "52101004", "none_found": "272519000"}.get(result["answer"])
    said = answer.valueCodeableConcept and answer.valueCodeableConcept.coding[0].code
    check(said == present and bool(answer.dataAbsentReason) == (present is None), f"{name}: {said} is told of a neoplasm")
    told = {}
    for resource in resources:
        if type(resource).__name__ == "Observation" and resource.valueQuantity:
            quantity = resource.valueQuantity
            told.setdefault(code_of(resource), []).append((quantity.value, quantity.code))
    check_numbers(name, told, result["findings"])
    device = resources[kinds.index("Device")]
    model = result.get("model") or {"name": "no model"}
    check(device.deviceName[0].name == model["name"], f"{name}: another model")
    return "Patient" in kinds and resources[kinds.index("Patient")].identifier[0].value


def hl7_v2(name, folder, result):
    text = (folder / "report.hl7").read_bytes().decode("utf-8")
    check("\n" not in text, f"{name}: a line break within a message")
    strict = parse_message(text, find_groups=True, validation_level=VALIDATION_LEVEL.STRICT)
    check(strict.validate(), f"{name}: hl7apy refuses it")
    message = hl7.parse(text)
    told, said = {}, {}
    for line in message.segments("OBX"):
        code, value = str(line[3]).split("^")[0], str(line[5])
        if str(line[2]) == "NM":
            told.setdefault(code, []).append((value, str(line[6]).split("^")[0]))
        else:
            said.setdefault(code, []).append(message.unescape(value))
    check(said["ANSWER"][0].startswith(result["answer"].upper() + "^"), f"{name}: {said['ANSWER']}")
    check_numbers(name, told, result["findings"])
    remarks = (result.get("quality") or {}).get("remarks", [])
    check(set(remarks) <= set(said["121106"]), f"{name}: remarks are other ones: {said['121106']}")
    has_patient = any(str(segment[0]) == "PID" for segment in message)
    return str(message.segment("MSH")[10]), has_patient and str(message.segment("PID")[3]).split("^")[0]


def ring_sums(ring):
    """Twice the area of a ring, and six times the moments about both axes."""
    twice = column = row = 0.0
    for (x, y), (next_x, next_y) in zip(ring, ring[1:]):
        part = x * next_y - next_x * y
        twice, column, row = twice + part, column + part * (x + next_x), row + part * (y + next_y)
    return twice, column, row


def contours(name, folder, result):
    file = json.loads((folder / "contours.geojson").read_text())
    about = file["medseg"]
    check(file["type"] == "FeatureCollection" and about["answer"] == result["answer"], f"{name}: another answer")
    sums = {}
    for feature in file["features"]:
        told = feature["properties"]
        area = column = row = 0.0
        for polygon in feature["geometry"]["coordinates"]:
            for number, ring in enumerate(polygon):
                check(ring[0] == ring[-1] and len(ring) >= 5, f"{name}: a ring is open")
                parts = ring_sums(ring)
                check((parts[0] > 0) == (number == 0), f"{name}: a ring runs the wrong way")
                area, column, row = area + parts[0] / 2, column + parts[1] / 6, row + parts[2] / 6
        check(abs(area - told["pixels"]) < 1e-6, f"{name}: {told['pixels']} pixels fill {area}")
        all_of = sums.setdefault(told["finding"], [0.0] * 4)
        for place, part in enumerate((area, column, row, area * told["slice"])):
            all_of[place] += part
    for finding in result["findings"]:
        area, *moments = sums.pop(finding["label"])
        check(round(area) == finding["voxels"], f"{name}: {area} pixels of {finding['voxels']}")
        index = [moment / area for moment in moments] + [1]
        if about["affine_lps"] is None:
            continue
        place = [sum(step * at for step, at in zip(line, index)) for line in about["affine_lps"][:3]]
        near = all(abs(one - other) < 1e-2 for one, other in zip(place, finding["centroid_mm"]))
        check(near, f"{name}: drawn around {place}, told at {finding['centroid_mm']}")
    check(not sums, f"{name}: outlines of findings that nobody tells of")


def main(folders):
    ids, count = set(), 0
    for folder in sorted(path for name in folders for path in Path(name).iterdir()):
        result = json.loads((folder / "result.json").read_text())
        name = folder.name
        number = fhir(name, folder, result)
        control_id, patient = hl7_v2(name, folder, result)
        check(number == patient, f"{name}: FHIR has patient {number}, HL7 {patient}")
        check(bool(number) == (folder / "sr.dcm").exists(), f"{name}: patient {number}")
        ids.add(control_id)
        count += 1
        contours(name, folder, result)
    check(len(ids) == count, "two messages share a control id")
    print(f"forms: fhir.resources, hl7 and hl7apy read {count} results, and outlines fill to their masks")


if __name__ == "__main__":
    main(sys.argv[1:])
