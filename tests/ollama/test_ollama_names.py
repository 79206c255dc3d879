"""The grammar of names."""

from __future__ import annotations

import pytest

from hyperllama_ollama import names


@pytest.mark.parametrize(
    ("text", "full", "short"),
    [
        ("m", "registry.ollama.ai/library/m:latest", "m:latest"),
        ("m:t", "registry.ollama.ai/library/m:t", "m:t"),
        ("llama3.2", "registry.ollama.ai/library/llama3.2:latest", "llama3.2:latest"),
        ("user/m", "registry.ollama.ai/user/m:latest", "user/m:latest"),
        ("host/ns/m:t", "host/ns/m:t", "host/ns/m:t"),
        ("host:5000/ns/m", "host:5000/ns/m:latest", "host:5000/ns/m:latest"),
        ("host/library/m:t", "host/library/m:t", "host/library/m:t"),
        ("registry.ollama.ai/library/m:latest", "registry.ollama.ai/library/m:latest", "m:latest"),
        ("http://host/ns/m", "host/ns/m:latest", "host/ns/m:latest"),
        ("hf.co/org-1/Repo_x.y-GGUF:Q4_K_M", "hf.co/org-1/Repo_x.y-GGUF:Q4_K_M", "hf.co/org-1/Repo_x.y-GGUF:Q4_K_M"),
        ("_m", "registry.ollama.ai/library/_m:latest", "_m:latest"),
        ("M:T", "registry.ollama.ai/library/M:T", "M:T"),
        ("Registry.Ollama.AI/Library/M", "Registry.Ollama.AI/Library/M:latest", "M:latest"),
        ("m" * 80, f"registry.ollama.ai/library/{'m' * 80}:latest", f"{'m' * 80}:latest"),
    ],
)
def test_a_name_has_a_full_and_a_short_form(text: str, full: str, short: str) -> None:
    name = names.parse(text)
    assert name is not None
    assert (name.full, name.short) == (full, short)


@pytest.mark.parametrize(
    "text",
    [
        "", "m:", ":t", "/m", "n//m", "n/", "a/b/c/d", "a b", "m@sha256:x", "..", "-m", ".m", "../../etc/passwd",
        "n.s/m", "m:t/u/", "é", "m\n", "m\0", "m:-t", "m:a b", "m" * 81, f"{'n' * 81}/m", f"m:{'t' * 81}", "://m",
        "host/ns/m:t:u", "a\\b", "%2e%2e/m", "h" * 351 + "/n/m",
    ],
)  # fmt: skip
def test_what_is_no_name_is_none(text: str) -> None:
    assert names.parse(text) is None


def test_a_colon_before_the_last_slash_is_a_port() -> None:
    assert names.parse("host:5000/m") is None  # a namespace may not have one
    found = names.parse("host:5000/ns/m:t")
    assert found is not None
    assert (found.host, found.tag) == ("host:5000", "t")


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("m", names.Reference("m")),
        ("m:t", names.Reference("m:t")),
        ("m:cloud", names.Reference("m", "cloud")),
        ("m:20b-cloud", names.Reference("m:20b", "cloud")),
        ("m:20b:cloud", names.Reference("m:20b", "cloud")),
        ("m:CLOUD", names.Reference("m", "cloud")),
        ("m:local", names.Reference("m", "local")),
        ("m:t:local", names.Reference("m:t", "local")),
        ("my-cloud-model", names.Reference("my-cloud-model")),
        ("m-cloud", names.Reference("m-cloud")),
        ("m:cloud:local", names.Reference("m:cloud:local", "conflict")),
        ("m:t-cloud:local", names.Reference("m:t-cloud:local", "conflict")),
        ("cloud/m", names.Reference("cloud/m")),
    ],
)
def test_a_suffix_says_where_a_model_runs(text: str, reference: names.Reference) -> None:
    assert names.reference(text) == reference


def test_installed_names_are_shown_with_a_tag() -> None:
    assert names.shown("hyperllama-tiny") == "hyperllama-tiny:latest"
    assert names.shown("org/m:Q4") == "org/m:Q4"
    assert names.shown("my.org/m") == "my.org/m:latest"


def test_a_lookup_leaves_out_what_only_repeats_the_defaults() -> None:
    assert names.lookup("registry.ollama.ai/library/m") == "m"
    assert names.lookup("registry.ollama.ai/library/m:t") == "m:t"
    assert names.lookup("library/m") == "m"
    assert names.lookup("REGISTRY.ollama.ai/Library/m") == "m"
    assert names.lookup("Org/m") == "Org/m"
    assert names.lookup("m") == "m"


@pytest.mark.parametrize("text", ["sha256:" + "a" * 64, "sha256-" + "0" * 64, "sha256:" + "AB" * 32])
def test_a_digest_is_brought_to_one_form(text: str) -> None:
    assert names.digest(text) == "sha256:" + text[7:].lower()


@pytest.mark.parametrize(
    "text",
    ["", "sha256:", "sha256:" + "a" * 63, "sha256:" + "a" * 65, "sha512:" + "a" * 64, "sha256:" + "g" * 64,
     "../" + "a" * 64, "sha256:" + "a" * 63 + "\n", "sha256:" + "\uff11" * 64, "sha256:" + "a" * 64 + "\0"],
)  # fmt: skip
def test_a_hostile_digest_is_none(text: str) -> None:
    assert names.digest(text) is None
