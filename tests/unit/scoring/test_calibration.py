from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscore.errors import ArtefactError
from leadscore.scoring.calibration import Calibration

margins = st.floats(min_value=-1e6, max_value=1e6)


@st.composite
def calibrations(draw: st.DrawFn) -> Calibration:
    method = draw(st.sampled_from(["identity", "intercept", "platt", "beta", "isotonic"]))
    if method == "identity":
        return Calibration()
    if method == "intercept":
        return Calibration.shifted(draw(st.floats(-50, 50)))
    if method == "beta":
        a, b = draw(st.floats(0, 50)), draw(st.floats(1e-3, 50))
        return Calibration.beta(a, b, draw(st.floats(-50, 50)))
    if method == "platt":
        return Calibration.platt(draw(st.floats(1e-3, 1e3)), draw(st.floats(-50, 50)))
    knots = sorted(draw(st.sets(st.floats(-20, 20), min_size=1, max_size=12)))
    values = draw(st.lists(st.floats(0, 1), min_size=len(knots), max_size=len(knots)))
    return Calibration.isotonic(knots, sorted(values))


@given(calibrations(), margins, margins)
def test_a_higher_margin_never_gets_a_lower_probability(
    calibration: Calibration, one: float, two: float
) -> None:
    low, high = sorted((one, two))
    assert 0.0 <= calibration.probability(low) <= calibration.probability(high) <= 1.0


@given(calibrations(), st.floats(-700, 700))
def test_neighbouring_floats_keep_their_order(calibration: Calibration, margin: float) -> None:
    above = math.nextafter(margin, math.inf)
    assert calibration.probability(margin) <= calibration.probability(above)


@given(calibrations(), st.lists(margins, min_size=1, max_size=20))
def test_arrays_and_single_margins_agree(calibration: Calibration, values: list[float]) -> None:
    many = calibration.probabilities(np.array(values))
    assert many.dtype == np.float64
    assert many.tolist() == [calibration.probability(v) for v in values]


@given(calibrations())
def test_a_calibration_survives_its_file(calibration: Calibration) -> None:
    assert Calibration.from_json(calibration.to_json()) == calibration


def test_identity_is_the_logistic_function() -> None:
    assert Calibration().probability(0.0) == 0.5
    assert Calibration().probability(math.log(3)) == pytest.approx(0.75)


def test_extreme_margins_saturate_without_overflow() -> None:
    calibration = Calibration.platt(1e3, 0.0)
    assert calibration.probability(3.4e38) == 1.0
    assert calibration.probability(-3.4e38) == 0.0
    assert calibration.probabilities(np.array([-3.4e38, 3.4e38], dtype=np.float32)).tolist() == [0.0, 1.0]


def test_beta_calibration_of_equal_sides_is_a_line() -> None:
    beta, platt = Calibration.beta(0.7, 0.7, -0.3), Calibration.platt(0.7, -0.3)
    margins = np.linspace(-8, 8, 777)
    assert beta.probabilities(margins) == pytest.approx(platt.probabilities(margins), abs=1e-3)


def test_files_of_older_versions_are_still_read() -> None:
    old = b'{"method":"platt","slope":0.5,"intercept":-1.0,"knot_margins":[],"knot_probabilities":[]}'
    assert Calibration.from_json(old) == Calibration.platt(0.5, -1.0)


def test_isotonic_is_exact_at_knots_and_constant_outside() -> None:
    calibration = Calibration.isotonic([-1.0, 0.0, 2.0], [0.1, 0.3, 0.9])
    found = [calibration.probability(m) for m in (-9.0, -1.0, -0.5, 0.0, 1.0, 2.0, 9.0)]
    assert found == pytest.approx([0.1, 0.1, 0.2, 0.3, 0.6, 0.9, 0.9])


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b'{"method": "spline"}',
        b'{"method": "platt", "slope": -1}',
        b'{"method": "platt", "slope": 0}',
        b'{"method": "platt", "slope": 1e999}',
        b'{"method": "identity", "slope": 2}',
        b'{"method": "intercept", "slope": 2}',
        b'{"method": "isotonic", "intercept": 2, "knot_margins": [0], "knot_probabilities": [0.2]}',
        b'{"method": "isotonic"}',
        b'{"method": "beta"}',
        b'{"method": "isotonic", "knot_margins": [0, 1], "knot_probabilities": [0.1]}',
        b'{"method": "isotonic", "knot_margins": [1, 0], "knot_probabilities": [0.1, 0.2]}',
        b'{"method": "isotonic", "knot_margins": [0, 1], "knot_probabilities": [0.2, 0.1]}',
        b'{"method": "isotonic", "knot_margins": [0, 1], "knot_probabilities": [0.2, 1.1]}',
        b'{"method": "platt", "knot_margins": [0], "knot_probabilities": [0.2]}',
        b'{"method": "identity", "extra": 1}',
    ],
)
def test_a_file_that_is_no_calibration_is_refused_by_name(document: bytes) -> None:
    with pytest.raises(ArtefactError, match=r"calibration\.json"):
        Calibration.from_json(document)
