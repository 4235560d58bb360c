"""The client with which fsspec asks web servers. They may be anybody's: an answer must come in time, and end; and a server that
fails is told from one that has no such file."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aiohttp import ClientResponse, ClientSession, ClientTimeout, TCPConnector
from fsspec.implementations.http import HTTPFileSystem

from anew.core.stores.internal_hosts import names_internal, public_socket
from anew.core.stores.store_attempts import MAX_LAG_S, check_pace

if TYPE_CHECKING:
    from aiohttp.connector import Connection

NOT_THERE = (404, 410)  # HTTP status codes: not found, gone
HEAD_S = 60.0  # the head of an answer must be here by then: a slow store computes listings for seconds; chosen
# Most bytes of an answer that is read into memory (a list of files, or a few blocks of one): a server may send without end.
WHOLE_BYTES = 2**28


class BoundedResponse(ClientResponse):
    """An answer whose head comes in time, and which takes a bounded part of memory where it is read whole."""

    async def start(self, connection: Connection) -> ClientResponse:
        async with asyncio.timeout(HEAD_S):
            return await super().start(connection)

    async def read(self) -> bytes:
        """All of it; ValueError where that is more than WHOLE_BYTES, or comes too slowly."""
        if self._body is None:
            try:
                self._body = await self._received()
            except BaseException:  # a cancelled request too must leave no connection open
                self.close()
                raise
        return await super().read()

    async def _received(self) -> bytes:
        begin, body = time.monotonic(), bytearray()
        async for piece in self.content.iter_any():
            body += piece
            check_pace(len(body), begin)
            if len(body) > WHOLE_BYTES:
                raise ValueError(f"it sends more than {WHOLE_BYTES:,} bytes")
        return bytes(body)


class WebFiles(HTTPFileSystem):  # type: ignore[misc]
    """Files of web servers, with the error that occurred: fsspec raises FileNotFoundError for all, even if the server is down."""

    async def _info(self, url: str, **options: object) -> Mapping[str, object]:
        try:
            info: Mapping[str, object] = await super()._info(url, **options)
        except FileNotFoundError as error:
            fault = error.__cause__
            if fault is None or getattr(fault, "status", None) in NOT_THERE:
                raise
            raise fault from None
        return info


async def _client(is_public: bool, **options: object) -> ClientSession:
    """A client for fsspec; a public one connects to public addresses alone. Large files may take as long as they keep coming."""
    connector = TCPConnector(socket_factory=public_socket) if is_public else TCPConnector()
    timeout = ClientTimeout(total=None, sock_connect=HEAD_S, sock_read=MAX_LAG_S)
    settings = {"connector": connector, "timeout": timeout, "response_class": BoundedResponse} | options
    return ClientSession(**settings)  # type: ignore[arg-type]


def web_files(url: str) -> WebFiles:
    """The files of the server of a web address. An internal one may only be reached where the user named one."""
    return WebFiles(get_client=functools.partial(_client, not names_internal(url)))
