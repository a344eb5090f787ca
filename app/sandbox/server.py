"""The sandbox as a web application and as a running server."""

import logging
import socket
from threading import Thread
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, jsonify
from werkzeug.exceptions import HTTPException
from werkzeug.serving import ThreadedWSGIServer

from app.errors import AppError
from app.sandbox import admin, api, pages
from app.sandbox.company import Company
from app.sandbox.config import SandboxConfig
from app.sandbox.transport import Handler, Transport

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

logger = logging.getLogger(__name__)
_LARGEST_REQUEST = 1 << 20
#: How often the server looks whether it shall stop.
_GLANCE_SECONDS = 0.05


def create_app(config: SandboxConfig) -> Flask:
    """The application. Its company is `app.extensions["sandbox"]`; start() makes things happen by themselves."""
    company = Company(config)
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = _LARGEST_REQUEST
    app.extensions["sandbox"] = company
    for part in (api, admin, pages):
        app.register_blueprint(part.blueprint(company))
    app.get("/healthz")(lambda: jsonify(name=config.name, status="ok"))
    app.register_error_handler(AppError, _refused)
    app.register_error_handler(HTTPException, _not_served)
    app.register_error_handler(Exception, _broken)
    app.wsgi_app = Transport(app.wsgi_app, company.closing, config.hold_seconds)  # type: ignore[method-assign]  # Flask's own way
    return app


def _problem(status: int, code: str, message: str) -> tuple[Response, int]:
    return jsonify(error={"code": code, "message": message}), status


def _refused(error: AppError) -> tuple[Response, int]:
    return _problem(error.status, error.code, error.detail)


def _not_served(error: HTTPException) -> tuple[Response, int]:
    return _problem(error.code or 500, "not_found" if error.code == 404 else "invalid_request", error.name)


def _broken(error: Exception) -> tuple[Response, int]:
    logger.error("A request broke", exc_info=error)
    return _problem(500, "internal_error", "Something broke; look the operation up by its key")


class _Server(ThreadedWSGIServer):
    """Closes the connections callers keep open, as the end of the process would."""

    def __init__(self, host: str, port: int, app: "WSGIApplication") -> None:
        self._connections: set[socket.socket] = set()
        super().__init__(host, port, app, handler=Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the other side was faster


class RunningSandbox:
    """A sandbox that serves on `host:port` (port 0: any free one) from construction to close()."""

    def __init__(self, config: SandboxConfig, host: str = "127.0.0.1", port: int = 0) -> None:
        app = create_app(config)
        self.company: Company = app.extensions["sandbox"]
        self._server = _Server(host, port, app)
        self.base_url = f"http://{host}:{self._server.port}"
        self._thread = Thread(
            target=self._server.serve_forever, args=(_GLANCE_SECONDS,), name=f"{config.name} server", daemon=True
        )
        self.company.start()
        self._thread.start()

    def close(self) -> None:
        self.company.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.company.close()
