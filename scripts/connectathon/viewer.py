"""OHIF's viewer beside medseg, on an origin of its own: it is served as its package brings it, with the settings that the manual shows, and
looked at in headless Chromium."""

import json
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import recipes
from place import Failed, Lacking, check

READER = Path(__file__).resolve().parents[2] / "tests/ohif/view.cjs"
# Of its waits, each of which has an end, the longest together.
PATIENCE_S = 480


def served(place):
    """Serves the viewer; every address that is no file of it is a page of it."""

    class Viewer(SimpleHTTPRequestHandler):
        extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}

        def __init__(self, *words):
            super().__init__(*words, directory=str(Path(place.viewer["folder"]) / "dist"))

        def do_GET(self):
            path = self.path.split("?")[0]
            if path == "/app-config.js":
                config = recipes.viewer(place.medseg.url).encode()
                self.send_response(200)
                self.send_header("content-type", "text/javascript")
                self.send_header("content-length", str(len(config)))
                self.end_headers()
                self.wfile.write(config)
                return
            if not Path(self.translate_path(path)).is_file():
                self.path = "/index.html"
            super().do_GET()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", place.ports["viewer"]), Viewer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def looked(place):
    """What the reader of a page sees of the study, as JSON; pictures of it go into the page of what was checked."""
    server = served(place)
    try:
        url = f"http://127.0.0.1:{server.server_port}/viewer?StudyInstanceUIDs={place.study}&token={place.medseg.token()}"
        words = ["node", READER, place.viewer["browser"], url, place.folder]
        said = subprocess.run(words, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        # Its own words would tell the token.
        raise Failed(f"OHIF: not within {PATIENCE_S} s") from None
    finally:
        server.shutdown()
    for name, title in PICTURES.items():
        path = place.folder / name
        if path.is_file() and path.stat().st_size:
            place.pictures.append((title, path.read_bytes()))
    check(said.returncode == 0, f"OHIF: {said.stderr.strip()[:800]}")
    return json.loads(said.stdout)


PICTURES = {
    "ohif-study.png": "The study in OHIF",
    "ohif-segmentation.png": "Its segmentation in OHIF",
    "ohif-failed.png": "What OHIF showed when it failed",
}


def viewer(place):
    """The study is listed, drawn, and its segmentation opened; what is said of them is what medseg and highdicom say."""
    if not place.viewer["folder"]:
        raise Lacking(f"{place.viewer['without']}; OHIF's parser, dcmjs, has read what it would show")
    told = place.medseg.dicomweb().search_for_series(place.study)
    names = {one.get("0008103E", {}).get("Value", [""])[0] for one in told}
    seg = [one["0008103E"]["Value"][0] for one in told if one["00080060"]["Value"][0] == "SEG"]
    seen = looked(place)
    # Kept for whoever reads why: OHIF tells of what it could not fetch, and goes on.
    (place.folder / "ohif.json").write_text(json.dumps(seen))
    series = [(one["modality"], one["description"]) for one in seen["series"]]
    why = f"; the page says {seen['said'][:5]}" if seen["said"] else ""
    check({"MR", "SEG"} <= {modality for modality, _ in series}, f"OHIF lists {series}{why}")
    check(seg and seg[0] in {description for _, description in series}, f"OHIF lists {series}, not {seg}{why}")
    strange = {description for _, description in series if description} - names
    check(not strange, f"OHIF lists {strange}, which medseg does not name")
    check(seen["picture"] > 0.02, f"OHIF draws no picture: {seen['picture']:.1%} of it is grey{why}")
    found = seen["seg"]
    check(found and found["loaded"] and found["of"] == place.series, f"OHIF has not loaded the segmentation: {found}{why}")
    check(found["segments"] == len(place.result["findings"]), f"OHIF has {found['segments']} segments")
    marked = {int(number): count for number, count in found["marked"].items()}
    check(marked == place.marked, f"OHIF marks {marked} voxels, by highdicom {place.marked}{why}")
    listed = ", ".join(sorted(modality for modality, _ in series))
    return f"{listed} are listed, a picture is drawn, and the segmentation is opened {seen['how']}: {sum(marked.values())} voxels, as highdicom reads them"
