#!/usr/bin/env bash
# Chromium for the browser test, by the system's package manager where that may install.
set -euo pipefail

found() { command -v chromium || command -v chromium-browser || command -v google-chrome; }

if ! found >/dev/null; then
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    echo "==> installing Chromium for the browser test"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null
  fi
fi
if ! found >/dev/null; then
  echo "Chromium is missing, so the browser test will be skipped; install it with your package manager (apt-get install chromium)" >&2
  # Where tests guard the main branch, a skipped one is a failure.
  [ -z "${CI:-}" ]
fi
