import json

import numpy as np
from benchmarks.reference import LEADS, Reference, reference_contract, reference_table, write_lines

from leadscore.contract import Categorical
from leadscore.contract.request import LeadDecoder
from leadscore.data.matrix import encode_table, labels


def test_the_reference_has_15_numeric_and_10_categorical_features():
    kinds = [isinstance(feature, Categorical) for feature in reference_contract().inputs]

    assert (kinds.count(False), kinds.count(True)) == (15, 10)


def test_the_leads_that_are_sent_encode_to_the_matrix_that_others_get(tmp_path):
    reference = Reference(tmp_path, tmp_path)
    decoder = LeadDecoder(reference_contract())

    decoded = [decoder.decode(json.dumps(lead).encode()) for lead in reference.leads]

    assert len(decoded) == LEADS
    assert all(lead.warnings == () for lead in decoded)
    np.testing.assert_array_equal(np.stack([lead.row for lead in decoded]), reference.matrix)


def test_the_table_holds_leads_of_the_contract_with_known_outcomes():
    contract, table = reference_contract(), reference_table(300, seed=1)

    assert encode_table(contract, table).shape == (300, 25)
    assert set(labels(contract, table).tolist()) == {0.0, 1.0}


def test_bodies_are_one_document_per_line(tmp_path):
    path = write_lines(tmp_path / "x.jsonl", [{"a": 1}, {"b": "two"}])

    assert path.read_text() == '{"a":1}\n{"b":"two"}\n'
