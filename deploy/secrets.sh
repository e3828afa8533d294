#!/bin/sh
# secrets.sh > .env: new secrets for docker-compose.yml. Once: a running database keeps its first password.
set -eu
umask 077
for name in DATABASE_PASSWORD GRAFANA_PASSWORD QUEUE_PASSWORD SERVICE_SECRET DELIVERY_SECRET; do
    echo "$name=$(head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n')"
done
