"""Names, places, things and numbers to fill templates with; each value lives on one side of the split."""

from __future__ import annotations

from random import Random

from hyperllama_builtin.training.listed import listed
from hyperllama_builtin.training.split import Side, draw

__all__ = ("THINGS", "city", "day", "email", "first_name", "number", "person", "thing", "time", "word")

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
    B, Br, C, D, Dr, F, G, Gr, H, J, K, Kl, L, M, N, P, Pr, R, S, St, T, Tr, V, W, Z, Sh, Th, El, Al, Or, Um, Is
    """
)
_MIDDLES = listed("a, e, i, o, u, ai, ei, o, a, e")
_ENDS = listed(
    """
    ra, la, na, ta, da, ma, ka, sa, ri, li, ni, ti, di, mi, ki, si, ro, lo, no, to, do, mo, ko, so, ren, len,
    nan, tan, den, man, kin, son, ver, bel, dor, gar
    """
)
_TAILS = listed("berg, ville, ton, ford, land, holm, stad, burg, haven, mouth, field, wick")
_DAYS = listed("Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday")
_DOMAINS = listed("mail.com, post.org, net.io, corp.com, home.net, team.dev")


def first_name(rng: Random, side: Side) -> str:
    return draw(side, lambda: rng.choice(_FIRST) if rng.random() < 0.2 else _made_up(rng))


def person(rng: Random, side: Side) -> str:
    """A first and a last name."""
    return f"{first_name(rng, side)} {draw(side, lambda: _made_up(rng))}"


def city(rng: Random, side: Side) -> str:
    def make() -> str:
        return (
            rng.choice(_CITIES)
            if rng.random() < 0.2
            else _made_up(rng) + (rng.choice(_TAILS) if rng.random() < 0.5 else "")
        )

    return draw(side, make)


def word(rng: Random, side: Side) -> str:
    """A made-up lower-case word."""
    return draw(side, lambda: _made_up(rng).lower())


def thing(rng: Random, side: Side) -> str:
    """Something countable, in the plural."""
    return draw(side, lambda: rng.choice(THINGS) if rng.random() < 0.5 else _made_up(rng).lower() + "s")


def number(rng: Random, side: Side, low: int = 2, high: int = 9999) -> int:
    """A number that is short more often than long."""
    top = min(high, 10 ** rng.randint(len(str(low)), len(str(high))) - 1)
    return int(draw(side, lambda: str(rng.randint(low, max(low + 40, top)))))


def day(rng: Random) -> str:
    return rng.choice(_DAYS)


def time(rng: Random, side: Side) -> str:
    return draw(side, lambda: f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}")


def email(rng: Random, side: Side) -> str:
    return f"{first_name(rng, side).lower()}@{rng.choice(_DOMAINS)}"


def _made_up(rng: Random) -> str:
    name = rng.choice(_STARTS) + rng.choice(_MIDDLES) + rng.choice(_ENDS)
    return name + rng.choice(_ENDS) if rng.random() < 0.3 else name
