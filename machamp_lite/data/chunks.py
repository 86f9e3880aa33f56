"""Records in chunks: as many as are held in memory at once."""

from collections.abc import Iterable, Iterator

from machamp_lite.data.records import Record

# Words and parts of texts that are held at once, where sentences are many times longer than usual.
MOST_WORDS = 2**17


def in_chunks(records: Iterable[Record], most: int) -> Iterator[list[Record]]:
    """So many records at once, or fewer if their sentences are long, so that memory does not grow with a file."""
    chunk: list[Record] = []
    size = 0
    for record in records:
        chunk.append(record)
        size += sum(1 + len(word) // 8 for word in record.words)
        if len(chunk) >= most or size >= MOST_WORDS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
