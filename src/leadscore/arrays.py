"""Types of the arrays that many packages pass on: one name for one type of element.

Only types; no package of ours.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.intp]
"""Places in a list of categories, bins or rows."""
Counts = npt.NDArray[np.int64]
Moments = npt.NDArray[np.int64]
"""Microseconds since the epoch, in UTC."""
Matrix = npt.NDArray[np.float32]
"""Encoded leads, (n, inputs)."""
