#!/bin/sh
# Requirements of a job on Databricks: what an extra needs, as uv.lock pins it. For `spark` without what the Runtime
# itself is made of, NumPy and Arrow.
#   databricks.sh spark|train
set -eu
cd "$(dirname "$0")/../.."
skip=""
if [ "$1" = spark ]; then
    skip="--no-emit-package numpy --no-emit-package pyarrow"
fi
echo "# Made of uv.lock by tools/setup/databricks.sh (make docs)."
# shellcheck disable=SC2086  # a list of options
uv export --frozen --quiet --no-default-groups --no-emit-project --no-header --no-annotate --no-hashes --extra "$1" $skip
