"""YAML that somebody else wrote: read, or refused in a sentence with its file and line.

Never slow, never quoted.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.support.artefacts import build_artefact

from leadscore.contract import load_contract
from leadscore.documents import DECODE_ERRORS, MAX_NUMBER, MAX_YAML_DEPTH, decode_json, read_yaml
from leadscore.errors import ArtefactError, ContractError
from leadscore.identity.apikeys import KeyFileError, read_keys
from leadscore.scoring.model import ScoringModel


def _merge_bomb(levels: int) -> str:
    lines = ["m0: &m0 {k: v}"]
    lines += [f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 10)}]}}" for n in range(1, levels)]
    return "\n".join(lines)


def _alias_bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines)


def test_what_people_write_is_read() -> None:
    text = "a: 1\nb: [x, 2.5, true, null]\nc: {d: &same [1, 2], e: *same}\nf: !!str 12\n"
    assert read_yaml(text, "f.yaml") == {
        "a": 1,
        "b": ["x", 2.5, True, None],
        "c": {"d": [1, 2], "e": [1, 2]},
        "f": "12",
    }


def test_a_merge_key_may_be_overridden() -> None:
    assert read_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}", "f.yaml") == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 3},
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(_merge_bomb(8), "nodes", id="merge bomb"),
        pytest.param(_alias_bomb(9), "nodes", id="alias bomb"),
        pytest.param("&a [*a]", "refers to itself", id="alias of itself"),
        pytest.param("*a", "refers to itself or to nothing", id="alias of nothing"),
        pytest.param("a: " + "[" * 100_000, "nested deeper", id="deep flow"),
        pytest.param("\n".join(" " * n + "a:" for n in range(500)), "nested deeper", id="deep block"),
        pytest.param(
            "a: &a " + "[" * 40 + "]" * 40 + "\nb: " + "[" * 40 + "*a" + "]" * 40,
            "nested deeper",
            id="deep alias",
        ),
        pytest.param("a: " + "1" * 5000, f"more than {MAX_NUMBER}", id="long integer"),
        pytest.param("a: 1" + ":1" * 100_000, f"more than {MAX_NUMBER}", id="long sexagesimal"),
        pytest.param("a: 2026-13-01", "does not exist (line 1, column 4)", id="month 13"),
        pytest.param("x: y\na: 2026-02-30T00:00:00Z", "does not exist (line 2, column 4)", id="30 February"),
        pytest.param("a: 0000-01-01", "does not exist", id="year 0"),
        pytest.param("a: 2026-01-01T00:00:00+99:00", "does not exist", id="offset"),
        pytest.param("a: 0b_", "does not exist", id="binary without digits"),
        pytest.param('a: "x\0"', "NUL", id="NUL"),
        pytest.param(b"a: \xff\xfe", "UTF-8", id="not UTF-8"),
        pytest.param("a: \ud800", "surrogate", id="surrogate"),
        pytest.param("a: 1\nb: 2\na: 3", "twice in one mapping (line 3", id="duplicate key"),
        pytest.param('a: 1\n"a": 3', "twice", id="duplicate quoted key"),
        pytest.param("a: !!int ''", "tags", id="tag"),
        pytest.param("!!python/object/apply:os.system [ls]", "tags", id="python tag"),
        pytest.param("? [a]\n: 1", "is a key", id="list as key"),
        pytest.param("a: 1\n---\nb: 2", "another document", id="two documents"),
        pytest.param("a: [", "line", id="cut off"),
        pytest.param("x" * (16 * 1024 * 1024 + 1), "longer", id="long"),
    ],
)
def test_what_is_not_taken_is_said_with_its_place(text: str | bytes, reason: str) -> None:
    with pytest.raises(ContractError) as caught:
        read_yaml(text, "contract.yaml", ContractError)
    assert caught.value.message.startswith("contract.yaml is not valid YAML: ")
    assert reason in caught.value.message


def test_a_depth_at_the_bound_is_read() -> None:
    assert read_yaml("[" * MAX_YAML_DEPTH + "]" * MAX_YAML_DEPTH, "f.yaml")


@pytest.mark.parametrize("around", ["keys: [{}\n", "k: &{}\nj: *other", "!{} x", "a: 1\n{}\n", "%{}\n---\na"])
def test_a_message_never_repeats_what_somebody_pasted(around: str) -> None:
    with pytest.raises(ContractError) as caught:
        read_yaml(around.format("lsk_pasted"), "keys.yaml", ContractError)
    assert "lsk_pasted" not in str(caught.value)


@given(st.one_of(st.binary(max_size=200), st.text(alphabet="ab01:-.&*<>[]{}!?|\"'#% \n\t", max_size=200)))
def test_whatever_the_bytes_are_the_answer_is_a_document_or_an_error(data: bytes | str) -> None:
    with suppress(ContractError):
        read_yaml(data, "f.yaml", ContractError)


_PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(_PLAIN)
def test_what_pyyaml_writes_is_read_as_pyyaml_reads_it(value: object) -> None:
    text = yaml.safe_dump(value, allow_unicode=True)
    assert read_yaml(text, "f.yaml") == yaml.safe_load(text)


CASES = Path("../shared/cases")
of_the_cases = pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not the project's to give")


@of_the_cases
def test_the_key_file_of_the_cases_is_refused_with_its_line() -> None:
    with pytest.raises(KeyFileError, match=r"a date or number does not exist \(line 7"):
        read_keys(CASES / "attack-keyfile-month13.yaml")


@of_the_cases
def test_the_merge_bomb_of_the_cases_is_refused_with_its_name() -> None:
    with pytest.raises(ContractError, match=r"attack-yaml-merge-bomb\.yaml is not valid YAML: .* nodes"):
        load_contract(CASES / "attack-yaml-merge-bomb.yaml")


@pytest.mark.parametrize(
    "document", [b'{"a": 1, "a": 2}', b'{"b": {"a": 1, "c": 2, "a": 1}}', b'[{"a": 1, "\\u0061": 1}]']
)
def test_a_json_document_in_which_a_key_stands_twice_is_refused(document: bytes) -> None:
    with pytest.raises(DECODE_ERRORS, match="twice"):
        decode_json(document, type=object)


def test_a_json_document_with_one_key_in_several_objects_is_read() -> None:
    assert decode_json('[{"a": 1}, {"a": {"a": 2}}]', type=object) == [{"a": 1}, {"a": {"a": 2}}]


@pytest.mark.parametrize(
    "name", ["calibration.json", "grades.json", "golden.json", "reference.json", "manifest.json"]
)
def test_no_document_of_an_artefact_may_say_a_thing_twice(tmp_path: Path, name: str) -> None:
    artefact = build_artefact(tmp_path / "model", trees=2)
    document = (artefact / name).read_bytes()
    key = next(iter(json.loads(document)))
    twice = document.rstrip()[:-1] + f', "{key}": {json.dumps(json.loads(document)[key])}}}'.encode()
    (artefact / name).write_bytes(twice)
    if name != "manifest.json":
        manifest = json.loads((artefact / "manifest.json").read_bytes())
        manifest["files"][name] = {"sha256": hashlib.sha256(twice).hexdigest(), "size": len(twice)}
        (artefact / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtefactError, match=name.replace(".", r"\.")):
        ScoringModel.load(artefact)
