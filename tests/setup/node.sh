#!/usr/bin/env bash
# The Node packages of tests/package-lock.json, in a folder of their own: setup/node.sh FOLDER
set -euo pipefail

folder=$1
wanted=$(dirname "$0")/..
if cmp -s "$wanted/package-lock.json" "$folder/installed.json"; then
  exit 0
fi
echo "==> installing the Node packages of the tests"
mkdir -p "$folder"
cp "$wanted/package.json" "$wanted/package-lock.json" "$folder"
npm ci --prefix "$folder" --silent --ignore-scripts --no-audit --no-fund
cp "$wanted/package-lock.json" "$folder/installed.json"
