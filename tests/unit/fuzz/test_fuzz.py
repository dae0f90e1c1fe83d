"""A sample of the attacks that `make fuzz` runs whole.

Whatever is spoiled is refused in a sentence, or works.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from tests.fuzz.documents import DocumentFuzzer
from tests.fuzz.models import ModelFuzzer

_SEED = "sample"


@pytest.mark.parametrize(("fuzzer", "cases"), [(DocumentFuzzer, 150), (ModelFuzzer, 150)])
def test_a_spoiled_document_is_refused_in_a_sentence_or_works(
    fuzzer: type[DocumentFuzzer | ModelFuzzer], cases: int, tmp_path: Path
) -> None:
    run = fuzzer(tmp_path).run
    ends = Counter(run(random.Random(f"{_SEED}-{case}")) for case in range(cases))
    # Both happen, or the attack attacks nothing.
    assert set(ends) == {"refused", "loaded"}
