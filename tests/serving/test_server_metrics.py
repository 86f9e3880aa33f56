"""The metrics of a server have the text format of Prometheus."""

import re

from machamp_lite.serving.metrics import Counter, Histogram, ServerMetrics

LINE = re.compile(r'(# (HELP|TYPE) \w+ .+|\w+(\{(\w+="([^"\\\n]|\\.)*",?)*\})? (\d[\d.e+-]*|nan))')


def test_every_line_has_the_format() -> None:
    metrics = ServerMetrics({'a"\\\n': lambda: 3, "b": lambda: 0})
    metrics.requests.add("/predict", "200")
    metrics.seconds.add("/predict", value=0.2)
    metrics.add_batch("b", 7, 0.1)
    lines = metrics.text().splitlines()
    assert all(map(LINE.fullmatch, lines))
    assert 'machamp_lite_queue_sentences{model="a\\"\\\\\\n"} 3' in lines
    assert 'machamp_lite_sentences_total{model="b"} 7' in lines
    names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(names) == len(set(names))


def test_a_counter_counts_each_combination_of_labels() -> None:
    counter = Counter("c", "text", ["one", "two"])
    for labels in (("x", "y"), ("x", "z"), ("x", "y")):
        counter.add(*labels)
    assert list(counter.lines())[2:] == ['c{one="x",two="y"} 2', 'c{one="x",two="z"} 1']


def test_large_counts_keep_their_digits() -> None:
    counter = Counter("c", "text")
    counter.add(by=123_456_789)
    assert list(counter.lines())[2:] == ["c 123456789"]


def test_a_histogram_counts_the_values_up_to_each_bound() -> None:
    histogram = Histogram("h", "text", [1, 5])
    for value in (0.5, 1, 3, 100):
        histogram.add(value=value)
    assert list(histogram.lines())[2:] == [
        'h_bucket{le="1"} 2',
        'h_bucket{le="5"} 3',
        'h_bucket{le="+Inf"} 4',
        "h_count 4",
        "h_sum 104.5",
    ]
