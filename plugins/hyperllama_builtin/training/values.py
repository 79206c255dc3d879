"""Names, places, things and numbers to fill templates with; each value lives on one side of the split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from hyperllama_builtin.training.listed import listed
from hyperllama_builtin.training.split import Side, draw

__all__ = (
    "KINDS",
    "THINGS",
    "Maker",
    "city",
    "day",
    "email",
    "first_name",
    "large",
    "led",
    "number",
    "person",
    "small",
    "thing",
    "time",
    "title",
    "word",
)

#: Makes a value of one side.
Maker = Callable[[Random, Side], object]

_FIRST = listed(
    """
    Ada, Alan, Amir, Ana, Anna, Ben, Carla, Chen, Clara, Dana, David, Elena, Emma, Erik, Eva, Farid, Felix,
    Grace, Hana, Hugo, Ida, Ines, Ivan, Jana, Jonas, Julia, Karim, Kim, Lara, Lena, Leo, Liam, Lina, Lucas,
    Luis, Maja, Maria, Mark, Marta, Max, Mila, Mira, Mona, Nadia, Nina, Noah, Nora, Olga, Omar, Oscar, Paul,
    Petra, Rita, Robin, Rosa, Ruth, Sam, Sara, Sofia, Tara, Theo, Tim, Tom, Vera, Victor, Wanda, Yara, Yusuf,
    Zoe, John, Jane, Alice, Bob, Peter, Mary, Linda, James, Laura, Kate, Nick, Lisa, Adam, Simon, Martin, Helen,
    Irene, Diana, Frank, George
    """
)
_CITIES = listed(
    """
    Oslo, Rome, Lima, Cairo, Delhi, Tokyo, Seoul, Quito, Accra, Hanoi, Berlin, Paris, London, Madrid, Vienna,
    Prague, Warsaw, Athens, Lisbon, Dublin, Bergen, Geneva, Milan, Turin, Porto, Seville, Krakow, Riga, Tallinn,
    Vilnius, Helsinki, Stockholm, Boston, Chicago, Denver, Dallas, Austin, Seattle, Toronto, Montreal, Havana,
    Bogota, Nairobi, Lagos, Tunis, Dakar, Sydney, Perth, Mumbai, Osaka, Kyoto, Busan, Zurich, Munich, Hamburg,
    Cologne, Lyon, Nice, Naples, Bologna, Amsterdam, Brussels, Copenhagen, Budapest, Belgrade, Sofia, Kiev
    """
)
THINGS = listed(
    """
    apples, bananas, books, boxes, bottles, cables, candles, chairs, clocks, coats, cups, desks, drums, flags,
    forks, gloves, hammers, hats, jackets, jars, keys, kites, knives, lamps, lemons, maps, melons, mirrors,
    mugs, nails, notebooks, onions, oranges, paints, pans, pears, pencils, pens, phones, pillows, plates, plums,
    ropes, rugs, scarves, shirts, shoes, socks, spoons, stamps, tables, tents, tickets, tiles, towels, toys,
    umbrellas, vases, wheels, windows
    """
)
_STARTS = listed(
    """
    B, Bl, Br, C, Ch, Cl, Cr, D, Dr, F, Fl, Fr, G, Gl, Gr, H, J, K, Kl, Kr, L, M, N, P, Pl, Pr, R, S, St, T, Tr, V, W,
    Z, Sh, Th, Sk, Sl, Sn, Sp, Sw, El, Al, Or, Um, Is, An, Er, Os, Ul
    """
)
_VOWELS = listed("a, e, i, o, u, a, e, i, o, u, a, e, i, o, u, a, e, i, o, u, ai, ei, oo, ee, ou, ia")
_CONSONANTS = listed(
    """
    b, c, d, f, g, k, l, m, n, p, r, s, t, v, z, ck, ld, ll, lm, lt, mb, nd, ng, nk, nn, nt, pp, rd, rk, rm, rn, rt,
    sk, ss, st, th, tt, sh
    """
)
_CODAS = listed(", , , n, r, l, s, d, k, m, t, x, nd, rt, ck, th, sh, ng, ll, st")
_TAILS = listed("berg, ville, ton, ford, land, holm, stad, burg, haven, mouth, field, wick")
_BEFORE = listed("San, Port, New, Old, Fort, Bad, East, West, North, South, Lake, Mount, Saint, Upper, Lower")
_QUALITIES = listed(
    """
    red, blue, green, black, white, small, large, old, new, round, wooden, cheap, soft, heavy, golden, plain, long,
    short, thin, warm, wet, dry, flat, grey, pink, tiny, broken, sharp, clean
    """
)
_LEADS = listed(
    """
    Today, Now, Visit, Ask, With, About, Near, Thank, Tell, Show, Join, Attend, Move, Cancel, Confirm, Announce,
    Prepare, Perhaps, Maybe, Surely, Clearly, Again, Soon, Often, Once, Since, Until, Because, Although, While,
    After, Before,
    Under, Behind, Beside, Against, Without, Like, Unlike, Dear, Poor, Good, Old, Young, Little, Our, Their, Its, His,
    Both, Each, Every, All, Most, Many, Few, Another, Such, That, Those, These, Welcome, Greet, Praise, Call, Follow,
    Help, Watch, Hear, See, Use, Try, Take, Keep, Leave, Open, Close, Start, Stop, Test, Check, Count, Push, Pull, Drop,
    Carry, Share, Mark, Mention, Consider, Imagine, Remove, Forget, Accept, Copy, Read, Print, Trust, Choose, Want
    """
)
_SKIES = listed("sunny, cloudy, rainy, windy, foggy, clear")
_CURRENCIES = listed("EUR, USD, GBP, JPY, CHF, SEK, NOK, PLN, CAD, AUD")
_TONGUES = listed("French, German, Spanish, Italian, Polish, Dutch, Greek, Latin, Czech")
_ROOMS = listed("kitchen, bedroom, office, garage, hall, cellar, bathroom, attic, garden")
_DAYS = listed("Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday")
_DOMAINS = listed("mail.com, post.org, net.io, corp.com, home.net, team.dev")


def first_name(rng: Random, side: Side) -> str:
    return draw(side, lambda: rng.choice(_FIRST) if rng.random() < 0.2 else _made_up(rng))


def person(rng: Random, side: Side) -> str:
    """Return a first and a last name."""
    return f"{first_name(rng, side)} {draw(side, lambda: _made_up(rng))}"


def city(rng: Random, side: Side) -> str:
    """Return the name of a city, of one or two words."""

    def make() -> str:
        if rng.random() < 0.2:
            return rng.choice(_CITIES)
        name = _made_up(rng) + (rng.choice(_TAILS) if rng.random() < 0.3 else "")
        return f"{rng.choice(_BEFORE)} {name}" if rng.random() < 0.1 else name

    return draw(side, make)


def word(rng: Random, side: Side) -> str:
    """Return a made-up lower-case word."""
    return draw(side, lambda: _made_up(rng).lower())


def title(rng: Random, side: Side) -> str:
    """Return the name of a product, a firm or a meeting: a made-up word, sometimes two."""
    first = word(rng, side).capitalize()
    return f"{first} {word(rng, side).capitalize()}" if rng.random() < 0.15 else first


def thing(rng: Random, side: Side) -> str:
    """Return countable things, in the plural; sometimes of a certain kind."""
    name = draw(side, lambda: rng.choice(THINGS) if rng.random() < 0.4 else _made_up(rng).lower() + "s")
    return f"{rng.choice(_QUALITIES)} {name}" if rng.random() < 0.15 else name


def small(rng: Random, side: Side) -> int:
    return number(rng, side, 2, 99)


def large(rng: Random, side: Side) -> int:
    return number(rng, side, 10, 9999)


def number(rng: Random, side: Side, low: int = 2, high: int = 9999) -> int:
    """Return a number that is short more often than long."""
    top = min(high, 10 ** rng.randint(len(str(low)), len(str(high))) - 1)
    return int(draw(side, lambda: str(rng.randint(low, max(low + 40, top)))))


def led(rng: Random, text: str) -> str:
    """Return ``text`` behind an unrelated capitalised word, against models that take each capital for a name."""
    return f"{rng.choice(_LEADS)} {text}"


def day(rng: Random, side: Side) -> str:
    """Return a day of the week; all seven are on every side."""
    return rng.choice(_DAYS)


def time(rng: Random, side: Side) -> str:
    return draw(side, lambda: f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}")


def email(rng: Random, side: Side) -> str:
    return f"{first_name(rng, side).lower()}@{rng.choice(_DOMAINS)}"


def _made_up(rng: Random) -> str:
    """Return a name of one to four syllables of many shapes, so that no list of names can be learnt by heart."""
    name = rng.choice(_STARTS) + rng.choice(_VOWELS)
    for _ in range(rng.choice((0, 1, 1, 1, 1, 2))):
        name += rng.choice(_CONSONANTS) + rng.choice(_VOWELS)
    name += rng.choice(_CODAS)
    return name if len(name) > 2 else name + rng.choice(_TAILS)


def _one_of(values: Sequence[str]) -> Maker:
    """Return a maker of a few values that are the same on every side."""
    return lambda rng, side: rng.choice(values)


def _always(value: str) -> Maker:
    return lambda rng, side: value


#: What the tables call each kind of value.
KINDS: dict[str, Maker] = {
    **{make.__name__: make for make in (city, day, email, first_name, large, person, small, thing, time, title, word)},
    "currency": _one_of(_CURRENCIES),
    "room": _one_of(_ROOMS),
    "sky": _one_of(_SKIES),
    "tongue": _one_of(_TONGUES),
    **{value: _always(value) for value in ("on", "playing", "ringing")},
}
