"""Go's template language, as far as prompt templates of Ollama use it, turned into the Jinja that engines render."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from hyperllama_ollama.encode.text import quote
from hyperllama_ollama.errors import Failure

_ACTION = re.compile(r"\{\{(-\s)?(.*?)(\s-)?\}\}", re.DOTALL)
_TOKEN = re.compile(r'\s*(?:("(?:[^"\\]|\\.)*"|`[^`]*`)|([()|])|([^\s()|]+))')
_DECLARE = re.compile(r"(?:\$(\w+)\s*,\s*)?\$(\w+)\s*:?=\s*(.*)", re.DOTALL)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_FIELD = re.compile(r"(\$?\w*)((?:\.\w+)+|\.)")
_JINJA_ONLY = re.compile(
    r"\{%|\{\{-?\s*(?![-.$/\s\"`(]|if\b|else\b|end\b|range\b|with\b|break\b|continue\b|json\b|eq\b|ne\b)"
)

# Templates of before there were messages see one turn; these names give it to them.
_TURN = (
    "{%- set ns = namespace(system='', prompt='', response='') -%}"
    "{%- for m in messages -%}"
    "{%- if m.role == 'system' -%}{%- set ns.system = m.content -%}"
    "{%- elif m.role == 'user' -%}{%- set ns.prompt = m.content -%}{%- endif -%}"
    "{%- endfor -%}"
)
_TURN_FIELDS = {"System": "ns.system", "Prompt": "ns.prompt", "Response": "ns.response", "First": "true"}
_FIELDS = {
    "Messages": "messages",
    "Tools": "tools",
    "Suffix": "''",
    "Thinking": "thinking",
    "Think": "enable_thinking",
    "ThinkLevel": "reasoning_effort",
    "IsThinkSet": "(enable_thinking is defined)",
    "Role": "role",
    "Content": "content",
    "ToolCalls": "tool_calls",
    "Function": "function",
    "Name": "name",
    "Description": "description",
    "Parameters": "parameters",
    "Arguments": "arguments",
    "ToolName": "name",
    "Type": "type",
    "Properties": "properties",
    "Required": "required",
}
_COMPARE = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


class _Block(msgspec.Struct):
    """An open block: the tag that ends it, and what ``.`` means inside."""

    end: str
    dot: str | None
    then: str = ""  # closes what else-chains opened


def jinja(template: str) -> str:
    """``template`` in Jinja; one that is Jinja already is left as it is.

    Raises Failure (500, as Ollama) for what is no Go template or uses what is not known here.
    """
    if _JINJA_ONLY.search(template):
        return template
    return _Translation().run(template)


class _Translation:
    def __init__(self) -> None:
        self._blocks: list[_Block] = []
        self._turn = False
        self._count = 0
        self._cut = False

    def run(self, template: str) -> str:
        out: list[str] = []
        at, trim = 0, False
        for found in _ACTION.finditer(template):
            text = template[at : found.start()]
            text = text.lstrip() if trim else text
            out.append(_literal(text.rstrip() if found.group(1) else text))
            out.append(self._action(found.group(2).strip()))
            at, trim = found.end(), bool(found.group(3))
            if self._cut:
                break
        else:
            text = template[at:]
            if "{{" in text:
                raise _bad("unclosed action")
            out.append(_literal(text.lstrip() if trim else text))
        if self._cut:
            out += [f"{{%- {block.end} -%}}" for block in reversed(self._blocks)]
        elif self._blocks:
            raise _bad("unexpected EOF")
        return (_TURN if self._turn else "") + "".join(out)

    def _action(self, action: str) -> str:
        word, _, rest = action.partition(" ")
        if action.startswith("/*"):
            return ""
        match word:
            case "if":
                self._blocks.append(_Block("endif", self._dot))
                return f"{{%- if {self._expression(rest)} -%}}"
            case "else":
                if not self._blocks:
                    raise _bad("unexpected {{else}}")
                if rest.startswith("if "):
                    return f"{{%- elif {self._expression(rest[3:])} -%}}"
                return "{%- else -%}"
            case "end":
                if not self._blocks:
                    raise _bad("unexpected {{end}}")
                return f"{{%- {self._blocks.pop().end} -%}}"
            case "range":
                return self._range(rest)
            case "with":
                name = self._fresh()
                source = self._expression(rest)
                self._blocks.append(_Block("endif", name))
                return f"{{%- set {name} = {source} -%}}{{%- if {name} -%}}"
            case "break" | "continue":
                return f"{{%- {word} -%}}"
        if declared := _DECLARE.fullmatch(action):
            return f"{{%- set v_{declared.group(2)} = {self._expression(declared.group(3))} -%}}"
        if action == ".Response" and self._dot is None:
            self._turn = self._cut = True  # the model's own words start here
            return ""
        return f"{{{{- {self._expression(action)} -}}}}"

    def _range(self, rest: str) -> str:
        declared = _DECLARE.fullmatch(rest)
        source = self._expression(declared.group(3) if declared else rest)
        name = f"v_{declared.group(2)}" if declared else self._fresh()
        self._blocks.append(_Block("endfor", name))
        if declared and declared.group(1):
            return f"{{%- for {name} in {source} -%}}{{%- set v_{declared.group(1)} = loop.index0 -%}}"
        return f"{{%- for {name} in {source} -%}}"

    @property
    def _dot(self) -> str | None:
        """What ``.`` is here; None: the whole."""
        return self._blocks[-1].dot if self._blocks else None

    def _fresh(self) -> str:
        self._count += 1
        return f"item{self._count}"

    def _expression(self, text: str) -> str:
        tokens = list(_tokens(text))
        if not tokens:
            raise _bad("missing value for command")
        result, rest = self._pipeline(tokens)
        if rest:
            raise _bad(f"unexpected {quote(rest[0])} in operand")
        return result

    def _pipeline(self, tokens: list[str]) -> tuple[str, list[str]]:
        value, rest = self._command(tokens, None)
        while rest and rest[0] == "|":
            value, rest = self._command(rest[1:], value)
        return value, rest

    def _command(self, tokens: list[str], piped: str | None) -> tuple[str, list[str]]:
        head, *rest = tokens or [""]
        if not _is_function(head):
            value, rest = self._operand(tokens)
            return value, rest
        arguments: list[str] = []
        while rest and rest[0] not in (")", "|"):
            value, rest = self._operand(rest)
            arguments.append(value)
        if piped is not None:
            arguments.append(piped)
        return _call(head, arguments), rest

    def _operand(self, tokens: list[str]) -> tuple[str, list[str]]:
        head, *rest = tokens or [""]
        if head == "(":
            value, rest = self._pipeline(rest)
            if not rest or rest[0] != ")":
                raise _bad("unclosed left paren")
            return f"({value})", rest[1:]
        if head[:1] in ('"', "`"):
            return _string(head[1:-1] if head[0] == "`" else _unquoted(head)), rest
        if head in ("true", "false"):
            return head, rest
        if head == "nil":
            return "none", rest
        if _NUMBER.fullmatch(head):
            return head, rest
        if head.startswith("$") and "." not in head and len(head) > 1:
            return f"v_{head[1:]}", rest
        field = _FIELD.fullmatch(head)
        if field is None:
            raise _bad(f"function {quote(head)} not defined")
        return self._field(field.group(1), [part for part in field.group(2).split(".") if part]), rest

    def _field(self, root: str, parts: list[str]) -> str:
        base = f"v_{root[1:]}" if len(root) > 1 else None if root == "$" else self._dot
        if base is None:
            if not parts:
                raise _bad("the whole data cannot be written")
            if parts[0] in _TURN_FIELDS:
                self._turn = True
                return _TURN_FIELDS[parts[0]]
            return ".".join(_FIELDS.get(part, part) for part in parts)
        return ".".join((base, *(_FIELDS.get(part, part) for part in parts)))


def _is_function(word: str) -> bool:
    return word in _COMPARE or word in ("and", "or", "not", "len", "json", "index", "slice", "print", "currentDate")


def _call(name: str, arguments: list[str]) -> str:
    if name in _COMPARE and len(arguments) >= 2:
        first, *others = arguments
        compared = " or ".join(f"{first} {_COMPARE[name]} {other}" for other in others)
        return f"({compared})"
    match name, arguments:
        case (("and" | "or"), [_, *_]):
            return f"({f' {name} '.join(arguments)})"
        case "not", [value]:
            return f"(not {value})"
        case "len", [value]:
            return f"({value} | length)"
        case "json", [value]:
            return f"({value} | tojson)"
        case "index", [value, *keys]:
            return value + "".join(f"[{key}]" for key in keys)
        case "slice", [value, *bounds]:
            return f"{value}[{':'.join(bounds) if len(bounds) > 1 else f'{bounds[0]}:' if bounds else ':'}]"
        case "print", [_, *_]:
            return f"({' ~ '.join(arguments)})"
    raise _bad(f"wrong number of args for {name}")


def _tokens(text: str) -> Iterator[str]:
    at = 0
    text = text.strip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise _bad(f"unexpected {quote(text[at])} in command")
        yield found.group().strip()
        at = found.end()


def _literal(text: str) -> str:
    """Text that Jinja would take for its own, or would trim, is written as an expression."""
    if not text:
        return ""
    if any(mark in text for mark in ("{{", "{%", "{#")) or text != text.strip():
        return f"{{{{- {_string(text)} -}}}}"
    return text


def _string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def _unquoted(text: str) -> str:
    try:
        return str(msgspec.json.decode(text.encode(), type=str))
    except msgspec.DecodeError as error:
        raise _bad(f"invalid syntax {text}") from error


def _bad(what: str) -> Failure:
    return Failure(f"template: :1: {what}", param="template")


__all__ = ("jinja",)
