#!/usr/bin/env bash
# train_gpu.sh: training on a machine with a GPU that has Python and PyTorch, and neither Rust nor a network.
#
#   train_gpu.sh prepare FOLDER MANIFEST...    here: the program, the data made small, and go.sh
#   FOLDER/go.sh MINUTES OUT                   there: trains by the clock; OUT gets files small enough to send back
#   train_gpu.sh collect OUT MODEL VERSION MANIFEST...   here: puts them together, and judges on the data as it is
#   train_gpu.sh judge OUT RUN FOLDS MANIFEST...         here: the same for the folds of a cross-validation (FOLDS=5 go.sh)
#
# MAX_MIB: how large FOLDER may become (64). PRESET: how hard the program is compressed, 0 to 9 (6). MEDSEG_BINARY: the
# program, in place of a release build. DATA: what the data is, whose, and under which licence, for the card. EXTRA: more
# settings of `medseg finish`.
set -euo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)

# What the program may ask of the other machine's C library: that of Debian 12.
GLIBC_MAX=2.36

fail() { echo "error: $*" >&2; exit 1; }

binary() { echo "${MEDSEG_BINARY:-$("$scripts/build.sh" | tail -n 1)}"; }

prepare() {
    local folder=${1:?into which folder?}
    shift
    [ $# -gt 0 ] || fail "prepare needs the manifests to train with"
    [ ! -e "$folder" ] || [ -f "$folder/go.sh" ] || fail "$folder is there already and no folder of this script"
    rm -rf "$folder"
    mkdir -p "$folder"
    local medseg glibc
    medseg=$(binary)
    strip -o "$folder/medseg" "$medseg"
    glibc=$(objdump -T "$folder/medseg" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
    [ "$(printf '%s\n' "$glibc" "GLIBC_$GLIBC_MAX" | sort -V | tail -n 1)" = "GLIBC_$GLIBC_MAX" ] ||
        fail "the program needs $glibc; build it where the C library is at most $GLIBC_MAX"
    python3 -c 'import lzma, shutil, sys
with open(sys.argv[1], "rb") as source, lzma.open(sys.argv[1] + ".xz", "wb", preset=int(sys.argv[2])) as sink: shutil.copyfileobj(source, sink)' "$folder/medseg" "${PRESET:-6}"
    rm "$folder/medseg"
    # Pillow writes WebP with loss, which no Rust library does.
    local pillow=${MEDSEG_CACHE:-$HOME/.cache/medseg}/pillow
    [ -f "$pillow/complete" ] || { python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
        --target "$pillow" --only-binary=:all: --require-hashes --requirement "$scripts/wheels/pillow.txt" && touch "$pillow/complete"; } || fail "could not fetch Pillow"
    PYTHONPATH=$pillow python3 "$scripts/recode_data.py" "$folder/data" "$@"
    cp "$scripts/train_gpu_go.sh" "$folder/go.sh"
    local mib
    mib=$(du -sm --apparent-size "$folder" | cut -f 1)
    echo "$folder: $mib MiB, needs $glibc"
    [ "$mib" -le "${MAX_MIB:-64}" ] || fail "$folder is larger than ${MAX_MIB:-64} MiB: give fewer manifests, or raise MAX_MIB"
}

# whole OUT FOLDER: the weights of OUT in one piece.
whole() {
    local out=$1 folder=$2
    (cd "$out" && sha256sum --quiet --check SHA256SUMS) || fail "$out is not whole: what came back differs from what was sent"
    mkdir -p "$folder"
    cat "$out"/weights.safetensors.part-* >"$folder/weights.safetensors"
    cp "$out/model.json" "$out/learned.json" "$folder/"
}

collect() {
    local out=${1:?from where?} model=${2:?into which folder?} version=${3:?which version?}
    shift 3
    [ $# -gt 0 ] || fail "collect needs the manifests that it was trained with"
    local raw
    raw=$(mktemp -d)
    # Now: the folder is a local variable, which is gone when the script ends.
    trap "rm -rf '$raw'" EXIT
    whole "$out" "$raw"
    "$scripts/env.sh" "$(binary)" finish --model "$raw" --out "$model" --run "$model/judged" --model-version "$version" \
        ${JUDGED_PHANTOMS:+--judged-phantoms "$JUDGED_PHANTOMS"} ${DATA:+--data "$DATA"} ${EXTRA:-} $(printf -- '--manifest %q ' "$@")
}

judge() {
    local out=${1:?from where?} run=${2:?into which folder?} folds=${3:?how many folds?} fold
    shift 3
    [ $# -gt 0 ] || fail "judge needs the manifests that they were trained with"
    for fold in $(seq "$folds"); do whole "$out/fold-$fold" "$run/fold-$fold"; done
    "$scripts/env.sh" "$(binary)" train --run "$run" --folds "$folds" ${EXTRA:-} $(printf -- '--manifest %q ' "$@")
}

case "${1:-}" in
prepare | collect | judge) "$@" ;;
*) sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
