#!/bin/sh
# Makes a CPU libtorch from the torch wheel and prints the folder to use as LIBTORCH.
#
# The wheel for Linux is built with CUDA; its CPU half needs only two small CUDA libraries beside it.
# A LIBTORCH that the user has set always wins.
set -eu
here=$(dirname "$0")
. "$here/wheel.sh"

TORCH=$(version libtorch torch)
HOME_OF_TORCH=$CACHE/libtorch-$TORCH

if [ -n "${LIBTORCH:-}" ]; then
    echo "$LIBTORCH"
    exit 0
fi
if [ -f "$HOME_OF_TORCH/complete" ]; then
    echo "$HOME_OF_TORCH"
    exit 0
fi
[ "$(uname -m)" = x86_64 ] || fail "no libtorch wheel is known for $(uname -m): set LIBTORCH to a libtorch $TORCH"

from_wheels libtorch "$HOME_OF_TORCH" "530 MB" ", or set LIBTORCH to a libtorch $TORCH" <<'PYTHON'
import pathlib, sys
from unpack import unpack

wheels, part = map(pathlib.Path, sys.argv[1:])

def wanted(member):
    name = pathlib.PurePath(member).name
    if member.startswith("nvidia/"):
        return f"lib/{name}" if name.startswith(("libcudart.so", "libcupti.so")) else None
    if member.startswith("torch/include/") and not member.endswith("/"):
        return member.removeprefix("torch/")
    if name in ("libtorch_cpu.so", "libc10.so") or name.startswith("libgomp"):
        return f"lib/{name}"

unpack(wheels, part, wanted)
(part / "lib/libtorch.so").write_text("INPUT(-ltorch_cpu)\n")
[torch] = wheels.glob("torch-*.whl")
(part / "build-version").write_text(torch.name.split("-")[1] + "\n")
PYTHON
