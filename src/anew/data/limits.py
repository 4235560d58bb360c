"""How much is read, and what files may hold at most."""

from __future__ import annotations

WHOLE_BYTES = 16 * 1024 * 1024  # text up to this size is read and kept whole
