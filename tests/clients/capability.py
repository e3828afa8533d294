"""capability.py URL: whether fhir.resources reads what the medseg at URL says that it speaks of FHIR, and what that says is so."""

import json
import sys
from urllib.request import urlopen

from fhir.resources.R4B.capabilitystatement import CapabilityStatement

URL = sys.argv[1]


def check(holds, words):
    if not holds:
        sys.exit(f"error: fhir.resources: {words}")


def main():
    with urlopen(f"{URL}/fhir/metadata", timeout=60) as answer:
        check(answer.headers["content-type"] == "application/fhir+json", f"it comes as {answer.headers['content-type']}")
        # R4B is what the library has nearest to 4.0.1: of this resource both have the same.
        statement = CapabilityStatement.model_validate_json(answer.read())
    # What FHIR asks for beyond the types: cpb-1, cpb-9, cpb-15.
    check(statement.kind == "instance" and statement.implementation.description, "an instance has no description")
    check(statement.fhirVersion == "4.0.1" and statement.software.version, "it says no version")
    modes = {rest.mode: rest for rest in statement.rest}
    check(sorted(modes) == ["client", "server"], f"its modes are {sorted(modes)}")
    sent = [resource.type for resource in modes["client"].resource]
    check(len(set(sent)) == len(sent) and "DiagnosticReport" in sent, f"what is sent is {sent}")
    check([one.code for one in modes["client"].interaction] == ["transaction"], "it sends no transaction")
    check(not modes["server"].resource, "it claims to serve resources")
    with urlopen(f"{URL}/openapi.json", timeout=60) as answer:
        paths = json.load(answer)["paths"]
    calls = [line.split("`")[1] for line in modes["server"].documentation.splitlines() if line.startswith("- `")]
    check(len(calls) > 1, f"only {calls} are named")
    for method, path in (call.split(" ") for call in calls):
        check(method.lower() in paths.get(path, {}), f"there is no {method} {path}")
    print(f"clients: fhir.resources reads the capability statement; {len(calls)} calls are offered, {len(sent)} types are sent")


if __name__ == "__main__":
    main()
