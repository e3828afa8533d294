#!/bin/sh
# openvino.sh: takes what the network needs of OpenVINO out of its wheel (86 MB) and prints the folder, for LD_LIBRARY_PATH.
#
# `openvino.sh --there` prints the folder only if it is there already, and fetches nothing.
set -eu
here=$(dirname "$0")
. "$here/wheel.sh"

OPENVINO=$(version openvino openvino)
HOME_OF_OPENVINO=$CACHE/openvino-$OPENVINO

if [ -f "$HOME_OF_OPENVINO/complete" ]; then
    echo "$HOME_OF_OPENVINO"
    exit 0
fi
[ "${1:-}" != --there ] || exit 0
[ "$(uname -m)" = x86_64 ] || fail "OpenVINO is of use on x86_64 only, and this is $(uname -m)"

from_wheels openvino "$HOME_OF_OPENVINO" "86 MB" "" <<'PYTHON'
import pathlib, sys
from unpack import unpack

wheels, part = map(pathlib.Path, sys.argv[1:])
libraries = ("libopenvino.so", "libopenvino_c.so", "libopenvino_intel_cpu_plugin.so", "libopenvino_ir_frontend.so", "libtbb.so", "libtbbmalloc.so", "libhwloc.so")

def wanted(member):
    name = pathlib.PurePath(member).name
    if "dist-info/" in member and "licen" in member.lower() and not member.endswith("/"):
        return f"licenses/{name}"
    if name.startswith(libraries):
        return name

unpack(wheels, part, wanted)
# By this name programs look for it.
[library] = part.glob("libopenvino_c.so.*")
(part / "libopenvino_c.so").symlink_to(library.name)
PYTHON
