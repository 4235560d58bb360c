"""Names of array types that several rooms use."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.number]  # of any width: stored rows, decoded pictures, features
Integers: TypeAlias = NDArray[np.integer]  # class numbers, lengths
