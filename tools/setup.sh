#!/usr/bin/env bash
# Sets up what the Makefile needs and says what to do where it can't.
#   setup.sh PYTHON VENV LOCK   the virtual environment with the locked packages
#   setup.sh --browser          a Chromium for the tests
#   setup.sh --lock             write requirements.lock from the virtual environment
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo -n "$@"; else return 1; fi
}

apt_install() {
  command -v apt-get >/dev/null || return 1
  as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
}

environment() {
  local python=$1 venv=$2 lock=$3
  if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    say "Python 3.11 or newer is needed; '$python' is not. Install it, or run: make PYTHON=/path/to/python3.11 …"
    exit 1
  fi
  if [ ! -x "$venv/bin/pip" ]; then
    say "Making the virtual environment $venv …"
    if ! "$python" -m venv "$venv" >/dev/null 2>&1; then
      rm -rf "$venv"
      apt_install python3-venv || true
      "$python" -m venv "$venv" || {
        say "Python cannot make a virtual environment. On Debian: apt-get install python3-venv, then again."
        exit 1
      }
    fi
  fi
  say "Installing the packages of $lock (the first time takes some minutes) …"
  if ! "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$lock" 2> >(grep -v '^WARNING: Location' >&2); then
    say "Installing packages failed. Is there a network, and room on the disk (3 GB)? Then run the same command again."
    exit 1
  fi
  if ! "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . 2> >(grep -v '^WARNING: Location' >&2); then
    say "Installing the companion package failed; the message above says why."
    exit 1
  fi
}

browser() {
  # Debian's headless shell is the faster one for tests. Where there is none, a whole Chromium does.
  if [ -z "${CHROMIUM:-}" ] && ! command -v chromium-headless-shell >/dev/null \
    && apt-cache show chromium-headless-shell >/dev/null 2>&1; then
    say "Installing Chromium's headless shell for the browser tests …"
    apt_install chromium-headless-shell || true
  fi
  if [ -z "${CHROMIUM:-}" ] && command -v chromium-headless-shell >/dev/null; then return 0; fi
  for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
    if [ -n "$name" ] && command -v "$name" >/dev/null; then return 0; fi
  done
  if .venv/bin/python -c 'import sys; from playwright.sync_api import sync_playwright as s; p = s().start(); import os; sys.exit(not os.path.exists(p.chromium.executable_path))' 2>/dev/null; then
    return 0
  fi
  say "Installing Chromium for the browser tests …"
  apt_install chromium && return 0
  .venv/bin/playwright install --with-deps chromium && return 0
  say "No Chromium: install one (Debian: apt-get install chromium) or set CHROMIUM=/path/to/chromium, then again."
  exit 1
}

lock() {
  .venv/bin/pip freeze --exclude-editable 2>/dev/null \
    | grep -v -i -E '^(cnn-autoencoder-companion|pip|setuptools)( |==|@)' \
    | sed -E 's/ @ .*//; s/\+cpu$//' | sort -f > requirements.lock
}

case "${1:-}" in
  --browser) browser ;;
  --lock) lock ;;
  *) environment "$@" ;;
esac
