"""What can go wrong with an image, said in a sentence."""

from __future__ import annotations

from tools.cluster.errors import ClusterError


class ImageError(ClusterError):
    """An image cannot be made, loaded or described here; `hint` says what to do."""
