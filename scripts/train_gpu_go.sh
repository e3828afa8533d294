#!/usr/bin/env bash
# go.sh MINUTES OUT: trains for so many minutes, and goes on where it was cut off; OUT gets the weights as they are, each minute.
#
# SIDE (256), BATCH (64), RATE (0.0014), STEPS (20, of measuring speed; 0 for none), RUN (a folder for checkpoints, beside
# this one), EXTRA (more settings of `medseg train`), FOLDS (so many folds of a cross-validation side by side in place of
# one network, each into its own OUT/fold-N).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
minutes=${1:?how many minutes?}
out=$(mkdir -p "${2:?where to?}" && cd "$2" && pwd)
side=${SIDE:-256} batch=${BATCH:-64} steps=${STEPS:-20} folds=${FOLDS:-}
run=${RUN:-$here-run}
mkdir -p "$run"

# libtorch is PyTorch's own, and CUDA's libraries lie beside it.
lib=$(python3 -c 'import os, torch; print(os.path.join(os.path.dirname(torch.__file__), "lib"))' 2>/dev/null || echo "${LIBTORCH:?PyTorch is missing: set LIBTORCH}/lib")
cuda=$({ find "$lib/../../nvidia" -maxdepth 3 -type d -name lib 2>/dev/null || true; } | paste -sd: -)
export LD_LIBRARY_PATH="$lib${cuda:+:$cuda}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"

# Unpacked once: folds share the program.
if [ -z "${PROGRAM:-}" ]; then
    export PROGRAM=$run/medseg
    python3 -c 'import lzma, shutil, sys
with lzma.open(sys.argv[1]) as source, open(sys.argv[2], "wb") as sink: shutil.copyfileobj(source, sink)' "$here/medseg.xz" "$PROGRAM"
    chmod +x "$PROGRAM"
fi

# Leaves what there is, in parts that are small enough to be sent; whole or not at all.
leave() {
    [ -f "$run/model/model.json" ] || return 0
    local part=$run/leaving
    rm -rf "$part"
    mkdir -p "$part"
    cp "$run/model/model.json" "$run/model/learned.json" "$part/"
    split --bytes=12M --numeric-suffixes "$run/model/weights.safetensors" "$part/weights.safetensors.part-"
    tail -c 1000000 "$run/log" >"$part/log"
    # Weights that were replaced while they were read belong to another manifest: the next minute leaves them.
    local sum
    sum=$(cat "$part"/weights.safetensors.part-* | sha256sum | cut -d ' ' -f 1)
    grep -q "$sum" "$part/model.json" || return 0
    (cd "$part" && sha256sum -- * >SHA256SUMS)
    rm -f "$out"/weights.safetensors.part-*
    mv "$part"/* "$out/"
}

if [ -n "$folds" ]; then
    training=()
    for fold in $(seq "$folds"); do
        FOLDS='' STEPS=0 RUN=$run/fold-$fold EXTRA="${EXTRA:-} --folds $folds --fold $fold" "$0" "$minutes" "$out/fold-$fold" &
        training+=($!)
    done
    trap 'kill "${training[@]}" 2>/dev/null || true' EXIT
    status=0
    for one in "${training[@]}"; do wait "$one" || status=$?; done
    trap - EXIT
    exit "$status"
fi

if [ "$steps" -gt 0 ]; then
    for measured in $((side / 2)) $((side * 3 / 4)) "$side"; do
        measured=$(((measured + 31) / 32 * 32))
        speed=$("$PROGRAM" train --speed --side "$measured" --batch "$batch" --replicas 1 --steps "$steps" --phantoms 40 2>>"$run/log")
        echo "$measured pixels: $speed images/s" | tee -a "$run/log"
    done
fi

settings=(--minutes "$minutes" --checkpoint-minutes "${CHECKPOINT_MINUTES:-1}" --side "$side" --batch "$batch" --replicas 1 --rate "${RATE:-0.0014}")
for manifest in "$here"/data/*/manifest.csv; do settings+=(--manifest "$manifest"); done
[ ! -f "$run/last.safetensors" ] && [ ! -f "$run/last.before.safetensors" ] || settings+=(--resume)
# shellcheck disable=SC2086 # EXTRA is words.
"$PROGRAM" train "${settings[@]}" --unjudged --run "$run" --out "$run/model" ${EXTRA:-} >>"$run/log" 2>&1 &
training=$!
trap 'kill "$training" 2>/dev/null || true; leave' EXIT
while kill -0 "$training" 2>/dev/null; do
    # In short naps: the end is not to be slept through.
    for _ in $(seq 12); do
        sleep 5
        kill -0 "$training" 2>/dev/null || break
    done
    leave
done
status=0
wait "$training" || status=$?
trap - EXIT
leave
tail -n 3 "$run/log"
exit "$status"
