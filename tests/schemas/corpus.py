"""Schemas as libraries, agents and JSON Schema's own test suite make them.

``python tests/schemas/corpus.py`` prints how many are enforced whole, loosened and refused.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import ipaddress
import json
import pathlib
import uuid
from collections import Counter
from typing import Annotated, Any, Final, Literal, NamedTuple

import pydantic
from pydantic import BaseModel, Field

from hyperllama.errors import InvalidRequest
from hyperllama.schemas import enforced

DATA: Final = pathlib.Path(__file__).parent / "data"


class Listed(NamedTuple):
    """A schema, and instances of which it is known whether they are valid."""

    name: str
    schema: dict[str, Any]
    tests: tuple[tuple[Any, bool], ...] = ()

    @property
    def origin(self) -> str:
        return self.name.partition(":")[0].partition("/")[0]


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Size(enum.IntEnum):
    S = 1
    L = 2


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(9, ge=0, le=9)


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str = Field(min_length=1, max_length=20, description="What it is called.")


class Node(BaseModel):
    value: str
    children: list[Node] = []


class Address(BaseModel, extra="forbid"):
    street: str
    code: str = Field(pattern=r"^[0-9]{5}$")


class Person(BaseModel):
    """Somebody."""

    name: str
    born: dt.date | None = None
    home: Address
    others: list[Address] = Field(default=[], max_length=3)
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


class Step(BaseModel):
    thought: str
    result: Person | Node | str


class Extra(BaseModel, extra="allow"):
    a: int


TYPES: Final[dict[str, Any]] = {
    **{kind.__name__: kind for kind in (str, int, float, bool, bytes, complex, dict, list, set, frozenset, tuple)},
    **{f"{kind.__module__}.{kind.__name__}": kind for kind in (dt.date, dt.datetime, dt.time, dt.timedelta)},
    **{kind.__name__: kind for kind in (decimal.Decimal, uuid.UUID, pathlib.Path, Colour, Size)},
    **{kind.__name__: kind for kind in (ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network)},
    **{kind.__name__: kind for kind in (Cat, Dog, Node, Address, Person, Step, Extra)},
    "any": Any,
    "none": None,
    "optional": str | None,
    "union": int | str | list[float],
    "literal": Literal["a", 1, None, True],
    "set of words": set[str],
    "set of enum": set[Colour],
    "frozenset": frozenset[int],
    "tuple": tuple[str, int],
    "open tuple": tuple[int, ...],
    "mapping": dict[str, int],
    "mapping by number": dict[int, str],
    "mapping by enum": dict[Colour, list[int]],
    "mapping by pattern": dict[Annotated[str, Field(pattern="^[a-z]+$")], int],
    "nested lists": list[list[list[int]]],
    "told apart": Annotated[Cat | Dog, Field(discriminator="kind")],
    "list told apart": list[Annotated[Cat | Dog, Field(discriminator="kind")]],
    "models": Cat | Dog | None,
    "multiple": Annotated[int, Field(multiple_of=5)],
    "multiple within": Annotated[int, Field(multiple_of=5, ge=0, lt=50)],
    "cents": Annotated[float, Field(multiple_of=0.01, ge=0)],
    "decimal places": Annotated[decimal.Decimal, Field(max_digits=5, decimal_places=2)],
    "range": Annotated[int, Field(gt=3, lt=9)],
    "float range": Annotated[float, Field(gt=0, le=1)],
    "wide range": Annotated[int, Field(ge=-(2**63), le=2**63)],
    "lengths": Annotated[str, Field(min_length=2, max_length=5)],
    "pattern": Annotated[str, Field(pattern=r"^[A-Z]{3}-\d{4}$")],
    "pattern and lengths": Annotated[str, Field(pattern="^[a-z]+$", min_length=2, max_length=8)],
    "open pattern": Annotated[str, Field(pattern="foo")],
    "long": Annotated[str, Field(max_length=1_000_000)],
    "few": Annotated[list[int], Field(min_length=1, max_length=3)],
    "few of a set": Annotated[set[int], Field(min_length=1, max_length=3)],
    "nothing in it": Annotated[list[int], Field(max_length=0)],
    "url": pydantic.AnyUrl,
    "http url": pydantic.HttpUrl,
    "secret": pydantic.SecretStr,
    "json": pydantic.Json[dict[str, int]],
    "base64": pydantic.Base64Bytes,
    "past": pydantic.PastDate,
    "aware": pydantic.AwareDatetime,
    "uuid4": pydantic.UUID4,
    "file": pydantic.FilePath,
    "directory": pydantic.DirectoryPath,
    "positive": pydantic.PositiveInt,
    "finite": pydantic.FiniteFloat,
    "any address": pydantic.IPvAnyAddress,
    "bytes of a size": pydantic.ByteSize,
    "json value": pydantic.JsonValue,
    "examples": Annotated[str, Field(examples=["x"], title="X", json_schema_extra={"x-order": 1})],
}


def _pydantic() -> list[Listed]:
    """Return each type as it is, as a member (instructor), and without references (LangChain)."""
    found = []
    for name, kind in TYPES.items():
        try:
            schema = pydantic.TypeAdapter(kind).json_schema()
        except pydantic.errors.PydanticInvalidForJsonSchema:
            continue
        member: Any = pydantic.create_model("Answer", a=(kind, ...))
        found += [Listed(f"pydantic: {name}", schema), Listed(f"instructor: {name}", member.model_json_schema())]
        if "$defs" in schema and "Node" not in schema["$defs"]:
            found.append(Listed(f"langchain: {name}", _inlined(schema, schema["$defs"])))
    return found


def _inlined(value: Any, known: dict[str, Any]) -> Any:
    if isinstance(value, list):
        return [_inlined(item, known) for item in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        rest = {key: item for key, item in value.items() if key != "$ref"}
        return {**_inlined(known[value["$ref"].rpartition("/")[2]], known), **rest}
    return {key: _inlined(item, known) for key, item in value.items() if key not in ("$defs", "title")}


def _stored(file: str) -> list[Listed]:
    lines = map(json.loads, (DATA / file).read_text(encoding="utf-8").splitlines())
    return [Listed(line["name"], line["schema"], tuple(map(tuple, line.get("tests", ())))) for line in lines]


def corpus() -> list[Listed]:
    return [*_pydantic(), *_stored("zod.jsonl"), *_stored("agents.jsonl"), *_stored("official.jsonl")]


def verdict(schema: dict[str, Any], *, strict: bool) -> str:
    """Return "enforced", "checked" (every keyword is enforced or checked), "loosened" or "refused: ..."."""
    try:
        found = enforced(schema, strict=strict)
    except InvalidRequest as error:
        return "allows nothing" if "no value" in error.message else "refused"
    if not found.loosened:
        return "enforced"
    return "checked" if all(each.checked for each in found.loosened) else "loosened"


def main() -> None:
    columns = ("enforced", "checked", "loosened", "allows nothing", "refused")
    rows: dict[str, Counter[str]] = {}
    keywords: Counter[str] = Counter()
    for listed in corpus():
        for strict in (False, True):
            row = f"{listed.origin}{', strict' if strict else ''}"
            rows.setdefault(row, Counter())[verdict(listed.schema, strict=strict)] += 1
        if verdict(listed.schema, strict=False) in ("checked", "loosened"):
            keywords.update({each.keyword for each in enforced(listed.schema).loosened})
    for kind in ("", ", strict"):
        total = sum((found for row, found in rows.items() if row.endswith(", strict") == bool(kind)), Counter())
        rows[f"all{kind}"] = total
    print(f"{'':28}{''.join(f'{column:>16}' for column in columns)}{'schemas':>16}")
    for row, found in sorted(rows.items()):
        print(f"{row:28}{''.join(f'{found[column]:>16}' for column in columns)}{found.total():>16}")
    print("loosened:", ", ".join(f"{keyword} {times}" for keyword, times in keywords.most_common()))


if __name__ == "__main__":
    main()
