#!/usr/bin/env bash
# run.sh [URL USER PASSWORD [PHANTOM.png]]: tells a clinician's story to the page in headless Chromium.
#
# Without arguments it starts the medseg that was built last on a directory and a port of its own, and stops it after.
# BROWSER_PICTURES=FOLDER keeps pictures of each state.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
cache=${MEDSEG_CACHE:-$HOME/.cache/medseg}

fail() { echo "error: $*" >&2; exit 1; }

command -v node >/dev/null && command -v npm >/dev/null ||
    fail "node and npm are missing: 'scripts/setup.sh test' fetches them where the system has none"
chromium=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
[ -n "$chromium" ] || fail "chromium is missing: install it (apt-get install chromium), or set CHROMIUM to one"

folder=$(mktemp -d)
server=
stop() {
    [ -z "$server" ] || { kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 1' INT TERM

# The test's packages, outside the checkout, fetched once for each package-lock.json.
work=$cache/browser-$(cat "$here/package-lock.json" "$here/.npmrc" | sha256sum | cut -c 1-16)
mkdir -p "$work"
exec 9>"$work/lock"
flock 9
if [ ! -f "$work/complete" ]; then
    echo "browser: fetching the test's packages (20 MB, once)"
    cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$work"
    (cd "$work" && npm ci --loglevel=error) || fail "the browser test's packages could not be fetched: is an npm registry reachable?"
    touch "$work/complete"
fi
flock -u 9
mkdir "$folder/test"
cp "$here"/*.mjs "$here/package.json" "$folder/test"
ln -s "$work/node_modules" "$folder/test/node_modules"

# The program that was built last, as a debug or a release build.
built() {
    local target=${CARGO_TARGET_DIR:-$root/target}
    # `ls` fails where one of both is missing, which is no failure here.
    { ls -t "$target/debug/medseg" "$target/release/medseg" 2>/dev/null || true; } | head -n 1
}

start() {
    local medseg=$1
    cd "$root"
    "$medseg" serve --data "$folder/data" --listen 127.0.0.1:0 >"$folder/said" 2>"$folder/log" &
    server=$!
    local tries=600
    until url=$(sed -n 's/^medseg answers on //p' "$folder/said") && [ -n "$url" ]; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] && kill -0 "$server" 2>/dev/null || { tail -n 5 "$folder/log" >&2; fail "medseg did not start"; }
        sleep 0.1
    done
    user=admin
    password=$(sed -n 's/.*password[: =]*\([^ ]*\).*/\1/p' "$folder/said" | head -n 1)
    [ -n "$password" ] || fail "medseg printed no password"
}

image=${4:-}
if [ $# -ge 3 ]; then
    url=$1 user=$2 password=$3
else
    [ $# = 0 ] || fail "usage: run.sh [URL USER PASSWORD [PHANTOM.png]]"
    medseg=$(built)
    [ -n "$medseg" ] || fail "medseg is not built: cargo build --package medseg"
    start "$medseg"
fi
if [ -z "$image" ]; then
    medseg=${medseg:-$(built)}
    [ -n "$medseg" ] || fail "give a phantom, or build medseg, which makes one"
    "$medseg" phantom --format png --out "$folder/phantom" >/dev/null
    image=$(find "$folder/phantom" -name '*.png' ! -name '*mask*' | sort | head -n 1)
    [ -n "$image" ] || fail "medseg phantom wrote no PNG"
fi

CHROMIUM=$chromium node "$folder/test/story.mjs" "${url%/}/" "$user" "$password" "$image" ${BROWSER_PICTURES:+"$BROWSER_PICTURES"}
