#!/bin/sh
# alibi-detect 0.11.4 in an environment of its own, from its own lock, kept in the user's cache (800 MB).
# It needs numpy 1 and an old numba, so it can never share ours.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
lock="$root/envs/alibi-detect/requirements.txt"
folder="${XDG_CACHE_HOME:-$HOME/.cache}/leadscore/alibi-detect"
sum=$(sha256sum "$lock" | cut -d ' ' -f 1)
if [ -f "$folder/complete" ] && [ "$(cat "$folder/complete")" = "$sum" ]; then
    echo "alibi-detect is ready: $folder"
    exit 0
fi
rm -rf "$folder"
# Not from the project's folder: its constraints are for its own environment.
cd "$HOME"
uv venv --quiet --python 3.11 "$folder"
uv pip install --quiet --python "$folder/bin/python" -r "$lock"
printf '%s' "$sum" > "$folder/complete"
echo "alibi-detect is ready: $folder"
