#!/bin/sh
# PySpark in an environment of its own, from its own lock, with Delta Lake's jars, kept in the user's cache (700 MB).
# Spark's own resolver fetches the jars, once; jars.sha256 says what they have to be.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
pins="$root/envs/spark"
folder="${XDG_CACHE_HOME:-$HOME/.cache}/leadscore/spark"
if ! command -v java >/dev/null 2>&1; then
    echo "error: Spark needs Java 17 or later, which is not installed here: run \`make system\`" >&2
    exit 3
fi
sum=$(cat "$pins/requirements.txt" "$pins/jars.sha256" "$pins/spark-defaults.conf" | sha256sum | cut -d ' ' -f 1)
mkdir -p "$(dirname "$folder")"
# Two test runs at once make it once.
exec 9>"$folder.lock"
flock 9
if [ -f "$folder/complete" ] && [ "$(cat "$folder/complete")" = "$sum" ]; then
    echo "Spark is ready: $folder"
    exit 0
fi
rm -rf "$folder"
# Not from the project's folder: its constraints are for its own environment.
cd "$HOME"
uv venv --quiet --python 3.11 "$folder"
# Without the cache, which would keep what pyspark is built from: 2 GB.
uv pip install --quiet --no-cache --python "$folder/bin/python" -r "$pins/requirements.txt"
spark=$("$folder/bin/python" -c 'import os, pyspark; print(os.path.dirname(pyspark.__file__))')
printf 'print("Delta is there")\n' > "$folder/fetch.py"
SPARK_HOME="$spark" PYSPARK_PYTHON="$folder/bin/python" "$spark/bin/spark-submit" --master "local[1]" \
    --packages "$(sed -n 's/^# packages: //p' "$pins/jars.sha256")" --conf "spark.jars.ivy=$folder/ivy" \
    --conf "spark.jars.ivySettings=$pins/ivysettings.xml" \
    "$folder/fetch.py" >"$folder/fetch.log" 2>&1 \
    || { echo "error: Delta Lake's jars could not be fetched:" >&2; tail -n 5 "$folder/fetch.log" >&2; exit 1; }
(cd "$folder/ivy/jars" && grep -v "^#" "$pins/jars.sha256" | sha256sum --check --quiet)
# On the path of every Spark that this environment starts.
cp "$folder"/ivy/jars/*.jar "$spark/jars/"
mkdir -p "$spark/conf"
cp "$pins/spark-defaults.conf" "$spark/conf/"
printf '%s' "$sum" > "$folder/complete"
echo "Spark is ready: $folder"
