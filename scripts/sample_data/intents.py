"""Utterances to a home and travel assistant, with an intent each and slots in BIO."""

from __future__ import annotations

import re
from random import Random

SLOTS = {
    "artist": "Nina Vale / the Copper Owls / Marlon Reyes / Blue Harbour / Ida Lund / the Kites Trio",
    "song": "Morning Tram / Paper Boats / the Long Way Home / Salt and Smoke / Lanterns / Low Tide",
    "genre": "jazz / folk / classical music / soft rock / film music / old soul / piano",
    "room": "kitchen / living room / bedroom / hall / bathroom / study / kids room / garage",
    "device": "lights / lamp / heating / fan / radio / ceiling lights / table lamp / floor heating",
    "date": "today / tomorrow / on Saturday / on Friday / next Monday / on the third of May / on Sunday",
    "time": "at seven / at half past six / at 8.15 / before noon / at ten in the evening / "
    "around nine / at 6.40",
    "duration": "ten minutes / half an hour / an hour / ninety seconds / three minutes / "
    "two and a half hours",
    "city": "Leeds / Porto / Bergen / New Milton / Lyon / Ghent / Graz / San Marco / Cork / Tartu",
    "origin": "Derby / York / Antwerp / Old Town / Malmo / Bath / Turin / Upper Hill",
    "transport": "train / night train / bus / ferry / coach / slow train / plane",
    "item": "milk / rye bread / olive oil / batteries / a dozen eggs / washing powder / two lemons / "
    "cat food",
    "list": "shopping / weekend / party / holiday / work",
    "contact": "Nora / my sister / Doctor Amari / Uncle Pavel / Felix Reed / the plumber / mum",
    "cuisine": "Thai / Greek / vegan / Chinese / Turkish / pizza / seafood",
    "language": "French / Welsh / Polish / Portuguese / Finnish / Greek",
}
TEMPLATES = {
    "play_music": """
        play {song} / play {song} by {artist} / put on some {genre} / play some {genre} in the {room}
        i want to hear {artist} / can you play {song} by {artist} in the {room} / start the radio with {genre}
        let me listen to {artist} for {duration} / something by {artist} please
        could you put on {genre} {time} / play the new album by {artist} / put {song} on again
        i am in the mood for {genre} / play {artist} on the speaker in the {room} / please play {song}
        wake the house with {genre} {time} / shuffle everything by {artist} / turn up {song} in the {room}
        play {genre} for {duration} / no more {genre} , play {artist} / some {genre} would be nice {date}
    """,
    "get_weather": """
        what is the weather like in {city} {date} / will it rain {date} / do i need an umbrella in {city}
        how cold is it in {city} {time} / is it going to snow in {city} {date} / weather for {city} please
        how warm will it be {date} / tell me the forecast for {city} / will the sun shine in {city} {date}
        what about the wind in {city} {date} / is it still raining in {city} / give me the weather {date}
        should i take a coat {date} / when does the storm reach {city}
    """,
    "book_ticket": """
        book a {transport} to {city} {date} / i need a ticket from {origin} to {city} {date}
        get me two seats on the {transport} to {city} / find a {transport} from {origin} to {city} {time}
        is there a {transport} to {city} {date} {time} / reserve a {transport} ticket from {origin} to {city}
        i would like to travel to {city} by {transport} {date} / one return ticket to {city} please
        when is the next {transport} from {origin} / book the {transport} {time} from {origin} to {city}
    """,
    "set_alarm": """
        wake me up {time} {date} / set an alarm {time} / set a timer for {duration} / remind me in {duration}
        i have to get up {time} {date} / alarm {date} {time} please / count down {duration}
        give me {duration} and then ring the bell / cancel the alarm {time} / ring the bell {date} {time}
    """,
    "control_device": """
        turn on the {device} in the {room} / switch off the {device} / turn the {device} down in the {room}
        can you turn off the {device} {time} / it is too dark in the {room} , turn on the {device}
        leave the {device} on for {duration} / dim the {device} in the {room} {time} / {device} off please
    """,
    "add_to_list": """
        add {item} to my {list} list / put {item} on the {list} list / we are out of {item}
        i need {item} and {item} / buy {item} {date} / do i have {item} on the {list} list
    """,
    "send_message": """
        text {contact} that i am late / tell {contact} i will call {date} / send a message to {contact}
        write to {contact} that the {transport} is late / let {contact} know i arrive {time}
    """,
    "find_restaurant": """
        find a {cuisine} place in {city} / is there a good {cuisine} restaurant near the station
        book a table for two {time} at a {cuisine} restaurant / where can i eat {cuisine} {date}
    """,
    "translate": """
        how do you say good morning in {language} / translate thank you into {language}
        what is the {language} word for bread / say see you {date} in {language}
    """,
}
COUNTS = {
    "train": dict(zip(TEMPLATES, (180, 101, 70, 53, 38, 26, 16, 10, 6), strict=True)),
    "dev": dict(zip(TEMPLATES, (42, 25, 16, 12, 9, 7, 4, 3, 2), strict=True)),
    "test": dict(zip(TEMPLATES, (42, 25, 16, 12, 9, 7, 4, 3, 2), strict=True)),
}


def _choices(text: str) -> list[str]:
    return [choice.strip() for choice in re.split(r"/|\n", text) if choice.strip()]


def _utterance(random: Random, template: str) -> list[tuple[str, str]]:
    tagged: list[tuple[str, str]] = []
    for segment in re.findall(r"\{\w+\}|\S+", template):
        if segment.startswith("{"):
            slot = segment[1:-1]
            words = random.choice(_choices(SLOTS[slot])).split()
            tagged += [(form, f"{'I' if place else 'B'}-{slot}") for place, form in enumerate(words)]
        else:
            tagged.append((segment, "O"))
    return tagged


def intents(seed: int) -> dict[str, list[str]]:
    """The blocks of every split, one utterance a block."""
    random, seen = Random(seed), set[str]()
    splits: dict[str, list[str]] = {}
    for split, counts in COUNTS.items():
        blocks: list[str] = []
        for intent, count in counts.items():
            templates = _choices(TEMPLATES[intent])
            made = 0
            while made < count:
                tagged = _utterance(random, templates[made % len(templates)])
                text = " ".join(form for form, _ in tagged)
                if text in seen:
                    templates = random.sample(templates, len(templates))
                    continue
                seen.add(text)
                made += 1
                rows = [f"{number}\t{form}\t{tag}" for number, (form, tag) in enumerate(tagged, 1)]
                blocks.append("\n".join([f"# text = {text}", f"# intent = {intent}", *rows]) + "\n")
        random.shuffle(blocks)
        splits[split] = blocks
    return splits
