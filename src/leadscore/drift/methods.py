"""Names of the detectors' methods, and the default of the loss that counts."""

from __future__ import annotations

from typing import Final

# Follows the stream lead by lead, by charts with a memory and a budget of their own.
SEQUENTIAL: Final = "sequential"
# Methods that `DriftOptions.methods` may name, besides `alibi:` and one of the detectors below.
METHODS: Final = ("univariate", "performance", "cbpe", "mmd", "classifier", SEQUENTIAL)
ALIBI: Final = "alibi:"
ALIBI_METHODS: Final = tuple(f"{ALIBI}{name}" for name in ("KSDrift", "CVMDrift", "ChiSquareDrift"))

# Relative loss of AUC against the hold-out from which a model is worse than it may be.
MAX_DROP: Final = 0.05
