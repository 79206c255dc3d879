"""A JSON schema in the form that engines follow, without what none can."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from hyperllama.errors import InvalidRequest, SchemaRefused
from hyperllama.schemas import limits, shapes, unions
from hyperllama.schemas.leaves import formatted, is_multiple
from hyperllama.schemas.merging import ARRAYS, KNOWN, OBJECTS, REFERENCES, TYPES, Group, Merged, spelled
from hyperllama.schemas.patterns import matches
from hyperllama.schemas.pointers import References, Source
from hyperllama.schemas.shapes import Shape

MAX_STEPS: Final = 20_000  # schemas and members that are looked at, those of alternatives once for each
_FEWEST_STEPS: Final = 500  # for a schema of no bytes; each byte is good for one more
_DEEP: Final = 48  # levels of merged schemas
_SHALLOW: Final = 4  # those of a schema whose parts multiply
_MATCHES: Final = 2_000  # listed texts tried against patterns


class Loosened(msgspec.Struct, frozen=True):
    """A keyword that no engine holds an answer to. ``at``: the place of its schema, as a URI fragment."""

    keyword: str
    at: str
    checked: bool = False  # strict requests may have it: the finished answer is checked for it

    @property
    def place(self) -> str:
        return f"{self.at}/{self.keyword}"


class Enforced(msgspec.Struct, frozen=True):
    """The schema that an engine follows. Every answer that fits it fits the original but for what is ``loosened``."""

    schema: dict[str, Any]
    loosened: tuple[Loosened, ...] = ()
    weight: int = 0  # of its lengths, counts and patterns


def enforced(
    schema: dict[str, Any],
    *,
    strict: bool = False,
    param: str = "output",
    name: str = "The output format",
    heaviest: int = limits.MAX_WEIGHT,
    rest: Callable[[], None] = lambda: None,
) -> Enforced:
    """Return what engines follow of ``schema``, in time linear in its size.

    ``heaviest``: the weight of lengths, counts and patterns that is left. ``rest`` is called now and then, and may
    raise to end the work. Raises SchemaRefused when ``strict`` and something can be neither followed nor checked;
    InvalidRequest when the schema is out of bounds or allows nothing. Both name ``param``; ``name`` begins the
    sentence.
    """
    steps = min(MAX_STEPS, _FEWEST_STEPS + limits.size(schema, param))
    found = _followed(schema, param, rest, steps, heaviest)
    refused = next((each for each in found.loosened if not each.checked), None)
    if strict and refused is not None:
        raise SchemaRefused(
            f'{name} cannot be enforced with "strict": "{refused.keyword}" at "{refused.at}" is not supported.',
            param=param,
        )
    return found


class _TooManySteps(Exception):
    """The parts of a schema multiply."""


def _followed(schema: dict[str, Any], param: str, rest: Callable[[], None], steps: int, heaviest: int) -> Enforced:
    deep = limits.deep(schema)
    for shallow in (False, True):
        depth = _SHALLOW if shallow else limits.MAX_DEPTH - 2 if deep else _DEEP
        try:
            found = _Loosener(schema, param, rest, steps, depth, shallow=shallow).run(heaviest)
        except _TooManySteps:
            continue
        if not deep or not limits.deep(found.schema):  # listed values may be deep, too
            return found
    kind = {"type": "object"} if schema.get("type") == "object" else {}
    return Enforced(kind, (Loosened("depth", "#"),))


class _Loosener:
    def __init__(
        self,
        root: dict[str, Any],
        param: str,
        rest: Callable[[], None],
        steps: int,
        depth: int,
        *,
        shallow: bool,
    ) -> None:
        self._root = root
        self._left = steps
        self._shallow = shallow  # without alternatives
        self._depth = depth
        self._param = param
        self._rest = rest
        self._references = References(root)
        self._loosened: dict[tuple[str, str], Loosened] = {}
        self._names: dict[int, str] = {}
        self._waiting: list[tuple[str, Source]] = []
        self._weights: list[tuple[int, dict[str, Any], str, Source]] = []
        self._open: set[int] = set()  # groups that are being distributed, by the list of their alternatives

    def run(self, heaviest: int) -> Enforced:
        whole = self._shape((Source(self._root, "#"),), 0)
        definitions: dict[str, Shape] = {}
        while self._waiting:
            name, source = self._waiting.pop()
            definitions[name] = self._shape((source,), 0)
        schema = self._connected(whole, definitions)
        weight = self._lighten(heaviest)
        return Enforced(schema, tuple(self._loosened.values()), weight)

    def _loosen(self, source: Source, keyword: str, *, checked: bool = False) -> None:
        known = self._loosened.get((source.at, keyword))
        if known is None or (known.checked and not checked):
            self._loosened[source.at, keyword] = Loosened(keyword, source.at, checked)

    def _weigh(self, weight: int, shape: dict[str, Any], keyword: str, source: Source) -> None:
        self._weights.append((weight, shape, keyword, source))

    def _spend(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise _TooManySteps
        self._rest()

    def _shape(self, sources: Sequence[Source], depth: int) -> Shape:
        """Return the shape of what ``sources`` say together."""
        self._spend(1)
        sources = self._plain(sources)
        if len(sources) == 1 and (target := self._target(sources[0])) is not None:
            return self._named(target)
        if depth > self._depth and sources:
            self._loosen(sources[0], "depth")
            return True
        flat = self._flat(sources)
        if flat is None:
            return False
        if not flat:
            return True
        merged = Merged(self._loosen, outermost=sources[0] if len(sources) == 1 else None)
        for source in flat:
            self._spend(_members(source))
            merged.add(source)
        if merged.values is not None:
            return self._enumerated(merged, flat)
        if merged.groups:
            return self._alternatives(merged, flat, depth)
        return self._typed(merged, depth)

    def _plain(self, sources: Sequence[Source]) -> Sequence[Source]:
        """Return ``sources`` without those that say nothing; a lone ``allOf`` of one is that one."""
        kept = [each for each in sources if each.schema is not True and each.schema != {}]
        while len(kept) == 1 and isinstance(kept[0].schema, dict):
            schema = kept[0].schema
            keys = KNOWN & schema.keys()
            if keys != {"allOf"} or not isinstance(schema["allOf"], list) or len(schema["allOf"]) != 1:
                break
            kept = [Source(schema["allOf"][0], kept[0].below("allOf", 0))]
        return kept

    def _target(self, source: Source) -> Source | None:
        """Return the target of a schema that is a reference and nothing else."""
        if not isinstance(source.schema, dict) or KNOWN & source.schema.keys() != {"$ref"}:
            return None
        return self._references.find(source.schema["$ref"])

    def _named(self, target: Source) -> Shape:
        if not isinstance(target.schema, dict):
            return bool(target.schema)
        name = self._names.get(id(target.schema))
        if name is None:
            name = self._names[id(target.schema)] = f"s{len(self._names)}"
            self._waiting.append((name, target))
        return {"$ref": f"#/$defs/{name}"}

    def _flat(self, sources: Sequence[Source]) -> list[Source] | None:
        """Return the schemas that hold together, through references and ``allOf``; None: one of them allows nothing."""
        found: list[Source] = []
        seen: set[int] = set()
        waiting = list(reversed(sources))
        while waiting:
            source = waiting.pop()
            schema = source.schema
            if schema is False:
                return None
            if not isinstance(schema, dict):
                if schema is not True:
                    self._loosen(source, "type")
                continue
            if id(schema) in seen:
                continue
            seen.add(id(schema))
            self._spend(1)
            if KNOWN & schema.keys():
                found.append(source)
            for key in REFERENCES:
                if key in schema:
                    target = self._references.find(schema[key])
                    if target is None or key != "$ref":
                        self._loosen(source, key)
                    if target is not None:
                        waiting.append(target)
            if "allOf" in schema:
                if isinstance(schema["allOf"], list):
                    parts = [Source(part, source.below("allOf", at)) for at, part in enumerate(schema["allOf"])]
                    waiting += reversed(parts)
                else:
                    self._loosen(source, "allOf")
        return found

    def _enumerated(self, merged: Merged, flat: Sequence[Source]) -> Shape:
        for group in merged.groups:
            self._loosen(group.source, group.keyword)
        values = merged.values or []
        if len(values) * len(merged.patterns) > _MATCHES:
            for _, source in merged.patterns:
                self._loosen(source, "pattern")
            merged.patterns.clear()
        bounds = 1 + len(merged.patterns) + sum(map(len, merged.bounds.values()))
        self._spend(bounds + len(values) * bounds // 16)
        kept: dict[str, Any] = {}
        for value in values:
            if self._fits(value, merged):
                kept.setdefault(spelled(value), value)
        for name, source in merged.formats:  # a format is an annotation to most: it takes no listed value away
            self._spend(1 + len(kept) // 16)
            if not all(formatted(name, value) for value in kept.values() if isinstance(value, str)):
                self._loosen(source, "format")
        for kind, words in ((list, ARRAYS), (dict, OBJECTS)):  # whether a listed value keeps to these is not looked at
            if any(isinstance(value, kind) for value in kept.values()):
                for source in flat:
                    for keyword in words & source.schema.keys():
                        self._loosen(source, keyword)
        return {"enum": list(kept.values())} if kept else False

    def _fits(self, value: Any, merged: Merged) -> bool:
        """Return whether a value that is listed keeps to what stands beside the list."""
        if merged.types is not None and not merged.types & unions.types_of(value):
            return False
        if isinstance(value, str):
            low, high = merged.low("minLength"), merged.high("maxLength")
            if (low and len(value) < low[0]) or (high and len(value) > high[0]):
                return False
            return all(matches(pattern, value) is not False for pattern, _ in merged.patterns)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return not (
                any(value < bound for bound, _ in merged.bounds.get("minimum", ()))
                or any(value > bound for bound, _ in merged.bounds.get("maximum", ()))
                or any(value <= bound for bound, _ in merged.bounds.get("exclusiveMinimum", ()))
                or any(value >= bound for bound, _ in merged.bounds.get("exclusiveMaximum", ()))
                or any(is_multiple(value, step) is False for step, _ in merged.bounds.get("multipleOf", ()))
            )
        return True

    def _alternatives(self, merged: Merged, flat: Sequence[Source], depth: int) -> Shape:
        group = next((each for each in merged.groups if id(each.options) not in self._open), None)
        group = None if self._shallow else group
        for each in merged.groups:
            if each is not group and (group is None or id(each.options) in self._open):
                self._loosen(each.source, each.keyword)
        if group is None:
            return self._typed(merged, depth)
        base = [self._without(source, group) for source in flat]
        base = [source for source in base if KNOWN & source.schema.keys()]
        if len(group.options) * sum(map(_members, base)) > self._left // 2:
            self._loosen(group.source, group.keyword)
            return self._typed(merged, depth)
        tag = self._tag(group)
        if group.keyword == "oneOf" and not self._apart(group, tag):
            self._loosen(group.source, "oneOf")
        kept: dict[str, dict[str, Any]] = {}
        self._open.add(id(group.options))
        try:
            for at, option in enumerate(group.options):
                source = Source(option, group.source.below(group.keyword, at))
                beside = base if not self._includes(source, base) else []
                if tag and tag not in self._required(source):
                    beside = [*beside, Source({"type": "object", "required": [tag]}, source.at)]
                shape = self._shape((*beside, source), depth + 1)
                if shape is True or shape == {}:
                    return True
                if isinstance(shape, dict):
                    kept.setdefault(spelled(shape), shape)
        finally:
            self._open.discard(id(group.options))
        if len(kept) < 2:
            return next(iter(kept.values()), False)
        return {"anyOf": list(kept.values())}

    def _without(self, source: Source, group: Group) -> Source:
        gone = {"allOf", *REFERENCES} | ({group.keyword} if source is group.source else set())
        return source._replace(schema={key: value for key, value in source.schema.items() if key not in gone})

    def _includes(self, source: Source, base: Sequence[Source]) -> bool:
        """Return whether an alternative says what stands beside the alternatives, when that is no more than a type."""
        types = [each.schema["type"] for each in base if KNOWN & each.schema.keys() == {"type"}]
        schema = self._resolved(source)
        return len(types) == len(base) and all(schema.get("type") == each for each in types)

    def _resolved(self, source: Source) -> dict[str, Any]:
        target = self._target(source)
        schema = (target or source).schema
        return schema if isinstance(schema, dict) else {}

    def _required(self, source: Source) -> Sequence[str]:
        found = self._resolved(source).get("required")
        return found if isinstance(found, list) else ()

    def _tag(self, group: Group) -> str | None:
        """Return the member by which a discriminated union's alternatives are told apart, if each declares it."""
        known = group.source.schema.get("discriminator")
        name = known.get("propertyName") if isinstance(known, dict) else None
        if not isinstance(name, str):
            return None
        for at, option in enumerate(group.options):
            properties = self._resolved(Source(option, group.source.below(group.keyword, at))).get("properties")
            if not isinstance(properties, dict) or name not in properties:
                return None
        return name

    def _apart(self, group: Group, tag: str | None) -> bool:
        self._spend(len(group.options))
        found = [
            self._resolved(Source(option, group.source.below(group.keyword, at)))
            for at, option in enumerate(group.options)
        ]
        return unions.apart(found, tag, lambda schema: self._resolved(Source(schema, "#")))

    def _typed(self, merged: Merged, depth: int) -> Shape:
        types = merged.types if merged.types is not None else merged.implied
        if merged.types is None and not types:
            return True
        found: list[dict[str, Any]] = []
        for kind in (kind for kind in TYPES if kind in types):
            shape = self._kind(kind, merged, depth)
            if isinstance(shape, dict):
                found.append(shape)
        plain = [shape["type"] for shape in found if shape.keys() == {"type"}]
        if len(plain) > 1:
            found = [*(shape for shape in found if shape.keys() != {"type"}), {"type": plain}]
        if len(found) < 2:
            return found[0] if found else False
        return {"anyOf": found}

    def _kind(self, kind: str, merged: Merged, depth: int) -> Shape:
        def below(sources: Sequence[Source]) -> Shape:
            return self._shape(sources, depth + 1)

        match kind:
            case "string":
                return shapes.string(merged, self._loosen, self._weigh)
            case "integer" | "number":
                return shapes.number(merged, self._loosen, whole=kind == "integer")
            case "array":
                return shapes.array(merged, below, self._loosen, self._weigh)
            case "object":
                return shapes.object_(merged, below, self._loosen, self._weigh)
        return {"type": kind}

    def _connected(self, whole: Shape, definitions: dict[str, Shape]) -> dict[str, Any]:
        """Return the whole schema with its definitions. References that lead round in a circle allow anything."""
        if whole is False:
            raise InvalidRequest("The output format allows no value at all.", param=self._param)
        found: dict[str, dict[str, Any]] = {}
        for name, shape in sorted(definitions.items()):
            if shape is False:
                self._loosen(Source(None, "#"), "$ref")
            found[name] = shape if isinstance(shape, dict) else {}
        ending: set[str] = set()
        for name in found:
            path, at = {name}, name
            while at not in ending and found[at].keys() == {"$ref"}:
                at = found[at]["$ref"].rpartition("/")[2]
                if at in path:
                    self._loosen(Source(None, "#"), "$ref")
                    found[at] = {}
                path.add(at)
            ending |= path
        schema = whole if isinstance(whole, dict) else {}
        return {**schema, "$defs": found} if found else schema

    def _lighten(self, heaviest: int) -> int:
        """Leave out the heaviest bounds until the rest can be followed; return the rest's weight."""
        total = sum(weight for weight, _, _, _ in self._weights)
        for weight, shape, keyword, source in sorted(self._weights, key=lambda each: -each[0]):
            if total <= heaviest:
                break
            shape.pop(keyword, None)
            self._loosen(source, keyword)
            total -= weight
        return total


def _members(source: Source) -> int:
    """Return roughly how many things a schema says by itself."""
    properties, required = source.schema.get("properties"), source.schema.get("required")
    return len(source.schema) + sum(len(each) for each in (properties, required) if isinstance(each, dict | list))


__all__ = ("MAX_STEPS", "Enforced", "Loosened", "enforced")
