"""The one table of what the built-in model knows about the gateway; a test keeps it in step with the code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ("FACTS", "Check", "Fact")

CheckKind = Literal[
    "builtin",
    "command",
    "config",
    "context",
    "dependency",
    "group",
    "licence",
    "none",
    "python",
    "route",
    "script",
    "table",
]
#: How a test can verify a fact: a value in config.toml, a route, a dependency and so on.
Check = tuple[CheckKind, str]


@dataclass(frozen=True)
class Fact:
    """``value`` is what a right answer must hold; ``answer`` is the sentence that the model learns."""

    key: str
    value: str
    answer: str
    check: Check = ("none", "")


def _route(key: str, path: str, use: str) -> Fact:
    return Fact(key, path, f"Use {path} {use}.", ("route", path))


def _command(name: str, use: str) -> Fact:
    return Fact(
        f"command-{name}",
        f"hyperllama-gateway {name}",
        f"The command hyperllama-gateway {name} {use}.",
        ("command", name),
    )


FACTS: tuple[Fact, ...] = (
    Fact("port", "11434", "The gateway listens on port 11434.", ("config", "server.port=11434")),
    Fact(
        "host",
        "127.0.0.1",
        "The gateway listens on 127.0.0.1, so only this machine can reach it.",
        ("config", "server.host=127.0.0.1"),
    ),
    Fact(
        "package",
        "called hyperllama-gateway",
        "The Python package is called hyperllama-gateway.",
        ("script", "hyperllama-gateway"),
    ),
    Fact("install", "pip install hyperllama-gateway", "Install it with pip install hyperllama-gateway."),
    Fact(
        "start",
        "hyperllama-gateway --config config.toml",
        "Start it with hyperllama-gateway --config config.toml.",
        ("script", "hyperllama-gateway"),
    ),
    Fact(
        "dialects",
        "Ollama and OpenAI",
        "The gateway speaks the Ollama and OpenAI dialects, and Anthropic Messages as a third.",
    ),
    Fact("third-dialect", "Anthropic Messages", "The third dialect is Anthropic Messages."),
    Fact(
        "engine",
        "Modular MAX",
        "Models run on the Modular MAX engine.",
        ("config", "models.hyperllama-tiny.engine=max"),
    ),
    Fact("devices", "CPU or on a GPU", "Models run on the CPU or on a GPU."),
    Fact(
        "gpu-needed",
        "no GPU",
        "You need no GPU; the built-in models run on the CPU.",
        ("config", "models.hyperllama-tiny.device=cpu"),
    ),
    Fact("sim", "sim engine", "The sim engine makes up tokens for tests and needs no model."),
    Fact("format", "TOML", "The configuration is written in TOML."),
    Fact("config-file", "is config.toml", "The configuration file is config.toml."),
    Fact(
        "environment",
        "HYPERLLAMA_SERVER_PORT",
        "Set a variable such as HYPERLLAMA_SERVER_PORT to override a key of the config file.",
    ),
    Fact("ollama-host", "OLLAMA_HOST", "Yes, the gateway honours OLLAMA_HOST as its address."),
    Fact("hooks", "pluggy", "Plugins use pluggy hooks.", ("dependency", "pluggy")),
    Fact(
        "entry-points",
        "group hyperllama",
        "Plugins register in the entry point group hyperllama.",
        ("group", "hyperllama"),
    ),
    Fact("command-serve", "serve", "The default command is serve, which starts the gateway.", ("command", "serve")),
    _command("check", "checks the configuration without starting"),
    _command("models", "lists the models"),
    _command("keys", "manages API keys"),
    _command("plugins", "lists the plugins"),
    _command("bench", "measures the speed"),
    _route("ollama-chat", "/api/chat", "to chat in the Ollama dialect"),
    _route("ollama-generate", "/api/generate", "to complete a prompt in the Ollama dialect"),
    _route("ollama-tags", "/api/tags", "to list the models in the Ollama dialect"),
    _route("ollama-show", "/api/show", "to see the details of a model in the Ollama dialect"),
    _route("ollama-ps", "/api/ps", "to see which models are loaded"),
    _route("ollama-embed", "/api/embed", "to get embeddings in the Ollama dialect"),
    _route("openai-chat", "/v1/chat/completions", "to chat in the OpenAI dialect"),
    _route("openai-completions", "/v1/completions", "to complete a prompt in the OpenAI dialect"),
    _route("openai-models", "/v1/models", "to list the models in the OpenAI dialect"),
    _route("openai-embeddings", "/v1/embeddings", "to get embeddings in the OpenAI dialect"),
    _route("health", "/health", "to see whether the gateway is alive"),
    _route("ready", "/ready", "to see whether the gateway is ready for requests"),
    _route("metrics", "/metrics", "to read the metrics"),
    Fact(
        "metrics-format", "Prometheus", "The metrics are in the Prometheus format.", ("dependency", "prometheus-client")
    ),
    Fact(
        "keep-alive",
        "5 minutes",
        "An idle model stays loaded for 5 minutes by default; set keep_alive to change that.",
        ("config", "server.keep_alive=5m"),
    ),
    Fact("web-framework", "Litestar", "The web framework is Litestar.", ("dependency", "litestar")),
    Fact("json", "msgspec", "JSON is read and written by msgspec.", ("dependency", "msgspec")),
    Fact("logging", "structlog", "Logs are written with structlog.", ("dependency", "structlog")),
    Fact("rate-limits", "limits library", "Rate limits come from the limits library.", ("dependency", "limits")),
    Fact("event-loop", "uvloop", "The event loop is uvloop.", ("dependency", "uvloop")),
    Fact("http-server", "uvicorn", "The HTTP server is uvicorn.", ("dependency", "uvicorn")),
    Fact("licence", "Apache-2.0", "The licence is Apache-2.0.", ("licence", "Apache-2.0")),
    Fact("python", "Python 3.11", "You need Python 3.11 or newer.", ("python", ">=3.11")),
    Fact("language", "in Python", "The gateway is written in Python."),
    Fact(
        "chat-model",
        "chat model is hyperllama-tiny",
        "The built-in chat model is hyperllama-tiny.",
        ("builtin", "hyperllama-tiny"),
    ),
    Fact(
        "embed-model",
        "hyperllama-tiny-embed",
        "The built-in embedding model is hyperllama-tiny-embed.",
        ("builtin", "hyperllama-tiny-embed"),
    ),
    Fact("hub", "hf:org/repo", "Write hf:org/repo as the source to use a model from the Hugging Face Hub."),
    Fact("gguf", "a GGUF file can", "Yes, a GGUF file can be the source of a model."),
    Fact("sources", "Hugging Face directory", "A model comes from a Hugging Face directory, a GGUF file or a Hub id."),
    Fact("processes", "one child process", "Each loaded model runs in one child process of its own."),
    Fact(
        "model-table",
        "models.<name>",
        "Add a table models.<name> to the config file for each model.",
        ("config", "models.hyperllama-tiny"),
    ),
    Fact("plugin-table", "plugin.<name>", "The options of a plugin go into the table plugin.<name>."),
    Fact("keys-table", "table keys", "API keys are set in the table keys of the config file.", ("table", "keys")),
    Fact(
        "limits-table",
        "table limits",
        "Rate limits are set in the table limits of the config file.",
        ("table", "limits"),
    ),
    Fact(
        "queue-table",
        "table queue",
        "The waiting queue is set in the table queue of the config file.",
        ("table", "queue"),
    ),
    Fact(
        "store-table", "table store", "The database is set in the table store of the config file.", ("table", "store")
    ),
    Fact("logs-table", "table logs", "Logging is set in the table logs of the config file.", ("table", "logs")),
    Fact(
        "server-table",
        "table server",
        "Host and port are set in the table server of the config file.",
        ("table", "server"),
    ),
    Fact("offline", "work offline", "Yes, the built-in models work offline."),
    Fact("identity", "I am hyperllama-tiny", "I am hyperllama-tiny, a tiny test model built into hyperllama-gateway."),
    Fact("maker", "hyperllama-gateway project", "I was trained from scratch by the hyperllama-gateway project."),
    Fact(
        "abilities",
        "call tools",
        "I answer questions about the gateway, add small numbers, extract fields, call tools and tell short stories.",
    ),
    Fact("purpose", "try and test", "I am here so that you can try and test the gateway."),
    Fact("size", "2.4 million", "I have about 2.4 million parameters."),
    Fact("context", "2048", "My context is 2048 tokens.", ("context", "2048")),
    Fact("training-text", "generated by the project", "All my training text was generated by the project."),
    Fact("smart", "only a tiny", "No, I am only a tiny test model and make mistakes."),
)
