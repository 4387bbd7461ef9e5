#!/usr/bin/env bash
# PostgreSQL and Redis in the kind cluster, with passwords that are made once and
# kept beside the kubeconfig.
set -euo pipefail
cd "$(dirname "$0")/../.."
source hack/kind/lib.sh

stores=.kind/$name.stores.json
password() { head -c 24 /dev/urandom | base64 | tr -d '/+='; }
if [[ ! -s $stores ]]; then
  (umask 077 && cat >"$stores" <<EOF
{
  "postgresHost": "postgres.databases.svc",
  "postgresPort": 5432,
  "postgresDatabase": "leaderboard",
  "postgresUser": "leaderboard_admin",
  "postgresPassword": "$(password)",
  "redisHost": "redis.databases.svc",
  "redisPort": 6379,
  "redisUser": "leaderboard_admin",
  "redisPassword": "$(password)"
}
EOF
  )
fi
field() { sed -n "s/^ *\"$1\": \"\([^\"]*\)\",\{0,1\}\$/\1/p" "$stores"; }

"${kubectl[@]}" create namespace databases --dry-run=client -o yaml | "${kubectl[@]}" apply -f - >/dev/null
"${kubectl[@]}" label --overwrite namespace databases pod-security.kubernetes.io/enforce=restricted >/dev/null
secret() { "${kubectl[@]}" -n databases create secret generic "$@" --dry-run=client -o yaml | "${kubectl[@]}" apply -f - >/dev/null; }
"${kubectl[@]}" -n databases get secret postgres >/dev/null 2>&1 ||
  secret postgres --from-file=password=<(field postgresPassword | tr -d '\n') --from-file=superuser=<(password | tr -d '\n')
secret redis --from-file=password=<(field redisPassword | tr -d '\n')
for store in postgres redis; do
  sed "s#\${POSTGRES_IMAGE}#$postgres_image#; s#\${REDIS_IMAGE}#$redis_image#" "hack/kind/$store.yaml" | "${kubectl[@]}" apply -f - >/dev/null
done
