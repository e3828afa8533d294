#!/usr/bin/env bash
# run.sh MEDSEG: what Lighthouse gives the page for its speed, as a Markdown table; fails where it is less than asked.
#
# Starts medseg on a directory and a port of its own, and stops it after. LEAST=90 points are asked, of the median of RUNS=3, and the first
# slice of a volume within SLICE_MS=1000.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..

# shellcheck source=scripts/serving.sh
. "$root/scripts/serving.sh"
# shellcheck source=scripts/packages.sh
. "$root/scripts/packages.sh"

[ $# = 1 ] || fail "usage: run.sh MEDSEG"
medseg=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")

browser
packages "$here" lighthouse "100 MB"
mkdir "$folder/test"
cp "$here"/*.mjs "$here/package.json" "$root/tests/browser/session.mjs" "$folder/test"
ln -s "$work/node_modules" "$folder/test/node_modules"

"$medseg" phantom --format nifti --lesion-ml 20 --out "$folder/head.nii.gz" >/dev/null
cd "$root"
serve "$medseg" --model-url threshold: --research
CHROMIUM=$chromium LEAST=${LEAST:-90} RUNS=${RUNS:-3} SLICE_MS=${SLICE_MS:-1000} node "$folder/test/lighthouse.mjs" "${url%/}/" "$user" "$password" "$folder/head.nii.gz"
