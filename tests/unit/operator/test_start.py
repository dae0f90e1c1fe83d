"""What the operator loads to start."""

import subprocess
import sys


def test_the_operator_starts_without_what_computes():
    """It decides from documents.

    Figures are computed in Jobs, and each of these costs its start and its memory.
    """
    asked = (
        "import sys, leadscore_operator.run; "
        "print(*({'numpy', 'scipy', 'pyarrow', 'pandas'} & sys.modules.keys()))"
    )
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert said.stdout.split() == []
