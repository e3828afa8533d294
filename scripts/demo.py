"""demo.py URL IMAGE FOLDER: sends one phantom through the REST API, says the answer in words, keeps the pictures.

FOLDER/truth.json says what the phantom's lesion really is.

Only the standard library: a machine that runs the demo may have no curl. The README shows the same calls in curl.
"""

import json
import os
import pathlib
import sys
import time
import urllib.error
import urllib.request

PATIENCE_S = 120


def call(url, token=None, body=None, kind="application/json"):
    request = urllib.request.Request(url, data=body)
    if body is not None:
        request.add_header("content-type", kind)
    if token:
        request.add_header("authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        sys.exit(f"error: {url} answered {error.code}: {error.read().decode(errors='replace')}")
    except urllib.error.URLError as error:
        sys.exit(f"error: {url} is not reachable: {error.reason}")


def sign_in(url, password):
    form = {"grant_type": "password", "username": "admin", "password": password}
    return json.loads(call(f"{url}/v1/token", body=json.dumps(form).encode()))["access_token"]


def until_done(url, token, scan):
    deadline = time.monotonic() + PATIENCE_S
    while scan["state"] != "done":
        if time.monotonic() > deadline:
            sys.exit(f"error: scan {scan['id']} is still {scan['state']} after {PATIENCE_S} s")
        time.sleep(0.05)
        scan = json.loads(call(f"{url}/v1/scans/{scan['id']}", token))
    return scan


def words(result):
    """The answer as one would say it."""
    if result["answer"] == "none_found":
        return "none found: no tumour was found in this scan"
    if result["answer"] != "found":
        return f"{result['answer'].replace('_', ' ')}: {result['reason']}"
    findings = result["findings"]
    lines = [f"found: {len(findings)} finding{'s' * (len(findings) > 1)}", *map(finding_words, findings)]
    if expected := result["expected_dice"]:
        low, high = expected["interval"]
        lines.append(f"demo:   expected to overlap with the truth by Dice {expected['dice']:.2f} ({low:.2f} to {high:.2f})")
    return "\n".join(lines)


def finding_words(finding, with_confidence=True):
    unit = finding["unit"]
    longest = finding["longest_diameter"]["length"]
    across = finding["perpendicular_diameter"]["length"]
    if finding["volume_ml"] is not None:
        size = f"{finding['volume_ml']:.2f} mL"
    elif finding["area_mm2"] is not None:
        size = f"{finding['area_mm2']:.0f} mm²"
    else:
        size = f"{finding['area_px']} pixels"
    corners = " to ".join(str(tuple(finding["box"][corner])) for corner in ("from", "to"))
    confidence = f", confidence {finding['confidence']:.1%}" if with_confidence else ""
    return f"demo:   {size}, {longest:.1f} x {across:.1f} {unit}, box {corners} (slice, row, column){confidence}"


def main():
    url, image, folder = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    token = sign_in(url, os.environ["MEDSEG_PASSWORD"])
    print(f"demo: sending {image}")
    started = time.monotonic()
    scan = json.loads(call(f"{url}/v1/scans", token, image.read_bytes(), "application/octet-stream"))
    scan = until_done(url, token, scan)
    elapsed_ms = (time.monotonic() - started) * 1000
    result = json.loads(call(f"{url}/v1/scans/{scan['id']}/result", token))
    (folder / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    print(f"demo: answer after {elapsed_ms:.0f} ms: {words(result)}")
    truth = json.loads((folder / "truth.json").read_text())["lesion"]["voxels"]
    print(f"demo: what the phantom really holds:\n{finding_words(truth, with_confidence=False)}")
    for name in ("mask.png", "overlay.png"):
        (folder / name).write_bytes(call(f"{url}/v1/scans/{scan['id']}/{name}", token))
        print(f"demo: {folder / name}")


if __name__ == "__main__":
    main()
