"""Works that are timed turn by turn, so that what else the machine does falls on all of them."""

import time
from collections.abc import Callable, Mapping


def seconds(work: Callable[[], object]) -> float:
    """The wall-clock time of some work."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def timed(works: Mapping[str, Callable[[], object]], *, repeats: int) -> dict[str, tuple[float, ...]]:
    """Seconds of each work in each round that counts; every other round goes through them backwards."""
    return in_rounds(
        {name: lambda work=work: seconds(work) for name, work in works.items()},  # type: ignore[misc]
        repeats=repeats,
    )


def in_rounds(
    works: Mapping[str, Callable[[], float]], *, repeats: int, warm_up: bool = True
) -> dict[str, tuple[float, ...]]:
    """What each work returns in each round that counts; the first round warms up and does not."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for number in range(-int(warm_up), repeats):
        for name in sorted(works, reverse=bool(number % 2)):
            value = works[name]()
            if number >= 0:
                found[name].append(value)
    return {name: tuple(values) for name, values in found.items()}


def ratios(above: tuple[float, ...], below: tuple[float, ...]) -> tuple[float, ...]:
    """The ratio of each round."""
    return tuple(one / other for one, other in zip(above, below, strict=True))
