from benchmarks.timing import cycling, per_call


def test_contenders_take_turns_and_the_median_batch_counts():
    order, now = [], 0.0
    costs = iter([1.0, 100.0, 1.0, 2.0, 2.0, 2.0])

    def contender(name, cost):
        def call():
            nonlocal now
            order.append(name)
            now += cost()

        return call

    seconds = per_call(
        {"a": contender("a", lambda: next(costs, 1.0)), "b": contender("b", lambda: 5.0)},
        batches=3,
        calls={"a": 1, "b": 2},
        clock=lambda: now,
    )

    assert order == ["a", "b", *("a", "b", "b") * 3]
    assert seconds == {"a": 2.0, "b": 5.0}


def test_cycling_goes_through_all_indices_over_and_over():
    step = cycling(lambda i: i, 3)

    assert [step() for _ in range(5)] == [0, 1, 2, 0, 1]
