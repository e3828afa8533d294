# packages.sh: for checks that need packages of npm, to be sourced after serving.sh.

# packages FOLDER NAME SIZE: fetches what FOLDER's package-lock.json names, outside the checkout and once for each of its contents; sets
# $work to where they are.
packages() {
    local here=$1 name=$2 size=$3 cache=${MEDSEG_CACHE:-$HOME/.cache/medseg}
    command -v node >/dev/null && command -v npm >/dev/null ||
        fail "node and npm are missing: 'scripts/setup.sh test' fetches them where the system has none"
    work=$cache/$name-$(cat "$here/package-lock.json" "$here/.npmrc" | sha256sum | cut -c 1-16)
    mkdir -p "$work"
    exec 9>"$work/lock"
    flock 9
    if [ ! -f "$work/complete" ]; then
        echo "$name: fetching its packages ($size, once)"
        cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$work"
        (cd "$work" && npm ci --loglevel=error) || fail "the packages of $name could not be fetched: is an npm registry reachable?"
        touch "$work/complete"
    fi
    flock -u 9
}

# browser: sets $chromium to the browser of this system.
browser() {
    chromium=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
    [ -n "$chromium" ] || fail "chromium is missing: install it (apt-get install chromium), or set CHROMIUM to one"
}

# stories: lays the browser's stories into $folder/test, with their packages, for the browser that is $chromium; $root is the checkout.
stories() {
    browser
    packages "$root/tests/browser" browser "20 MB"
    mkdir "$folder/test"
    cp "$root"/tests/browser/*.mjs "$root/tests/browser/package.json" "$folder/test"
    ln -s "$work/node_modules" "$folder/test/node_modules"
}
