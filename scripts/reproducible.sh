#!/usr/bin/env bash
# reproducible.sh [PACKAGE...]: builds release programs twice, in two folders of different names, and compares them byte by byte.
#
# Without names: gateway, auth and the decoder, which are small. Paths do not get into a program
# (--remap-path-prefix), nor do times; what is left to differ would be the order in which something was built.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=("$@")
[ ${#packages[@]} -gt 0 ] || packages=(gateway auth jail)
folder=$(mktemp -d "${TMPDIR:-/tmp}/medseg-reproducible.XXXXXX")
trap 'rm -rf "$folder"' EXIT

# build NAME: the packages, of a copy of what is committed, in a folder called NAME.
build() {
    local source=$folder/$1/source target=$folder/$1-target home=${CARGO_HOME:-$HOME/.cargo}
    mkdir -p "$folder/$1"
    git clone --quiet --no-hardlinks . "$source"
    local remapped="--remap-path-prefix=$source=/medseg --remap-path-prefix=$target=/target --remap-path-prefix=$home=/cargo"
    # C and C++ of the codecs has paths of its own, and times.
    local c="-ffile-prefix-map=$source=/medseg -ffile-prefix-map=$target=/target -ffile-prefix-map=$home=/cargo"
    (cd "$source" && SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) CFLAGS=$c CXXFLAGS=$c RUSTFLAGS=$remapped CARGO_TARGET_DIR=$target \
        CARGO_INCREMENTAL=0 scripts/env.sh cargo build --quiet --locked --release --bins "${packages[@]/#/--package=}")
    (cd "$target/release" && find . -maxdepth 1 -type f -executable -printf '%P\n' | sort | xargs sha256sum) >"$folder/$1.sums"
    # Room for the other.
    rm -rf "$target" "$source"
}

build one
build the-other-one
cat "$folder/one.sums"
if ! diff "$folder/one.sums" "$folder/the-other-one.sums" >&2; then
    echo "error: two builds of $(git rev-parse --short HEAD) differ" >&2
    exit 1
fi
echo "reproducible: $(wc -l <"$folder/one.sums") programs are the same, byte by byte, from two folders"
