#!/usr/bin/env bash
# The Python packages of tests/requirements.txt, in an environment of their own: setup/python.sh FOLDER
set -euo pipefail

venv=$1
wanted=$(dirname "$0")/../requirements.txt
if cmp -s "$wanted" "$venv/installed.txt"; then
  exit 0
fi
if ! command -v python3 >/dev/null; then
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3 python3-venv >/dev/null
  else
    echo "Python 3 is missing, so the tests with other exporters and engines will be skipped" >&2
    [ -z "${CI:-}" ] && exit 0
    exit 1
  fi
fi
echo "==> installing the Python packages of the tests"
rm -rf "$venv"
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$wanted"
cp "$wanted" "$venv/installed.txt"
