#!/bin/sh
# cluster-secret.sh RELEASE [NAME] | kubectl apply -f -: the Secret that the chart wants where MySQL and RabbitMQ are its own
# (helm/medseg/ci/in-cluster-values.yaml). Once: a running database keeps its first password.
set -eu
umask 077
release=${1:?which release?} name=${2:-medseg}
random() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
mysql=$(random) rabbitmq=$(random)
cat <<SECRET
apiVersion: v1
kind: Secret
metadata: { name: $name }
type: Opaque
stringData:
  mysql-password: $mysql
  mysql-root-password: $(random)
  rabbitmq-password: $rabbitmq
  auth-database-url: mysql://medseg:$mysql@$release-mysql:3306/auth
  storage-database-url: mysql://medseg:$mysql@$release-mysql:3306/storage
  drift-database-url: mysql://medseg:$mysql@$release-mysql:3306/drift
  delivery-database-url: mysql://medseg:$mysql@$release-mysql:3306/delivery
  registry-database-url: mysql://medseg:$mysql@$release-mysql:3306/registry
  queue-url: amqp://medseg:$rabbitmq@$release-rabbitmq:5672/%2f
  queue-management-url: http://medseg:$rabbitmq@$release-rabbitmq:15672/%2f
  service-secret: $(random)
  delivery-secret: $(random)
  signing-key: |
$(openssl genpkey -algorithm ed25519 | sed 's/^/    /')
  model-key: |
$(openssl genpkey -algorithm ed25519 | sed 's/^/    /')
SECRET
