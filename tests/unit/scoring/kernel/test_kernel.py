"""Opening a kernel, and what all kernels have in common."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from leadscore.errors import BadInputError, NotFoundError
from leadscore.scoring import native_kernel
from leadscore.scoring.kernel import BACKEND_VARIABLE, open_kernel


@pytest.fixture
def without_library(monkeypatch, tmp_path):
    native_kernel._library.cache_clear()
    monkeypatch.setattr(native_kernel, "LIBRARY", tmp_path / "absent.so")
    yield
    native_kernel._library.cache_clear()


@pytest.fixture(autouse=True)
def no_override(monkeypatch):
    monkeypatch.delenv(BACKEND_VARIABLE, raising=False)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(rows=hnp.arrays(np.float32, (5, 6), elements=st.floats(width=32)))
def test_native_margins_equal_numpys_bit_for_bit_on_any_floats(xgboost_model, lightgbm_model, rows):
    for trained in (xgboost_model, lightgbm_model):
        native, numpy = (open_kernel(trained.forest, backend=name) for name in ("native", "numpy"))
        assert native.margins(rows).tobytes() == numpy.margins(rows).tobytes()
        np.testing.assert_allclose(
            native.shapley_many(rows), numpy.shapley_many(rows), rtol=1e-10, atol=1e-12
        )


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 255, 513, 1500])
def test_threads_and_blocks_do_not_change_results(xgboost_model, leads, rows):
    matrix = np.tile(leads.rows, (4, 1))[:rows]
    alone, together = (open_kernel(xgboost_model.forest, backend="native", threads=n) for n in (1, 3))
    margins = alone.margins(matrix)
    assert margins.dtype == np.float32
    assert margins.shape == (rows,)
    assert margins.tolist() == [alone.margin(row) for row in matrix]
    assert np.array_equal(margins, together.margins(matrix))
    assert np.array_equal(alone.shapley_many(matrix[:100]), together.shapley_many(matrix[:100]))


def test_one_kernel_serves_many_threads_at_once(xgboost_model, leads):
    kernel = open_kernel(xgboost_model.forest, backend="native")
    expected = kernel.margins(leads.rows).tolist()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(kernel.margin, leads.rows)) == expected


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_rows_of_another_width_or_type_are_refused(xgboost_model, backend):
    kernel = open_kernel(xgboost_model.forest, backend=backend)
    for row in (np.zeros(5, np.float32), np.zeros(7, np.float32), np.zeros(6), np.zeros(12, np.float16)):
        with pytest.raises(ValueError, match="float32"):
            kernel.margin(row)
        with pytest.raises(ValueError, match="float32"):
            kernel.shapley(row)
        with pytest.raises(ValueError, match="float32"):
            kernel.margins(row.reshape(1, -1))
        with pytest.raises(ValueError, match="float32"):
            kernel.shapley_many(row)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_rows_may_be_views_in_any_memory_order(xgboost_model, leads, backend):
    kernel = open_kernel(xgboost_model.forest, backend=backend)
    expected = kernel.margins(leads.rows)
    assert np.array_equal(kernel.margins(np.asfortranarray(leads.rows)), expected)
    assert kernel.margin(np.asfortranarray(leads.rows)[4]) == expected[4]
    assert np.array_equal(kernel.margins(leads.rows[::2]), expected[::2])


def test_auto_is_native_where_the_library_is(xgboost_model):
    kernel = open_kernel(xgboost_model.forest)
    assert kernel.backend == "native"
    assert 0 < kernel.nbytes < 1_000_000


def test_auto_without_the_library_warns_once_and_scores_with_numpy(
    xgboost_model, leads, without_library, caplog
):
    expected = xgboost_model.margins(leads.rows)
    with caplog.at_level(logging.WARNING):
        kernel = open_kernel(xgboost_model.forest)
    assert kernel.backend == "numpy"
    assert kernel.nbytes > 0
    assert len(caplog.records) == 1
    assert np.array_equal(kernel.margins(leads.rows), expected)


def test_native_without_the_library_is_an_error_that_says_what_to_do(xgboost_model, without_library):
    with pytest.raises(NotFoundError, match="not built") as caught:
        open_kernel(xgboost_model.forest, backend="native")
    assert "compiler" in caught.value.hint


def test_the_variable_overrides_auto_only(xgboost_model, monkeypatch, without_library):
    monkeypatch.setenv(BACKEND_VARIABLE, "numpy")
    assert open_kernel(xgboost_model.forest).backend == "numpy"
    monkeypatch.setenv(BACKEND_VARIABLE, "native")
    assert open_kernel(xgboost_model.forest, backend="numpy").backend == "numpy"
    with pytest.raises(NotFoundError):
        open_kernel(xgboost_model.forest)


def test_a_misspelt_variable_is_refused(xgboost_model, monkeypatch):
    monkeypatch.setenv(BACKEND_VARIABLE, "nativ")
    with pytest.raises(BadInputError, match="nativ"):
        open_kernel(xgboost_model.forest)


def test_a_library_of_another_version_is_refused(xgboost_model, monkeypatch):
    native_kernel._library.cache_clear()
    monkeypatch.setattr(native_kernel, "_ABI_VERSION", 99)
    with pytest.raises(NotFoundError, match="version"):
        open_kernel(xgboost_model.forest, backend="native")
    native_kernel._library.cache_clear()


def test_a_kernel_that_disagrees_with_numpy_is_not_used(xgboost_model, monkeypatch, caplog):
    honest = native_kernel.NativeKernel.margins
    monkeypatch.setattr(native_kernel.NativeKernel, "margins", lambda self, rows: honest(self, rows) + 1e-6)
    with caplog.at_level(logging.WARNING):
        assert open_kernel(xgboost_model.forest).backend == "numpy"
    assert "self-test" in caplog.text


def test_the_library_lies_beside_its_source():
    assert native_kernel.LIBRARY.parent == Path(native_kernel.__file__).parent / "native"
    assert (native_kernel.LIBRARY.parent / "margin.c").is_file()
