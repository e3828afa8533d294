#!/usr/bin/env bash
# run.sh [URL USER PASSWORD [PHANTOM.png VOLUME.nii.gz]]: tells a clinician's story to the page in headless Chromium.
#
# Without arguments it starts the medseg that was built last on a directory and a port of its own, and stops it after.
# BROWSER_PICTURES=FOLDER keeps pictures of each state; MANUAL_PICTURES=FOLDER takes those that the manual has.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..

# shellcheck source=scripts/serving.sh
. "$root/scripts/serving.sh"
# shellcheck source=scripts/packages.sh
. "$root/scripts/packages.sh"

stories

# The program that was built last, as a debug or a release build.
built() {
    local target=${CARGO_TARGET_DIR:-$root/target}
    # `ls` fails where one of both is missing, which is no failure here.
    { ls -t "$target/debug/medseg" "$target/release/medseg" 2>/dev/null || true; } | head -n 1
}

image=${4:-} volume=${5:-}
if [ $# -ge 3 ]; then
    url=$1 user=$2 password=$3
else
    [ $# = 0 ] || fail "usage: run.sh [URL USER PASSWORD [PHANTOM.png VOLUME.nii.gz]]"
    medseg=$(built)
    [ -n "$medseg" ] || fail "medseg is not built: cargo build --package medseg"
    cd "$root"
    # Security keys are of a name, which a number is not: the same page is at localhost, too.
    port=$(free_port)
    listen=127.0.0.1:$port PUBLIC_URL=http://localhost:$port serve "$medseg"
fi
if [ -z "$image" ]; then
    medseg=${medseg:-$(built)}
    [ -n "$medseg" ] || fail "give a phantom, or build medseg, which makes one"
    "$medseg" phantom --format png --out "$folder/phantom" >/dev/null
    image=$(find "$folder/phantom" -name '*.png' ! -name '*mask*' | sort | head -n 1)
    [ -n "$image" ] || fail "medseg phantom wrote no PNG"
fi
if [ -z "$volume" ]; then
    medseg=${medseg:-$(built)}
    [ -n "$medseg" ] || fail "give a volume, or build medseg, which makes one"
    volume=$folder/head.nii.gz
    "$medseg" phantom --format nifti --lesion-ml 20 --out "$volume" >/dev/null
fi

# Where they are not wanted they are taken all the same, so that the story still has each of them.
manual=${MANUAL_PICTURES:-$folder/manual}
CHROMIUM=$chromium MANUAL_PICTURES=$manual node "$folder/test/story.mjs" "${url%/}/" "$user" "$password" "$image" "$volume" ${BROWSER_PICTURES:+"$BROWSER_PICTURES"}
lost=$(diff <(ls "$root/docs/manual/pictures") <(ls "$manual")) ||
    fail "the manual's pictures are not those of the story ('make manual-pictures' takes them anew): $lost"
