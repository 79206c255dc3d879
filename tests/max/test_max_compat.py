"""The private parts of MAX and transformers that compat.py uses are there, each by its name.

By reading their source: importing MAX takes seconds and native code. That they work is shown by every test that loads.
"""

from __future__ import annotations

import ast
import importlib.util
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyperllama_max import compat
from tests.support.paths import ROOT

#: package, file in it, the private part, its parameters (None: an attribute that is set there), the user in compat.py
PARTS = [
    ("mojo", "importer.py", "_compile_mojo_to_so", ["root_mojo_path", "output_so_path"], "library_compiler"),
    ("max", "engine/_precompiled_mefs.py", "_fingerprint", ["graph"], "reusing_graphs"),
    ("max", "engine/api.py", "InferenceSession.compile_reusing_mefs", ["self", "model"], "reusing_graphs"),
    ("max", "graph/graph.py", "KernelLibrary.verify_custom_op", ["self", "custom_op"], "reusing_graphs"),
    (
        "max",
        "pipelines/lib/interfaces/pipeline_model.py",
        "PipelineModel._bind_graph_inputs",
        ["self", "input_tree"],
        "bound_inputs",
    ),
    (
        "max",
        "pipelines/architectures/llama3/model.py",
        "LlamaModelBase._create_model_config",
        ["self", "state_dict"],
        "bound_inputs",
    ),
    (
        "max",
        "pipelines/architectures/llama3/model.py",
        "LlamaModelBase.graph_specs",
        ["self", "model_config"],
        "bound_inputs",
    ),
    ("max", "pipelines/lib/pipeline_variants/structured_output_backend.py", "_compiler", None, "grammar_compiler"),
    ("transformers", "utils/chat_template_utils.py", "_compile_jinja_template", ["chat_template"], "compile_template"),
]


def names(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Every function by its dotted name, every attribute and field by its own."""
    for node in ast.iter_child_nodes(tree):
        below = prefix
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            below = f"{prefix}{node.name}."
            yield f"{prefix}{node.name}", node
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield f"{prefix}{node.target.id}", node
        elif isinstance(node, ast.Attribute):
            yield node.attr, node
        yield from names(node, below)


@pytest.mark.parametrize(("package", "file", "part", "parameters", "user"), PARTS, ids=[part[2] for part in PARTS])
def test_a_private_part_is_there(package, file, part, parameters, user):
    assert hasattr(compat, user)
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{package} is not installed")
    path = Path(next(iter(spec.submodule_search_locations))) / file
    assert path.is_file(), f"{package} has no {file} any more; compat.{user} needs it"
    found = dict(names(ast.parse(path.read_text("utf-8"))))
    assert part in found, f"{package}/{file} has no {part} any more; compat.{user} needs it"
    if parameters is not None:
        function = found[part]
        assert isinstance(function, ast.FunctionDef)
        taken = [argument.arg for argument in function.args.args]
        assert taken == parameters, f"{part} takes {taken} now; compat.{user} passes {parameters}"


def test_xgrammar_comes_with_max():
    spec = importlib.util.find_spec("max")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("max is not installed")
    exported = Path(next(iter(spec.submodule_search_locations))) / "_xgrammar" / "__init__.py"
    assert exported.is_file(), "max has no _xgrammar any more; compat.xgrammar needs it"
    text = exported.read_text("utf-8")
    for name in ("GrammarMatcher", "StructuralTag"):
        assert name in text, f"max._xgrammar has no {name} any more; grammar.py needs it"


def test_a_template_is_compiled_in_the_sandbox():
    pytest.importorskip("transformers")
    assert compat.compile_template("{{ a }}!").render(a="b") == "b!"
    assert list(compat.compile_template("{{ a }}!").generate(a="b")) == ["b", "!"]


def test_nothing_else_of_the_plugin_uses_private_parts():
    for path in (ROOT / "plugins" / "hyperllama_max").rglob("*.py"):
        if path.name != "compat.py":
            text = path.read_text("utf-8")
            assert "SLF001" not in text, path.name
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] != "__future__":
                    parts = [*node.module.split("."), *(name.name for name in node.names)]
                    assert not [part for part in parts if part.startswith("_")], f"{path.name}: {node.module}"


def test_the_packages_are_held_below_the_next_release():
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["max"]
    assert "max[serve]==26.7.*" in wanted
    assert any(line.startswith("transformers") and "<" in line for line in wanted)
    assert any(line.startswith("tokenizers") and "<" in line for line in wanted)
