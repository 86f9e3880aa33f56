"""Rows of any lengths, laid end to end in one flat array."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np

T = TypeVar("T")
_INTEGERS = (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class RaggedArray:
    """Row ``i`` is ``values[starts[i] : starts[i + 1]]``. *Shape:* values (sum of lengths,), starts (rows + 1,)."""

    values: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, lengths: np.ndarray) -> Self:
        """Cuts values into rows of these lengths."""
        return cls(values, np.append(0, np.cumsum(lengths, dtype=np.int64)))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, number: int) -> np.ndarray:
        return self.values[self.starts[number] : self.starts[number + 1]]

    def take(self, numbers: np.ndarray) -> "RaggedArray":
        """Rows of these numbers, in this order."""
        lengths = self.lengths[numbers]
        taken = RaggedArray.of(self.values, lengths)
        places = np.repeat(self.starts[numbers] - taken.starts[:-1], lengths)
        return RaggedArray(self.values[places + np.arange(len(places))], taken.starts)

    @property
    def lengths(self) -> np.ndarray:
        """*Shape:* (rows,)."""
        return np.diff(self.starts.astype(np.int64))

    def sums(self, values: np.ndarray | None = None) -> np.ndarray:
        """The sum of each row, or of what stands in the places of its values. *Shape:* (rows,)."""
        values = self.values if values is None else values
        return np.diff(np.append(0, np.cumsum(values, dtype=np.int64))[self.starts])


class StringIndex(dict[T, int]):
    """Numbers distinct values in the order in which they are first asked for."""

    def __missing__(self, value: T) -> int:
        number = self[value] = len(self)
        return number

    def of(self, values: list[T]) -> np.ndarray:
        """The numbers of values. *Shape:* (values,)."""
        return np.fromiter(map(self.__getitem__, values), np.int64, len(values))


def lengths_of(rows: Iterable[object]) -> np.ndarray:
    """The lengths of lists. *Shape:* (lists,)."""
    return np.fromiter(map(len, rows), np.int64)  # type: ignore[arg-type]


def smallest(array: np.ndarray) -> np.ndarray:
    """The same numbers in the smallest type of integers that holds them; other types stay as they are."""
    if array.dtype.kind not in "iu":
        return array
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    for integer in _INTEGERS:
        if np.iinfo(integer).min <= low and high <= np.iinfo(integer).max:
            return array.astype(integer)
    return array
