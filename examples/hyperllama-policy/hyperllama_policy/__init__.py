"""The rules of one organisation: who may enter, how long prompts and answers are, and what an answer shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager

from hyperllama import hookimpl
from hyperllama.config import Config
from hyperllama.spi import AuthProvider, Gate, Gateway, Stage, TransformFactory
from hyperllama_policy.rules import AnswerLength, PassPhrase, PromptLength, digits_masked, models_reported
from hyperllama_policy.settings import Settings


@hookimpl
def hyperllama_auth_providers(config: Config) -> Iterable[AuthProvider]:
    settings = config.section("policy", Settings)
    return (PassPhrase(settings.pass_phrase),) if settings.pass_phrase else ()


@hookimpl
def hyperllama_gates(config: Config) -> Iterable[Gate]:
    return (PromptLength(config.section("policy", Settings).max_prompt_tokens),)


@hookimpl
def hyperllama_stages(config: Config) -> Iterable[Stage]:
    return (AnswerLength(config.section("policy", Settings).max_answer_tokens),)


@hookimpl
def hyperllama_transforms(config: Config) -> Mapping[str, TransformFactory]:
    return {"mask-digits": digits_masked}


@hookimpl
def hyperllama_lifespan(gateway: Gateway) -> Iterable[AbstractAsyncContextManager[None]]:
    return (models_reported(gateway),)


__all__ = (
    "hyperllama_auth_providers",
    "hyperllama_gates",
    "hyperllama_lifespan",
    "hyperllama_stages",
    "hyperllama_transforms",
)
