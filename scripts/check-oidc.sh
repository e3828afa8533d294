#!/usr/bin/env bash
# check-oidc.sh FOLDER: sign-in through a hospital's own provider of identities, which is npm's oidc-provider, as it comes.
#
# Starts the medseg that lies in FOLDER on a directory and a port of its own, and beside it a provider that signs with RS256, then
# one that signs with ES256. A browser without pages goes through the provider's own, there and back.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/serving.sh
. scripts/serving.sh
# shellcheck source=scripts/packages.sh
. scripts/packages.sh
[ $# = 1 ] || fail "usage: check-oidc.sh FOLDER"
medseg=$1/medseg
packages tests/oidc oidc "5 MB"
mkdir "$folder/check"
cp tests/oidc/*.mjs tests/oidc/package.json "$folder/check"
ln -s "$work/node_modules" "$folder/check/node_modules"

# Where browsers reach the page is not where this check does: nobody knows the port before.
export PUBLIC_URL=http://localhost PROVIDER_NETWORKS=127.0.0.0/8
serve "$medseg" --model-url threshold: --research
client=medseg secret='a secret: with signs that forms and headers mind %&+'
for algorithm in RS256 ES256; do
    port=$(free_port)
    beside "$folder/provider.log" node "$folder/check/provider.mjs" "$port" "$client" "$secret" \
        "$PUBLIC_URL/v1/sign-in/check/callback" "$url/v1/sign-in/check/logout" "$algorithm"
    answers oidc-provider "$folder/provider.log" grep -q "^provider answers" "$folder/provider.log"
    node "$folder/check/check.mjs" "${url%/}" "$user" "$password" "http://127.0.0.1:$port" "$client" "$secret" "$algorithm" ||
        { tail -n 5 "$folder/provider.log" >&2; fail "sign-in through a provider that signs with $algorithm"; }
    : >"$folder/provider.log"
done
