#!/usr/bin/env bash
# build.sh: builds the programs and prints the path of medseg on the last line.
#
# PROFILE=dev makes a debug build, PROFILE=demo no more than `medseg serve` runs, half optimised: the soonest.
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${MEDSEG_CACHE:-$HOME/.cache/medseg}/target}"
case ${PROFILE:=release} in
release) folder=release what=(--workspace --bins) ;;
demo) folder=demo what=(--package medseg --package jail --bins) ;;
# Together with the tests, as the suite does it: apart, our crates would be built twice.
dev) folder=debug what=(--workspace --lib --bins --tests) ;;
*) echo "error: PROFILE is release, demo or dev, not $PROFILE" >&2; exit 1 ;;
esac
echo "build: $PROFILE programs in $CARGO_TARGET_DIR/$folder" >&2
scripts/env.sh cargo build --profile "$PROFILE" "${what[@]}" >&2
echo "$CARGO_TARGET_DIR/$folder/medseg"
