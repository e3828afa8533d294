#!/bin/sh
# root.sh SERVICE FOLDER: lays out what the image of SERVICE holds besides the base system.
set -eu
service=${1:?which service?} root=${2:?which folder?}
programs=$CARGO_TARGET_DIR/release

mkdir -p "$root/app" "$root/data" "$root/tmp"
chown 65532:65532 "$root/data" "$root/tmp"
cp "$programs/$service" "$root/app/service"

# An upload is decoded by a program of its own, found beside the one that takes it.
case $service in
ingest | medseg) cp "$programs/medseg-decode" "$root/app/" ;;
esac

case $service in
inference | medseg)
    torch=$(scripts/libtorch.sh)
    mkdir -p "$root$torch"
    cp -a "$torch/lib" "$root$torch/"
    # Where the image's LD_LIBRARY_PATH leads; on a GPU libtorch predicts.
    mkdir -p "$root/opt"
    [ -n "${CUDA:-}" ] || cp -a "$(scripts/openvino.sh)" "$root/opt/openvino"
    # Found there by the loader, and opened at start where a GPU is.
    [ -z "${CUDA:-}" ] || scripts/libtorch_cuda.sh "$root$torch/lib"
    ;;
esac
case $service in
drift | inference | ingest | medseg | registry) cp -R models "$root/app/models" ;;
esac
