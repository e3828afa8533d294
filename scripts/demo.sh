#!/usr/bin/env bash
# demo.sh: builds, starts `medseg serve` on one fresh directory, sends it a phantom and prints what it answers.
#
# At a terminal the page stays up until Ctrl-C; elsewhere, or with DEMO_ONCE=1, it stops after the answer.
# PORT=N chooses the port; otherwise a free one is taken. DEMO_FOLDER=DIR is emptied and used in place of ~/.cache/medseg/demo.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${MEDSEG_CACHE:-$HOME/.cache/medseg}
folder=${DEMO_FOLDER:-$cache/demo}

say() { echo "demo: $*"; }
fail() { echo "error: $*" >&2; exit 1; }

scripts/setup.sh build
medseg=$(scripts/build.sh | tail -n 1)

# A directory of its own each time, and a password that is chosen here: one that medseg makes itself must be changed first.
rm -rf "$folder"
mkdir -p "$folder"

say "starting medseg on $folder/data"
password=$(head -c 8 /dev/urandom | od -An -tx1 | tr -d ' \n')
FIRST_PASSWORD=$password \
"$medseg" serve --data "$folder/data" --listen "127.0.0.1:${PORT:-0}" >"$folder/log" 2>"$folder/errors" &
server=$!
stop() { kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }
trap stop EXIT
trap 'exit 0' INT TERM

until url=$(sed -n 's/^medseg answers on //p' "$folder/log") && [ -n "$url" ]; do
    kill -0 "$server" 2>/dev/null || { tail -n 5 "$folder/log" "$folder/errors" >&2; fail "medseg did not start (log: $folder/log)"; }
    sleep 0.1
done

say "making a phantom: a head with a lesion of known size"
# One DICOM slice: unlike a PNG it says how large its pixels are.
image=$folder/phantom.dcm
"$medseg" phantom --format dicom --slices 1 --out "$image" >"$folder/truth.json"

MEDSEG_PASSWORD=$password python3 scripts/demo.py "$url" "$image" "$folder"
say "page: $url (user admin, password $password)"

if [ -t 1 ] && [ -z "${DEMO_ONCE:-}" ]; then
    say "the page stays up; Ctrl-C stops it"
    wait "$server"
fi
