#!/usr/bin/env bash
# bench_training.sh [SIDE [BATCH [STEPS [ROUNDS]]]]: images per second of `medseg train` and of the same network in PyTorch, in turns.
#
# Fetches PyTorch with its CUDA packages (3 GB, once) into the cache folder.
set -euo pipefail
cd "$(dirname "$0")/.."

side=${1:-128} batch=${2:-16} steps=${3:-20} rounds=${4:-3}
version=2.11.0
cache=${MEDSEG_CACHE:-$HOME/.cache/medseg}
python=$cache/pytorch-$version/bin/python
if ! "$python" -c 'import torch' 2>/dev/null; then
    echo "bench: fetching PyTorch $version (3 GB, once)" >&2
    python3 -m venv "$cache/pytorch-$version"
    "$python" -m pip install --quiet --disable-pip-version-check "torch==$version" numpy
fi
medseg=$(scripts/build.sh | tail -n 1)

echo "| round | medseg train, images/s | PyTorch, images/s | ratio |"
echo "|--:|--:|--:|--:|"
for round in $(seq "$rounds"); do
    ours=$("$medseg" train --speed --side "$side" --batch "$batch" --steps "$steps" --phantoms 40 2>/dev/null)
    theirs=$("$python" scripts/bench_training.py "$side" "$batch" "$steps")
    echo "| $round | $ours | $theirs | $(python3 -c "print(f'{$ours / $theirs:.2f}')") |"
done
