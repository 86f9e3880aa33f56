"""The limits of a server: they bound its memory and its waiting time, whatever clients send."""

from dataclasses import dataclass

# A long word, such as a text without spaces, counts as one more word per this number of characters.
CHARACTERS_PER_WORD = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The sizes above which requests are refused, and times; each is a flag of ``serve``.

    A batch has at most ``max_batch`` sentences, and waits at most ``max_wait_ms`` for them. ``max_queue`` is the number
    of sentences of all requests to one model that wait. ``max_bytes``, ``max_sentences`` and ``max_words`` are those
    of one request. ``timeout`` is in seconds: for a request to arrive, and again for its prediction.
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
