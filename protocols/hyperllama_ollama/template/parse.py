"""Template text to nodes."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from hyperllama_ollama.encode.text import quote
from hyperllama_ollama.template.nodes import (
    Assign,
    Call,
    Choose,
    Constant,
    Expression,
    Field,
    Leave,
    Node,
    Range,
    Text,
    Write,
    bad,
)
from hyperllama_ollama.template.render import FUNCTIONS

MAX_DEPTH = 50  # of blocks and of parentheses
MAX_TEMPLATE = 256 * 1024

_ACTION = re.compile(r'\{\{((?:[^"`}]++|"(?:[^"\\]|\\.)*+"|`[^`]*+`|\}(?!\}))*+)\}\}', re.DOTALL)
_COMMENT = re.compile(r"\{\{((?:-\s+)?/\*.*?\*/(?:\s+-)?)\}\}", re.DOTALL)
_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|`[^`]*`|[()|]|[^\s()|"`]+)')
_DECLARE = re.compile(r"(?:\$(\w+)\s*,\s*)?\$(\w+)\s*(:?=)\s*(.*)", re.DOTALL)
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_FIELD = re.compile(r"(\$\w*|)((?:\.\w+)*|\.)")
_CONSTANTS = {"true": True, "false": False, "nil": None}


def parse(template: str) -> tuple[Node, ...]:
    """Raises Failure (500, as Ollama) for what is no template or uses what is not known here."""
    if len(template) > MAX_TEMPLATE:
        raise bad("too long for a template")
    pieces = _Pieces(template)
    nodes, end = pieces.block(0)
    if end:
        raise bad(f"unexpected {{{{{end}}}}}")
    return nodes


class _Pieces:
    """Text and actions in turn, with the space around actions trimmed where they say so."""

    def __init__(self, template: str) -> None:
        self._pieces = _split(template)

    def block(self, depth: int) -> tuple[tuple[Node, ...], str]:
        """Nodes up to the action that ends them, and that action; empty: the end of the template."""
        if depth > MAX_DEPTH:
            raise bad("exceeded maximum template depth")
        nodes: list[Node] = []
        for text, action in self._pieces:
            if text:
                nodes.append(Text(text))
            if action is None or action.startswith("/*"):
                continue
            word, _, rest = action.partition(" ")
            if word in ("end", "else"):
                return tuple(nodes), action
            nodes.append(self._node(action, word, rest.strip(), depth))
        return tuple(nodes), ""

    def _node(self, action: str, word: str, rest: str, depth: int) -> Node:
        match word:
            case "if" | "with":
                value = _expression(rest)
                then, otherwise = self._branches(depth)
                return Choose(value, then, otherwise, is_dot=word == "with")
            case "range":
                declared = _DECLARE.fullmatch(rest)
                index, item, _, rest = declared.groups() if declared else ("", "", "", rest)
                value = _expression(rest)
                body, otherwise = self._branches(depth)
                return Range(value, body, otherwise, index or "", item or "")
            case "break" | "continue":
                return Leave(again=word == "continue")
        if declared := _DECLARE.fullmatch(action):
            return Assign(declared.group(2), _expression(declared.group(4)), declares=declared.group(3) == ":=")
        return Write(_expression(action))

    def _branches(self, depth: int) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
        then, end = self.block(depth + 1)
        otherwise: tuple[Node, ...] = ()
        if end.startswith("else"):
            again = end[4:].strip()
            if again:  # else if, else with: one end for both
                word, _, rest = again.partition(" ")
                if word not in ("if", "with"):
                    raise bad(f"unexpected {quote(word)} after else")
                value = _expression(rest)
                inner, last = self._branches(depth + 1)
                return then, (Choose(value, inner, last, is_dot=word == "with"),)
            otherwise, end = self.block(depth + 1)
        if end != "end":
            raise bad("unexpected EOF" if not end else f"unexpected {{{{{end}}}}}")
        return then, otherwise


def _split(template: str) -> Iterator[tuple[str, str | None]]:
    at, trim = 0, False
    while (start := template.find("{{", at)) >= 0:
        found = _COMMENT.match(template, start) or _ACTION.match(template, start)
        if found is None:
            raise bad("unclosed action")
        action = found.group(1)
        text = template[at:start]
        text = text.lstrip() if trim else text
        trims_before = action[:1] == "-" and action[1:2].isspace()
        trim = action[-1:] == "-" and action[-2:-1].isspace()
        yield text.rstrip() if trims_before else text, action[1 if trims_before else 0 : -1 if trim else None].strip()
        at = found.end()
    rest = template[at:]
    yield rest.lstrip() if trim else rest, None


def _expression(text: str) -> Expression:
    value, rest = _pipeline(list(_tokens(text)), 0)
    if rest:
        raise bad(f"unexpected {quote(rest[0])} in operand")
    return value


def _pipeline(tokens: list[str], depth: int) -> tuple[Expression, list[str]]:
    value, rest = _command(tokens, None, depth)
    while rest and rest[0] == "|":
        value, rest = _command(rest[1:], value, depth)
    return value, rest


def _command(tokens: list[str], piped: Expression | None, depth: int) -> tuple[Expression, list[str]]:
    if not tokens:
        raise bad("missing value for command")
    if tokens[0] not in FUNCTIONS:
        if piped is not None:
            raise bad(f"{quote(tokens[0])} is not a function")
        return _operand(tokens, depth)
    name, rest = tokens[0], tokens[1:]
    arguments: list[Expression] = []
    while rest and rest[0] not in (")", "|"):
        value, rest = _operand(rest, depth)
        arguments.append(value)
    if piped is not None:
        arguments.append(piped)
    least, most = FUNCTIONS[name].takes
    if not least <= len(arguments) <= most:
        raise bad(f"wrong number of args for {name}: got {len(arguments)}")
    return Call(name, tuple(arguments)), rest


def _operand(tokens: list[str], depth: int) -> tuple[Expression, list[str]]:
    head, rest = tokens[0], tokens[1:]
    if head == "(":
        if depth >= MAX_DEPTH:
            raise bad("exceeded maximum expression depth")
        value, rest = _pipeline(rest, depth + 1)
        if not rest or rest[0] != ")":
            raise bad("unclosed left paren")
        if len(rest) > 1 and re.fullmatch(r"(?:\.\w+)+", rest[1]):
            return Field(value, tuple(rest[1][1:].split("."))), rest[2:]
        return value, rest[1:]
    if head[0] == "`":
        return Constant(head[1:-1]), rest
    if head[0] == '"':
        return Constant(_unquoted(head)), rest
    if head in _CONSTANTS:
        return Constant(_CONSTANTS[head]), rest
    if number := _NUMBER.fullmatch(head):
        return Constant(float(head) if number.group(1) else int(head)), rest
    field = _FIELD.fullmatch(head)
    if field is None:
        raise bad(f"function {quote(head)} not defined" if head.isidentifier() else f"unexpected {quote(head)}")
    root, path = field.groups()
    return Field(root or ".", tuple(part for part in path.split(".") if part)), rest


def _tokens(text: str) -> Iterator[str]:
    at, text = 0, text.strip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise bad(f"unexpected {quote(text[at])} in command")
        yield found.group(1)
        at = found.end()


def _unquoted(text: str) -> str:
    try:
        return str(msgspec.json.decode(text.encode(), type=str))
    except msgspec.DecodeError as error:
        raise bad(f"invalid syntax: {text}") from error


__all__ = ("MAX_DEPTH", "MAX_TEMPLATE", "parse")
