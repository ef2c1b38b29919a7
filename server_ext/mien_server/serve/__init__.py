# SPDX-License-Identifier: Apache-2.0
"""`mien-serve`: start Triton on a built repository, tell what it serves, stop it cleanly."""

from mien_server.serve.errors import ServeError
from mien_server.serve.server import Server, ServerOptions

__all__ = ["ServeError", "Server", "ServerOptions"]
