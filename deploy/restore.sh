#!/usr/bin/env bash
# restore.sh FOLDER [TOMBSTONES]: brings back what backup.sh has saved, into empty databases and empty folders or buckets.
#
# FOLDER is to have the newest storage-keys.sql that there is, of whichever backup: a key that is in an older one alone was destroyed since.
#
# Reads what backup.sh reads. Start the services afterwards: they bring the tables up to date, and announce unfinished jobs again.
#
# TOMBSTONES is what says which scans were deleted since: the objects deleted.* and erased.* of storage's object store, as late as they can be
# had (a folder, or gs://…). Storage deletes those scans again when it starts. Without, what was erased after the backup is back.
set -euo pipefail
folder=${1:?from which folder?}
tombstones=${2:-}
here=$(dirname "$0")
for file in auth.sql storage.sql drift.sql delivery.sql registry.sql signing-key.pem model-key.pem; do
    [ -s "$folder/$file" ] || { echo "error: $folder/$file is missing: this is no whole backup" >&2; exit 1; }
done

# Whoever can have erased a key has scans that are encrypted, too.
if grep -q 'CREATE TABLE .erased_keys' "$folder/storage.sql" && [ ! -s "$folder/storage-keys.sql" ]; then
    echo "error: $folder/storage-keys.sql is missing: copy the newest one there, or no scan can be read" >&2
    exit 1
fi

# Before anything is brought back: a name that was mistyped would bring back whoever was erased since.
case $tombstones,${BLOB_URL:?} in
,* | gs://*,gs://*) ;;
gs://*,*) echo "error: $tombstones: copy them into a folder first" >&2 && exit 1 ;;
*) [ -d "$tombstones" ] || { echo "error: $tombstones is no folder: where are the tombstones?" >&2; exit 1; } ;;
esac

# objects NAME URL: copies the folder NAME of the backup to URL.
objects() {
    case $2 in
    file://*)
        mkdir -p "${2#file://}"
        cp -a "$folder/$1/." "${2#file://}/"
        ;;
    gs://*) gcloud storage rsync --recursive "$folder/$1" "$2" ;;
    *) echo "error: $2: use the bucket's own tools" >&2 && exit 1 ;;
    esac
}

# later_tombstones: lays the tombstones into the object store, beside those of the backup.
later_tombstones() {
    local found=0
    case $tombstones,$BLOB_URL in
    gs://*,gs://*)
        # A bucket that is not there is an error, and one in which nothing was ever deleted is none.
        local listed keys
        listed=$(gcloud storage ls "${tombstones%/}/")
        keys=$(grep -E '/(deleted|erased)\.[^/]+$' <<<"$listed" || true)
        if [ -n "$keys" ]; then
            gcloud storage cp --read-paths-from-stdin "${BLOB_URL%/}/" <<<"$keys"
            found=$(wc -l <<<"$keys")
        fi
        ;;
    *)
        for one in "$tombstones"/deleted.* "$tombstones"/erased.*; do
            [ -f "$one" ] || continue
            case $BLOB_URL in
            file://*) cp -a "$one" "${BLOB_URL#file://}/" ;;
            gs://*) gcloud storage cp "$one" "${BLOB_URL%/}/" ;;
            *) echo "error: $BLOB_URL: use the bucket's own tools" >&2 && exit 1 ;;
            esac
            found=$((found + 1))
        done
        ;;
    esac
    echo "restore: $found tombstones"
}

for name in auth storage drift delivery registry; do
    variable=${name^^}_DATABASE_URL
    : "${!variable:?}"
    tables=$("$here/mysql.py" mariadb "$variable" --skip-column-names -e 'show tables')
    [ -z "$tables" ] || { echo "error: the database of $name is not empty" >&2; exit 1; }
done
objects objects "${BLOB_URL:?}"
if [ -z "$tombstones" ]; then
    echo "restore: without tombstones: what was deleted or erased after this backup is back, until they are laid into $BLOB_URL" >&2
else
    later_tombstones
fi
objects models "${REGISTRY_BLOB_URL:?}"
install -m 600 "$folder/signing-key.pem" "${SIGNING_KEY:?}"
install -m 600 "$folder/model-key.pem" "${MODEL_KEY:?}"
# Rows last: none is there without its objects.
for name in auth storage drift delivery registry; do
    variable=${name^^}_DATABASE_URL
    "$here/mysql.py" mariadb "$variable" <"$folder/$name.sql"
    echo "restore: $name"
done
if [ -s "$folder/storage-keys.sql" ]; then
    "$here/mysql.py" mariadb STORAGE_DATABASE_URL <"$folder/storage-keys.sql"
    echo "restore: data keys"
fi
echo "restore: $(find "$folder/objects" "$folder/models" -type f | wc -l) objects and two keys"
