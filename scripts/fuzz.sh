#!/bin/sh
# fuzz.sh [MINUTES] [TARGET]: feeds what reads bytes of strangers (tests/fuzz) with nearly sound ones, each target for as long.
#
# With cargo-fuzz and nightly Rust by libFuzzer, which looks where its inputs lead; else with stable Rust, which does not. What broke
# something is named, and kept. FUZZ_SEED varies the inputs of the second. TARGET is a part of the name of a corpus, or of its reader.
set -eu
minutes=${1:-10} only=${2:-}
case $minutes in '' | *[!0-9]* | 0) echo "error: how many minutes? MINUTES=10" >&2; exit 1 ;; esac
# Each corpus with its reader. A name that nothing has would break nothing, either.
wanted=$(sed -En 's/^    ([a-z_]+): .* => ([a-z_]+);$/\1 \2/p' tests/fuzz/main.rs | grep -F -- "$only") ||
    { echo "error: nothing in tests/fuzz/main.rs is called $only" >&2; exit 1; }

if cargo +nightly fuzz --version >/dev/null 2>&1; then
    cp Cargo.lock fuzz/Cargo.lock
    FUZZ_CORPUS=$PWD/fuzz/corpus cargo test --quiet --package tests --test fuzz
    for target in $(echo "$wanted" | cut -d ' ' -f 2 | sort -u); do
        # Not with the cache's folder of other builds: these are instrumented.
        CARGO_TARGET_DIR=fuzz/target cargo +nightly fuzz run "$target" -- -max_total_time=$((60 * minutes)) -timeout=30 \
            -rss_limit_mb=4096 -max_len=1048576
    done
    exit
fi
echo "no cargo-fuzz with nightly Rust here: bending inputs without a look at where they lead" >&2
# shellcheck disable=SC2046 # Several names, of letters alone.
FUZZ_SECONDS=$((60 * minutes)) cargo test --quiet --package tests --test fuzz -- --nocapture $(echo "$wanted" | cut -d ' ' -f 1)
