"""Sentence patterns of two or more clauses: reports, relatives, conditions and chains."""

from __future__ import annotations

from dataclasses import replace

from sample_data.clauses import Event, Form, agreement_of, clause, inflect
from sample_data.constructions import FUTURE_TIMES, PAST, PAST_TIMES, PRESENT, finished, interrogative
from sample_data.lexicon import DETERMINERS, POSSESSIVES
from sample_data.phrases import adjunct, coordinator, noun_phrase
from sample_data.picker import Picker, lines
from sample_data.trees import Part, Phrase, join, mark, quoted, root, with_capital, word

FUTURE = Form("present", modal="will")
WOULD = Form("present", modal="would")
PLUPERFECT = Form("past", perfect=True)
DESCRIPTIONS = """
    | live | | near the station
    | have | a cold |
    | deserve | some praise |
    | like | loud music |
    | know | my brother |
    | need | some help |
    | look | very tired |
    | come | | from Leeds
"""
PRONOUN_SUBJECTS = ("it", "he", "she", "they")
PRONOUN_OBJECTS = ("it", "them", "her", "him")


def marker(form: str) -> Part:
    """A subordinating conjunction, ready to be joined."""
    return "mark", [word(form, form, "SCONJ", "WRB" if form == "when" else "IN")]


def relative(form: str) -> Phrase:
    """A relative pronoun."""
    return [word(form, form, "PRON", "WP" if form == "who" else "WDT", "PronType=Rel")]


def linked(pick: Picker) -> Phrase:
    """Two clauses with a conjunction, either order where the sense allows it."""
    connective, _, both = pick.line(pick.scene.links).partition(":")
    left, right = (pick.event(side.strip(), adjuncts=1.0) for side in both.split("||"))
    if connective in ("but", "so"):
        second = clause(right, PAST, lead=[mark(","), coordinator(connective)])
        return finished(join(clause(left, PAST, contracted=True), ("conj", second)))
    if connective in ("if", "unless"):
        return _conditional(pick, connective, left, right)
    if left.subject == "you":
        order = clause(replace(left, subject=""), Form("imperative"))
        return finished(join(order, ("advcl", clause(right, PRESENT, lead=[marker(connective)]))))
    inner_form = Form("past", progressive=True) if connective == "while" else PAST
    if connective == "after" and pick.chance(0.4):
        inner_form = PLUPERFECT
    forward = right.subject in PRONOUN_SUBJECTS or right.object in PRONOUN_OBJECTS
    if connective != "until" and not forward and pick.chance(0.4):
        opening = "since" if connective == "because" and pick.chance(0.3) else connective
        inner = clause(right, inner_form, lead=[marker(opening)])
        return finished(clause(left, PAST, lead=[("advcl", join(inner, mark(",")))]))
    inner = clause(right, inner_form, lead=[marker(connective)])
    if connective == "although":
        inner = join(mark(","), inner)
    return finished(join(clause(left, PAST), ("advcl", inner)))


def _conditional(pick: Picker, connective: str, left: Event, right: Event) -> Phrase:
    # the condition is written first in the scenes for `if`, last for `unless`
    condition, result = (left, right) if connective == "if" else (right, left)
    inner = clause(condition, PRESENT, lead=[marker(connective)])
    modal = Form("present", modal=pick.random.choice(["will", "will", "can", "might"]))
    outer_lead = [("advcl", join(inner, mark(",")))]
    backward = result.subject in PRONOUN_SUBJECTS or result.object in PRONOUN_OBJECTS
    if connective == "if" and (backward or pick.chance(0.6)):
        return finished(clause(result, modal, lead=outer_lead, contracted=True))
    return finished(join(clause(result, modal, contracted=True), ("advcl", inner)))


