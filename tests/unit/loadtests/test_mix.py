from collections import Counter

from loadtests.mix import WEIGHTS, Mix, Scored


def test_scoring_is_what_a_crm_does_most():
    mix = Mix(seed=1)
    mix.recent.append(Scored("L-1", "p-1"))

    kinds = Counter(mix.next() for _ in range(5000))

    assert kinds["score"] > 4000
    assert set(kinds) == set(WEIGHTS)


def test_an_outcome_needs_a_lead_that_was_scored():
    mix = Mix(seed=1, weights={"outcome": 1.0})
    assert mix.next() == "score"

    mix.recent.append(Scored("L-1", "p-1"))

    assert mix.next() == "outcome"
    assert mix.outcome()[0] == Scored("L-1", "p-1")
    assert mix.next() == "score"


def test_the_same_seed_asks_for_the_same_things():
    assert [Mix(seed=3).next() for _ in range(50)] == [Mix(seed=3).next() for _ in range(50)]


def test_a_bulk_request_has_50_to_500_leads():
    mix = Mix(seed=1)
    sizes = [mix.bulk_size() for _ in range(2000)]

    assert 50 <= min(sizes) < 60
    assert 490 < max(sizes) <= 500
