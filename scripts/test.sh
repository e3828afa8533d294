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

# Several programs calculate at once here: threads of libtorch that wait for one another are not to keep a core busy with that.
export OMP_WAIT_POLICY=passive

# beside COMMAND...: starts it, to run beside what follows. Until it was waited for, it ends when this does.
beside=
beside() {
    # As a process group of its own.
    set -m
    "$@" </dev/null &
    beside=$!
    set +m
}
leave() {
    [ -z "$beside" ] || kill -- "-$beside" 2>/dev/null
    [ -z "$quick" ] || rm -rf "$quick"
}
quick=
trap leave EXIT

# Temporary folders lie in memory where there is plenty of it and programs may be run there: tests flush thousands of small files, and
# what they kill is never the machine.
if [ -z "${TMPDIR:-}" ] && [ "$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)" -gt $((7 << 20)) ] 2>/dev/null; then
    quick=$(mktemp -d /dev/shm/medseg-test.XXXXXX)
    # Servers that run as nobody have theirs there, too.
    chmod 1777 "$quick"
    printf '#!/bin/sh\n' >"$quick/try"
    chmod +x "$quick/try"
    ! "$quick/try" 2>/dev/null || export TMPDIR=$quick
fi

scripts/setup.sh build || exit 1
# What only tests need is fetched while the programs are built: one waits for the network, the other for the processor.
beside nice scripts/setup.sh test >"$logs/setup.log" 2>&1

# A line that says what was not checked, and why.
skipped='(^|: )skipped: '
# What passing tests have said: the runner itself does not show it.
junit=$CARGO_TARGET_DIR/nextest/default/junit.xml

# stage NAME COMMAND...: runs COMMAND, shows its output, and writes down how it went.
# Exit status 77 means skipped, as the last line of the output says why. Parts of one that are skipped say so in lines of their own.
stage() {
    local name=$1 started=$SECONDS verdict parts
    shift
    echo "== $name"
    if [ -n "${SUITE_MINUTES:-}" ] && [ "$SECONDS" -gt $((SUITE_MINUTES * 60)) ]; then
        echo "skipped: $name, before which SUITE_MINUTES=$SUITE_MINUTES were over" | tee "$logs/$name.log"
        printf '%-12s %4d s  %s\n' "$name" 0 "$(tail -n 1 "$logs/$name.log")" >"$logs/$name.verdict"
        return 77
    fi
    "$@" 2>&1 | tee "$logs/$name.log"
    local status=${PIPESTATUS[0]}
    case $status in
    0)
        parts=$(grep -cE "$skipped" "$logs/$name.log")
        verdict=ok
        [ "$parts" = 0 ] || verdict="ok, and $parts skipped"
        ;;
    77) verdict="skipped: $(tail -n 1 "$logs/$name.log")" ;;
    *) verdict=FAILED ;;
    esac
    printf '%-12s %4d s  %s\n' "$name" $((SECONDS - started)) "$verdict" >"$logs/$name.verdict"
    return "$status"
}

# check NAME: runs what that stage consists of, on the programs that were built.
check() {
    local programs=$CARGO_TARGET_DIR/debug
    case $1 in
    page) scripts/env.sh services/gateway/ui/check.sh ;;
    browser) scripts/env.sh tests/browser/run.sh ;;
    drill) scripts/servers.sh scripts/env.sh scripts/restore_drill.sh ;;
    documented) scripts/env.sh python3 scripts/documented "$programs" blocks ;;
    *) scripts/env.sh "scripts/check-$1.sh" "$programs" ;;
    esac
}

# row NAME...: these stages one after another. What each shows comes whole at its end, for there is another row beside this one.
row() {
    local name shown
    for name in "$@"; do
        shown=$(stage "$name" check "$name" 2>&1)
        printf '%s\n' "$shown"
    done
}

rust_tests() {
    rm -f "$junit"
    if command -v cargo-nextest >/dev/null; then
        # One more than there are cores: some test always waits.
        scripts/servers.sh scripts/env.sh cargo nextest run --workspace --no-fail-fast --color never \
            --test-threads $(($(nproc) + 1))
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

stages=(format build) passed=0 failed=0
stage format cargo fmt --all --check
# The stories start the programs as their users do. Built together with the tests: apart, our crates would be built twice.
stage build scripts/env.sh cargo build --workspace --lib --bins --tests --benches --quiet
built=$?
wait "$beside" || { cat "$logs/setup.log" >&2; exit 1; }
beside=
if [ $built = 0 ]; then
    stage rust rust_tests
    count_rust_tests
    # Two rows of about the same length; each has ports and folders of its own, and waits often. The longest stages come last: what a slow
    # machine has no time for.
    one=(page browser oidc drift notebooks dvc)
    other=(deploy clients pacs dicom connectathon delivery drill documented mlflow)
    stages+=(rust "${one[@]}" "${other[@]}")
    beside row "${other[@]}"
    row "${one[@]}"
    wait "$beside"
    beside=
fi

echo
for name in "${stages[@]}"; do
    verdict=$(cat "$logs/$name.verdict" 2>/dev/null) || verdict="$name: FAILED: it never ended"
    echo "$verdict"
    case $verdict in
    *' s  ok'*) passed=$((passed + 1)) ;;
    *FAILED*) failed=$((failed + 1)) ;;
    esac
done
not_checked=$(grep -hE "$skipped" "$logs"/*.log | sort | uniq -c)
[ -z "$not_checked" ] || printf 'Not checked here, how often and why:\n%s\n' "$not_checked"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
