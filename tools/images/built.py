"""What has been made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Built:
    """An image in the cache.

    Attributes:
        role: Its role's name.
        reference: Full name with tag.
        digest: Of its manifest, `sha256:…`.
        base: What it started from.
        epoch: Latest time in it, seconds.
        archive: The OCI archive, as a path.
    """

    role: str
    reference: str
    digest: str
    base: str
    epoch: int
    archive: str

    @property
    def repository(self) -> str:
        """The name without the tag."""
        return self.reference.rsplit(":", 1)[0]

    @property
    def tag(self) -> str:
        """The tag alone."""
        return self.reference.rsplit(":", 1)[1]

    @property
    def bill(self) -> Path:
        """The bill of materials beside the archive."""
        return Path(self.archive).with_suffix(".cdx.json")
