"""How many requests may be in flight: what refusals, answers and gauges make of it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.engines.pace import Bucket, Gauges, Pace, read_gauges

METRICS = b"""# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="org/model-7b"} 12.0
vllm:num_requests_running{engine="1",model_name="org/model-7b"} 30.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="org/model-7b"} 0.0
vllm:num_requests_waiting{engine="1",model_name="org/model-7b"} 4.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="org/model-7b",reason="capacity"} 99.0
# HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="org/model-7b"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="org/model-7b"} 9.3e-01
vllm:num_preemptions_total{engine="0",model_name="org/model-7b"} 0.0
"""


def test_gauges_are_summed_over_engines_and_the_fullest_cache_counts() -> None:
    assert read_gauges(METRICS) == Gauges(running=42, waiting=4, cache=0.93)


def test_gauges_without_labels_and_without_a_cache() -> None:
    text = b"vllm:num_requests_running 3\nvllm:num_requests_waiting 0\n"
    assert read_gauges(text) == Gauges(3, 0, 0)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"<html>Not Found</html>", b'llamacpp:requests_processing{engine="0"} 3\n',
        b"vllm:num_requests_running 3\n", b"# vllm:num_requests_running 3\n# vllm:num_requests_waiting 0\n",
        b"vllm:num_requests_running NaN\nvllm:num_requests_waiting NaN\n",
    ],
)  # fmt: skip
def test_other_metrics_are_none(text: bytes) -> None:
    assert read_gauges(text) is None


def test_it_starts_as_told_and_never_above_the_most() -> None:
    assert Pace(256, 32).limit == 32 and Pace(8, 32).limit == 8


def test_a_refusal_takes_a_quarter_away() -> None:
    pace = Pace(256, 100)
    pace.busy(10.0, 1.0)
    assert pace.limit == 75


def test_a_burst_of_refusals_is_one() -> None:
    pace = Pace(256, 100)
    for _ in range(50):
        pace.busy(10.0, 2.0)
    pace.busy(11.9, 2.0)
    assert pace.limit == 75
    pace.busy(12.0, 2.0)
    assert pace.limit == 75 * 0.75


def test_one_request_is_always_left() -> None:
    pace = Pace(256, 2)
    for second in range(20):
        pace.busy(float(second), 0.5)
    assert pace.limit == 1


def test_answers_double_it_every_round_trip_while_nothing_broke() -> None:
    pace = Pace(1000, 32)
    for _ in range(32):
        pace.answered()
    assert pace.limit == 64


def test_it_recovers_fast_up_to_where_it_broke_and_slowly_beyond() -> None:
    pace = Pace(256, 100)
    pace.busy(0.0, 1.0)
    for _ in range(15):
        pace.answered()
    assert pace.limit == 90
    for _ in range(25):
        pace.answered()
    assert pace.limit == pytest.approx(91)


def test_answers_never_lift_it_above_the_most() -> None:
    pace = Pace(40, 32)
    for _ in range(100):
        pace.answered()
    assert pace.limit == 40


def test_a_full_cache_holds_what_runs_and_a_short_queue() -> None:
    pace = Pace(256, 200)
    pace.observe(Gauges(running=60, waiting=20, cache=0.99), in_flight=200)
    assert pace.limit == 68  # 60 and a queue of 8
    pace = Pace(1000, 900)
    pace.observe(Gauges(running=400, waiting=20, cache=0.99), in_flight=900)
    assert pace.limit == 440  # 400 and a tenth


def test_a_long_queue_holds_it_too_and_a_short_one_does_not() -> None:
    pace = Pace(256, 200)
    pace.observe(Gauges(running=100, waiting=50, cache=0.5), in_flight=200)
    assert pace.limit == 200
    pace.observe(Gauges(running=100, waiting=51, cache=0.5), in_flight=200)
    assert pace.limit == 110


def test_a_full_cache_without_a_queue_holds_nothing() -> None:
    pace = Pace(256, 100)
    pace.observe(Gauges(running=60, waiting=0, cache=1.0), in_flight=50)
    assert pace.limit == 100


def test_an_empty_queue_asks_for_more_only_if_the_limit_is_what_holds_it() -> None:
    pace = Pace(256, 40)
    pace.observe(Gauges(running=30, waiting=0, cache=0.2), in_flight=30)
    assert pace.limit == 40
    pace.observe(Gauges(running=40, waiting=0, cache=0.2), in_flight=40)
    assert pace.limit == 58


def test_an_empty_queue_forgets_where_it_broke() -> None:
    pace = Pace(256, 100)
    pace.busy(0.0, 1.0)
    pace.observe(Gauges(running=75, waiting=0, cache=0.2), in_flight=75)
    before = pace.limit
    pace.answered()
    assert pace.limit == before + 1


COUNTS = st.floats(0, 5000)


@given(
    st.integers(1, 1024),
    st.integers(1, 1024),
    st.lists(st.tuples(st.sampled_from("bao"), COUNTS, COUNTS, st.floats(0, 1), st.integers(0, 1024))),
)
def test_it_is_never_below_one_nor_above_the_most(
    most: int, start: int, events: list[tuple[str, float, float, float, int]]
) -> None:
    pace, now = Pace(most, start), 0.0
    for kind, running, waiting, cache, in_flight in events:
        now += 1
        before = pace.limit
        if kind == "b":
            pace.busy(now, 0.5)
        elif kind == "a":
            pace.answered()
        else:
            pace.observe(Gauges(running, waiting, cache), in_flight)
            assert pace.limit >= min(before, running)
        assert 1 <= pace.limit <= most


def test_a_bucket_lets_its_rate_through_and_no_burst() -> None:
    bucket, now, taken = Bucket(120), 100.0, 0
    while now < 160.0:
        wait = bucket.wait(now)
        if wait == 0:
            bucket.take(1)
            taken += 1
        now += wait
        assert taken <= 2 + 2 * (now - 100.0)
    assert taken >= 119


def test_a_bucket_does_not_save_up() -> None:
    bucket = Bucket(600)
    assert bucket.wait(50.0) == 0
    bucket.take(10)
    assert bucket.wait(5000.0) == 0
    bucket.take(10)
    assert bucket.wait(5000.0) > 0


def test_a_large_amount_is_waited_off() -> None:
    bucket = Bucket(60)
    assert bucket.wait(10.0) == 0
    bucket.take(31)
    assert math.isclose(bucket.wait(10.0), 31)
    assert bucket.wait(41.0) == 0


def test_a_slow_bucket_gives_its_first() -> None:
    bucket = Bucket(6)
    assert bucket.wait(10.0) == 0
    bucket.take(1)
    assert math.isclose(bucket.wait(10.0), 10)
