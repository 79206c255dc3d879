"""Output formats made to hurt: large, deep, ambiguous, contradictory or endless. None may take more than its answer."""

from __future__ import annotations

from typing import Any

from hyperllama.generation import Choice, Grammar, JsonSchema, OutputFormat, Regex


def bombs() -> dict[str, OutputFormat]:
    """By name; the same at every call."""
    found: dict[str, OutputFormat] = {}
    found |= {f"regex {pattern[:40]}": Regex(pattern) for pattern in _PATTERNS}
    found |= {
        f"pattern {pattern[:40]}": JsonSchema({"type": "string", "pattern": pattern}) for pattern in _PATTERNS[:6]
    }
    found |= {f"schema {name}": JsonSchema(schema) for name, schema in _schemas().items()}
    found |= {f"grammar {name}": Grammar(text) for name, text in _GRAMMARS.items()}
    found["choice of many"] = Choice(tuple(f"option {number}" for number in range(4000)))
    found["choice of one long"] = Choice(("x" * 60_000,))
    return found


_PATTERNS = (
    "(a+)+$",
    "(a|aa)+b",
    "(.*a){20}",
    "(a?){200}a{200}",
    "([a-z]{1,100} ){1,100}",
    "((a{0,50}){0,50}){0,50}",
    "foo**",
    "(?=a)a",
    r"(a)\1",
    "[",
    "a{100000}",
    "(((((((((((((((((((((a)))))))))))))))))))))",
    "[\\u0000-\\uffff]{4000}",
    "." * 4000,
)

_GRAMMARS = {
    "ambiguous": 'root ::= x x x x x x x x "b"\nx ::= x x | [a-z] | ""',
    "left recursive": 'root ::= root "a" | "a"',
    "doubled": 'root ::= root root | "a"',
    "endless": "root ::= root",
    "empty loop": 'root ::= x*\nx ::= ""*',
    "mutual": 'root ::= a\na ::= b "x"\nb ::= a "y" | "z"',
    "many rules": "root ::= r0\n" + "\n".join(f'r{n} ::= r{n + 1} | "{n}"' for n in range(1500)) + '\nr1500 ::= "end"',
    "exponential": "root ::= r0\n" + "\n".join(f"r{n} ::= r{n + 1} r{n + 1}" for n in range(60)) + '\nr60 ::= "a"',
    "no root": 'start ::= "a"',
    "quotes": 'root ::= "' + "a" * 30_000,
    "brackets": "root ::= " + "(" * 5000 + '"a"' + ")" * 5000,
}


def _schemas() -> dict[str, dict[str, Any]]:
    deep: dict[str, Any] = {"type": "object"}
    for _ in range(12):
        deep = {"anyOf": [deep, deep]} if _ % 2 else {"type": "object", "properties": {"a": deep, "b": deep}}
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "required": ["next"]}
    wide = {"type": "object", "properties": {f"field{n}": {"type": "string", "maxLength": 100} for n in range(500)}}
    return {
        "itself": {"$ref": "#"},
        "endless": {"$defs": {"node": node}, "$ref": "#/$defs/node"},
        "outside": {"$ref": "file:///etc/passwd"},
        "far away": {"$ref": "http://127.0.0.1:9/schema"},
        "two ways at every level": deep,
        "many optional fields": wide,
        "many required fields": {**wide, "required": list(wide["properties"])},
        "nothing": {"not": {}},
        "contradiction": {"type": "integer", "minimum": 5, "maximum": 4},
        "no type of that name": {"type": "nonsense"},
        "a number for a type": {"type": 7},
        "long string": {"type": "string", "minLength": 10_000},
        "long list": {"type": "array", "minItems": 10_000, "items": {"type": "array", "minItems": 10_000}},
        "list of lists": {"type": "array", "maxItems": 9_999, "items": {"type": "array", "maxItems": 9_999}},
        "enum of many": {"enum": [f"value {number}" for number in range(3500)]},
        "huge bounds": {"type": "integer", "minimum": -(10**300), "maximum": 10**300},
        "fraction": {"type": "number", "multipleOf": 1e-300},
        "patterns for names": {"type": "object", "patternProperties": {"(a+)+": {"type": "null"}}},
        "unique": {"type": "array", "uniqueItems": True, "items": {"enum": list(range(200))}},
        "if then": {"if": {"type": "string"}, "then": {"minLength": 5}, "else": {"type": "integer"}},
    }


__all__ = ("bombs",)
