"""Every subcommand of medseg, and every program beside it: once as it should go, and with what people get wrong."""

import contextlib
import json
import re
import signal
import sqlite3
import struct
import subprocess
import time
import zlib

from running import REPOSITORY, Failed, same

SERVICES = ("auth", "delivery", "drift", "gateway", "inference", "ingest", "registry", "storage")
PASSWORD = "a password that is long enough"


def phantom(place):
    medseg = place.program("medseg")
    made = json.loads(place.good(medseg, "phantom", "--format", "dicom", "--slices", "1", "--out", "scan.dcm"))
    if made["files"] != ["scan.dcm"] or not (place.folder / "scan.dcm").is_file():
        raise Failed(f"medseg phantom says {made['files']}")
    place.good(medseg, "phantom", "--format", "nifti", "--slices", "8", "--size", "64", "--no-lesion", "--out", "head.nii.gz")
    place.good(medseg, "phantom", "--slices", "3", "--size", "64", "--out", "all.zip")
    place.bad(medseg, "phantom", says="--out")
    place.bad(medseg, "phantom", "--out", "two.png", "--slices", "2", "--no-lesion", says="name a folder")
    place.bad(medseg, "phantom", "--out", "a.png", "--format", "gif", says="invalid value 'gif'.*png")
    place.bad(medseg, "phantom", "--out", "a.png", "--slices", "0", says="voxels")
    place.bad(medseg, "phantom", "--out", "a.png", "--size", "0", says="row and column")
    place.bad(medseg, "phantom", "--out", "a.png", "--spacing", "1,2", says="spacing")
    place.bad(medseg, "phantom", "--out", "a.png", "--spacing", "5,0,1", says="spacing")
    place.bad(medseg, "phantom", "--out", "a.png", "--lesion-ml", "5000", says="lesion")
    place.bad(medseg, "phantom", "--out", "/proc/nowhere/a.png", says="/proc/nowhere")


