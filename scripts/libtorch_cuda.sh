#!/bin/sh
# libtorch_cuda.sh FOLDER: puts what libtorch needs on a GPU into FOLDER, the `lib` of the CPU libtorch that libtorch.sh makes.
#
# Both are parts of one wheel, so that they fit; CUDA's own libraries come with it (3 GB). All are those whose SHA-256 is in scripts/wheels.
set -eu
folder=${1:?into which folder?}
here=$(dirname "$0")

part=$(mktemp -d)
trap 'rm -rf "$part"' EXIT
python3 -m pip install --disable-pip-version-check --root-user-action=ignore --target "$part" \
    --no-deps --only-binary=:all: --require-hashes --requirement "$here/wheels/libtorch_cuda.txt" >"$part.log" 2>&1 ||
    { tail -n 3 "$part.log" >&2; echo "error: could not fetch PyTorch with CUDA" >&2; exit 1; }
for library in "$part"/torch/lib/*.so*; do
    # The CPU's are there already.
    [ -e "$folder/$(basename "$library")" ] || cp -a "$library" "$folder/"
done
find "$part/nvidia" -name '*.so*' -exec cp -an {} "$folder/" \;
rm -f "$part.log"