def sequence(pick: Picker) -> Phrase:
    """A chain of actions by one subject."""
    actor, colon, chain_text = pick.line(pick.scene.sequences).rpartition(":")
    steps = [pick.event(f" | {step}", adjuncts=1.0) for step in chain_text.split(";")]
    kind = pick.random.choice(["past", "past", "past", "imperative", "future", "want"])
    subject = actor if colon else pick.person(pronouns=0.3)
    first, *others = steps
    form = {"past": PAST, "future": FUTURE}.get(kind, Form("imperative" if kind == "imperative" else "to"))
    lead = [adjunct(pick.one(PAST_TIMES), comma=True)] if kind == "past" and pick.chance(0.3) else []
    start = clause(
        replace(first, subject=subject if kind in ("past", "future") else ""),
        form,
        lead=lead,
        contracted=True,
    )
    # after a modal or `to` the later verbs stay bare
    later = form if kind in ("past", "imperative") else Form("base")
    conjuncts: list[Part] = []
    for position, event in enumerate(others, 1):
        final = position == len(others)
        opening = [coordinator("and")] if final else [mark(",")]
        conjuncts.append(("conj", clause(replace(event, subject=""), later, lead=opening)))
    chain = join(start, *conjuncts)
    if kind == "want":
        return finished(
            join(clause(Event(subject, pick.one("want / decide / forget / promise")), PAST), ("xcomp", chain))
        )
    return finished(chain)


def definite(text: str) -> str:
    """The noun phrase made definite."""
    first, _, rest = text.partition(" ")
    if first in DETERMINERS or first in POSSESSIVES or text[0].isupper() or "'s" in text:
        return f"the {rest}" if first in ("a", "an", "some", "every") else text
    return f"the {text}"


def object_relative(pick: Picker) -> Phrase:
    """This is the thing that somebody handled."""
    event = pick.activity(transitive=True, pronouns=0.4, adjuncts=0.3)
    while len(event.object.split()) < 2:
        event = pick.activity(transitive=True, pronouns=0.4, adjuncts=0.3)
    thing = noun_phrase(definite(event.object))
    plural = agreement_of(thing).number == "Plur"
    pronoun = pick.random.choice(["that", "which", ""])
    lead = [("obj", relative(pronoun))] if pronoun else []
    inner = clause(replace(event, object=""), pick.random.choice([PAST, PAST, PLUPERFECT]), lead=lead)
    thing = join(thing, ("acl:relcl", inner))
    kind = pick.random.choice(["this", "question", "photo", "nobody", "like"])
    demonstrative = noun_phrase("these" if plural else "this")
    if kind in ("this", "question"):
        be = inflect("be", "present", agreement_of(demonstrative))
        be.upos = "AUX"
        parts = [("nsubj", demonstrative), ("cop", [be])]
        return finished(
            join(*(parts[::-1] if kind == "question" else parts), thing), "?" if kind == "question" else "."
        )
    if kind == "photo":
        photo = join(noun_phrase("a photo"), ("nmod", join(("case", [word("of", "of", "ADP", "IN")]), thing)))
        return finished(join(clause(Event(pick.person(0.5), "take"), PAST), ("obj", photo)))
    verb = (
        Event("nobody", pick.one("notice / mention")) if kind == "nobody" else Event(pick.person(0.5), "like")
    )
    return finished(join(clause(verb, PAST), ("obj", thing)))


def subject_relative(pick: Picker) -> Phrase:
    """The person who did something is described."""
    event = pick.activity(adjuncts=0.3)
    while event.subject.startswith("both"):
        event = pick.activity(adjuncts=0.3)
    person = noun_phrase(definite(event.subject))
    # a name or `my sister` is known already, so its clause only adds something
    known = event.subject[0].isupper() or event.subject.split()[0] in POSSESSIVES
    agreement = agreement_of(person)
    inner = clause(
        replace(event, subject="who"),
        pick.random.choice([PAST, Form("present", progressive=True)]),
        subject=relative("who"),
        agreement=agreement,
    )
    if known:
        inner = join(mark(","), inner, mark(","))
    subject = join(person, ("acl:relcl", inner))
    matrix = pick.event(pick.fresh(lines(DESCRIPTIONS)))
    return finished(clause(matrix, PRESENT, subject=subject, agreement=agreement))


