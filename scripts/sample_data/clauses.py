"""Clauses: events put into tense, aspect, voice, polarity and mood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sample_data.lexicon import ADVERBS, PARTICLES
from sample_data.morphology import ing_form, past_forms, third_person
from sample_data.phrases import adjunct, is_adjective_phrase, noun_phrase, predicate
from sample_data.trees import Part, Phrase, Word, join, root, word

BE_PRESENT = {("Sing", "1"): "am", ("Sing", "3"): "is"}
CLITICS = {"am": "'m", "is": "'s", "are": "'re", "has": "'s", "have": "'ve", "had": "'d"}
CLITICS |= {"will": "'ll", "would": "'d"}
NEGATED_STEMS = {"can": "ca", "will": "wo"}
MODALS = frozenset("can could may might must should will would".split())


@dataclass(frozen=True)
class Event:
    """Who does what, in plain English; `be` takes its complement as the object."""

    subject: str
    verb: str
    object: str = ""
    adjuncts: tuple[str, ...] = ()
    particle_last: bool = False

    @property
    def lemma(self) -> str:
        return self.verb.split()[0]

    @property
    def particle(self) -> str:
        return " ".join(self.verb.split()[1:])

    def plus(self, *texts: str) -> Event:
        """The same event with more adjuncts."""
        return replace(self, adjuncts=(*self.adjuncts, *[text for text in texts if text]))


@dataclass(frozen=True)
class Form:
    """What the verb group expresses; `tense` is also base, to, gerund or imperative."""

    tense: str = "past"
    modal: str = ""
    perfect: bool = False
    progressive: bool = False


@dataclass(frozen=True)
class Agreement:
    """Number and person of a subject."""

    number: str = "Sing"
    person: str = "3"


def agreement_of(subject: Phrase) -> Agreement:
    """The agreement a subject asks of its verb."""
    head = root(subject)
    if any(item.relation == "conj" and item.head is head for item in subject):
        return Agreement("Plur")
    number = "Plur" if head.features.get("Number") in ("Plur", "Ptan") else "Sing"
    counted = any(item.relation == "nummod" and item.form != "one" for item in subject if item.head is head)
    if head.upos == "PRON" and head.features.get("Person") == "2":
        number = ""
    return Agreement(
        "Plur" if counted and head.features.get("Number") == "Plur" else number,
        head.features.get("Person", "3"),
    )


def _finite(lemma: str, tense: str, agreement: Agreement) -> Word:
    third = agreement == Agreement()
    if lemma == "be":
        if tense == "past":
            form = "was" if agreement.number == "Sing" else "were"
        else:
            form = BE_PRESENT.get((agreement.number, agreement.person), "are")
    elif tense == "past":
        form = past_forms(lemma)[0]
    else:
        form = third_person(lemma) if third else lemma
    features = {"Mood": "Ind", "Tense": tense.capitalize()[:4], "VerbForm": "Fin", "Person": agreement.person}
    if agreement.number:
        features["Number"] = agreement.number
    tag = "VBD" if tense == "past" else "VBZ" if third else "VBP"
    return word(form, lemma, "VERB", tag, features)


def inflect(lemma: str, slot: str, agreement: Agreement) -> Word:
    """One verb form; `slot` names the form."""
    if lemma in MODALS:
        return word(lemma, lemma, "AUX", "MD", "Mood=Ind|VerbForm=Fin")
    if slot in ("past", "present"):
        return _finite(lemma, slot, agreement)
    if slot in ("base", "imperative"):
        features = "VerbForm=Inf" if slot == "base" else "Mood=Imp|VerbForm=Fin"
        return word(lemma, lemma, "VERB", "VB", features)
    if slot in ("gerund", "progressive"):
        features = "VerbForm=Ger" if slot == "gerund" else "Tense=Pres|VerbForm=Part"
        return word(ing_form(lemma), lemma, "VERB", "VBG", features)
    features = "Tense=Past|VerbForm=Part" + ("|Voice=Pass" if slot == "passive" else "")
    form = "been" if lemma == "be" else past_forms(lemma)[1]
    return word(form, lemma, "VERB", "VBN", features)


def verb_group(
    lemma: str, form: Form, agreement: Agreement, passive: bool = False, needs_support: bool = False
) -> list[Part]:
    """Auxiliaries and main verb, each with its relation; the main verb comes last as `head`."""
    chain: list[tuple[str, str, str]] = []  # lemma, relation, the slot it asks of the next verb
    if form.modal:
        chain.append((form.modal, "aux", "base"))
    if form.perfect:
        chain.append(("have", "aux", "participle"))
    if form.progressive:
        chain.append(("be", "aux", "progressive"))
    if passive:
        chain.append(("be", "aux:pass", "passive"))
    if needs_support and not chain and lemma != "be":
        chain.append(("do", "aux", "base"))
    chain.append((lemma, "cop" if lemma == "be" else "head", ""))
    slot = "base" if form.tense == "to" else form.tense
    group: list[Part] = []
    for verb, relation, next_slot in chain:
        item = inflect(verb, slot, agreement)
        item.upos = "VERB" if relation == "head" else "AUX"
        group.append((relation, [item]))
        slot = next_slot
    return group


def _negation(after: Word | None, contracted: bool) -> Part:
    """`not`, or the clitic on the auxiliary before it."""
    item = word("not", "not", "PART", "RB", "Polarity=Neg")
    if after and contracted and after.form not in ("am", "might", "may", "be"):
        after.form = NEGATED_STEMS.get(after.form, after.form)
        item.form, item.clitic = "n't", True
    return "advmod", [item]


def _contract(subject: Phrase, auxiliary: Word) -> None:
    if subject[0].form in ("I", "you", "he", "she", "it", "we", "they") and auxiliary.form in CLITICS:
        auxiliary.form, auxiliary.clitic = CLITICS[auxiliary.form], True


def _objects(event: Event) -> list[Part]:
    if not event.object:
        return []
    if is_adjective_phrase(event.object):
        return [("xcomp", predicate(event.object))]
    return [("obj", noun_phrase(event.object))]


def complements(event: Event, passive: bool = False) -> list[Part]:
    """Everything that follows the verb: particle, object and adjuncts."""
    if event.lemma == "be":
        return [adjunct(text) for text in event.adjuncts]
    objects = [] if passive else _objects(event)
    particle: list[Part] = []
    if event.particle in PARTICLES:
        particle = [("compound:prt", [word(event.particle, event.particle, "ADP", "RP")])]
    pronoun = bool(objects) and objects[0][1][-1].features.get("PronType") == "Prs"
    last = pronoun or event.particle_last
    middle = [*objects, *particle] if last else [*particle, *objects]
    doer: list[Part] = []
    if passive and event.subject:
        doer = [("obl:agent", join(("case", [word("by", "by", "ADP", "IN")]), noun_phrase(event.subject)))]
    return [*middle, *doer, *[adjunct(text) for text in event.adjuncts]]


def clause(
    event: Event,
    form: Form,
    *,
    passive: bool = False,
    negative: bool = False,
    contracted: bool = False,
    question: bool = False,
    adverb: str = "",
    lead: Sequence[Part] = (),
    subject: Phrase | None = None,
    agreement: Agreement | None = None,
) -> Phrase:
    """The tree of a clause; `subject` and `agreement` replace those of the event."""
    finite = form.tense in ("past", "present")
    if subject is None:
        text = event.object if passive else event.subject
        subject = noun_phrase(text) if finite and text else []
    agreement = agreement or (agreement_of(subject) if subject else Agreement())
    support = (negative or question) and form.tense in ("past", "present", "imperative")
    group = verb_group(event.lemma, form, agreement, passive, support)
    copular = group[-1][0] == "cop"
    *helpers, main = group
    first = helpers[:1] or ([main] if copular and finite else [])
    negation = [_negation(first[0][1][0] if first else None, contracted)] if negative else []
    nominal: list[Part] = [("nsubj:pass" if passive else "nsubj", subject)] if subject else []
    if contracted and first and nominal and not question and not negative:
        _contract(subject, first[0][1][0])

    line: list[Part | Phrase] = list(lead)
    if form.tense == "to":
        line += [*negation, ("mark", [word("to", "to", "PART", "TO")])]
        negation = []
    if question and negation and negation[0][1][0].clitic:
        line += [*first, *negation, *nominal]
    elif question:
        line += [*first, *nominal, *negation]
    else:
        line += [*nominal, *first, *negation]
    if adverb:
        line.append(("advmod", [word(adverb, adverb, "ADV", "RB", ADVERBS[adverb])]))
    line += helpers[1:]
    if copular:
        line += [*([main] if main not in first else []), predicate(event.object)]
    else:
        line.append(main[1])
    return join(*line, *complements(event, passive))
