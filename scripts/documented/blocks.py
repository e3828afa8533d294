"""Every block of shell in the documents, run as it is written, or named with the reason why not.

What differs from a reader's terminal is only what the block takes from outside: HOME, the port (LISTEN, `url=`) and the
password that only its first start knows.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import subcommands
import targets
from running import REPOSITORY, Failed, same

PATIENCE_S = 120


def documents():
    folders = ["", "docs", "docs/manual", "notebooks"]
    return [document for folder in folders for document in sorted((REPOSITORY / folder).glob("*.md"))]


def blocks():
    """Each block with the name that it has here: its document and its first line."""
    for document in documents():
        for block in re.findall(r"^```sh\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL):
            yield f"{document.relative_to(REPOSITORY)}: {block.splitlines()[0].split('#')[0].strip()}", block


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def assigned(block, **variables):
    """The block, with other values for variables that it sets itself."""
    for name, value in variables.items():
        block, count = re.subn(rf"^{name}=.*$", f"{name}='{value}'", block, count=1, flags=re.MULTILINE)
        if count != 1:
            raise Failed(f"the README sets no {name}")
    return block


@contextlib.contextmanager
def first_terminal(place, block, port):
    """The first block, which goes on serving; what it says about the password."""
    shell = subprocess.Popen(
        ["bash", "-euc", block], cwd=REPOSITORY, env={**place.env, "LISTEN": f"127.0.0.1:{port}"},
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )
    try:
        chosen, password = re.search(r"^export FIRST_PASSWORD='([^']*)'", block, re.MULTILINE), None
        for line in shell.stdout:
            if line.startswith("First start") and chosen:
                password = chosen.group(1)
            if line.startswith("medseg answers on"):
                break
        if not password:
            raise Failed("the README's first block chooses no password, or prints no address")
        yield password
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGTERM)
        shell.stdout.read()
        shell.wait()


def terminal(place, block):
    """What a reader sees who pastes the block: nothing ends at the first error."""
    return place.run("bash", "-c", block, cwd=REPOSITORY, patience=PATIENCE_S)


def curl_section(place, first, second, third):
    port = free_port()
    home = place.folder / "medseg"
    with first_terminal(place, first, port) as password:
        second = assigned(second, url=f"http://127.0.0.1:{port}", password=password)
        seen = terminal(place, second)
        pictures = [home / name for name in ("mask.png", "overlay.png")]
        if seen.stderr or '"answer":"found"' not in seen.stdout or not all(path.read_bytes()[1:4] == b"PNG" for path in pictures):
            raise Failed(f"the README's calls end in {seen.stdout[-600:]} {seen.stderr}")
        client = terminal(place, f"{second}\n{third}")
        # The lines before are the answers of the block before.
        _, _, listed = client.stdout.rpartition('{"scans":')
        if client.stderr or not re.search(r'"state":"done"', listed):
            raise Failed(f"the README's client sees {client.stdout[-600:]} {client.stderr}")
        refused(place, home, second)
        wrong = terminal(place, assigned(second, password="not the one"))
        if '"status":401' not in wrong.stderr or "Traceback" in wrong.stderr:
            raise Failed(f"with a wrong password the README's calls say {wrong.stderr}")


def refused(place, home, block):
    """A file that is no scan: its reason is shown, and nothing that was there is taken for its result."""
    for picture in home.glob("*.png"):
        picture.unlink()
    (home / "scan.dcm").write_text("this is no scan\n" * 100)
    seen = terminal(place, block.replace("mine-1", "mine-2"))
    if '"status":422' not in seen.stderr or "Traceback" in seen.stderr or seen.stdout.strip() or list(home.glob("*.png")):
        raise Failed(f"of a refusal the README's calls say {seen.stdout} {seen.stderr}")


def only_targets(_, block):
    """Lines that the check of the Makefile runs."""
    same("the README's targets", {*targets.TARGETS, *targets.NAMED} & set(re.findall(r"^make (\S+)", block, re.MULTILINE)),
         [line.split()[1] for line in block.splitlines()])


def without_server(place, block):
    """A head with a lesion in a file, and its results in a folder."""
    seen = terminal(place, block)
    results = place.folder / "heads/results/scan"
    told = re.search(r"^scan\.dcm\tfound\t[\d.]+ mm2\t|^scan\.dcm\tfound\t[\d.]+ mL\t", seen.stdout, re.MULTILINE)
    # The build says on stderr how it goes.
    amiss = re.search(r"(?i)error|warning|panicked", seen.stderr)
    if amiss or not told or "exit status 10" not in seen.stdout or not (results / "result.json").is_file():
        raise Failed(f"the README's block without a server ends in {seen.stdout[-600:]} {seen.stderr}")
    comment = re.search(r"^ls results/scan +# (.*)$", block, re.MULTILINE)
    same("the README's list of results", sorted(comment.group(1).split(", ")), sorted(path.name for path in results.iterdir()))


README = "README.md"
RUN = {f"{README}: make demo": only_targets, f"{README}: program=$(make build | tail -n 1)": without_server}
# What does not run here, and why; for these, that the shell takes them and that their files are there.
NAMED = {
    "CONTRIBUTING.md: make lint": "its targets are run; the suite is what its other lines run",
    "docs/operations.md: helm upgrade medseg helm/medseg -f values.yaml": "there is no cluster here; stage `deploy` renders the chart",
    "docs/operations.md: rabbitmqctl list_queues name consumers messages": "no broker is left over here; a test of `platform` plays the upgrade",
    "docs/training.md: pip install 'dvc[s3,gs]'": "it would install for the user; stage `dvc` runs the rest in an environment of its own",
    "docs/training.md: medseg dataset import BraTS2023 --out brats --sequence flair": "that data is not here; the tests of `model` import what looks like it",
    "docs/operations.md: deploy/backup.sh FOLDER": "stage `drill` runs both",
    "docs/operations.md: MEDSEG_PASSWORD=… medseg dataset export --from https://medseg.example --user ada --out confirmed": "nobody answers there; a story of `tests` exports",
    "docs/training.md: export MEDSEG_PASSWORD=…": "the same",
    "notebooks/README.md: pip install requests numpy pillow matplotlib pyyaml mlflow 'dvc[s3,gs]'": "stage `notebooks` runs them all",
    "docs/manual/integrators.md: url=https://medseg.example client=… secret=…": "nobody answers there; the README's calls, which are run, are the same",
    "docs/manual/data-scientists.md: medseg dataset import FOLDER --out set --sequence flair": "the check of subcommands runs each on data of its own",
    "docs/manual/platform-engineers.md: medseg serve --data data": "it would serve on; the README's first block is run",
}


def formed(place, name, block):
    place.good("bash", "-n", "-c", block)
    for path in re.findall(r"(?:scripts|deploy|helm)/[\w./-]+", block):
        if not (REPOSITORY / path).exists():
            raise Failed(f"{name}: there is no {path}")


def outside(place):
    """What needs containers or a cluster is named in the documents and runs nowhere here; these programs lack."""
    for program in ("docker", "gcloud", "kubectl", "helm"):
        print(f"documented: {program} is {'there, and' if shutil.which(program) else 'not there:'} not run: the suite starts no containers and no cluster")
    # What can be made without: the secrets that both begin with.
    place.good(REPOSITORY / "deploy/secrets.sh", says="secrets: [0-9]+ files in secrets")
    place.good(REPOSITORY / "deploy/cluster-secret.sh", "medseg", says="kind: Secret")


def mentioned(place):
    """Targets, subcommands, files and settings that sentences name."""
    medseg = place.program("medseg")
    known = subcommands.subcommands_of(place, medseg)
    actions = {f"{name} {action}" for name in ["user", "dataset"] for action in subcommands.subcommands_of(place, medseg, name)}
    for document in documents():
        where = document.relative_to(REPOSITORY)
        if where.name == "CHANGELOG.md":
            # It tells of what was.
            continue
        text = document.read_text()
        for target in re.findall(r"`make ([a-z-]+)[ `]", text):
            if target not in targets.TARGETS and target not in targets.NAMED:
                raise Failed(f"{where} speaks of make {target}, which is no target")
        for name, action in re.findall(r"`medseg ([a-z-]+)(?: ([a-z-]+))?[^`]*`", text):
            if name not in known or (name in ("user", "dataset") and action and f"{name} {action}" not in actions):
                raise Failed(f"{where} speaks of medseg {name} {action}, which there is not")
        for path in re.findall(r"`((?:scripts|deploy|helm|docs|models|tests|crates|services|notebooks|examples)/[\w./-]+)", text):
            if not (REPOSITORY / path).exists():
                raise Failed(f"{where} speaks of {path}, which is not there")
        # What begins with a slash is an address of a running medseg: a test of the gateway asks for those of the manual.
        for link, anchor in re.findall(r"\]\((?!https?:|/)([\w./-]*)(?:#([\w-]+))?\)", text):
            there = (document.parent / link) if link else document
            titles = re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE) if there.suffix == ".md" and there.is_file() else []
            anchors = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}
            if not there.exists() or (anchor and anchor not in anchors):
                raise Failed(f"{where} links to {link}#{anchor}, which is not there")


def check(place):
    there = dict(blocks())
    if len(there) != len(list(blocks())):
        raise Failed("two blocks of a document begin alike: begin one of them otherwise")
    section = [name for name in there if name.startswith(README) and name not in RUN]
    if len(section) != 3:
        raise Failed(f"the README's section on curl has these blocks: {section}")
    same("blocks of the documents", {*RUN, *NAMED, *section}, there)
    for name, why in NAMED.items():
        formed(place, name, there[name])
        print(f"documented: {name!r} is not run: {why}", flush=True)
    for name, run in RUN.items():
        run(place, there[name])
    begun = time.monotonic()
    curl_section(place, *(there[name] for name in section))
    print(f"documented: the README's section on curl ({time.monotonic() - begun:.0f} s)", flush=True)
    outside(place)
    mentioned(place)
    sys.stdout.flush()
