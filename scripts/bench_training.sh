#!/usr/bin/env bash
# bench_training.sh [SIDE [BATCH [STEPS [ROUNDS]]]]: images per second of `medseg train` and of the same network in PyTorch, in turns.
#
# PyTorch is fetched where it is missing (3 GB, once).
set -euo pipefail
cd "$(dirname "$0")/.."

side=${1:-128} batch=${2:-16} steps=${3:-20} rounds=${4:-3}
python=$(scripts/pytorch.sh)
medseg=$(scripts/build.sh | tail -n 1)

echo "| round | medseg train, images/s | PyTorch, images/s | ratio |"
echo "|--:|--:|--:|--:|"
for round in $(seq "$rounds"); do
    ours=$("$medseg" train --speed --side "$side" --batch "$batch" --steps "$steps" --phantoms 40 2>/dev/null)
    theirs=$("$python" scripts/bench_training.py "$side" "$batch" "$steps")
    echo "| $round | $ours | $theirs | $(python3 -c "print(f'{$ours / $theirs:.2f}')") |"
done
