"""Every target of the Makefile, from another folder: run in its shortest form, or named with the reason why not."""

import re
import shutil
import subprocess
import time

from running import REPOSITORY, Failed, same

# What does not run here, and why; for these, that make finds all that they are made of.
NAMED = {
    "test": "it is the suite that runs this",
    "faults": "it takes hours; stage `rust` runs the same tests with small numbers",
    "seeded": "it builds a copy of the tree and takes half an hour; stage `rust` runs the ledger, and holds that the patches of the copy apply",
    "reproducible": "it builds everything twice; the nightly workflow runs it",
    "train-background": "it goes on for hours after the suite; `make train` runs the same program",
    "bench-model": "it fetches PyTorch, 3 GB; stage `documented` runs ours, `medseg bench --network-only`",
    "bench-training": "it fetches PyTorch, 3 GB",
    "bench-picker": "it measures labelled slices of patients, which the repository has not; stage `documented` runs `medseg dataset series`",
    "manual-pictures": "it writes into the repository; stage `browser` takes the same pictures and compares their names",
    "notebooks": "stage `notebooks` runs the same script",
}


def make(place, target, says="", env=None, **variables):
    words = [f"{name}={value}" for name, value in variables.items()]
    ended = place.run("make", "-C", REPOSITORY, "--no-print-directory", target, *words, env=env)
    if ended.returncode != 0 or not re.search(says, ended.stdout):
        raise Failed(f"make {target} {' '.join(words)} ends with {ended.returncode}: {(ended.stdout + ended.stderr).strip()[-800:]}")
    return ended.stdout


def fmt(place):
    # In a copy: it changes what it finds.
    copy = place.folder / "copy"
    subprocess.run(["git", "clone", "--quiet", REPOSITORY, copy], check=True)
    place.good("make", "-C", copy, "--no-print-directory", "fmt")
    if changed := place.good("git", "-C", copy, "status", "--short"):
        raise Failed(f"make fmt changes what is committed: {changed}")


def deny(place):
    if shutil.which("cargo-deny"):
        return make(place, "deny")
    ended = place.run("make", "-C", REPOSITORY, "deny")
    if ended.returncode == 0 or "error: cargo-deny is missing: cargo install" not in ended.stderr:
        raise Failed(f"make deny does not say that cargo-deny is missing: {ended.stderr.strip()[-400:]}")
    return None


def clean(place):
    target = place.folder / "target"
    (target / "debug").mkdir(parents=True)
    (target / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
    make(place, "clean", env={"CARGO_TARGET_DIR": str(target)})
    if (target / "debug").exists():
        raise Failed("make clean leaves what was built")


def lacking(place):
    """What somebody mistypes who calls make."""
    for words, said in ((["PROFILE=fast", "build"], "PROFILE is release, demo or dev"), (["evaluate"], "required arguments.*--manifest")):
        ended = place.run("make", "-C", REPOSITORY, *words)
        if ended.returncode == 0 or not re.search(f"error: .*{said}", ended.stderr):
            raise Failed(f"make {' '.join(words)} does not say {said!r}: {ended.stderr.strip()[-400:]}")


TARGETS = {
    "help": lambda place: make(place, "help", says="make demo"),
    "setup": lambda place: make(place, "setup"),
    "build": lambda place: make(place, "build", says=r"/medseg\n$"),
    "lint": lambda place: make(place, "lint"),
    "fmt": fmt,
    "deny": deny,
    "clean": clean,
    "demo": lambda place: make(place, "demo", says="found: ", env={"DEMO_ONCE": "1", "DEMO_FOLDER": str(place.folder / "demo")}),
    "mesh": lambda place: make(place, "mesh", says="found: ", env={"MESH_ONCE": "1"}),
    # Stage `rust` feeds each target a few hundred times; the programs that `make mutated` needs are those of the suite.
    "fuzz": lambda place: make(place, "fuzz", MINUTES="1", TARGET="acknowledgment"),
    "mutated": lambda place: make(place, "mutated", says="damaged files", FILES="120"),
    # Once through both tables, as stage `rust` does.
    "authorisation": lambda place: make(place, "authorisation", says=r"REST: \d+ calls, 0 mismatches", CALLS="1"),
    "sbom": lambda place: make(place, "sbom", says=r"\nmedseg: \d+ components", FOLDER=str(place.folder / "sbom")),
    "train": lambda place: make(place, "train", says=r"^[0-9.]+$", ARGS="--speed --side 64 --batch 2 --replicas 1 --steps 1 --phantoms 2"),
    "evaluate": lambda place: make(place, "evaluate", says="volume off by", ARGS="--phantoms 5"),
    "bench": lambda place: make(place, "bench", says="whole way", ARGS="--scans 1 --clients 1"),
    "bench-mesh": lambda place: make(place, "bench-mesh", says=r"\|", ARGS="uploads --seconds 1"),
    "drift": lambda place: make(place, "drift", says="times as fast", RATIO="1"),
    "flood": lambda place: make(place, "flood", says="ratios are over", ARGS="silent methods --seconds 1 --rounds 1"),
    "simulate": lambda place: make(place, "simulate", says="A simulation: [^$]+Cost: ", ARGS="--scans 2000", OUT=str(place.folder / "simulation")),
    # So are points: they are given for the processor's time that is left.
    "lighthouse": lambda place: make(place, "lighthouse", says=r"sign-in \|", LEAST="1", SLICE_MS="60000", RUNS="1"),
    "connectathon": lambda place: make(place, "connectathon", says="0 failed", OUT=str(place.folder / "connectathon")),
    # So are rates, and whether what is asked for is met.
    "bench-dicom": lambda place: make(place, "bench-dicom", says="by STOW-RS", ARGS="--instances 20 --rounds 1 --series 10 --least 0"),
    # A debug build beside a suite: whether it keeps up is not asked here.
    "bench-feedback": lambda place: make(place, "bench-feedback", says="agree, in words", ARGS="agree --seconds 1 --least 1"),
}


def listed(place):
    return set(re.findall(r"^make ([a-z-]+) ", make(place, "help"), re.MULTILINE))


def check(place):
    makefile = (REPOSITORY / "Makefile").read_text()
    same("Makefile", {*TARGETS, *NAMED}, set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE)))
    same("make help", {*TARGETS, *NAMED}, listed(place))
    for target, why in NAMED.items():
        place.good("make", "-C", REPOSITORY, "--dry-run", target)
        print(f"documented: make {target} is not run: {why}", flush=True)
    for target, run in TARGETS.items():
        begun = time.monotonic()
        run(place)
        print(f"documented: make {target} ({time.monotonic() - begun:.0f} s)", flush=True)
    lacking(place)
