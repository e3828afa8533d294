#!/usr/bin/env bash
# backup.sh FOLDER: saves databases, objects and keys, in this order: each row's objects are there before it.
#
# Scans' data keys, and hospitals', go into a file of their own, storage-keys.sql, and the key ring (DATA_KEYS_URL) into none: keep the newest storage-keys.sql
# alone, for all backups, and whoever was erased since is in none of them any more.
#
# Reads AUTH_, STORAGE_, DRIFT_, DELIVERY_ and REGISTRY_DATABASE_URL (mysql://…), BLOB_URL of storage and REGISTRY_BLOB_URL (file:///… or
# gs://…), SIGNING_KEY and MODEL_KEY. Services may go on meanwhile.
set -euo pipefail
folder=${1:?into which folder?}
here=$(dirname "$0")
umask 077
mkdir -p "$folder/objects" "$folder/models"

# objects URL NAME: copies what lies at URL into the folder NAME of the backup.
objects() {
    case $1 in
    file://*) cp -a "${1#file://}/." "$folder/$2/" ;;
    gs://*) gcloud storage rsync --recursive "$1" "$folder/$2" ;;
    *) echo "error: $1: use the bucket's own tools" >&2 && exit 1 ;;
    esac
    rm -rf "$folder/$2/.staging"
}

for name in auth storage drift delivery registry; do
    variable=${name^^}_DATABASE_URL
    : "${!variable:?}"
    apart=()
    if [ "$name" = storage ]; then
        database=${!variable##*/}
        database=${database%%\?*}
        apart=("--ignore-table=$database.data_keys" "--ignore-table=$database.tenant_keys")
    fi
    # One transaction: the rows as they were at one moment.
    "$here/mysql.py" mariadb-dump "$variable" --single-transaction --no-tablespaces "${apart[@]}" >"$folder/$name.sql.part"
    mv "$folder/$name.sql.part" "$folder/$name.sql"
    echo "backup: $name, $(wc -c <"$folder/$name.sql") bytes"
done
# After the rows of what they open. A storage from before there were keys has none.
if [ -n "$("$here/mysql.py" mariadb STORAGE_DATABASE_URL --skip-column-names -e "show tables like 'data\_keys'")" ]; then
    "$here/mysql.py" mariadb-dump STORAGE_DATABASE_URL --single-transaction --no-tablespaces -- tenant_keys data_keys >"$folder/storage-keys.sql.part"
    mv "$folder/storage-keys.sql.part" "$folder/storage-keys.sql"
    echo "backup: data keys, $(wc -c <"$folder/storage-keys.sql") bytes"
fi
objects "${BLOB_URL:?}" objects
objects "${REGISTRY_BLOB_URL:?}" models
cp "${SIGNING_KEY:?}" "$folder/signing-key.pem"
cp "${MODEL_KEY:?}" "$folder/model-key.pem"
echo "backup: $(find "$folder/objects" "$folder/models" -type f | wc -l) objects and two keys"
