"""The limits of a server, so that no client can make it grow, wait or forget the others."""

from dataclasses import dataclass

# Text without spaces counts as one word per so many characters.
CHARACTERS_PER_WORD = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is refused, and how long is waited; the flags of ``serve`` with these names.

    A batch is joined from at most ``max_batch`` sentences, within ``max_wait_ms``. ``max_queue`` is the number of
    sentences of all requests to one model that wait. ``max_bytes``, ``max_sentences`` and ``max_words`` are those of
    one request. ``timeout`` is in seconds: for a request to arrive, and again for its prediction.
    """

    max_batch: int = 32
    max_wait_ms: float = 5.0
    max_queue: int = 2048
    max_bytes: int = 2**20
    max_sentences: int = 512
    max_words: int = 20_000
    max_connections: int = 512
    timeout: float = 30.0


def count_words(text: str) -> int:
    """About the number of words of a text; a long word counts as several, because some scripts have no spaces.

    >>> count_words("two words"), count_words("北京" * 50)
    (2, 11)
    """
    return sum(1 + len(word) // CHARACTERS_PER_WORD for word in text.split())
