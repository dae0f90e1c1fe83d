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
# Already there as a package of this Python, or installed into a folder that is not on PATH: link it where make looks.
if ! command -v uv >/dev/null 2>&1; then
    found=$(python3 -c 'import uv; print(uv.find_uv_bin())') || {
        echo "error: uv is installed but its program cannot be found; put uv on PATH and run again" >&2
        exit 1
    }
    mkdir -p "$HOME/.local/bin"
    ln -sf "$found" "$HOME/.local/bin/uv"
fi
