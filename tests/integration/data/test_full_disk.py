"""A disk that fills up while a table is written: the kernel says so, not a stand-in."""

import subprocess
import sys

import pytest

# A limit on file size is how a process meets a full disk without owning one.
SCRIPT = """
import resource, signal, sys
from pathlib import Path
import numpy as np, pyarrow as pa
from leadscore.data.tables import write_table
from leadscore.errors import UnavailableError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    write_table(pa.table({"x": np.random.default_rng(0).normal(size=500_000)}), Path(sys.argv[1]))
except UnavailableError as error:
    print(error.code, error.message)
"""


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.arrow"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, name):
    path = tmp_path / name
    path.write_text("old")
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path)], capture_output=True, text=True, check=True, timeout=120
    )
    assert result.stdout.startswith("unavailable No space left to write")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
