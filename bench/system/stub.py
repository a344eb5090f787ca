"""`python -m bench.system.stub PORT`: a gateway over HTTP that approves everything, as lean as Python allows.

It speaks the sandbox's protocol for charges and captures, keeps nothing and is not the sandbox, whose books and faults
would cost more than what is measured. Baselines post to `/call`.
"""

import asyncio
import sys
from typing import Any

import orjson

EXPIRES_AT = "2099-01-01T00:00:00+00:00"


def answer(path: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
    if path == "/v1/charges":
        charge = {name: body[name] for name in ("reference", "amount", "currency", "payment_method")}
        return {
            **charge,
            "id": f"ch_{key}",
            "key": key,
            "status": "authorized",
            "authorized": body["amount"],
            "expires_at": EXPIRES_AT,
        }
    if path.endswith("/captures"):
        charge_id = path.split("/")[3]
        moved = {"amount": body["amount"], "currency": body["currency"], "charge": charge_id}
        return {**moved, "id": f"cap_{key}", "key": key, "status": "succeeded"}
    return {"ok": True, "reference": "gw_1", "raw": {"status": "succeeded", "code": "00"}}


class Connection(asyncio.Protocol):
    """One kept-alive connection; requests carry a Content-Length and come one after another."""

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            first, *lines = self._buffer[:end].decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            size = int(headers.get("content-length", 0))
            if len(self._buffer) < end + 4 + size:
                return
            content, self._buffer = self._buffer[end + 4 : end + 4 + size], self._buffer[end + 4 + size :]
            body = orjson.loads(content or b"{}")
            told = orjson.dumps(answer(first.split(" ")[1], headers.get("idempotency-key", ""), body))
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(told)}\r\n\r\n"
            self._transport.write(head.encode() + told)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
