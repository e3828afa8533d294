#!/bin/sh
# openvino.sh: takes what the network needs of OpenVINO out of its wheel (86 MB) and prints the folder, for LD_LIBRARY_PATH.
#
# `openvino.sh --there` prints the folder only if it is there already, and fetches nothing.
set -eu

OPENVINO=2026.4.1
CACHE=${MEDSEG_CACHE:-$HOME/.cache/medseg}
HOME_OF_OPENVINO=$CACHE/openvino-$OPENVINO

say() { echo "$*" >&2; }
fail() { say "error: $*"; exit 1; }

if [ -f "$HOME_OF_OPENVINO/complete" ]; then
    echo "$HOME_OF_OPENVINO"
    exit 0
fi
[ "${1:-}" != --there ] || exit 0
[ "$(uname -m)" = x86_64 ] || fail "OpenVINO is of use on x86_64 only, and this is $(uname -m)"
python3 -m pip --version >/dev/null 2>&1 || fail "pip is missing for python3: 'apt-get install python3-pip'"

mkdir -p "$CACHE"
# A directory of its own, renamed when whole: an interrupted run leaves nothing that looks finished.
PART=$(mktemp -d "$CACHE/openvino.XXXXXX")
trap 'rm -rf "$PART"' EXIT
LOG=$CACHE/openvino.log
say "openvino: fetching the openvino $OPENVINO wheel (once)"
python3 -m pip download --disable-pip-version-check --no-deps --only-binary=:all: --dest "$PART/wheel" "openvino==$OPENVINO" \
    --python-version 3.11 --implementation cp --abi cp311 --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 >"$LOG" 2>&1 ||
    fail "could not fetch openvino==$OPENVINO: is a Python package index reachable? (log: $LOG)"
python3 - "$PART" <<'PYTHON' || fail "OpenVINO could not be unpacked into $CACHE: is the disk full?"
import pathlib, shutil, sys, zipfile

part = pathlib.Path(sys.argv[1])
wanted = ("libopenvino.so", "libopenvino_c.so", "libopenvino_intel_cpu_plugin.so", "libopenvino_ir_frontend.so", "libtbb.so", "libtbbmalloc.so", "libhwloc.so")
[wheel] = (part / "wheel").glob("openvino-*.whl")
with zipfile.ZipFile(wheel) as archive:
    for member in archive.namelist():
        name = pathlib.PurePath(member).name
        licence = "dist-info/" in member and "licen" in member.lower() and not member.endswith("/")
        if licence or name.startswith(wanted):
            target = part / ("licenses" if licence else ".") / name
            target.parent.mkdir(exist_ok=True)
            with archive.open(member) as source, open(target, "wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
# By this name programs look for it.
[library] = part.glob("libopenvino_c.so.*")
(part / "libopenvino_c.so").symlink_to(library.name)
PYTHON
rm -rf "$PART/wheel" "$LOG"
touch "$PART/complete"
chmod 755 "$PART"
rm -rf "$HOME_OF_OPENVINO"
mv "$PART" "$HOME_OF_OPENVINO"
trap - EXIT
say "openvino: ready in $HOME_OF_OPENVINO"
echo "$HOME_OF_OPENVINO"
