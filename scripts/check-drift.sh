#!/usr/bin/env bash
# check-drift.sh FOLDER: windows of drift beside what Evidently itself says of the same rows, and how long either takes.
#
# Starts the medseg that lies in FOLDER, and puts into its database what scans would have left there; the page shows the same windows.
# RATIO says how many times faster than Evidently it has to be.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/serving.sh
. scripts/serving.sh
# shellcheck source=scripts/packages.sh
. scripts/packages.sh
root=$PWD
[ $# = 1 ] || fail "usage: check-drift.sh FOLDER"
tools=${MEDSEG_CACHE:-$HOME/.cache/medseg}/evidently
[ -f "$tools/complete" ] || fail "Evidently is missing: scripts/setup.sh test"

stories
serve "$1/medseg" --model-url threshold: --research --drift-window-s 1
# It tells nobody that it was run.
export DO_NOT_TRACK=1 PYTHONPATH=$tools PYTHONDONTWRITEBYTECODE=1
# A program that is built for tests is slower than the one that hospitals run; how much slower it may be, and no more, is said here.
MEDSEG_PASSWORD=$password python3 "$root/scripts/check_drift.py" "$url" "$folder/data/drift.db" "${RATIO:-10}"
CHROMIUM=$chromium node "$folder/test/windows.mjs" "${url%/}/" "$user" "$password"