def report(pick: Picker) -> Phrase:
    """Somebody says, thinks or hopes that something happens."""
    event = pick.activity(pronouns=0.2, adjuncts=0.4)
    speaker = pick.person(pronouns=0.5)
    kind = pick.random.choice(["said", "think", "hope", "tell", "sure", "state"])
    that = [marker("that")] if pick.chance(0.55) else []
    if kind == "state":
        subject, complement = pick.line(pick.scene.states).split(" | ")
        inner = clause(Event(subject, "be", pick.one(complement)), PRESENT, lead=that)
        return finished(
            join(clause(Event("I", pick.one("think / hear / suppose")), PRESENT), ("ccomp", inner))
        )
    if kind == "said":
        choices = [(PLUPERFECT, "say / remember / hear"), (WOULD, "say / think / hope")]
        inner_form, verbs = pick.random.choice(choices)
        inner = clause(event, inner_form, lead=that)
        return finished(join(clause(Event(speaker, pick.one(verbs)), PAST), ("ccomp", inner)))
    if kind == "think":
        inner = clause(event.plus(pick.one(PAST_TIMES)), PAST, lead=that)
        return finished(join(clause(Event("I", pick.one("think / believe")), PRESENT), ("ccomp", inner)))
    if kind == "tell":
        inner = clause(pick.activity(adjuncts=0.4), PLUPERFECT, lead=[marker("that")])
        return finished(
            join(clause(Event("nobody", "tell", pick.one("me / us / them")), PAST), ("ccomp", inner))
        )
    inner = clause(event.plus(pick.one(FUTURE_TIMES)), FUTURE, lead=that, contracted=True)
    if kind == "sure":
        return finished(
            join(
                clause(Event(pick.one("I / we"), "be", pick.one("sure / glad")), PRESENT, contracted=True),
                ("ccomp", inner),
            )
        )
    return finished(join(clause(Event(pick.one("I / we"), "hope"), PRESENT), ("ccomp", inner)))


def indirect_question(pick: Picker) -> Phrase:
    """Somebody wonders who, where, why or whether."""
    event = pick.activity(transitive=True, adjuncts=0.0)
    kind = pick.random.choice(["who", "why", "when", "whether"])
    if kind == "who":
        inner = clause(replace(event, subject="who"), PAST)
    elif kind == "whether":
        inner = clause(event, Form("present", perfect=True), lead=[marker("whether")])
    else:
        inner = clause(event, PAST, lead=[("advmod", interrogative(kind))])
    matrix = pick.random.choice(["wonder", "know", "remember", "ask", "do you know"])
    if matrix == "do you know":
        return finished(join(clause(Event("you", "know"), PRESENT, question=True), ("ccomp", inner)), "?")
    if matrix == "ask":
        return finished(join(clause(Event(pick.person(0.4), "ask"), PAST), ("ccomp", inner)))
    negative = matrix != "wonder"
    form = Form("present", modal="can") if matrix == "remember" else PRESENT
    return finished(
        join(clause(Event("I", matrix), form, negative=negative, contracted=True), ("ccomp", inner))
    )


def direct_speech(pick: Picker) -> Phrase:
    """Somebody says a sentence in quotation marks."""
    if pick.chance(0.5):
        subject, complement = pick.line(pick.scene.states).split(" | ")
        inner = clause(Event(subject, "be", pick.one(complement)), PRESENT)
    else:
        inner = clause(
            replace(pick.activity(), subject="we"), pick.random.choice([FUTURE, PAST]), contracted=True
        )
    said = clause(Event(pick.person(pronouns=0.2), pick.one("say / shout / answer")), PAST)
    speech = quoted(join(with_capital(inner), mark(".")))
    said = join(said, mark(","), ("ccomp", speech))
    return said


def gapping(first: Event, second_subject: str, second_object: str) -> Phrase:
    """`A does x, and B y`: the second verb is an empty node in the enhanced graph."""
    start = clause(first, PAST)
    verb = root(start)
    subject, thing = noun_phrase(second_subject), noun_phrase(second_object)
    elided = word(verb.form, verb.lemma, verb.upos, verb.xpos, verb.features)
    elided.empty, elided.enhanced = True, (verb, "conj")
    comma, conjunction = mark(","), coordinator("and")
    for item, relation in (
        (root(subject), "nsubj"),
        (root(thing), "obj"),
        (comma[1][0], "punct"),
        (conjunction[1][0], "cc"),
    ):
        item.enhanced = (elided, relation)
    promoted = join(comma, conjunction, subject, ("orphan", thing))
    promoted.insert(promoted.index(thing[0]), elided)
    return finished(join(start, ("conj", promoted)))
