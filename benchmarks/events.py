"""Events made up by number, so that any number of them needs no memory."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = [(FIRST_DAY + timedelta(days=day)).date().isoformat() for day in range(365)]
CITIES = (
    ("Lisboa", "PT", "+00:00"),
    ("Zürich", "CH", "+01:00"),
    ("São Paulo", "BR", "-03:00"),
    ("東京", "JP", "+09:00"),
    ("Bengaluru", "IN", "+05:30"),
)
KINDS = ("Conference", "Meetup", "Workshop", "Concert", "Hackathon", "Festival", "Lecture")
TAGS = ("free", "outdoor", "family", "online", "beginner", "expert", "food", "music")
STATUSES = ("scheduled", "scheduled", "scheduled", "cancelled")
DESCRIPTION = "Bring a friend, a question and something to write; doors open half an hour before."

ROW = (
    '{"id":%d,"event_name":"%s","start_time":"%s","end_time":"%s","status":"%s","capacity":%s,'
    '"price":%s,"venue":{"name":"Hall %d","city":"%s","country":"%s"},"organizer":{"name":'
    '"Organizer %d","email":"organizer%d@example.com"},"tags":[%s],"description":"%s %s"}'
)


class Event(NamedTuple):
    """The part of an event that is compared with what was loaded."""

    id: int
    event_name: str
    start_time: str
    end_time: str
    status: str
    capacity: int | None
    price: float


def event(number: int) -> Event:
    """An event by its number, from 0; its id counts from 1."""
    city, _, offset = CITIES[number % 5]
    day, hour, minute = DAYS[number * 7 % 365], 8 + number % 11, number % 4 * 15
    return Event(
        number + 1,
        f"{KINDS[number % 7]} {city} {number}",
        f"{day}T{hour:02}:{minute:02}:00{offset}",
        f"{day}T{hour + 1 + number % 4:02}:{minute:02}:00{offset}",
        STATUSES[number % 4],
        None if number % 9 == 0 else 20 * (number % 50),
        number % 400 / 4,
    )


def serialized(number: int) -> bytes:
    """The same event as the API answers it: about 470 bytes of JSON."""
    city, country, _ = CITIES[number % 5]
    one = event(number)
    capacity = "null" if one.capacity is None else one.capacity
    tags = ",".join(f'"{TAGS[(number + at) % 8]}"' for at in range(number % 4))
    organizer = number % 1000
    return (
        ROW
        % (
            *one[:5],
            capacity,
            one.price,
            *(number % 30, city, country, organizer, organizer, tags),
            *(one.event_name, DESCRIPTION),
        )
    ).encode()
