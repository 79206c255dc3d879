"""The store's models in the catalog of a real application."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import msgspec
import pytest

from hyperllama.app.application import Application, create_app
from hyperllama.config import Config, Store
from hyperllama.errors import ModelNotFound
from hyperllama.generation import GenerationRequest
from hyperllama.identity import LOCAL, Caller
from hyperllama.messages import Chat, Message, Text
from hyperllama.models import ModelSpec
from hyperllama.modelstore.manifests import Layer, Manifest
from hyperllama.modelstore.names import stored_name
from hyperllama.spi import Recipe, RecipeMessage
from hyperllama.stream import collect

CALLER = Caller(protocol="test", principal=LOCAL, request_id="r")
SIM = ModelSpec(name="sim", engine="sim", system="base")


def application(folder: Path, **models: ModelSpec) -> Application:
    return create_app(Config(store=Store(path=str(folder)), models={"sim": SIM, **models}))


def names(app: Application) -> set[str]:
    return {info.name for info in app.gateway.models(LOCAL)} - {"hyperllama-tiny", "hyperllama-tiny-embed"}


async def test_a_copy_is_offered_at_once_and_after_a_restart(tmp_path: Path) -> None:
    app = application(tmp_path)
    await app.models.store.copy("sim", "org/copy:v1", CALLER)
    assert names(app) == {"sim", "org/copy:v1"}
    again = application(tmp_path)
    (stored,) = again.models.store.manifests.all()
    info = again.gateway.model("ORG/Copy:v1", LOCAL)
    assert (info.digest, info.modified, info.system) == (
        again.gateway.model("sim", LOCAL).digest,  # as Ollama shows it: what a copy is a copy of has the same
        stored.modified,
        "base",
    )
    await again.models.store.delete("org/copy:v1", CALLER)
    assert names(again) == {"sim"}


async def test_what_the_manifest_says_stays_when_the_model_is_loaded(tmp_path: Path) -> None:
    app = application(tmp_path)
    await app.models.store.copy("sim", "copy", CALLER)
    before = app.gateway.model("copy", LOCAL)
    await app.gateway.load("copy", CALLER)
    assert app.gateway.model("copy", LOCAL).digest == before.digest
    await app.models.store.delete("copy", CALLER)
    with pytest.raises(ModelNotFound):
        await app.gateway.load("copy", CALLER)
    await app.catalog.close()


async def test_the_configuration_hides_a_stored_model_of_its_name(tmp_path: Path) -> None:
    await application(tmp_path).models.store.copy("sim", "copy", CALLER)
    app = application(tmp_path, copy=msgspec.structs.replace(SIM, name="copy", system="configured"))
    assert app.gateway.model("copy", LOCAL).system == "configured"


def test_a_stored_model_that_cannot_be_offered_does_not_stop_the_start(tmp_path: Path) -> None:
    app = application(tmp_path)
    app.models.store.manifests.write(stored_name("gone"), Manifest(spec=ModelSpec(engine="gone")))
    app.models.store.manifests.write(stored_name("bad"), Manifest(spec=SIM))
    path = tmp_path / "models" / "manifests" / "registry.ollama.ai" / "library" / "bad" / "latest.json"
    path.write_bytes(b"{not json")
    assert names(application(tmp_path)) == {"sim"}


def test_nothing_is_made_or_hashed_by_starting(tmp_path: Path) -> None:
    application(tmp_path)
    assert not (tmp_path / "models").exists()
    store = application(tmp_path).models.store
    layer = Layer("m.gguf", f"sha256:{'0' * 64}", 4)
    (tmp_path / "models" / "blobs").mkdir(parents=True)
    (tmp_path / "models" / "blobs" / f"sha256-{'0' * 64}").write_bytes(b"GGUF")  # not its digest: nobody looks
    store.manifests.write(stored_name("m"), Manifest(spec=SIM, layers=(layer,)))
    assert names(application(tmp_path)) == {"sim", "m"}


async def test_a_running_gateway_sees_what_another_process_changes(tmp_path: Path) -> None:
    running, other = application(tmp_path), application(tmp_path)
    assert names(running) == {"sim"}
    await other.models.store.copy("sim", "copy:v1", CALLER)
    assert running.gateway.model("Copy:V1", LOCAL).system == "base"
    assert names(running) == {"sim", "copy:v1"}
    await running.gateway.load("copy:v1", CALLER)
    await other.models.store.copy("sim", "second", CALLER)
    assert [model.info.name for model in running.gateway.running(LOCAL)] == ["copy:v1"]  # its stay is not disturbed
    assert names(running) == {"sim", "copy:v1", "second"}
    await other.models.store.delete("copy:v1", CALLER)
    with pytest.raises(ModelNotFound):
        running.gateway.model("copy:v1", LOCAL)
    await running.models.store.delete("second", CALLER)
    assert names(running) == names(other) == {"sim"}
    await running.catalog.close()


async def test_a_look_at_an_unchanged_store_reads_no_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = application(tmp_path)
    await app.models.store.copy("sim", "copy", CALLER)
    assert names(app) == {"sim", "copy"}

    def read() -> NoReturn:
        raise AssertionError("it was read")

    monkeypatch.setattr(app.models.store.manifests, "all", read)
    assert names(app) == {"sim", "copy"}
    assert app.gateway.model("copy", LOCAL).name == "copy"


async def test_a_store_that_cannot_be_read_leaves_what_is_offered(tmp_path: Path) -> None:
    app = application(tmp_path)
    await app.models.store.copy("sim", "copy", CALLER)
    folder = tmp_path / "models" / "manifests"
    folder.rename(folder.with_name("elsewhere"))
    folder.write_text("no folder")
    app.models.store.directory.mark()
    assert names(app) == {"sim", "copy"}


async def test_the_opening_messages_of_a_model_go_before_every_conversation_with_it(tmp_path: Path) -> None:
    """Whatever the dialect: the gateway puts them there, below the protocols."""
    app = application(tmp_path)
    turns = (RecipeMessage("user", "ping"), RecipeMessage("assistant", "pong"))
    recipe = Recipe(base="sim", messages=turns)
    async for _ in app.models.store.create(recipe, "polite", CALLER):
        pass
    said = Message(role="user", parts=(Text("again"),))
    opened = (Message(role="user", parts=(Text("ping"),)), Message(role="assistant", parts=(Text("pong"),)))
    whole = await app.gateway.tokenize("polite", Chat((*opened, said), opened=True), CALLER)
    assert await app.gateway.tokenize("polite", Chat((said,)), CALLER) == whole
    assert await app.gateway.tokenize("sim", Chat((said,)), CALLER) != whole
    assert await app.gateway.tokenize("polite", Chat((said,), opened=True), CALLER) != whole
    answer = await collect(await app.gateway.generate(GenerationRequest(model="polite", input=Chat((said,))), CALLER))
    assert answer.usage.prompt_tokens == len(whole)
    await app.catalog.close()
