"""Model files that are not what they should be: refused with a sentence, never crashed on."""

from __future__ import annotations

import math
import struct
from contextlib import suppress

import lightgbm as lgb
import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st

from leadscore.errors import ArtefactError
from leadscore.scoring.kernel import open_kernel
from leadscore.scoring.lightgbm_text import read_lightgbm
from leadscore.scoring.ubjson import MAX_NESTING, read_ubjson
from leadscore.scoring.xgboost_ubj import read_xgboost

many = settings(max_examples=150, deadline=None, derandomize=True)


def _evaluate(forest) -> None:
    """What passes the reader must be safe to evaluate, however odd."""
    row = np.linspace(-3, 40, forest.features).astype(np.float32)
    for backend in ("numpy", "native"):
        kernel = open_kernel(forest, backend=backend)
        kernel.margin(row)
        with np.errstate(all="ignore"):
            kernel.shapley(row)


@many
@given(data=st.data())
def test_damaged_xgboost_files_raise_artefact_errors_or_stay_harmless(xgboost_model, data):
    source = bytearray(xgboost_model.source)
    for _ in range(data.draw(st.integers(1, 6))):
        source[data.draw(st.integers(0, len(source) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ArtefactError):
        _evaluate(read_xgboost(bytes(source)))


@many
@given(cut=st.floats(0, 1, exclude_max=True))
def test_truncated_xgboost_files_are_refused(xgboost_model, cut):
    with pytest.raises(ArtefactError):
        read_xgboost(xgboost_model.source[: int(cut * len(xgboost_model.source))])


@many
@given(garbage=st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(garbage):
    with pytest.raises(ArtefactError):
        read_xgboost(garbage)


@many
@given(data=st.data())
def test_damaged_lightgbm_texts_raise_artefact_errors_or_stay_harmless(lightgbm_model, data):
    words = lightgbm_model.source.decode().split(" ")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(words) - 1))
        words[at] = data.draw(
            st.sampled_from(["", "-1", "0", "7", "99999999999", "nan", "inf", "x", "=", "1e400", "3\n5"])
        )
    with suppress(ArtefactError):
        _evaluate(read_lightgbm(" ".join(words)))


@many
@given(cut=st.floats(0, 1, exclude_max=True))
def test_truncated_lightgbm_texts_are_refused(lightgbm_model, cut):
    text = lightgbm_model.source.decode().split("end of trees")[0]
    with pytest.raises(ArtefactError):
        read_lightgbm(text[: int(cut * len(text))])


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"objective": "reg:squarederror"}, "reg:squarederror"),
        ({"objective": "multi:softprob", "num_class": 2}, "multi:softprob"),
        ({"objective": "binary:logistic", "booster": "dart"}, "dart"),
        ({"objective": "binary:logistic", "booster": "gblinear"}, "gblinear"),
    ],
)
def test_other_xgboost_models_are_refused_by_name(leads, parameters, named):
    rows = np.nan_to_num(leads.rows)
    booster = xgb.train({"nthread": 1, **parameters}, xgb.DMatrix(rows, leads.converted), 2)
    with pytest.raises(ArtefactError, match=named):
        read_xgboost(bytes(booster.save_raw("ubj")))


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"objective": "regression"}, "regression"),
        ({"objective": "multiclass", "num_class": 2}, "multiclass"),
        ({"objective": "binary", "sigmoid": 2}, "sigmoid"),
        ({"objective": "binary", "linear_tree": True}, "linear"),
        (
            {"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
            "random forest",
        ),
    ],
)
def test_other_lightgbm_models_are_refused_by_name(leads, parameters, named):
    settings = {"verbose": -1, "num_threads": 1, **parameters}
    booster = lgb.train(settings, lgb.Dataset(leads.rows.astype(np.float64), leads.converted), 2)
    with pytest.raises(ArtefactError, match=named):
        read_lightgbm(booster.model_to_string())


@pytest.mark.parametrize(("text", "base"), [("5E-1", 0.0), ("[2.5E-1]", math.log(1 / 3))])
def test_base_score_is_read_as_xgboost_2_and_3_write_it(xgboost_model, text, base):
    assert read_xgboost(_with_base_score(xgboost_model.source, text)).base == pytest.approx(base, abs=1e-7)


@pytest.mark.parametrize("text", ["", "[]", "[1E-1,2E-1]", "0", "1", "nan", "inf", "-3"])
def test_a_base_score_that_is_no_probability_is_refused(xgboost_model, text):
    with pytest.raises(ArtefactError, match="base_score"):
        read_xgboost(_with_base_score(xgboost_model.source, text))


def _with_base_score(source: bytes, text: str) -> bytes:
    at = source.index(b"base_scoreSL") + len(b"base_scoreSL")
    (length,) = struct.unpack(">q", source[at : at + 8])
    return source[:at] + struct.pack(">q", len(text)) + text.encode() + source[at + 8 + length :]


def test_ubjson_values_come_back():
    document = (
        b"{i\x01a[$d#i\x02\x3f\x80\x00\x00\xc0\x00\x00\x00"
        b"i\x01b[#i\x03Ti\xffZi\x01c[Si\x02hiD\x3f\xf0\0\0\0\0\0\0]}"
    )
    value = read_ubjson(document)
    assert value["a"].tolist() == [1.0, -2.0]
    assert value["b"] == [True, -1, None]
    assert value["c"] == ["hi", 1.0]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        b"[$d#L\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"[$d#L\xff\xff\xff\xff\xff\xff\xff\xff",
        b"[#L\x00\x00\x00\xff\xff\xff\xff\xffi",
        b"[$T#i\x7f",
        b"[$S#i\x01i\x01a",
        b"SL\x00\x00\x7f\xff\xff\xff\xff\xffx",
        b"Si\x02\xff\xfe",
        b"{i\x01aTi\x01aF}",
        b"TT",
        b"[" * (MAX_NESTING + 1) + b"]" * (MAX_NESTING + 1),
        b"[" * 100_000,
    ],
    ids=repr,
)
def test_malformed_ubjson_is_refused_before_anything_is_allocated(document):
    with pytest.raises(ArtefactError):
        read_ubjson(document)
