from loadtests.schedule import PATIENCE_SECONDS, Run
from loadtests.shapes import Constant
from loadtests.slo import Sample


def reply(due: float, latency_ms: float = 1.0) -> Sample:
    return Sample("/score-lead", due, latency_ms, 0.0, answered=True)


def run(seconds: float = 1.0, rate: float = 4.0, **options) -> Run:
    return Run(Constant(seconds, rate), started=100.0, **options)


def test_arrivals_are_handed_out_in_order_until_none_is_left():
    schedule = run()

    assert [schedule.take(100.0).due for _ in range(4)] == [0.0, 0.25, 0.5, 0.75]
    assert schedule.take(100.0) is None
    assert schedule.exhausted


def test_a_late_taker_gets_the_overdue_arrival_so_waiting_counts_as_latency():
    assert run().take(105.0).due == 0.0


def test_a_run_is_finished_when_everything_taken_is_answered():
    schedule = run(rate=1.0)
    arrival = schedule.take(100.0)
    schedule.take(100.0)
    assert not schedule.finished(100.5)

    schedule.answered(arrival, reply(0.0), 100.6)

    assert schedule.finished(100.7)


def test_patience_with_the_last_replies_ends():
    schedule = run(rate=1.0)
    schedule.take(100.0)

    assert not schedule.finished(101.0 + PATIENCE_SECONDS)
    assert schedule.finished(101.1 + PATIENCE_SECONDS)


def test_what_was_due_and_is_unanswered_at_the_end_has_failed():
    schedule = run(rate=2.0)
    first, second = schedule.take(100.0), schedule.take(100.0)
    schedule.sent(second, "/outcomes")
    schedule.answered(first, reply(0.0), 100.1)

    record = schedule.close(100.9)

    assert [(s.endpoint, s.answered) for s in record.samples] == [("/score-lead", True), ("/outcomes", False)]


def test_what_was_not_due_yet_when_a_person_stopped_the_run_has_not_failed():
    schedule = run(rate=2.0)
    schedule.answered(schedule.take(100.0), reply(0.0), 100.1)
    schedule.take(100.1)

    record = schedule.close(100.2)

    assert len(record.samples) == 1
    assert record.seconds < 0.21


def test_replies_after_the_schedules_end_make_the_run_longer():
    schedule = run(rate=1.0)
    schedule.answered(schedule.take(100.0), reply(0.0), 103.0)
    schedule.take(103.0)

    assert schedule.close(103.5).seconds == 3.0


def test_a_saturated_ramp_stops_taking_more():
    schedule = run(seconds=60.0, rate=100.0, stops_when_saturated=True)
    assert schedule.take(101.9) is not None

    assert schedule.take(103.0) is None

    assert schedule.close(103.0).saturated
    assert schedule.close(103.0).seconds == 3.0


def test_a_constant_rate_goes_on_however_late_it_is():
    assert run(seconds=60.0, rate=100.0).take(150.0) is not None
