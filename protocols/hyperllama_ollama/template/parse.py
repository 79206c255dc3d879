"""Template text to nodes. Linear in the text, and bounded in depth."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from hyperllama_ollama.template.budget import Budget, too_much
from hyperllama_ollama.template.functions import FUNCTIONS
from hyperllama_ollama.template.lex import split, tokens
from hyperllama_ollama.template.nodes import (
    LONGEST_SHOWN,
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
    shown,
)

MAX_DEPTH = 50  # of blocks, of parentheses, and of functions that a value is piped through
MAX_TEMPLATE = 256 * 1024

_DECLARE = re.compile(r"(?:\$(\w++)\s*+,\s*+)?\$(\w++)\s*+(:?=)\s*+(.*)", re.DOTALL)
_NUMBER = re.compile(r"-?\d++(\.\d++)?")
_FIELD = re.compile(r"(\$\w*+|)((?:\.\w++)*+|\.)")
_OF_PARENTHESES = re.compile(r"(?:\.\w++)++")
_CONSTANTS = {"true": True, "false": False, "nil": None}
_DIGITS = 19  # of an integer that Go can hold
_INT64 = 2**63


def parse(template: str, budget: Budget | None = None) -> tuple[Node, ...]:
    """Return the nodes of ``template``.

    Raise Failure (500, as Ollama) for what is no template or uses what is not known here, TooMuchWork for one that is
    too long or too deep.
    """
    if len(template) > MAX_TEMPLATE:
        raise too_much("too long for a template")
    pieces = _Pieces(template, budget or Budget())
    nodes, end = pieces.block(0)
    if end:
        raise bad(f"unexpected {{{{{_short(end)}}}}}")
    return nodes


class _Pieces:
    """The pieces of a template on their way to nodes."""

    def __init__(self, template: str, budget: Budget) -> None:
        self._pieces: Iterator[tuple[str, str | None]] = split(template)
        self._budget = budget

    def block(self, depth: int) -> tuple[tuple[Node, ...], str]:
        """Return the nodes up to the action that ends them, and that action; empty: the end of the template."""
        if depth > MAX_DEPTH:
            raise too_much("exceeded maximum template depth")
        nodes: list[Node] = []
        for text, action in self._pieces:
            self._budget.step()
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
                value = self._expression(rest)
                then, otherwise = self._branches(depth)
                return Choose(value, then, otherwise, is_dot=word == "with")
            case "range":
                declared = _DECLARE.fullmatch(rest)
                index, item, _, rest = declared.groups() if declared else ("", "", "", rest)
                value = self._expression(rest)
                body, otherwise = self._branches(depth)
                return Range(value, body, otherwise, index or "", item or "")
            case "break" | "continue":
                return Leave(again=word == "continue")
        if declared := _DECLARE.fullmatch(action):
            return Assign(declared.group(2), self._expression(declared.group(4)), declares=declared.group(3) == ":=")
        return Write(self._expression(action))

    def _branches(self, depth: int) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
        then, end = self.block(depth + 1)
        otherwise: tuple[Node, ...] = ()
        if end.startswith("else"):
            again = end[4:].strip()
            if again:  # else if, else with: one end for both
                word, _, rest = again.partition(" ")
                if word not in ("if", "with"):
                    raise bad(f"unexpected {shown(word)} after else")
                value = self._expression(rest)
                inner, last = self._branches(depth + 1)
                return then, (Choose(value, inner, last, is_dot=word == "with"),)
            otherwise, end = self.block(depth + 1)
        if end != "end":
            raise bad("unexpected EOF" if not end else f"unexpected {{{{{_short(end)}}}}}")
        return then, otherwise

    def _expression(self, text: str) -> Expression:
        return _Command(text, self._budget).expression()


class _Command:
    """The tokens of one action, read from the left."""

    def __init__(self, text: str, budget: Budget) -> None:
        self._tokens = tokens(text)
        self._at = 0
        self._piped = 0
        self._budget = budget

    def expression(self) -> Expression:
        value = self._pipeline(0)
        if self._at < len(self._tokens):
            raise bad(f"unexpected {shown(self._tokens[self._at])} in operand")
        return value

    @property
    def _next(self) -> str:
        """The next token; empty if there is none."""
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        self._budget.step()
        self._at += 1
        return self._tokens[self._at - 1]

    def _pipeline(self, depth: int) -> Expression:
        value = self._command(None, depth)
        while self._next == "|":
            self._piped += 1
            if self._piped > MAX_DEPTH:  # each is an argument of the next one
                raise too_much("exceeded maximum expression depth")
            self._take()
            value = self._command(value, depth)
        return value

    def _command(self, piped: Expression | None, depth: int) -> Expression:
        name = self._next
        if not name:
            raise bad("missing value for command")
        if name not in FUNCTIONS:
            if piped is not None:
                raise bad(f"{shown(name)} is not a function")
            return self._operand(depth)
        self._take()
        arguments: list[Expression] = []
        while self._next not in ("", ")", "|"):
            arguments.append(self._operand(depth))
        if piped is not None:
            arguments.append(piped)
        least, most = FUNCTIONS[name].takes
        if not least <= len(arguments) <= most:
            raise bad(f"wrong number of args for {name}: got {len(arguments)}")
        return Call(name, tuple(arguments))

    def _operand(self, depth: int) -> Expression:
        head = self._take()
        if head == "(":
            return self._parentheses(depth)
        if head[0] == "`":
            return Constant(head[1:-1])
        if head[0] == '"':
            return Constant(_unquoted(head))
        if head in _CONSTANTS:
            return Constant(_CONSTANTS[head])
        if number := _NUMBER.fullmatch(head):
            return Constant(float(head) if number.group(1) else _integer(head))
        field = _FIELD.fullmatch(head)
        if field is None:
            raise bad(f"function {shown(head)} not defined" if head.isidentifier() else f"unexpected {shown(head)}")
        root, path = field.groups()
        return Field(root or ".", tuple(part for part in path.split(".") if part))

    def _parentheses(self, depth: int) -> Expression:
        if depth >= MAX_DEPTH:
            raise too_much("exceeded maximum expression depth")
        value = self._pipeline(depth + 1)
        if self._next != ")":
            raise bad("unclosed left paren")
        self._take()
        if _OF_PARENTHESES.fullmatch(self._next):
            return Field(value, tuple(self._take()[1:].split(".")))
        return value


def _integer(text: str) -> int:
    value = int(text) if len(text.lstrip("-")) <= _DIGITS else _INT64
    if not -_INT64 <= value < _INT64:
        raise bad(f"integer overflow: {shown(text)}")
    return value


def _unquoted(text: str) -> str:
    try:
        return str(msgspec.json.decode(text.encode("utf-8", "surrogatepass"), type=str))
    except msgspec.DecodeError as error:
        raise bad(f"invalid syntax: {_short(text)}") from error


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


__all__ = ("MAX_DEPTH", "MAX_TEMPLATE", "parse")
