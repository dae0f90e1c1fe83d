"""Imported by every Python process of the image; only the service's workers get the fault."""

import os
import sys

if os.environ.get("LEADSCORE_FAULT") and "_bentoml_impl.worker.service" in sys.orig_argv:
    from faults import inject

    inject(os.environ["LEADSCORE_FAULT"])
