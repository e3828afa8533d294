#!/usr/bin/env bash
# restore.sh FOLDER: brings back what backup.sh has saved, into empty databases and empty folders or buckets.
#
# Reads what backup.sh reads. Start the services afterwards: they bring the tables up to date, and announce unfinished jobs again.
set -euo pipefail
folder=${1:?from which folder?}
here=$(dirname "$0")
for file in auth.sql storage.sql drift.sql delivery.sql registry.sql signing-key.pem model-key.pem; do
    [ -s "$folder/$file" ] || { echo "error: $folder/$file is missing: this is no whole backup" >&2; exit 1; }
done

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

for name in auth storage drift delivery registry; do
    variable=${name^^}_DATABASE_URL
    : "${!variable:?}"
    tables=$("$here/mysql.py" mariadb "$variable" --skip-column-names -e 'show tables')
    [ -z "$tables" ] || { echo "error: the database of $name is not empty" >&2; exit 1; }
done
objects objects "${BLOB_URL:?}"
objects models "${REGISTRY_BLOB_URL:?}"
install -m 600 "$folder/signing-key.pem" "${SIGNING_KEY:?}"
install -m 600 "$folder/model-key.pem" "${MODEL_KEY:?}"
# Rows last: none is there without its objects.
for name in auth storage drift delivery registry; do
    variable=${name^^}_DATABASE_URL
    "$here/mysql.py" mariadb "$variable" <"$folder/$name.sql"
    echo "restore: $name"
done
echo "restore: $(find "$folder/objects" "$folder/models" -type f | wc -l) objects and two keys"
