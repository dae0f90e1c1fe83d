import pytest
from benchmarks.errors import BenchError
from benchmarks.wrk import parse_totals

OUTPUT = """Running 4s test @ http://127.0.0.1:3000
  2 requests in 4.00s
{"requests":2000,"microseconds":4000000,"refused":1,"broken":2,"p50_us":700,"p99_us":1900}
"""


def test_the_rate_comes_from_the_totals_that_our_script_prints():
    totals = parse_totals(OUTPUT)

    assert totals.rate == 500
    assert (totals.refused, totals.broken) == (1, 2)


@pytest.mark.parametrize("output", ["", "unable to connect to 127.0.0.1:1 Connection refused"])
def test_output_without_totals_is_an_error(output):
    with pytest.raises(BenchError, match="no totals"):
        parse_totals(output)
