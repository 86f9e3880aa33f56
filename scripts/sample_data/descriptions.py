"""Sentence patterns with `be`: states, comparisons and what there is."""

from __future__ import annotations

from dataclasses import replace

from sample_data.clauses import Event, agreement_of, clause, inflect
from sample_data.constructions import PAST, PRESENT, finished
from sample_data.lexicon import SHORT_ADJECTIVES
from sample_data.morphology import degrees
from sample_data.phrases import adjunct, noun_phrase
from sample_data.picker import Picker
from sample_data.trees import Part, Phrase, join, mark, word

# a complement that opens with one of these sounds odd under negation
HEDGES = frozenset("rather much almost quite still slightly always only".split())


def state(pick: Picker) -> Phrase:
    """Something is somehow or somewhere."""
    event = _copular(pick)
    pronoun = event.subject in ("it", "she")
    tense = PAST if event.subject.startswith("last") or not pronoun and pick.chance(0.3) else PRESENT
    hedged = event.object.split()[0] in HEDGES or event.object.endswith((" again", " at last"))
    negative = pick.chance(0.15) and not hedged
    if pick.chance(0.15):
        return finished(clause(event, tense, question=True, negative=negative, contracted=True), "?")
    start = (
        []
        if pick.chance(0.85)
        else [
            ("discourse", join([word(form, form, "INTJ", "UH")], mark(",")))
            for form in [pick.one("yes / no / well / oh")]
        ]
    )
    if start and start[0][1][0].form == "no":
        start, negative = ([], False) if hedged else (start, True)
    return finished(clause(event, tense, negative=negative, contracted=True, lead=start))


def _copular(pick: Picker) -> Event:
    subject, complement = pick.line(pick.scene.states).split(" | ")
    choice = pick.one(complement)
    if pick.chance(0.15) and agreement_of(noun_phrase(subject)).number == "Sing":
        human = subject.startswith(("our new", "our intern", "the referee", "the vet", "the shop"))
        subject = "she" if human else "it"
    return Event(subject, "be", choice)


def comparison(pick: Picker) -> Phrase:
    """One thing is more so than another, or just as much so."""
    subject, quality, other = (field.strip() for field in pick.line(pick.scene.comparisons).split("|"))
    kind = pick.random.choice(["more", "more", "as", "much more", "question"])
    text = degrees(quality)[0] if quality in SHORT_ADJECTIVES else f"more {quality}"
    verb = Event(subject, "be", f"as {quality} as {other}" if kind == "as" else f"{text} than {other}")
    if kind == "much more":
        verb = replace(verb, object=pick.one("much / far / even") + " " + verb.object)
    if kind == "question":
        return finished(clause(verb, PRESENT, question=True), "?")
    return finished(
        clause(
            verb,
            pick.random.choice([PRESENT, PAST]),
            negative=kind == "as" and pick.chance(0.6),
            contracted=True,
        )
    )


def existential(pick: Picker) -> Phrase:
    """There is something somewhere."""
    thing, place = (pick.one(field) for field in pick.line(pick.scene.places).split("|"))
    subject = noun_phrase(thing)
    agreement = agreement_of(subject)
    tense = pick.random.choice(["present", "present", "past"])
    verb = inflect("be", tense, agreement)
    there = [word("there", "there", "PRON", "EX", "PronType=Dem")]
    parts: list[Part] = [("expl", there)]
    if verb.form == "is" and pick.chance(0.6):
        verb.form, verb.clitic = "'s", True
    elif pick.chance(0.25) and not thing.startswith(("no ", "only ")):
        return finished(join([verb], *parts, ("nsubj", subject), adjunct(place)), "?")
    return finished(join(*parts, [verb], ("nsubj", subject), adjunct(place)))
