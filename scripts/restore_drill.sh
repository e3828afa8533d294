#!/usr/bin/env bash
# restore_drill.sh: saves a running mesh, destroys it, restores it elsewhere, and compares every scan, byte by byte.
#
# Runs by itself under scripts/servers.sh; PROGRAMS names the folder of the built services.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -n "${TEST_MYSQL_URL:-}" ] || exec scripts/servers.sh scripts/env.sh scripts/restore_drill.sh

export PROGRAMS=${PROGRAMS:-$CARGO_TARGET_DIR/debug}
exec python3 scripts/restore_drill.py
