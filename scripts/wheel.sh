# wheel.sh: makes folders of what is needed of wheels, to be sourced with $here, the folder of the scripts: `version` and `from_wheels`.
#
# Versions and SHA-256 of the wheels are in scripts/wheels: a wheel that has another is not taken, wherever it comes from.

CACHE=${MEDSEG_CACHE:-$HOME/.cache/medseg}

say() { echo "$*" >&2; }
fail() { say "error: $*"; exit 1; }

# version NAME PACKAGE: which version of PACKAGE scripts/wheels/NAME.txt asks for.
version() { sed -n "s/^$2==\([^ ]*\).*/\1/p" "$here/wheels/$1.txt"; }

# from_wheels NAME FOLDER SIZE HINT: makes FOLDER of the wheels in scripts/wheels/NAME.txt, which are SIZE to fetch. The Python program
# on standard input does it: it is told where they lie and which folder to fill. HINT says what else helps, where pip is missing.
from_wheels() {
    name=$1 folder=$2 size=$3 hint=$4
    command -v python3 >/dev/null || fail "python3 is missing: install it to fetch $name"
    python3 -m pip --version >/dev/null 2>&1 || fail "pip is missing for $(command -v python3): 'apt-get install python3-pip'$hint"
    mkdir -p "$CACHE"
    # A directory of its own, renamed when whole: an interrupted run leaves nothing that looks finished.
    PART=$(mktemp -d "$CACHE/$name.XXXXXX")
    trap 'rm -rf "$PART"' EXIT
    # What pip says in passing is kept for when it fails.
    log=$CACHE/$name.log
    say "$name: fetching its wheels ($size, once)"
    python3 -m pip download --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes --dest "$PART/wheels" \
        --requirement "$here/wheels/$name.txt" --python-version 3.11 --implementation cp --abi cp311 --platform manylinux_2_28_x86_64 \
        --platform manylinux_2_25_x86_64 --platform manylinux2014_x86_64 </dev/null >"$log" 2>&1 || not_fetched
    say "$name: unpacking"
    PYTHONPATH="$here/wheels" PYTHONDONTWRITEBYTECODE=1 python3 - "$PART/wheels" "$PART" ||
        fail "$name could not be unpacked into $CACHE: is the disk full?"
    # The wheels have served: they are not kept twice.
    rm -rf "$PART/wheels" "$log"
    touch "$PART/complete"
    chmod 755 "$PART"
    rm -rf "$folder"
    mv "$PART" "$folder"
    trap - EXIT
    say "$name: ready in $folder"
    echo "$folder"
}

not_fetched() {
    if grep -q 'DO NOT MATCH THE HASHES' "$log"; then
        fail "a wheel of $name is not the one whose SHA-256 is in scripts/wheels/$name.txt: do not use that package index (log: $log)"
    fi
    fail "could not fetch the wheels of $name: is a Python package index reachable? (log: $log)"
}
