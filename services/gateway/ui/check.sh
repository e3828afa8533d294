#!/usr/bin/env bash
# check.sh: type-checks and tests the page, builds it afresh and fails if dist/ is not what comes out, or src/api/types.ts not
# what ../openapi.json makes.
#
# Works on a copy outside the checkout; its packages are fetched once for each package-lock.json.
set -euo pipefail
cd "$(dirname "$0")"

fail() { echo "error: $*" >&2; exit 1; }

command -v node >/dev/null && command -v npm >/dev/null ||
    fail "node and npm are missing: 'scripts/setup.sh test' fetches them where the system has none"
node -e 'const [major, minor] = process.versions.node.split(".").map(Number)
process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)' ||
    fail "node $(node --version) is too old to build the page: 20.19 or newer is needed"
! grep -q '"resolved"' package-lock.json || fail "package-lock.json names a registry: rebuild it with the settings of .npmrc"

cache=${MEDSEG_CACHE:-$HOME/.cache/medseg}
work=$cache/page-$(cat package-lock.json .npmrc | sha256sum | cut -c 1-16)
mkdir -p "$work"
# One check at a time: all share the copy.
exec 9>"$work/lock"
flock 9

if [ ! -f "$work/complete" ]; then
    echo "page: fetching its packages (100 MB, once)"
    cp package.json package-lock.json .npmrc "$work"
    (cd "$work" && npm ci --loglevel=error) || fail "the page's packages could not be fetched: is an npm registry reachable?"
    touch "$work/complete"
fi

rm -rf "$work/src" "$work/dist" "$work/licences"
cp -R package.json tsconfig.json vite.config.ts index.html licences src ../openapi.json "$work"
export OPENAPI=openapi.json
(
    cd "$work"
    npm run --silent check
    npm test --silent
    npm run --silent build -- --logLevel warn
)
diff "$work/src/api/types.ts" src/api/types.ts ||
    fail "src/api/types.ts is not what openapi.json makes: run 'npm ci && npm run types' in services/gateway/ui and commit it"
diff -r "$work/dist" dist ||
    fail "dist/ is not what its sources build: run 'npm ci && npm run build' in services/gateway/ui and commit dist/"
echo "page: dist/ is what its sources build"
