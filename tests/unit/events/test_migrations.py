"""What the code says of the schema's revisions is what the migrations are."""

from __future__ import annotations

from leadscore.events import migrations, schema


def test_an_embedded_store_is_brought_to_the_newest_migration() -> None:
    numbers = [number for number, _ in migrations.revisions()]
    assert numbers == list(range(1, schema.NEWEST_REVISION + 1))
