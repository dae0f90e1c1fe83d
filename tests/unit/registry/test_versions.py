from __future__ import annotations

from datetime import timedelta

import pytest

from leadscore.errors import BadInputError
from leadscore.registry.versions import ModelRef, age, check_name


@pytest.mark.parametrize(
    ("text", "name", "alias", "version"),
    [
        ("leads", "leads", "champion", None),
        ("leads@challenger", "leads", "challenger", None),
        ("leads/7", "leads", None, 7),
        ("b2b.leads-eu_1/12", "b2b.leads-eu_1", None, 12),
    ],
)
def test_a_reference_is_a_name_with_alias_or_version(
    text: str, name: str, alias: str | None, version: int | None
) -> None:
    assert ModelRef.parse(text) == ModelRef(name, alias, version)


@pytest.mark.parametrize(
    "text",
    ["", "/7", "leads/", "leads/0", "leads/07", "leads/-1", "leads@", "a/b/1", "leads/1@champion", "../x",
     "a b", "leads@1", "x" * 129, "leads/1\n", "models:/leads/1"],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match="not a model reference"):
        ModelRef.parse(text)


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a'b", "x" * 129])
def test_a_name_that_paths_or_queries_would_misread_is_refused(name: str) -> None:
    with pytest.raises(BadInputError):
        check_name(name)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 seconds"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (7200, "2 hours"),
        (400_000, "4 days"),
        (-5, "0 seconds"),
    ],
)
def test_an_age_is_said_in_one_unit(seconds: int, words: str) -> None:
    assert age(timedelta(seconds=seconds)) == words
