"""Progress bars of long loops, drawn on standard error by tqdm if a program asks for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

_COUNT = "{desc}: {n_fmt}{unit}, {rate_noinv_fmt}"
_SHARE = "{desc} {percentage:3.0f}%|{bar:10}| {n_fmt}/{total_fmt}{unit}, {rate_noinv_fmt}"

_is_shown = False
# Bars are cleared while other output is written.
_open_bars: set[Any] = set()


@contextmanager
def shown(is_shown: bool = True) -> Iterator[None]:
    """A context in which bars are shown, or not. At its end, also after an error, none of them is left open."""
    global _is_shown
    before, _is_shown = _is_shown, is_shown
    others = set(_open_bars)
    try:
        yield
    finally:
        _is_shown = before
        if not before:
            for opened in _open_bars - others:
                close_bar(opened)


@contextmanager
def bar(
    description: str, *, total: int | None = None, unit: str = "sentences", is_shown: bool | None = None
) -> Iterator[Callable[[int], Any]]:
    """A bar that the yielded function advances by a number of items; at the end, it is removed.

    ``is_shown`` overrides whether bars are shown.
    """
    bar_format = _COUNT if total is None else _SHARE
    opened = open_bar(description, is_shown=is_shown, total=total, unit=unit, bar_format=bar_format)
    try:
        yield opened.update if opened is not None else _no_update
    finally:
        close_bar(opened)


def track(
    items: Iterator[T], description: str, *, total: int | None = None, is_shown: bool | None = None
) -> Iterator[T]:
    """The items, with a bar that counts them (else at no cost); ``is_shown`` overrides whether bars are shown."""
    is_shown = _is_shown if is_shown is None else is_shown
    return _track(items, description, total) if is_shown else items


def _track(items: Iterator[T], description: str, total: int | None) -> Iterator[T]:
    # The bar belongs to the items, not to the context in which they are used.
    with bar(description, total=total, is_shown=True) as advance:
        for item in items:
            yield item
            advance(1)


def open_bar(description: str, *, is_shown: bool | None = None, **options: Any) -> Any | None:
    """A bar of tqdm with these options, for ``close_bar``; None if bars are not shown, which ``is_shown`` overrides."""
    if not (_is_shown if is_shown is None else is_shown):
        return None
    # Imported here because a fast answer to a wrong flag needs no bar.
    from tqdm.auto import tqdm

    # The thread of tqdm that watches for slow bars could be in the way of forks.
    tqdm.monitor_interval = 0
    options["unit"] = f" {options['unit']}"
    opened = tqdm(desc=description, leave=False, dynamic_ncols=True, **options)
    _open_bars.add(opened)
    return opened


def close_bar(opened: Any | None) -> None:
    """Removes a bar from the terminal."""
    if opened is not None:
        _open_bars.discard(opened)
        opened.close()


@contextmanager
def paused() -> Iterator[None]:
    """A context in which other output can be written, without bars in its way."""
    for opened in _open_bars:
        opened.clear()
    try:
        yield
    finally:
        for opened in _open_bars:
            opened.refresh()


def _no_update(number: int) -> None:
    """Does nothing."""
