"""Noun phrases, adjuncts and predicates, read from plain English into small trees."""

from __future__ import annotations

from sample_data.lexicon import (
    ADJECTIVES,
    ADVERBS,
    DETERMINERS,
    FIXED_PREPOSITIONS,
    GIVEN_NAMES,
    MONTHS,
    NUMBER_WORDS,
    ORDINALS,
    POSSESSIVES,
    PREPOSITIONS,
    PRONOUNS,
    TIME_NOUNS,
    TITLES,
)
from sample_data.morphology import noun_lemma
from sample_data.trees import Part, Phrase, Word, join, mark, word

COORDINATORS = ("and", "or", "but")


def alternatives(text: str) -> list[str]:
    """The alternatives in a `one / two / three` list."""
    return [choice.strip() for choice in text.split("/") if choice.strip()]


def adverb(form: str) -> Phrase:
    """A single adverb."""
    return [word(form, form, "ADV", "RB", ADVERBS[form])]


def _is_number(form: str) -> bool:
    return form in NUMBER_WORDS or form[0].isdigit()


def _open_word(form: str) -> Word:
    if _is_number(form):
        kind = "Word" if form in NUMBER_WORDS else "Digit"
        return word(form, form, "NUM", "CD", {"NumForm": kind, "NumType": "Card"})
    if form in ORDINALS:
        return word(form, form, "ADJ", "JJ", {"Degree": "Pos", "NumForm": "Word", "NumType": "Ord"})
    if form in ADJECTIVES:
        lemma, tag, degree = ADJECTIVES[form]
        return word(form, lemma, "ADJ", tag, {"Degree": degree})
    if form in ADVERBS and form != "home":
        return adverb(form)[0]
    if form[0].isupper():
        if form[:-1] in TIME_NOUNS:
            return word(form, form[:-1], "PROPN", "NNPS", {"Number": "Plur"})
        return word(form, form, "PROPN", "NNP", {"Number": "Sing"})
    lemma, number = noun_lemma(form)
    return word(form, lemma, "NOUN", "NN" if number == "Sing" else "NNS", {"Number": number})


def _head_word(tokens: list[str]) -> Word:
    """The last word of a noun phrase: a noun even where the same form is also an adjective or a number."""
    form = tokens[-1]
    noun_form = form in ADJECTIVES or form == "one"
    if len(tokens) > 1 and noun_form and form != "last" and tokens[-2] not in ADVERBS:
        lemma, number = noun_lemma(form)
        return word(form, lemma, "NOUN", "NN" if number == "Sing" else "NNS", {"Number": number})
    return _open_word(form)


def _modifier(form: str, following: Word) -> Part:
    if form in POSSESSIVES:
        lemma, features = POSSESSIVES[form]
        return "nmod:poss", [word(form, lemma, "PRON", "PRP$", features)]
    if form in DETERMINERS:
        lemma, features = DETERMINERS[form]
        if form == "half":
            return "det:predet", [word(form, lemma, "DET", "PDT", features)]
        return "det", [word(form, lemma, "DET", "WDT" if form == "which" else "DT", features)]
    item = _open_word(form)
    if item.upos == "NUM":
        # a clock time names the train, it does not count trains
        return ("compound" if "." in form else "nummod"), [item]
    return {"ADJ": "amod", "ADV": "advmod"}.get(item.upos, "compound"), [item]


def _core(tokens: list[str]) -> Phrase:
    """A noun phrase without prepositions or coordination."""
    for position, token in enumerate(tokens[:-1]):
        if token.endswith(("'s", "s'")):
            bare, ending = (token[:-2], "'s") if token.endswith("'s") else (token[:-1], "'")
            clitic = word(ending, "'s", "PART", "POS")
            clitic.clitic = True
            owner = join(_core([*tokens[:position], bare]), ("case", [clitic]))
            return join(("nmod:poss", owner), _core(tokens[position + 1 :]))
    if len(tokens) == 1 and tokens[0] in PRONOUNS:
        lemma, tag, features = PRONOUNS[tokens[0]]
        return [word(tokens[0], lemma, "PRON", tag, features)]
    if len(tokens) > 1 and tokens[0] in GIVEN_NAMES | TITLES:
        first, *others = [[_open_word(token)] for token in tokens]
        return join(first, *[("flat", other) for other in others])
    if len(tokens) > 1 and tokens[-1][0].isdigit() and not _is_number(tokens[-2]):
        return join(_core(tokens[:-1]), ("nummod", [_open_word(tokens[-1])]))
    if len(tokens) > 1 and tokens[-1] in MONTHS and tokens[-2][0].isdigit():
        return join(("nummod", [_open_word(tokens[-2])]), [_open_word(tokens[-1])])
    head = [_head_word(tokens)]
    parts: list[Part] = []
    for token in reversed(tokens[:-1]):
        relation, phrase = _modifier(token, head[0])
        # a degree adverb belongs to the adjective on its right, `only` to the whole phrase
        if relation == "advmod" and token != "only" and parts and parts[-1][0] == "amod":
            parts[-1] = ("amod", join((relation, phrase), parts[-1][1]))
        elif token in ("all", "both") and any(earlier == "det" for earlier, _ in parts):
            phrase[0].xpos = "PDT"
            parts.append(("det:predet", phrase))
        else:
            parts.append((relation, phrase))
    return join(*reversed(parts), head)


