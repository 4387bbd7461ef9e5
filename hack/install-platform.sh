#!/usr/bin/env bash
# Installs the platform, as a platform team would, into the cluster of
# $KUBECONFIG with the stores that the file $1 (stores.json of a devcluster)
# describes. Games get hosts under localhost, on the ingress port $2. What follows goes
# to helm. KUBECTL is the kubectl to use.
set -euo pipefail
cd "$(dirname "$0")/.."

stores=$1 ingress_port=$2
namespace=leaderboard-system
read -ra kubectl <<<"${KUBECTL:-bin/devcluster kubectl}"

# field NAME: a value of stores.json, which has one field a line.
field() { sed -n "s/^ *\"$1\": *\"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$stores" | head -1; }

"${kubectl[@]}" create namespace "$namespace" --dry-run=client -o yaml | "${kubectl[@]}" apply -f - >/dev/null
"${kubectl[@]}" label --overwrite namespace "$namespace" pod-security.kubernetes.io/enforce=restricted >/dev/null
admin_secret() { # name user password
  "${kubectl[@]}" -n "$namespace" create secret generic "$1" --dry-run=client -o yaml \
    --from-literal=username="$2" --from-file=password=<(printf %s "$3") | "${kubectl[@]}" apply -f - >/dev/null
}
admin_secret leaderboard-postgres-admin "$(field postgresUser)" "$(field postgresPassword)"
admin_secret leaderboard-redis-admin "$(field redisUser)" "$(field redisPassword)"

bin/tools/helm upgrade --install leaderboard-operator charts/leaderboard-operator \
  --namespace "$namespace" --wait --timeout 5m \
  --set image.tag=dev --set serverImage.tag=dev \
  --set defaultClass.create=true \
  --set defaultClass.postgres.host="$(field postgresHost)" \
  --set defaultClass.postgres.port="$(field postgresPort)" \
  --set defaultClass.postgres.database="$(field postgresDatabase)" \
  --set defaultClass.postgres.sslMode=disable \
  --set defaultClass.postgres.adminSecretRef.name=leaderboard-postgres-admin \
  --set "defaultClass.redis.endpoints[0]=$(field redisHost):$(field redisPort)" \
  --set defaultClass.redis.adminSecretRef.name=leaderboard-redis-admin \
  --set defaultClass.exposure.type=Ingress \
  --set defaultClass.exposure.domain=localhost \
  --set defaultClass.exposure.port="$ingress_port" "${@:3}" >/dev/null
