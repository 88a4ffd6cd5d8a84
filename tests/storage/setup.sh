#!/usr/bin/env bash
# What the peers need, as far as it can be had here: setup.sh FOLDER
# Who is not to be had is missing from the report, which says so.
set -euo pipefail

venv=$1
wanted=$(dirname "$0")/requirements.txt
if ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  echo "==> installing PostgreSQL, without a cluster of its own"
  apt-get update -qq
  # Else the package would start a server.
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql-common >/dev/null &&
    sed -i 's/^#*create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >/dev/null ||
    echo "PostgreSQL could not be installed" >&2
fi
if ! cmp -s "$wanted" "$venv/installed.txt"; then
  echo "==> installing the Python packages of the peers"
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$wanted"
  cp "$wanted" "$venv/installed.txt"
fi
