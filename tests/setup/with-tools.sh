#!/usr/bin/env bash
# Runs a command with the variables that tell the integration tests which tools are there.
set -euo pipefail

venv=$VENV
if [ -x "$venv/bin/python" ]; then
  export SPANHOUSE_TEST_PYTHON="$venv/bin/python"
fi
if [ -d "$NODE/node_modules" ]; then
  export SPANHOUSE_TEST_NODE_MODULES="$NODE/node_modules"
fi
if browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome); then
  export SPANHOUSE_TEST_BROWSER="$browser"
fi
# Where tests guard the main branch, a skipped one is a failure.
for tool in PYTHON NODE_MODULES BROWSER; do
  variable=SPANHOUSE_TEST_$tool
  if [ -n "${CI:-}" ] && [ -z "${!variable:-}" ]; then
    echo "$variable is not set, so tests would be skipped: \`make browser node python\` sets up what they need" >&2
    exit 1
  fi
done
exec "$@"
