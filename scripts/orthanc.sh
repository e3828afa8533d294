#!/usr/bin/env bash
# orthanc.sh: prints the folder in which an Orthanc with its DICOMweb plugin lies, fetched from this system's Debian packages where it is
# missing. Nothing is installed, and root is not needed: the packages are unpacked into the cache.
#
# The folder has a program `orthanc`, which is given a configuration, and a file `plugin` that says where the plugin lies.
set -euo pipefail

fail() { echo "error: $*" >&2; exit 1; }
folder=${MEDSEG_CACHE:-$HOME/.cache/medseg}/orthanc
wanted=(orthanc orthanc-dicomweb)

# The names of those packages and of what they need, as far as this system lacks it.
lacking() { apt-get install --simulate --no-install-recommends "${wanted[@]}" | sed -n 's/^Inst \([^ ]*\) .*/\1/p'; }

if [ ! -f "$folder/complete" ]; then
    command -v apt-get >/dev/null || fail "no package of Orthanc: this system has no apt-get"
    rm -rf "$folder"
    mkdir -p "$folder/packages" "$folder/root"
    names=$(lacking 2>"$folder/log") || fail "no package of Orthanc: apt-get knows none (log: $folder/log)"
    # An installed one lies where it was installed.
    if [ -n "$names" ]; then
        # shellcheck disable=SC2086 # each is a word
        (cd "$folder/packages" && apt-get -qq download $names) >>"$folder/log" 2>&1 ||
            fail "the packages of Orthanc could not be fetched: is the Debian mirror reachable? (log: $folder/log)"
        for package in "$folder"/packages/*.deb; do dpkg-deb --extract "$package" "$folder/root"; done
    fi
    root=$folder/root
    [ -x "$root/usr/sbin/Orthanc" ] || root=
    libraries=$root/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || echo x86_64-linux-gnu)
    # shellcheck disable=SC2016 # "$@" is the program's.
    printf '#!/bin/sh\nLD_LIBRARY_PATH="%s" exec "%s/usr/sbin/Orthanc" "$@"\n' "$libraries" "$root" >"$folder/orthanc"
    chmod +x "$folder/orthanc"
    ls "$root"/usr/lib/orthanc/libOrthancDicomWeb.so.* >"$folder/plugin" 2>>"$folder/log" || fail "the packages of Orthanc bring no DICOMweb plugin"
    "$folder/orthanc" --version >/dev/null 2>>"$folder/log" || fail "the Orthanc of this system's packages does not start (log: $folder/log)"
    rm -rf "$folder/packages"
    touch "$folder/complete"
fi
echo "$folder"
