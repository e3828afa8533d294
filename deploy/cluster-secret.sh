#!/bin/sh
# cluster-secret.sh RELEASE [NAME] | kubectl apply -f -: the Secret that the chart wants where MySQL and RabbitMQ are its own
# (helm/medseg/ci/in-cluster-values.yaml). Once: a running database keeps its first passwords.
set -eu
umask 077
release=${1:?which release?} name=${2:-medseg}
here=$(dirname "$0")
random() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
auth=$(random) storage=$(random) drift=$(random) delivery=$(random) registry=$(random) rabbitmq=$(random)
accounts="auth $auth
storage $storage
drift $drift
delivery $delivery
registry $registry"
cat <<SECRET
apiVersion: v1
kind: Secret
metadata: { name: $name }
type: Opaque
stringData:
  mysql-root-password: $(random)
  # What the database makes at its first start.
  databases.sql: |
$(echo "$accounts" | "$here/databases.sh" | sed 's/^/    /')
  rabbitmq-password: $rabbitmq
  auth-database-url: mysql://auth:$auth@$release-mysql:3306/auth
  storage-database-url: mysql://storage:$storage@$release-mysql:3306/storage
  drift-database-url: mysql://drift:$drift@$release-mysql:3306/drift
  delivery-database-url: mysql://delivery:$delivery@$release-mysql:3306/delivery
  registry-database-url: mysql://registry:$registry@$release-mysql:3306/registry
  queue-url: amqp://medseg:$rabbitmq@$release-rabbitmq:5672/%2f
  queue-management-url: http://medseg:$rabbitmq@$release-rabbitmq:15672/%2f
  service-secret: $(random)
  delivery-secret: $(random)
  gateway-secret: $(random)
  signing-key: |
$(openssl genpkey -algorithm ed25519 | sed 's/^/    /')
  model-key: |
$(openssl genpkey -algorithm ed25519 | sed 's/^/    /')
SECRET
