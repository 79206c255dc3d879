"""The tools that appear in training, in many words, so that the model must read each definition."""

from __future__ import annotations

from hyperllama_builtin.training.gadget import Gadget, Parameter
from hyperllama_builtin.training.tables import table
from hyperllama_builtin.training.values import KINDS

__all__ = ("TOOLBOX",)

TOOLBOX: tuple[Gadget, ...] = tuple(
    Gadget(
        names=tuple(row["names"]),
        descriptions=tuple(row["descriptions"]),
        parameters={
            key: Parameter(tuple(parameter["names"]), parameter["kind"], KINDS[parameter["value"]])
            for key, parameter in row["parameters"].items()
        },
        prompts=tuple(row["prompts"]),
        results={key: KINDS[kind] for key, kind in row["results"].items()},
        reply=row["reply"],
    )
    for row in table("tools")["tool"]
)
