#!/usr/bin/env bash
# check-clients.sh FOLDER: clients that are generated from openapi.json import and work, and all that it promises holds; and
# Triton's client asks the bare model.
#
# Starts the medseg that lies in FOLDER on a directory and a port of its own. Two generators make a Python client each, which
# goes from sign-in to mask; then schemathesis tries every operation for a minute (schemathesis.toml). tritonclient, tuspy and
# fhir.resources are used as they come from their packages (tests/clients/).
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/serving.sh
. scripts/serving.sh
[ $# = 1 ] || fail "usage: check-clients.sh FOLDER"
medseg=$1/medseg document=$PWD/services/gateway/openapi.json
tools=$MEDSEG_CACHE/clients
[ -f "$tools/complete" ] || fail "the client generators are missing: scripts/setup.sh test"
[ -f "$MEDSEG_CACHE/triton/complete" ] || fail "tritonclient is missing: scripts/setup.sh test"
[ -f "$MEDSEG_CACHE/standards/complete" ] || fail "fhir.resources is missing: scripts/setup.sh test"
[ -f "$MEDSEG_CACHE/tus/complete" ] || fail "tuspy is missing: scripts/setup.sh test"

serve "$medseg" --model-url threshold: --research
"$medseg" phantom --out "$folder/scan.png" >/dev/null

# quietly NAME COMMAND...: shows what COMMAND says only where it fails.
quietly() {
    local name=$1
    shift
    "$@" >"$folder/$name.log" 2>&1 || { cat "$folder/$name.log" >&2; fail "$name makes no whole client"; }
}

# uses NAME CLIENTS: whether the client of that generator, which lies in CLIENTS, works.
uses() {
    PYTHONPATH=$2:$tools python3 scripts/check_clients.py "$1" "$url" "$password" "$folder/scan.png"
    echo "clients: $1: from sign-in to mask"
}

export PYTHONPATH=$tools PYTHONDONTWRITEBYTECODE=1 HYPOTHESIS_STORAGE_DIRECTORY=$folder/hypothesis
quietly openapi-python-client python3 -m openapi_python_client generate --path "$document" --config scripts/clients.yaml \
    --meta none --output-path "$folder/typed/medseg_client" --fail-on-warning
uses openapi-python-client "$folder/typed"
quietly openapi-generator python3 -c 'import openapi_generator_cli as cli; cli.cli()' \
    generate --input-spec "$document" --generator-name python --output "$folder/generated"
uses openapi-generator "$folder/generated"

PYTHONPATH=$MEDSEG_CACHE/triton python3 tests/clients/triton.py "$url" "$password"
PYTHONPATH=$MEDSEG_CACHE/tus python3 tests/clients/tus.py "$url" "$password" "$folder/scan.png"
PYTHONPATH=$MEDSEG_CACHE/standards python3 tests/clients/capability.py "$url"

read -r MEDSEG_TOKEN MEDSEG_BATCH < <(python3 scripts/check_clients.py prepare "$url" "$password" "$folder/scan.png")
export MEDSEG_TOKEN MEDSEG_BATCH
python3 -c 'from schemathesis.cli import schemathesis; schemathesis()' --config-file scripts/schemathesis.toml \
    run "$document" --url "$url" --no-color
