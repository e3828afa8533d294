#!/usr/bin/env bash
# pytorch.sh PACKAGE...: prints the Python that has PyTorch and those packages, what ours is measured against.
#
# Fetches PyTorch with its CUDA packages (3 GB, once) into the cache folder: those whose SHA-256 is in scripts/wheels. What is fetched beside them
# only measures.
set -euo pipefail

version=2.11.0
cache=${MEDSEG_CACHE:-$HOME/.cache/medseg}
python=$cache/pytorch-$version/bin/python
if ! "$python" -c 'import torch' 2>/dev/null; then
    echo "bench: fetching PyTorch $version (3 GB, once)" >&2
    python3 -m venv "$cache/pytorch-$version"
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
        --requirement "$(dirname "$0")/wheels/libtorch_cuda.txt" >&2
    "$python" -m pip install --quiet --disable-pip-version-check "torch==$version" numpy >&2
fi
[ $# = 0 ] || "$python" -m pip install --quiet --disable-pip-version-check "$@" >&2
echo "$python"
