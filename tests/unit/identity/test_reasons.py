"""The reason that somebody gives for what they do."""

from __future__ import annotations

import pytest

from leadscore.errors import BadInputError
from leadscore.identity.caller import checked_reason


@pytest.mark.parametrize(
    ("reason", "says"),
    [("", "No reason was given"), ("  ", "No reason was given"), ("...", "says nothing: '...'"),
     ("x" * 501, "has 501 characters")],
)  # fmt: skip
def test_a_reason_that_is_none_is_refused_in_words_that_fit_it(reason: str, says: str) -> None:
    with pytest.raises(BadInputError, match=says):
        checked_reason(reason, 500)


def test_a_reason_is_kept_without_the_space_around_it() -> None:
    assert checked_reason(" 3 of 100 fail\n", 500) == "3 of 100 fail"
