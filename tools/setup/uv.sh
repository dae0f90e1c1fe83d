#!/bin/sh
# Find uv, or install the pinned one for this user from the package index.
set -eu
version=$1
if command -v uv >/dev/null 2>&1 && uv --version >/dev/null 2>&1; then
    exit 0
fi
echo "uv is not installed: installing uv $version with pip for this user"
python3 -m pip install --quiet --user --disable-pip-version-check --break-system-packages "uv==$version" 2>/dev/null \
    || python3 -m pip install --quiet --user --disable-pip-version-check "uv==$version" \
    || { echo "error: could not install uv; install it yourself (pip install uv==$version) and run again" >&2; exit 1; }
command -v uv >/dev/null 2>&1 || {
    echo "error: uv was installed but is not on PATH; add $HOME/.local/bin to PATH and run again" >&2
    exit 1
}
