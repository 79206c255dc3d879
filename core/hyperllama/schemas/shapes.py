"""The four kinds of value that have keywords of their own, in the few forms that every engine follows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from hyperllama.schemas.limits import count_weight, pattern_weight
from hyperllama.schemas.merging import Loosen, Merged
from hyperllama.schemas.patterns import matches, rewritten
from hyperllama.schemas.pointers import Source

#: A schema that is followed as it stands; True: any value, False: none.
Shape = dict[str, Any] | bool
#: Makes the shape of what several schemas say together, one level down.
Below = Callable[[Sequence[Source]], Shape]
#: Notes a bound that makes the automaton larger: its weight, shape, keyword and source.
Weigh = Callable[[int, dict[str, Any], str, Source], None]

#: Formats that engines follow, with the lengths of their texts.
FORMATS: Final[dict[str, tuple[int, int | None]]] = {
    "date": (10, 10),
    "date-time": (20, None),
    "time": (9, None),
    "duration": (2, None),
    "email": (3, None),
    "hostname": (1, None),
    "ipv4": (7, 15),
    "ipv6": (2, 45),
    "uuid": (36, 36),
    "uri": (2, None),
    "uri-reference": (0, None),
    "uri-template": (0, None),
    "json-pointer": (0, None),
    "relative-json-pointer": (1, None),
}
#: Those that OpenAI's strict mode takes, whatever stands beside them.
_STRICT: Final = frozenset({"date", "date-time", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})
_MATCHES: Final = 1_000  # names tried against patterns
_FEW: Final = 256  # multiples that are written out
_WIDE: Final = 10**15  # bounds beyond are no bounds to an engine that counts digits
_INT64: Final = 2**63


def string(merged: Merged, loosen: Loosen, weigh: Weigh) -> Shape:
    low, high = merged.low("minLength"), merged.high("maxLength")
    least, most = low[0] if low else 0, high[0] if high else None
    if most is not None and least > most:
        return False
    found = [(rewritten(text), source) for text, source in merged.patterns if text]
    followed = [(pattern, source) for pattern, source in found if pattern is not None]
    chosen = next((each for each in followed if each[0].exact), followed[0] if followed else None)
    for pattern, source in found:
        if chosen is None or source is not chosen[1]:
            loosen(source, "pattern", checked=pattern is not None and pattern.exact)
    shape: dict[str, Any] = {"type": "string"}
    if chosen is not None:
        pattern, source = chosen
        text, longest = pattern.text, pattern.longest
        if not pattern.exact:
            loosen(source, "pattern")
        if (most is not None and pattern.shortest > most) or (longest is not None and longest < least):
            return False
        if pattern.simple is not None and (low or high):
            atom, once, often = pattern.simple
            least, most = max(least, once), _least(most, often)
            text = f"^{atom}{{{least},{'' if most is None else most}}}$"
        else:
            if low and pattern.shortest < least:
                loosen(low[1], "minLength", checked=True)
            if high and (longest is None or longest > high[0]):
                loosen(high[1], "maxLength", checked=True)
        shape["pattern"] = text
        weigh(pattern_weight(text), shape, "pattern", source)
        _formats(merged, None, loosen)
        return shape
    known = next((name for name, _ in merged.formats if _has_lengths(name, least, most)), None)
    _formats(merged, known, loosen)
    if known is not None:
        shortest, longest = FORMATS[known]
        if low and shortest < least:
            loosen(low[1], "minLength", checked=True)
        if high and (longest is None or longest > high[0]):
            loosen(high[1], "maxLength", checked=True)
        shape["format"] = known
        return shape
    if low and least:
        shape["minLength"] = least
        weigh(count_weight(least), shape, "minLength", low[1])
    if high:
        shape["maxLength"] = most
        weigh(count_weight(high[0]), shape, "maxLength", high[1])
    return shape


def _has_lengths(name: str, least: int, most: int | None) -> bool:
    """Return whether a format is followed, and has texts of these lengths."""
    if name not in FORMATS:
        return False
    shortest, longest = FORMATS[name]
    return (most is None or shortest <= most) and (longest is None or longest >= least)


def _formats(merged: Merged, kept: str | None, loosen: Loosen) -> None:
    for name, source in merged.formats:
        if name != kept:
            loosen(source, "format", checked=name in _STRICT)


def number(merged: Merged, loosen: Loosen, *, whole: bool) -> Shape:
    steps = [(abs(value), source) for value, source in merged.bounds.get("multipleOf", ()) if value]
    whole = whole or any(step % 1 == 0 for step, _ in steps)
    steps = [(step, source) for step, source in steps if not (whole and step == 1)]
    low = _bound(merged, "minimum", "exclusiveMinimum", loosen, whole=whole)
    high = _bound(merged, "maximum", "exclusiveMaximum", loosen, whole=whole)
    if low is not None and high is not None:
        if low[0] > high[0] or (low[0] == high[0] and (low[1] or high[1])):
            return False
        if whole and len(steps) == 1 and steps[0][0] % 1 == 0:
            step = int(steps[0][0])
            first = -(-low[0] // step) * step
            if (high[0] - first) // step < _FEW:
                few = list(range(int(first), int(high[0]) + 1, step))
                return {"enum": few} if few else False
    for _, source in steps:
        loosen(source, "multipleOf", checked=True)
    shape: dict[str, Any] = {"type": "integer" if whole else "number"}
    if low is not None:
        shape["exclusiveMinimum" if low[1] else "minimum"] = low[0]
    if high is not None:
        shape["exclusiveMaximum" if high[1] else "maximum"] = high[0]
    return shape


def _bound(merged: Merged, key: str, exclusive: str, loosen: Loosen, *, whole: bool) -> tuple[Any, bool] | None:
    """Return the bound that counts, and whether it is exclusive; of integers it never is."""
    sign = 1 if key == "minimum" else -1
    found: list[tuple[Any, bool]] = []
    for name in (key, exclusive):
        for written, source in merged.bounds.get(name, ()):
            value, apart = written, name == exclusive
            if whole:
                near = math.ceil(sign * value) if not apart else math.floor(sign * value) + 1
                value, apart = sign * near, False
            if abs(value) >= (_INT64 if whole else _WIDE):
                if sign * value > 0 or abs(value) < 1e300:  # one that no written number passes says nothing
                    loosen(source, name, checked=True)
            else:
                found.append((value, apart))
    return max(found, key=lambda each: (sign * each[0], each[1]), default=None)


def array(merged: Merged, below: Below, loosen: Loosen, weigh: Weigh) -> Shape:
    low, high = merged.low("minItems"), merged.high("maxItems")
    least, most = low[0] if low else 0, high[0] if high else None
    if merged.contains:
        least = max(least, 1)
        for source in merged.contains:
            loosen(source, "contains")
    length = max((len(prefix) for prefix, _ in merged.arrays), default=0)
    length = length if most is None else min(length, most)
    first: list[Shape] = []
    closed = False
    for at in range(length):
        here = [prefix[at] if at < len(prefix) else rest for prefix, rest in merged.arrays]
        shape = below([source for source in here if source is not None])
        if shape is False:
            closed = True
            break
        first.append(shape if isinstance(shape, dict) else {})
    others = [rest for prefix, rest in merged.arrays if rest is not None]
    shape = False if closed else below(others)
    closed = shape is False or (most is not None and most <= len(first))
    if (most is not None and least > most) or (closed and least > len(first)):
        return False
    if isinstance(shape, dict) and isinstance(shape.get("enum"), list) and not first and merged.unique:
        most = _least(most, len(shape["enum"]))
        if least > (most or 0):
            return False
    for source in merged.unique:
        if most is None or most > 1:
            loosen(source, "uniqueItems")
    made: dict[str, Any] = {"type": "array"}
    if first:
        made["prefixItems"] = first
        if closed:
            made["items"] = False
            return made if least < len(first) or not least else {**made, "minItems": least}
    if closed:
        return {**made, "maxItems": 0}
    if shape is not True or least > len(first):
        made["items"] = shape
    if least:
        made["minItems"] = least
        weigh(count_weight(least), made, "minItems", low[1] if low else merged.contains[0])
    if most is not None:
        made["maxItems"] = most
        weigh(count_weight(most), made, "maxItems", high[1] if high else merged.unique[0])
    return made


def object_(merged: Merged, below: Below, loosen: Loosen, weigh: Weigh) -> Shape:
    for source, key in merged.dependent:
        loosen(source, key)
    closed, open_, extra = _additional(merged, loosen)
    names = list(dict.fromkeys([*merged.properties, *merged.required]))
    if len(merged.by_pattern) * len(names) > _MATCHES:
        loosen(_parent(_parent(next(iter(merged.by_pattern.values()))[0])), "patternProperties")
        names = []
    for pattern, sources in merged.by_pattern.items():
        for name in names:
            if (fits := matches(pattern, name)) is None:
                loosen(_parent(_parent(sources[0])), "patternProperties")
            elif fits:
                merged.properties.setdefault(name, []).extend(sources)
    for name, source in list(merged.required.items()):
        if name not in merged.properties:
            if closed and not extra:
                loosen(source, "required")
                del merged.required[name]
            else:
                merged.properties[name] = list(extra)
    properties: dict[str, Any] = {}
    forbidden: Source | None = None
    for name, found in merged.properties.items():
        shape = below(found)
        if shape is not False:
            properties[name] = shape if isinstance(shape, dict) else {}
        elif name in merged.required:
            return False
        else:
            forbidden = found[0]
    made: dict[str, Any] = {"type": "object"}
    if properties:
        made["properties"] = properties
    required = [name for name in merged.required if name in properties]
    if required:
        made["required"] = required
    additional: Shape | None = below(extra) if extra else False if closed else True if open_ else None
    if forbidden is not None and not closed:
        if additional is None:
            additional = False
        else:
            loosen(_parent(_parent(forbidden)), "properties")
    if merged.by_pattern:
        additional = _by_pattern(merged, made, additional, below, loosen, weigh)
    if merged.names:
        shape = below([*merged.names, Source({"type": "string"}, merged.names[0].at)])
        if properties or merged.by_pattern:
            loosen(_parent(merged.names[0]), "propertyNames")
        elif shape is False:
            return {**made, "additionalProperties": False}
        elif shape != {"type": "string"} and additional is not False:
            made["propertyNames"] = shape
    if additional is not None:
        made["additionalProperties"] = additional
    return _counted(merged, made, loosen, weigh)


def _parent(source: Source) -> Source:
    return source._replace(at=source.at.rpartition("/")[0])


def _additional(merged: Merged, loosen: Loosen) -> tuple[bool, bool, list[Source]]:
    """Return whether members that are not declared are forbidden, whether they are allowed by word, their schemas."""
    closed = open_ = False
    extra: list[Source] = []
    for each in merged.extras:
        foreign: list[str] = []
        if each.keyword == "additionalProperties" or each.source is not merged.outermost:
            foreign = [name for name in merged.properties if name not in each.own]
            patterns = each.source.schema.get("patternProperties")
            if isinstance(patterns, dict) and len(patterns) * len(foreign) <= _MATCHES:
                foreign = [name for name in foreign if not any(matches(pattern, name) for pattern in patterns)]
        if each.value is False:
            closed = True
            if foreign:  # declared by a schema beside it, as heirs do
                loosen(each.source, each.keyword)
        elif isinstance(each.value, dict):
            source = Source(each.value, each.source.below(each.keyword))
            extra.append(source)
            for name in foreign:
                merged.properties[name].append(source)
        else:
            open_ = True
    return closed, open_, [] if closed else extra


def _by_pattern(
    merged: Merged, made: dict[str, Any], additional: Shape | None, below: Below, loosen: Loosen, weigh: Weigh
) -> Shape | None:
    """Add ``patternProperties`` to ``made`` where that can be followed; return what is additional then."""
    if "properties" in made and not additional:
        return False  # no more than the declared members, which keep to the patterns
    if not additional and not merged.names:
        for pattern, sources in merged.by_pattern.items():
            found = rewritten(pattern)
            shape = below(sources) if found is not None and found.exact else False
            if found is not None and shape is not False:
                for others in merged.by_pattern.values():
                    if others is not sources:  # a name may fit several
                        loosen(_parent(_parent(others[0])), "patternProperties")
                made["patternProperties"] = {found.text: shape}
                weigh(pattern_weight(found.text), made, "patternProperties", _parent(_parent(sources[0])))
                return False
    for sources in merged.by_pattern.values():
        loosen(_parent(_parent(sources[0])), "patternProperties")
    if len(merged.by_pattern) == 1 and additional is None:
        shape = below(next(iter(merged.by_pattern.values())))
        return None if shape is False else shape
    return additional if additional is not False else None


def _counted(merged: Merged, made: dict[str, Any], loosen: Loosen, weigh: Weigh) -> Shape:
    low, high = merged.low("minProperties"), merged.high("maxProperties")
    declared, needed = len(made.get("properties", ())), len(made.get("required", ()))
    confined = made.get("additionalProperties") is False and "patternProperties" not in made
    if low and high and low[0] > high[0]:
        return False
    if high and high[0] < needed:
        return False
    if low and low[0] > declared:
        if confined:
            return False
        if declared and "additionalProperties" not in made:
            made["additionalProperties"] = True
    many = declared - needed > _OPTIONAL
    for bound, key, idle in (
        (low, "minProperties", bool(low and low[0] <= needed)),
        (high, "maxProperties", bool(high and high[0] >= declared and (confined or declared))),
    ):
        if bound and not idle:
            if many:
                loosen(bound[1], key)
            else:
                made[key] = bound[0]
                weigh(count_weight(bound[0]), made, key, bound[1])
    if "maxProperties" not in made and high and made.get("additionalProperties") not in (None, False):
        made["maxProperties"] = high[0]
        weigh(count_weight(high[0]), made, "maxProperties", high[1])
    return made


_OPTIONAL: Final = 32  # members that may be left out and are still counted


def _least(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else min(one, other)


__all__ = ("FORMATS", "Shape", "array", "number", "object_", "string")
