"""Anthropic's Files API, which is refused in a sentence: documents and images are sent in the messages themselves."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import delete, get, post
from litestar.response.base import ASGIResponse
from litestar.types import ControllerRouterHandler

from hyperllama.errors import UnsupportedFeature
from hyperllama.web import Resource, route
from hyperllama_anthropic.errors import OWN


class FileRoutes(Resource):
    """Refusals of files, for clients that send ``anthropic-version``."""

    @property
    def handlers(self) -> Sequence[ControllerRouterHandler]:
        """The route handlers, to be mounted by the protocol."""
        opt = route(permission="infer")
        every, one = f"{OWN}/v1/files", f"{OWN}/v1/files/{{file_id:str}}"
        return (
            get([every, one, f"{one}/content"], opt=opt)(self.read),
            post(every, opt=opt)(self.upload),
            delete(one, status_code=200, opt=opt)(self.remove),
        )

    async def read(self) -> ASGIResponse:
        """Refuse to list, describe or read files."""
        raise _refusal()

    async def upload(self) -> ASGIResponse:
        """Refuse to store a file."""
        raise _refusal()

    async def remove(self) -> ASGIResponse:
        """Refuse to delete a file."""
        raise _refusal()


def _refusal() -> UnsupportedFeature:
    return UnsupportedFeature(
        "This server has no Files API for Anthropic's clients; send documents and images in the message, in blocks of "
        "type 'document' or 'image' with a source of type 'base64', 'text' or 'url'."
    )


__all__ = ("FileRoutes",)
