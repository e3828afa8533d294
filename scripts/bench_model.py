"""bench_model.py MEDSEG [OPTION...]: the same network on several engines, each in a process of its own, by turns, as a Markdown table.

Ours, PyTorch as it comes and compiled, ONNX Runtime and OpenVINO; same weights, same images, as many threads. That PyTorch's network
is ours is proved first, on the tiles that Dice is measured on: validation patients of a manifest, or phantoms.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy

SCRIPTS = pathlib.Path(__file__).parent
MODEL = SCRIPTS.parent / "models/medseg-mr"
# How far engines that calculate in float32 may be apart.
TOLERANCE = 1e-3

OURS = "ours"
# The same by libtorch, which OpenVINO is compared with at each start.
BY_TORCH = "ours-libtorch"
DEVICES = {OURS: "openvino", BY_TORCH: "cpu"}
NAMES = {
    "pytorch": "PyTorch, eager, channels last",
    "compile": "`torch.compile`, frozen",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
}


def multiplies_bfloat16():
    flags = pathlib.Path("/proc/cpuinfo").read_text()
    return "avx512_bf16" in flags or "amx_bf16" in flags


def engines():
    """PyTorch in the arithmetic that it is fastest in here; bfloat16 only where the processor multiplies it."""
    fast = "bf16" if multiplies_bfloat16() else "f32"
    names = [OURS, BY_TORCH, f"pytorch-{fast}", f"compile-{fast}", "onnxruntime-f32", "openvino-f32"]
    return [*names, "openvino-bf16"] if fast == "bf16" else names


def options():
    parser = argparse.ArgumentParser(prog="make bench-model ARGS=...", usage="%(prog)s", description=__doc__.split("\n\n")[1])
    parser.add_argument("medseg", help=argparse.SUPPRESS)
    parser.add_argument("--manifest", help="measure Dice on the patients of this manifest whom `medseg train` keeps for validation; on phantoms unless set")
    parser.add_argument("--model", type=pathlib.Path, default=MODEL, help="the model's folder; that of this checkout unless set")
    parser.add_argument("--rounds", type=int, default=3, help="how often each engine has its turn (3)")
    parser.add_argument("--passes", type=int, default=10, help="timed passes of each batch in a turn (10)")
    parser.add_argument("--threads", type=int, default=2, help="threads of each engine (2)")
    parser.add_argument("--side", type=int, default=192, help="pixels along a tile's side (192)")
    parser.add_argument("--batch", type=int, nargs="+", default=[2, 8], help="tiles at once (2 8)")
    parser.add_argument("--engines", nargs="+", default=engines(), help=f"which, of {' '.join(engines())}")
    told = parser.parse_args()
    if unknown := set(told.engines) - set(engines()):
        parser.error(f"no engine {', '.join(sorted(unknown))} here: {' '.join(engines())} are")
    return told


def run(words, folder, threads):
    """What a process prints as JSON in its last line. Every engine gets the same cores, no more than it has threads."""
    cores = sorted(os.sched_getaffinity(0))[:threads]
    env = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(folder / "compiled"), "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(
        [str(word) for word in words], env=env, capture_output=True, text=True, preexec_fn=lambda: os.sched_setaffinity(0, cores)
    )
    if ended.returncode != 0:
        said = ended.stderr.strip().splitlines() or [f"{words[0]} ended with {ended.returncode}"]
        sys.exit(said[-1] if said[-1].startswith("error: ") else "\n".join([*said[-20:], f"error: {words[1]} failed"]))
    return json.loads(ended.stdout.strip().splitlines()[-1])


class Bench:
    def __init__(self, told, folder):
        self.told, self.folder = told, folder
        self.exact = folder / "exact"

    def medseg(self, passes, *words, name=BY_TORCH):
        told = self.told
        batches = [f"--batch={batch}" for batch in told.batch]
        here = [f"--device={DEVICES[name]}", f"--side={told.side}", f"--threads={told.threads}", f"--model={told.model}"]
        command = [told.medseg, "bench", "--network-only", "--json", f"--scans={passes}", *here, *batches]
        return run([*command, *words], self.folder, told.threads)

    def engine(self, name, **more):
        told = self.told
        manifest = json.loads((told.model / "model.json").read_text())
        facts = {"weights": str(told.model / manifest["file"]), "threads": told.threads, "batches": told.batch, "passes": told.passes}
        words = [sys.executable, SCRIPTS / "bench_engines.py", name, self.folder, json.dumps({**facts, **more})]
        return run(words, self.folder, told.threads)

    def tiles(self):
        """Writes what Dice is measured on, in float32, and proves that PyTorch's network is the same."""
        manifest = [f"--manifest={self.told.manifest}"] if self.told.manifest else []
        self.medseg(1, "--exact", f"--tiles={self.exact}", *manifest)
        return self.engine("prepare")["apart"]

    def turn(self, name, first):
        """One engine's turn; in its first it also says what it makes of all tiles."""
        manifest = [f"--manifest={self.told.manifest}"] if self.told.manifest else []
        if name in DEVICES:
            return self.medseg(self.told.passes, *([f"--tiles={self.folder / name}", *manifest] if first else []), name=name)
        return self.engine(name, probabilities=str(self.folder / f"{name}.f32") if first else None)

    def probabilities(self, name):
        path = self.folder / name / "probabilities.f32" if name in DEVICES else self.folder / f"{name}.f32"
        return numpy.fromfile(path, numpy.float32)

    def dice(self, probabilities):
        """The mean of the patients' Dice over all their pixels, at the threshold of the model's own reading."""
        document = json.loads((self.exact / "tiles.json").read_text())
        pixels = document["side"] ** 2
        truth = numpy.fromfile(self.exact / "truth.u8", numpy.uint8)
        counts, at = {}, 0
        for scan in document["scans"]:
            here = slice(at, at + scan["slices"] * pixels)
            found, true = probabilities[here] >= scan["cut"], truth[here] != 0
            overlap, both = counts.get(scan["patient"], (0, 0))
            counts[scan["patient"]] = overlap + (found & true).sum(), both + found.sum() + true.sum()
            at = here.stop
        return statistics.mean(2 * overlap / both if both else 1 for overlap, both in counts.values())


