#!/usr/bin/env bash
# test.sh: the whole suite. Runs every stage, says at the end how each went, and fails if one did.
#
# SUITE_MINUTES: stages that have not begun by then are skipped, and said to be (none: all are run).
set -uo pipefail
cd "$(dirname "$0")/.."

export MEDSEG_CACHE="${MEDSEG_CACHE:-$HOME/.cache/medseg}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$MEDSEG_CACHE/target}"
logs=$MEDSEG_CACHE/test-logs
rm -rf "$logs"
mkdir -p "$logs"

scripts/setup.sh test || exit 1

summary=() passed=0 failed=0
# A line that says what was not checked, and why.
skipped='(^|: )skipped: '
# What passing tests have said: the runner itself does not show it.
junit=$CARGO_TARGET_DIR/nextest/default/junit.xml

# stage NAME COMMAND...: runs COMMAND, shows its output, and counts one passed or failed.
# Exit status 77 means skipped, as the last line of the output says why. Parts of one that are skipped say so in lines of their own.
stage() {
    local name=$1 started=$SECONDS verdict parts
    shift
    echo "== $name"
    if [ -n "${SUITE_MINUTES:-}" ] && [ "$SECONDS" -gt $((SUITE_MINUTES * 60)) ]; then
        echo "skipped: $name, before which SUITE_MINUTES=$SUITE_MINUTES were over" | tee "$logs/$name.log"
        summary+=("$(printf '%-12s %4d s  %s' "$name" 0 "$(tail -n 1 "$logs/$name.log")")")
        return 77
    fi
    "$@" 2>&1 | tee "$logs/$name.log"
    local status=${PIPESTATUS[0]}
    case $status in
    0)
        parts=$(grep -cE "$skipped" "$logs/$name.log")
        verdict=ok passed=$((passed + 1))
        [ "$parts" = 0 ] || verdict="ok, and $parts skipped"
        ;;
    77) verdict="skipped: $(tail -n 1 "$logs/$name.log")" ;;
    *) verdict=FAILED failed=$((failed + 1)) ;;
    esac
    summary+=("$(printf '%-12s %4d s  %s' "$name" $((SECONDS - started)) "$verdict")")
    return "$status"
}

rust_tests() {
    rm -f "$junit"
    if command -v cargo-nextest >/dev/null; then
        scripts/servers.sh scripts/env.sh cargo nextest run --workspace --no-fail-fast --color never
    else
        scripts/servers.sh scripts/env.sh cargo test --workspace --no-fail-fast
    fi
}

# Counts the tests that the runner's own lines tell of, beside the stage itself.
count_rust_tests() {
    local counts
    counts=$(python3 scripts/count_tests.py "$logs/rust.log")
    passed=$((passed + ${counts% *})) failed=$((failed + ${counts#* }))
    [ ! -f "$junit" ] || grep -o 'skipped: [^<]*' "$junit" >"$logs/rust-skipped.log"
}

# Clippy is the compiler of our crates in all that follows, so that lints and programs are one build: apart, every dependency would
# be looked at twice. What has passed is compiled as the compiler alone would.
export RUSTC_WORKSPACE_WRAPPER=clippy-driver CLIPPY_ARGS="--deny__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__"

stage format cargo fmt --all --check
stage page scripts/env.sh services/gateway/ui/check.sh
# The stories start the programs as their users do. Built together with the tests: apart, our crates would be built twice.
if stage build scripts/env.sh cargo build --workspace --lib --bins --tests --benches --quiet; then
    stage rust rust_tests
    count_rust_tests
    stage deploy scripts/env.sh scripts/check-deploy.sh
    stage clients scripts/env.sh scripts/check-clients.sh "$CARGO_TARGET_DIR/debug"
    stage browser scripts/env.sh tests/browser/run.sh
    stage pacs scripts/env.sh scripts/check-pacs.sh "$CARGO_TARGET_DIR/debug"
    stage dicom scripts/env.sh scripts/check-dicom.sh "$CARGO_TARGET_DIR/debug"
    stage connectathon scripts/env.sh scripts/check-connectathon.sh "$CARGO_TARGET_DIR/debug"
    stage delivery scripts/env.sh scripts/check-delivery.sh "$CARGO_TARGET_DIR/debug"
    stage oidc scripts/env.sh scripts/check-oidc.sh "$CARGO_TARGET_DIR/debug"
    stage drift scripts/env.sh scripts/check-drift.sh "$CARGO_TARGET_DIR/debug"
    stage drill scripts/servers.sh scripts/env.sh scripts/restore_drill.sh
    stage documented scripts/env.sh python3 scripts/documented "$CARGO_TARGET_DIR/debug" blocks
    # The longest ones last: what a slow machine has no time for.
    stage mlflow scripts/env.sh scripts/check-mlflow.sh "$CARGO_TARGET_DIR/debug"
    stage notebooks scripts/env.sh scripts/check-notebooks.sh "$CARGO_TARGET_DIR/debug"
    stage dvc scripts/env.sh scripts/check-dvc.sh "$CARGO_TARGET_DIR/debug"
fi

echo
printf '%s\n' "${summary[@]}"
not_checked=$(grep -hE "$skipped" "$logs"/*.log | sort | uniq -c)
[ -z "$not_checked" ] || printf 'Not checked here, how often and why:\n%s\n' "$not_checked"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
