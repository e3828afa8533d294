#!/usr/bin/env bash
# restore_drill.sh: saves a running mesh, destroys it, restores it elsewhere, and compares every scan, byte by byte. Then goes from what the last
# release has left to what is built, and back (upgrade_drill.py).
#
# Runs by itself under scripts/servers.sh; PROGRAMS names the folder of the built services.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -n "${TEST_MYSQL_URL:-}" ] || exec scripts/servers.sh scripts/env.sh scripts/restore_drill.sh

export PROGRAMS=${PROGRAMS:-$CARGO_TARGET_DIR/debug}
python3 scripts/restore_drill.py
exec python3 scripts/upgrade_drill.py