def judged(bench, name):
    """An engine's Dice, and its largest difference from ours in float32."""
    said, exact = bench.probabilities(name), bench.probabilities("exact/probabilities")
    apart = float(numpy.abs(said - exact).max())
    if name.endswith("-f32") and not apart <= TOLERANCE:
        sys.exit(f"error: {name} is another network: probabilities are up to {apart:.4f} apart")
    return bench.dice(said), apart


def label(name, turns):
    if name in DEVICES:
        return f"medseg, {turns[0]['device'].removeprefix('cpu ')}"
    engine, kind = name.split("-")
    return f"{NAMES[engine]}, {'bfloat16' if kind == 'bf16' else 'float32'}"


def times(turns, batch):
    return [ms for turn in turns for part in turn["batches"] if part["batch"] == batch for ms in part["ms"]]


def print_table(bench, taken):
    batches = bench.told.batch
    best = {batch: min(min(times(turns, batch)) for turns in taken.values()) for batch in batches}
    heads = [f"{batch} at once: median, least ms | to the best" for batch in batches]
    print(f"| engine | {' | '.join(heads)} | peak MiB | start to first answer, s (first turn) | Dice | to float32 |")
    print("|---" + "|--:|--:" * len(batches) + "|--:|--:|--:|--:|")
    exact = bench.dice(bench.probabilities("exact/probabilities"))
    for name, turns in taken.items():
        cells = []
        for batch in batches:
            ms = times(turns, batch)
            cells += [f"{statistics.median(ms):.1f}, {min(ms):.1f}", f"{min(ms) / best[batch]:.2f} x"]
        starts = [turn["first_answer_ms"] / 1000 for turn in turns]
        dice, _ = judged(bench, name)
        cells += [f"{max(turn['peak_mib'] for turn in turns):.0f}", f"{min(starts):.1f} ({starts[0]:.1f})", f"{dice:.4f}", f"{dice - exact:+.4f}"]
        print(f"| {label(name, turns)} | {' | '.join(cells)} |")


def main():
    told = options()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(told, pathlib.Path(folder))
        apart = bench.tiles()
        print(f"bench: PyTorch's network is ours: probabilities at most {apart:.1e} apart in float32", file=sys.stderr)
        taken = {name: [] for name in told.engines}
        for number in range(told.rounds):
            for name, turns in taken.items():
                turns.append(bench.turn(name, first=number == 0))
                print(f"bench: round {number + 1} of {told.rounds}: {name}", file=sys.stderr)
        print_table(bench, taken)
        if not multiplies_bfloat16():
            print("\nThis processor multiplies no bfloat16: PyTorch is measured in float32, and OpenVINO in bfloat16 is left out.")


if __name__ == "__main__":
    main()
