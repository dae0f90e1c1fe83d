"""Imported by every Python process of the image; only the service's workers get the fault.

With LEADSCORE_FAULT_VERSION, only those that serve that model version.
"""

import os
import sys

if (
    os.environ.get("LEADSCORE_FAULT")
    and os.environ.get("LEADSCORE_FAULT_VERSION", os.environ.get("LEADSCORE_MODEL_VERSION"))
    == os.environ.get("LEADSCORE_MODEL_VERSION")
    and "lead_scoring.server_adapter" in sys.orig_argv
):
    from faults import inject

    inject(os.environ["LEADSCORE_FAULT"])