@contextlib.contextmanager
def serving(place, *options, said=None):
    """`medseg serve` on port 0, its address, and the password of its first start; its log goes to the list `said`."""
    command = [place.program("medseg"), "serve", "--listen", "127.0.0.1:0", *options]
    env = {**place.env, "FIRST_PASSWORD": PASSWORD}
    with subprocess.Popen(command, cwd=place.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        url, password = None, None
        try:
            for line in server.stdout:
                if line.startswith("First start"):
                    password = PASSWORD
                if found := re.match(r"medseg answers on (\S+)", line):
                    url = found.group(1)
                    break
            if url is None:
                raise Failed(f"medseg serve does not start: {server.stderr.read().strip()}")
            yield url, password
        finally:
            server.send_signal(signal.SIGTERM)
            log = server.stdout.read().splitlines()
            errors, status = server.stderr.read(), server.wait()
            if said is not None:
                said += log
        if status != 0 or "panicked" in errors:
            raise Failed(f"medseg serve ends with {status}: {errors.strip()[-400:]}")


def serve(place):
    medseg = place.program("medseg")
    with serving(place, "--data", "served", "--model-url", "threshold:", "--research") as (url, password):
        if password is None:
            raise Failed("medseg serve says nothing of its first start")
        place.good("curl", "-sS", "--fail", f"{url}/problems", says="too-small")
        place.bad(medseg, "serve", "--data", "served", says="another medseg runs on .*served")
        port = url.rsplit(":", 1)[1]
        place.bad(medseg, "serve", "--data", "other", "--model-url", "threshold:", "--research", "--listen", f"127.0.0.1:{port}", says=f"127.0.0.1:{port}")
    logs(place)
    place.bad(medseg, "serve", "--data", "/proc/nowhere", says="/proc/nowhere")
    place.bad(medseg, "serve", "--listen", "nowhere", says="invalid value 'nowhere'")
    place.bad(medseg, "serve", "--log", "a=b=c", says="log")
    place.bad(medseg, "serve", "--data", "other", "--model-url", "no-such-model", says="no-such-model")
    place.bad(medseg, "serve", "--data", "other", "--device", "tpu", says="no device `tpu`")
    place.bad(medseg, "serve", "--data", "other", "--max-uploads", "0", says="max-uploads")


def logs(place):
    """Each request in the log, in the form of Google Cloud: how bad, in which trace, who asked, for whom, about which scan."""
    said, names = [], ["user.id", "tenant.id", "scan.id", "logging.googleapis.com/trace"]
    options = ["--data", "logged", "--model-url", "threshold:", "--research", "--log-format", "json", "--probes", "127.0.0.1:0"]
    with serving(place, *options, said=said) as (url, password):
        curl = ["curl", "-sS", "--fail", "--max-time", "60"]
        form = ["-d", "grant_type=password", "-d", "username=admin", "-d", f"password={password}"]
        token = json.loads(place.good(*curl, f"{url}/v1/token", *form))["access_token"]
        curl += ["-H", f"authorization: Bearer {token}"]
        scan = json.loads(place.good(*curl, f"{url}/v1/scans", "--data-binary", "@scan.dcm"))
        place.good(*curl, "-N", f"{url}/v1/scans/{scan['id']}/events", says="done")
        # Where probes have a port of their own, strangers do not see them.
        place.good("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"{url}/metrics", says="404")
    lines = [json.loads(line) for line in said]
    answered = [line for line in lines if line["message"] == "answered" and line.get("scan.id") == scan["id"]]
    if len(answered) != 2 or any(not line.get(name) for line in answered for name in names):
        raise Failed(f"the log does not say who asked about which scan: {answered}")
    if any(line["severity"] != "INFO" for line in answered) or any(line.keys().isdisjoint(["severity"]) for line in lines):
        raise Failed("the log does not say how bad it is")
    if any(word in line for line in said for word in ("PHANTOM", "Phantom^", token, password)):
        raise Failed("the log says what nobody may read there")


def user(place):
    medseg = place.program("medseg")
    here = [medseg, "user", "--data", "served"]
    same("medseg user", {"add-tenant", "list", "add", "reset-password"}, subcommands_of(place, medseg, "user"))
    place.good(*here, "list", says="first hospital")
    place.good(*here, "add-tenant", "second hospital", says=r"^\S+$")
    place.good(*here, "add", "reader", "--tenant", "second hospital", "--role", "clinician", stdin=PASSWORD)
    place.good(*here, "reset-password", "reader", stdin=f"{PASSWORD} indeed")
    place.good(medseg, "user", "list", "--data", "served", says="reader")
    place.bad(*here, "add", "other", "--tenant", "third", "--role", "clinician", stdin=PASSWORD, says="no tenant is called `third`")
    place.bad(*here, "add", "other", "--tenant", "second hospital", "--role", "king", stdin=PASSWORD, says="no role is called `king`")
    place.bad(*here, "add", "other", "--tenant", "second hospital", "--role", "clinician", stdin="short", says="password")
    place.bad(*here, "add", "reader", "--tenant", "second hospital", "--role", "clinician", stdin=PASSWORD, says="reader|name")
    place.bad(*here, "reset-password", "nobody", stdin=PASSWORD, says="nobody|user")
    place.bad(*here, "add", "other", "--tenant", "second hospital", says="--role")
    place.bad(medseg, "user", "--data", "nowhere", "list", says="nowhere is no data directory")
    if (place.folder / "nowhere").exists():
        raise Failed("medseg user makes a data directory of a mistyped name")


def tenant(place):
    medseg = place.program("medseg")
    here = [medseg, "tenant", "--database-url", f"sqlite://{place.folder}/served/auth.db"]
    actions = {"create", "list", "show", "suspend", "resume", "close", "export", "add-operator", "remove-operator", "operators", "provider", "limits", "client-limits"}
    same("medseg tenant", actions, subcommands_of(place, medseg, "tenant"))
    # Through the REST face, by an operator who was made while the service runs on that database.
    with serving(place, "--data", "served", "--model-url", "threshold:", "--research") as (url, _):
        place.good(*here, "add-operator", "ops", stdin=PASSWORD)
        env = {"MEDSEG_URL": url, "MEDSEG_USER": "ops", "MEDSEG_PASSWORD": PASSWORD}
        place.good(medseg, "tenant", "create", "third hospital", "--admin", "chief", env=env, says="chief chooses a password once")
        place.good(medseg, "tenant", "suspend", "third hospital", env=env, says="suspended")
        place.good(medseg, "tenant", "resume", "third hospital", env=env, says="active")
        place.good(medseg, "tenant", "export", "third hospital", env=env, says='"user_name": "chief"')
        place.good(medseg, "tenant", "limits", "third hospital", "--scans-per-day", "7", "--jobs", "2", env=env, says='"scans_per_day": 7')
        place.good(medseg, "tenant", "limits", "third hospital", "--jobs", "0", env=env, says='"jobs": null')
        place.good(medseg, "tenant", "limits", "third hospital", "--stored-bytes", "5000000000", env=env, says='"stored_bytes": 5000000000')
        place.good(medseg, "tenant", "limits", "third hospital", env=env, says='"scans_per_day": 7')
        place.bad(medseg, "tenant", "client-limits", "archive", env=env, says="role")
        place.good(medseg, "tenant", "close", "third hospital", env=env, says="closed")
        place.bad(medseg, "tenant", "add-operator", "other", env=env, stdin=PASSWORD, says="--database-url")
        place.bad(medseg, "tenant", "list", env=env | {"MEDSEG_USER": "nobody"}, says="not signed in")
        place.bad(medseg, "tenant", "provider", env=env, says="role")
    place.good(*here, "operators", says="ops")
    place.bad(*here, "provider", says="--database-url")
    place.bad(*here, "limits", "second hospital", says="--database-url")
    place.good(*here, "remove-operator", "ops")
    place.bad(*here, "remove-operator", "reader", says="no such operator")
    place.good(*here, "list", says="second hospital")
    place.bad(*here, "create", "third hospital", "--admin", "other", says="there is a hospital of that name")
    place.bad(*here, "show", "fourth hospital", says="no tenant is called `fourth hospital`")


def model(place):
    medseg = place.program("medseg")
    actions = {"import", "export", "list", "show", "promote", "roll-back", "shadow", "compare", "retire", "history"}
    same("medseg model", actions, subcommands_of(place, medseg, "model"))
    # With a model that is named, none is registered at the start, and none is evaluated.
    with serving(place, "--data", "registered", "--model-url", "threshold:", "--research") as (url, password):
        env = {"MEDSEG_URL": url, "MEDSEG_PASSWORD": password}

        def good(*words, says=""):
            return place.good(medseg, "model", *words, env=env, says=says)

        def bad(*words, says):
            place.bad(medseg, "model", *words, env=env, says=says)

        # The model that came with the program.
        version = good("import", "--source", "here", says="registered").split()[0]
        good("list", says=version)
        good("show", version, says='"source": "here"')
        good("export", version, "--out", "exported", says="weights")
        # The same again, from its own export, changes nothing.
        good("import", "exported", says=version)
        good("import", "exported/weights.safetensors", says=version)
        good("shadow", version, says="shadow")
        good("compare", version, says='"scans": 0')
        good("promote", version, "--force", "--reason", "to try it out", says="serving")
        good("history", says="forced.*to try it out")
        bad("roll-back", version, says="nothing served before")
        bad("retire", version, says="promote another version first")
        bad("promote", version, "--force", says="--reason")
        bad("show", version.split("/")[0], says="NAME/VERSION")
        bad("show", "nobody/1", says="no model nobody 1")
        bad("import", "nowhere", says="nowhere")
        place.bad(medseg, "model", "list", env={**env, "MEDSEG_PASSWORD": "not the one"}, says="not signed in")
        place.bad(medseg, "model", "list", env={"MEDSEG_URL": url}, says="MEDSEG_PASSWORD")
    place.bad(medseg, "model", "list", env={**env, "MEDSEG_URL": "http://127.0.0.1:1"}, says="does not answer at http://127.0.0.1:1")


def square(side=64):
    """A mask as PNG (8-bit grey): the phantom's own comes from no program, so a square stands in for it."""
    row = bytes(1) + bytes(255 if side // 4 <= column < side // 2 else 0 for column in range(side))
    rows = b"".join(row if side // 4 <= number < side // 2 else bytes(side + 1) for number in range(side))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def manifest(place, patients):
    """A labelled data set of phantoms."""
    medseg, folder = place.program("medseg"), place.folder / "labelled"
    folder.mkdir(exist_ok=True)
    (folder / "mask.png").write_bytes(square())
    lines = ["patient,slice,image,mask"]
    for seed in range(patients):
        place.good(medseg, "phantom", "--size", "64", "--seed", seed, "--out", folder / f"image-{seed}.png")
        lines.append(f"p{seed},1,image-{seed}.png,mask.png")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return "labelled/manifest.csv"


def train(place):
    medseg, labelled = place.program("medseg"), manifest(place, 6)
    # `make train` runs `--speed`.
    quick = ["--side", "64", "--batch", "2", "--replicas", "1", "--views", "2", "--phantoms", "2", "--judged-phantoms", "5"]
    place.good(medseg, "train", "--manifest", labelled, *quick, "--out", "model", "--run", "run", says="model")
    place.good(medseg, "evaluate", "--manifest", labelled, "--model", "model", "--json", says="dice_mean")
    place.bad(medseg, "train", says="--manifest")
    place.bad(medseg, "train", "--manifest", "nowhere.csv", *quick, "--run", "other", says="nowhere.csv")
    place.bad(medseg, "train", "--manifest", labelled, *quick, "--run", "run", says="run")
    place.bad(medseg, "train", "--manifest", labelled, "--side", "33", "--run", "other", says="32")
    place.bad(medseg, "train", "--manifest", labelled, "--batch", "0", "--run", "other", says="batch")
    place.bad(medseg, "train", "--manifest", labelled, "--views", "0", "--run", "other", says="view|slice")
    place.bad(medseg, "train", "--manifest", labelled, "--views", "2", "--minutes", "1", says="--views|--minutes")
    place.bad(medseg, "train", "--manifest", labelled, "--folds", "1", "--run", "other", says="fold")
    place.bad(medseg, "train", "--manifest", labelled, "--validation", "2", "--run", "other", says="validation|part")
    place.bad(medseg, "train", "--manifest", labelled, "--device", "cuda:9", "--run", "other", says="cuda:9")
    place.bad(medseg, "train", "--speed", "--batch", "0", says="batch")


def evaluate(place):
    medseg, labelled = place.program("medseg"), manifest(place, 6)
    # With the model that came with the program, although none lies here.
    place.good(medseg, "evaluate", "--manifest", labelled, "--masks", "masks", says="Dice per patient")
    place.good(medseg, "evaluate", "--phantoms", "5", says="volume off by")
    place.bad(medseg, "evaluate", says="--manifest")
    place.bad(medseg, "evaluate", "--phantoms", "5", "--report-to", "http://127.0.0.1:9", says="cannot be used with")
    place.bad(medseg, "evaluate", "--manifest", "nowhere.csv", says="nowhere.csv")
    place.bad(medseg, "evaluate", "--manifest", labelled, "--model", "no-such-model", says="no-such-model")
    place.bad(medseg, "evaluate", "--manifest", labelled, "--patients", "p9", says="no patient p9")
    place.bad(medseg, "evaluate", "--manifest", labelled, "--plot", "/proc/nowhere.svg", says="/proc/nowhere.svg")
    (place.folder / "empty.csv").write_text("patient,slice,image,mask\n")
    place.bad(medseg, "evaluate", "--manifest", "empty.csv", says="empty.csv")
    (place.folder / "wrong.csv").write_text("patient,slice,image,mask\np0,one,a.png,b.png\n")
    place.bad(medseg, "evaluate", "--manifest", "wrong.csv", says="wrong.csv")


def dataset(place):
    medseg = place.program("medseg")
    same("medseg dataset", {"import", "validate", "split", "export", "deidentify", "series", "version"}, subcommands_of(place, medseg, "dataset"))
    for seed in range(6):
        name = f"source/p{seed}_1"
        place.good(medseg, "phantom", "--size", "64", "--seed", seed, "--out", f"{name}.png", "--mask", f"{name}_mask.png")
    place.good(medseg, "dataset", "import", "source", "--out", "set", "--sequence", "flair", says="patients: 6, slices: 6")
    place.good(medseg, "dataset", "split", "set", "--validation", "0.34", "--test", "0.17", says="test +1")
    place.good(medseg, "dataset", "validate", "set", says="nothing is wrong")
    place.good(medseg, "dataset", "export", "set", "--out", "exported-set", "--part", "test", says="exported-set/manifest.csv")
    place.good(medseg, "dataset", "version", "set", says="^[0-9a-f]{64}$")
    place.good(medseg, "evaluate", "--manifest", "set", "--split", "test", "--metrics", "metrics.json", "--table", "dice.csv")
    place.bad(medseg, "dataset", "split", "set", says="says already who is in which part")
    place.bad(medseg, "dataset", "split", "set", "--again", "--test", "1.5", says="leave nothing to learn from")
    place.bad(medseg, "dataset", "import", "nowhere", "--out", "other", says="nowhere")
    place.bad(medseg, "dataset", "import", "source", "--out", "set", says="set is not empty")
    place.bad(medseg, "dataset", "validate", "nowhere", says="nowhere")
    place.bad(medseg, "dataset", "export", "set", "--out", "exported-set", says="exported-set is not empty")
    place.bad(medseg, "dataset", "version", "nowhere", says="nowhere")
    place.good(medseg, "phantom", "--format", "dicom", "--slices", "24", "--size", "128", "--out", "studies/one/flair")
    (place.folder / "studies/labels.csv").write_text("study,series,kind\none,flair,flair\n")
    place.good(medseg, "dataset", "series", "studies", says="series chosen rightly: +1 of 1, 100.0 %")
    place.good(medseg, "dataset", "series", "studies", "--only", "t1_contrast", says="series chosen rightly: +1 of 1, 100.0 %")
    place.bad(medseg, "dataset", "series", "studies", "--model", "no-such-model", "--device", "cpu", says="no-such-model")
    place.bad(medseg, "dataset", "series", "nowhere", says="nowhere")
    key = ("--key", "a key that nobody guesses, for one run")
    place.good(medseg, "dataset", "deidentify", "studies/one", "--out", "nobodys", *key, says="nobodys: files: 24, refused: 0")
    place.bad(medseg, "dataset", "deidentify", "studies/one", "--out", "nobodys", *key, says="nobodys is not empty")
    place.bad(medseg, "dataset", "deidentify", "nowhere", "--out", "other", *key, says="nowhere")


def finish(place):
    medseg, labelled = place.program("medseg"), manifest(place, 6)
    place.bad(medseg, "finish", says="--manifest")
    place.bad(medseg, "finish", "--manifest", labelled, "--model", "no-such-model", "--embeddings", says="no-such-model")
    place.bad(medseg, "finish", "--manifest", "nowhere.csv", "--model-version", "9", says="nowhere.csv")
    place.bad(medseg, "finish", "--manifest", labelled, "--model", "no-such-model", "--model-version", "9", says="no-such-model")


def bench(place):
    medseg = place.program("medseg")
    place.good(medseg, "bench", "--scans", "1", "--clients", "1", says="whole way")
    alone = ["bench", "--network-only", "--scans", "1", "--side", "64"]
    place.good(medseg, *alone, "--batch", "2", "--threads", "1", says="images at once")
    place.good(medseg, *alone, "--exact", "--json", "--tiles", "tiles", says="first_answer_ms")
    place.good(medseg, *alone, "--tiles", "tiles", "--manifest", manifest(place, 6), says="first answer")
    place.bad(medseg, *alone, "--batch", "0", says="--batch")
    place.bad(medseg, "bench", "--network-only", "--clients", "2", says="--clients")
    place.bad(medseg, "bench", "--side", "64", says="--network-only")
    place.bad(medseg, "bench", "--network-only", "--side", "33", says="a multiple of 32 pixels")
    place.bad(medseg, *alone, "--tiles", "tiles", "--manifest", "nowhere.csv", says="nowhere.csv")
    place.bad(medseg, "bench", "--scans", "0", says="--scans")
    place.bad(medseg, "bench", "--clients", "0", says="--clients")
    place.bad(medseg, "bench", "--model", "no-such-model", says="no-such-model")
    place.bad(medseg, "bench", "--device", "tpu", says="no device `tpu`")


def segment(place):
    """Its exit status is its answer, so that only a run without findings is good."""
    medseg = place.program("medseg")
    place.good(medseg, "phantom", "--seed", "2", "--no-lesion", "--out", "healthy.png")
    engine = ["--model", "threshold:", "--research"]
    place.good(medseg, "segment", "healthy.png", "--out", "segmented", *engine, says="^healthy.png\tnone_found\t0 pixels\t")
    place.bad(medseg, "segment", "healthy.png", says="--out")
    place.bad(medseg, "segment", "--out", "segmented", says="FILE")
    place.bad(medseg, "segment", "healthy.png", "--out", "segmented", "--model", "no-such-model", says="no-such-model")
    place.bad(medseg, "segment", "healthy.png", "--out", "/proc/nowhere", says="/proc/nowhere")
    place.bad(medseg, "segment", "--watch", "nowhere", "--out", "segmented", says="nowhere")
    ended = place.run(medseg, "segment", "nowhere.png", "--out", "segmented", *engine)
    if ended.returncode != 30 or not ended.stderr.startswith("error: nowhere.png: "):
        raise Failed(f"medseg segment ends with {ended.returncode} where a file is missing: {ended.stderr}")


def forward(place):
    """What a watched folder brought, as its record tells, to a server, by an API client and by a user."""
    medseg = place.program("medseg")
    inbox, results = place.folder / "inbox", place.folder / "watched"
    for folder in (inbox, results):
        folder.mkdir()
    words = [medseg, "forward", "inbox", "--results", "watched"]
    for seed in (1, 2):
        place.good(medseg, "phantom", "--seed", seed, "--out", f"inbox/{seed}.png")
        about = (inbox / f"{seed}.png").stat()
        entry = {"name": f"{seed}.png", "modified_ns": about.st_mtime_ns, "files": 1, "bytes": about.st_size, "answers": ["found"], "folders": [f"{seed}"]}
        with open(results / "watched.jsonl", "a") as record:
            print(json.dumps(entry), file=record)
    with serving(place, "--data", "centre", "--model-url", "threshold:", "--research") as (url, password):
        form = ["-d", "grant_type=password", "-d", "username=admin", "-d", f"password={password}"]
        token = json.loads(place.good("curl", "-sS", "--fail", f"{url}/v1/token", *form))["access_token"]
        client = json.dumps({"name": "edge box", "roles": ["integrator"]})
        post = ["curl", "-sS", "--fail", "-H", f"authorization: Bearer {token}", "-H", "content-type: application/json", "-d", client]
        made = json.loads(place.good(*post, f"{url}/v1/clients"))
        env = {"MEDSEG_URL": url, "MEDSEG_CLIENT_ID": made["client_id"], "MEDSEG_CLIENT_SECRET": made["client_secret"]}
        place.good(*words, env=env, says=r"1\.png\tsent\t/v1/scans/")
        # The same scans again, as another user: nothing is doubled, and nothing is left.
        sent = {json.loads(note.read_text())["location"] for note in (results / "forwarded").glob("*.json")}
        for note in (results / "forwarded").glob("*.json"):
            note.unlink()
        said = place.good(*words, "--json", env={"MEDSEG_URL": url, "MEDSEG_PASSWORD": password})
        same("what is sent again", sent, {json.loads(line)["location"] for line in said.splitlines()})
        place.bad(medseg, "forward", "inbox", says="--results")
        place.bad(medseg, "forward", "nowhere", "--results", "watched", says="nowhere")
        place.bad(medseg, "forward", "inbox", "--results", "nowhere", says="nowhere")
        next((results / "forwarded").glob("*.json")).unlink()
        place.bad(*words, env={**env, "MEDSEG_CLIENT_SECRET": "not the one"}, says="1 of 1 not sent.*not signed in")
        place.bad(*words, env={"MEDSEG_URL": url}, says="MEDSEG_PASSWORD")
    place.bad(*words, env=env, says="does not answer at")


def replay(place):
    """A result made by an engine without weights, which no registry has."""
    medseg = place.program("medseg")
    place.good(medseg, "phantom", "--format", "nifti", "--slices", "8", "--size", "64", "--out", "head.nii.gz")
    with serving(place, "--data", "replayed", "--model-url", "threshold:", "--research") as (url, password):
        env = {"MEDSEG_URL": url, "MEDSEG_PASSWORD": password}
        form = ["-d", "grant_type=password", "-d", "username=admin", "-d", f"password={password}"]
        token = json.loads(place.good("curl", "-sS", "--fail", f"{url}/v1/token", *form))["access_token"]
        curl = ["curl", "-sS", "--fail", "--max-time", "60", "-H", f"authorization: Bearer {token}"]
        scan = json.loads(place.good(*curl, f"{url}/v1/scans", "-F", "file=@head.nii.gz"))["id"]
        place.good(*curl, "-N", f"{url}/v1/scans/{scan}/events", says="done")
        engine = ["--model", "threshold:", "--research"]
        place.good(medseg, "replay", scan, *engine, env=env, says=r"\nthe same$")
        place.good(medseg, "replay", scan, *engine, "--json", env=env, says='"same": true')
        place.bad(medseg, "replay", scan, env=env, says="is not in the registry: --model")
        shipped = [medseg, "replay", scan, "--model", REPOSITORY / "models/medseg-mr"]
        place.bad(*shipped, env=env, says="is not the model that made the result")
        place.bad(medseg, "replay", "00000000-0000-4000-8000-000000000000", *engine, env=env, says="no scan|no such scan|404")
        place.bad(medseg, "replay", scan, "--research", env=env, says="--model")


def certify(place):
    """Two of the phantoms, within and by a server, and what is no certificate of its."""
    medseg = place.program("medseg")
    only = ["--only", "sphere-nifti", "--only", "tilted-dicom"]
    with serving(place, "--data", "certified", "--model-url", "threshold:", "--research") as (url, password):
        key = ["--key", "certified/model-key.pem"]
        place.good(medseg, "certify", "--out", "within", *key, *only, says=r"passed sphere-nifti .*\npassed tilted-dicom ")
        env = {"MEDSEG_URL": url, "MEDSEG_PASSWORD": password}
        place.good(medseg, "certify", "--live", "--out", "live", *key, *only, env=env, says="signed by the key")
        within, live = ((place.folder / name / "certificate.json").read_bytes() for name in ("within", "live"))
        if within != live:
            raise Failed("medseg certify: a server's certificate is another one than that of services started for it")
        for name in ("certificate.html", "certificate.json"):
            place.good(medseg, "certify", "--verify", f"within/{name}", env=env, says="^passed sphere-nifti")
        forged = place.folder / "forged.html"
        forged.write_text((place.folder / "within/certificate.html").read_text().replace("passed", "failed", 1))
        place.bad(medseg, "certify", "--verify", "forged.html", *key, says="shows something else")
        place.bad(medseg, "certify", "--live", "--out", "live", *key, *only, env={"MEDSEG_URL": url}, says="MEDSEG_PASSWORD")
    place.bad(medseg, "certify", says="--out")
    place.bad(medseg, "certify", "--out", "within", says="--key")
    place.bad(medseg, "certify", "--out", "within", "--key", "nowhere.pem", says="nowhere.pem")
    place.bad(medseg, "certify", "--out", "within", *key, "--only", "cube", says="no phantom `cube`.*sphere-nifti")
    place.bad(medseg, "certify", "--verify", "nowhere.json", *key, says="nowhere.json")


def audit(place):
    medseg = place.program("medseg")
    same("medseg audit", {"verify"}, subcommands_of(place, medseg, "audit"))
    folder = f"{place.folder}/served"
    # Also while the services run: what is appended meanwhile is left for the next time.
    with serving(place, "--data", "served", "--model-url", "threshold:", "--research"):
        place.good(medseg, "audit", "verify", "--data", "served", says="accounts .* entries  ok")
    env = {"DATABASE_URL": f"sqlite://{folder}/storage.db", "ACCOUNTS_URL": f"sqlite://{folder}/auth.db", "BLOB_URL": f"file://{folder}/objects"}
    place.good(medseg, "audit", "verify", env=env, says="anchors")
    with contextlib.closing(sqlite3.connect(f"{folder}/auth.db")) as accounts, accounts:
        accounts.execute("UPDATE audit SET subject = 'somebody else' WHERE subject = 'command line' AND position = 2")
    place.bad(medseg, "audit", "verify", "--data", "served", says="BROKEN at position 2: the entry was changed")
    with contextlib.closing(sqlite3.connect(f"{folder}/auth.db")) as accounts, accounts:
        accounts.execute("UPDATE audit SET subject = 'command line' WHERE subject = 'somebody else'")
    place.good(medseg, "audit", "verify", "--data", "served", says="ok")
    place.bad(medseg, "audit", "verify", "--data", "nowhere", says="nowhere")
    place.bad(medseg, "audit", "verify", says="--data")
    place.bad(medseg, "audit", "verify", "--accounts-url", "sqlite:///nowhere/auth.db", says="cannot open the database of accounts")


SUBCOMMANDS = {
    "phantom": phantom, "serve": serve, "segment": segment, "forward": forward, "replay": replay, "certify": certify, "user": user, "tenant": tenant, "audit": audit, "model": model, "train": train, "evaluate": evaluate,
    "dataset": dataset, "finish": finish, "bench": bench,
}


def subcommands_of(place, *program):
    said = place.good(*program, "--help")
    listed = said[said.index("Commands:") :].split("\n\n")[0]
    return set(re.findall(r"^  ([a-z][a-z-]*)", listed, re.MULTILINE)) - {"help"}


def services(place):
    """Each service says what it lacks before it opens anything."""
    for name in SERVICES:
        program = place.program(name)
        place.good(program, "--help", says="Usage:")
        place.bad(program, "--listen", "nowhere", says="nowhere|required")
        place.bad(program, "--no-such-option", says="--no-such-option")
    place.bad(place.program("gateway"), says="--auth-url.*--storage-url")
    mesh = ["--auth-url", "http://127.0.0.1:1", "--storage-url", "http://127.0.0.1:1"]
    place.bad(place.program("gateway"), *mesh, "--ingest-url", "none of that", "--drift-url", "http://127.0.0.1:1", "--registry-url", "http://127.0.0.1:1", "--delivery-url", "http://127.0.0.1:1", says="bad peer URL")
    place.bad(place.program("storage"), "--auth-url", mesh[1], "--database-url", "oracle://x", "--queue-url", "sqlite://q.db", "--blob-url", "file:///tmp", says="oracle|database")


def check(place):
    medseg = place.program("medseg")
    same("medseg --help", SUBCOMMANDS, subcommands_of(place, medseg))
    place.good(medseg, "--version", says="medseg")
    place.bad(medseg, "sgement", says="unrecognized subcommand 'sgement'")
    for name, run in SUBCOMMANDS.items():
        begun = time.monotonic()
        run(place)
        print(f"documented: medseg {name} ({time.monotonic() - begun:.0f} s)", flush=True)
    services(place)
    # Somebody who only wants the first line.
    place.good("bash", "-o", "pipefail", "-c", f"'{medseg}' --help | head -n 1", says="tumours")