def noun_phrase(text: str | list[str]) -> Phrase:
    """The tree of a noun phrase such as `a cup of tea and two biscuits`."""
    tokens = text.split() if isinstance(text, str) else text
    for position in range(1, len(tokens)):
        token = tokens[position]
        if token in COORDINATORS:
            conjunct = join(("cc", _coordinator(token)), noun_phrase(tokens[position + 1 :]))
            return join(noun_phrase(tokens[:position]), ("conj", conjunct))
        if token in PREPOSITIONS and "and" not in tokens[position:]:
            return join(_core(tokens[:position]), ("nmod", prepositional(tokens[position:])))
    return _core(tokens)


def _coordinator(form: str) -> Phrase:
    return [word(form, form, "CCONJ", "CC")]


def coordinator(form: str) -> Part:
    """A coordinating conjunction, ready to be joined."""
    return "cc", _coordinator(form)


def prepositional(tokens: list[str]) -> Phrase:
    """A noun phrase with the preposition that opens it."""
    first, *others = tokens
    if tuple(tokens[:2]) in FIXED_PREPOSITIONS:
        opening = word(first, first, "ADP", "IN", {"ExtPos": "ADP"})
        preposition = join([opening], ("fixed", [word("of", "of", "ADP", "IN")]))
        return join(("case", preposition), noun_phrase(tokens[2:]))
    return join(("case", [word(first, first, "ADP", "IN")]), noun_phrase(others))


def _opens_prepositional(tokens: list[str]) -> bool:
    return len(tokens) > 1 and (tokens[0] in PREPOSITIONS or tuple(tokens[:2]) in FIXED_PREPOSITIONS)


def adjunct(text: str, comma: bool = False) -> Part:
    """An adverb, a time or a prepositional phrase with the relation it takes under a verb."""
    tokens = text.split()
    if _opens_prepositional(tokens):
        part = ("obl", prepositional(tokens))
    elif tokens[0] == "even":
        part = ("obl", join(("advmod", adverb("even")), prepositional(tokens[1:])))
    elif all(form in ADVERBS for form in tokens):
        part = ("advmod", join(*[("advmod", adverb(form)) for form in tokens[:-1]], adverb(tokens[-1])))
    elif tokens[-1] in ADVERBS:
        part = ("advmod", join(("obl:npmod", noun_phrase(tokens[:-1])), adverb(tokens[-1])))
    elif tokens[-1] in TIME_NOUNS:
        part = ("obl:tmod", noun_phrase(tokens))
    elif tokens[-1] in ADJECTIVES:
        part = ("xcomp", predicate(text))
    else:
        part = ("obl:npmod", noun_phrase(tokens))
    return (part[0], join(part[1], mark(","))) if comma else part


def is_adjective_phrase(text: str) -> bool:
    """Whether the text, up to its first preposition, ends in an adjective and has no determiner."""
    tokens = text.split()
    stops = [position for position, token in enumerate(tokens) if token in PREPOSITIONS and position]
    core = tokens[: stops[0]] if stops else tokens
    core = core[: core.index("today")] if "today" in core else core
    return core[0] not in DETERMINERS and (core[-1] in ADJECTIVES or core[-1] in ADVERBS)


def predicate(text: str) -> Phrase:
    """The complement of a copula: an adjective phrase, a noun phrase or a prepositional phrase."""
    tokens = text.split()
    for form in ("and", "but"):
        if form in tokens and is_adjective_phrase(text):
            left, right = text.split(f" {form} ")
            return join(predicate(left), ("conj", join(coordinator(form), predicate(right))))
    if _opens_prepositional(tokens) and tokens[0] != "as":
        return prepositional(tokens)
    # `much` and `late` modify an adjective on their right, but `late for the match` is one themselves
    modifies = len(tokens) > 1 and (
        tokens[0] not in ADJECTIVES or tokens[1] in ADVERBS or tokens[1] in ADJECTIVES
    )
    if tokens[0] in ADVERBS and modifies:
        return join(("advmod", adverb(tokens[0])), predicate(" ".join(tokens[1:])))
    if tokens[0] == "as":
        return join(("advmod", [word("as", "as", "ADV", "RB")]), predicate(" ".join(tokens[1:])))
    if not is_adjective_phrase(text) or len(tokens) > 1 and tokens[0] in ORDINALS:
        return noun_phrase(text)
    head, rest = [_open_word(tokens[0])], tokens[1:]
    if head[0].form == "more" and rest:
        comparative = word("more", "more", "ADV", "RBR", {"Degree": "Cmp"})
        return join(("advmod", [comparative]), predicate(" ".join(rest)))
    return join(head, adjunct(" ".join(rest))) if rest else head
