"""Rows of different lengths in one flat array."""

from collections.abc import Iterable, Sequence, Sized
from dataclasses import dataclass
from itertools import pairwise
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
        """Splits values into rows of these lengths."""
        return cls(values, np.append(0, np.cumsum(lengths, dtype=np.int64)))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> np.ndarray:
        return self.values[self.starts[row] : self.starts[row + 1]]

    def rows(self) -> list[np.ndarray]:
        """All rows, as views of ``values``."""
        return [self.values[start:end] for start, end in pairwise(self.starts.tolist())]

    def take(self, rows: np.ndarray) -> "RaggedArray":
        """The rows with these indices, in this order."""
        lengths = self.lengths[rows]
        taken = RaggedArray.of(self.values, lengths)
        offsets = np.repeat(self.starts[rows] - taken.starts[:-1], lengths)
        return RaggedArray(self.values[offsets + np.arange(len(offsets))], taken.starts)

    @property
    def lengths(self) -> np.ndarray:
        """*Shape:* (rows,)."""
        return np.diff(self.starts.astype(np.int64))

    def sums(self, values: np.ndarray | None = None) -> np.ndarray:
        """The sum of each row of ``values``, by default the array's. *Shape:* as ``self.values`` -> (rows,)."""
        values = self.values if values is None else values
        return np.diff(np.append(0, np.cumsum(values, dtype=np.int64))[self.starts])


class StringIndex(dict[T, int]):
    """Maps distinct values to 0, 1, ... in the order in which they are first looked up."""

    def __missing__(self, value: T) -> int:
        number = self[value] = len(self)
        return number

    def of(self, values: Sequence[T]) -> np.ndarray:
        """The indices of values. *Shape:* (values,)."""
        return np.fromiter(map(self.__getitem__, values), np.int64, len(values))


def lengths_of(rows: Iterable[Sized]) -> np.ndarray:
    """The lengths of lists. *Shape:* (lists,)."""
    return np.fromiter(map(len, rows), np.int64)


def smallest(array: np.ndarray) -> np.ndarray:
    """Converts integers to the smallest type that fits; arrays of other types are returned unchanged."""
    if array.dtype.kind not in "iu":
        return array
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    fits = (kind for kind in _INTEGERS if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max)
    return array.astype(next(fits, array.dtype))
