# SPDX-License-Identifier: Apache-2.0
"""What a person sees when the server is ready."""

from __future__ import annotations

import os

from rich.console import Console
from rich.table import Table

from mien_server import __version__
from mien_server.serve.server import Server

__all__ = ["print_banner"]

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def print_banner(server: Server, console: Console) -> None:
    """Endpoints, models, and what must not be overlooked."""
    host = server.options.host
    console.print(
        f"[bold]mien {__version__}[/bold] on Triton {server.version} "
        f"({server.installation.kind}), ready after {server.start_s:.1f} s, pid {os.getpid()}"
    )
    console.print(f"  gRPC     {server.grpc_address}", highlight=False)
    console.print(f"  metrics  http://{host}:{server.metrics_port}/metrics", highlight=False)
    if server.http_port is not None:
        console.print(f"  HTTP     http://{host}:{server.http_port}", highlight=False)
    console.print(_models(server))
    if any(model.untrained for model in server.models):
        console.print(
            "[bold red]UNTRAINED[/bold red]: random weights; every score of these models is "
            "meaningless. Build with --checkpoint to serve trained ones."
        )
    if host not in LOOPBACK:
        console.print(
            f"[bold yellow]{host} can be reached by others[/bold yellow]: this endpoint has no "
            "authentication. Put a gateway in front of it, or bind 127.0.0.1."
        )
    console.print("Ctrl-C stops it.")


def _models(server: Server) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    for heading in ("  model", "kind", "weights", ""):
        table.add_column(heading, header_style="dim")
    for model in sorted(server.models, key=lambda m: (not m.public, m.name)):
        variant = server.options.variant
        precision = variant if variant in model.precisions else next(iter(model.precisions), "")
        table.add_row(
            f"  [bold]{model.name}[/bold]" if model.public else f"  {model.name}",
            "public pipeline" if model.public else model.kind,
            ", ".join(filter(None, (model.weights, precision))),
            "[bold red]UNTRAINED[/bold red]" if model.untrained else "",
        )
    return table
