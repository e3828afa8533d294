#!/usr/bin/env bash
# build.sh: builds the release binaries and prints the path of medseg on the last line.
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${MEDSEG_CACHE:-$HOME/.cache/medseg}/target}"
echo "build: release binaries in $CARGO_TARGET_DIR/release" >&2
scripts/env.sh cargo build --release --workspace --bins
echo "$CARGO_TARGET_DIR/release/medseg"
