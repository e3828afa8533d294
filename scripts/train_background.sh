#!/usr/bin/env bash
# train_background.sh MANIFEST...: trains beside other work, with the least share of the processor there is, and returns at once.
#
# Goes on from the run's last checkpoint where there is one, else from the model in the repository. RUN: the run's folder
# ($MEDSEG_CACHE/runs/background), where `log` tells how it goes and `model` ends. VIEWS (300000), SIDE (192), BATCH (48), RATE
# (0.0007), EXTRA (more settings of `medseg train`). Ends by itself, or by `kill $(cat RUN/pid)`: at most ten minutes are lost.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }

cache=${MEDSEG_CACHE:-$HOME/.cache/medseg}
run=${RUN:-$cache/runs/background}
mkdir -p "$run"
if [ -f "$run/pid" ] && kill -0 "$(cat "$run/pid")" 2>/dev/null; then
    echo "it is running already: $run/log" >&2
    exit 0
fi

# A copy of its own: the next build must not change what runs.
built=${MEDSEG_BINARY:-$(scripts/build.sh | tail -n 1)}
cp "$built" "$run/medseg.new"
mv "$run/medseg.new" "$run/medseg"

settings=(--views "${VIEWS:-300000}" --side "${SIDE:-192}" --batch "${BATCH:-48}" --rate "${RATE:-0.0007}" --mirrored)
# The first state decides what training began with: the settings stay the same when it goes on.
settings+=(--from "$(pwd)/models/medseg-mr")
[ ! -f "$run/last.safetensors" ] && [ ! -f "$run/last.before.safetensors" ] || settings+=(--resume)
for manifest in "$@"; do settings+=(--manifest "$(realpath "$manifest")"); done

# `nice` shares out within a session only; the session itself gets the least share where the kernel groups by session.
# Threads of libtorch that wait for one another sleep: spinning, they would take the cores from the other work, and from each other.
# shellcheck disable=SC2086 # EXTRA is words.
OMP_WAIT_POLICY=passive setsid bash -c 'echo $$ >"$1/pid"; echo 19 >/proc/$$/autogroup 2>/dev/null; shift; exec nice -n 19 "$@"' - "$run" \
    scripts/env.sh "$run/medseg" train "${settings[@]}" --run "$run" --out "$run/model" ${EXTRA:-} \
    >>"$run/log" 2>&1 </dev/null &
echo "training in $run: tail -f $run/log"
