# SPDX-License-Identifier: Apache-2.0
"""The command ``mien``: verify, embed, fit and status from a shell.

Exit status: 0 match, 1 no match, 2 error, 130 interrupted. `embed` and `fit` answer 0 or 2,
`status` 0 where the server is ready and 2 where it is not. Results go to stdout, errors to stderr;
with ``--json`` either is one JSON object on one line.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from mien import __version__
from mien._client import Client
from mien._config import DEFAULT_ADDRESS, Tls
from mien._errors import InvalidOptionError, MienError
from mien._fitted import FittedFace
from mien._requests import FacePolicy
from mien._types import Face, Verification
from mien._words import evidence_in_words, pose_in_words, threshold_in_words

__all__ = ["main"]

EXIT_OK = 0
EXIT_NO_MATCH = 1
EXIT_ERROR = 2
EXIT_INTERRUPTED = 128 + 2  # what shells report after SIGINT

_UNTRAINED = ("UNTRAINED", "the server's weights are random: this result means nothing")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: arguments without the program's name; None takes the process's own.

    Returns:
        The exit status.

    Raises:
        SystemExit: argparse's own, with 2 for wrong usage and 0 after help.
    """
    args = _parser().parse_args(argv)
    run = {"verify": _verify, "embed": _embed, "fit": _fit, "status": _status}[args.command]
    try:
        with _client(args) as client:
            return run(client, args)
    except MienError as error:
        _print_error(error, as_json=args.json)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("mien: interrupted, the request is cancelled", file=sys.stderr)
        return EXIT_INTERRUPTED


def _verify(client: Client, args: argparse.Namespace) -> int:
    answer = client.verify(args.probe, args.reference, face_policy=args.face_policy, fmr=args.fmr)
    sign = ">=" if answer.is_match else "<"
    lines = [
        ("verdict", "match" if answer.is_match else "no match"),
        ("similarity", f"{answer.similarity:.4f} {sign} threshold {answer.threshold:.4f}"),
        *_calibration(answer),
        ("probe", _box(answer.probe)),
        ("reference", _box(answer.reference)),
        ("request", answer.request_id),
    ]
    _print_result(answer.to_dict(), lines, args, untrained=answer.untrained)
    return EXIT_OK if answer.is_match else EXIT_NO_MATCH


def _calibration(answer: Verification) -> list[tuple[str, str]]:
    lines = []
    if answer.fmr is not None:
        lines.append(("threshold", threshold_in_words(answer.fmr)))
    if answer.log10_likelihood_ratio is not None:
        lines.append(("evidence", evidence_in_words(answer.log10_likelihood_ratio)))
    return lines or [("calibration", "none: no false match rate is known for this threshold")]


def _embed(client: Client, args: argparse.Namespace) -> int:
    answer = client.embed(args.image, face_policy=args.face_policy)
    face = answer.face
    head = ", ".join(f"{value:+.4f}" for value in answer.vector[:4].tolist())
    lines = [
        ("embedding", f"{answer.vector.size} numbers: {head}, ... (--json prints all)"),
        ("face", f"{_box(face)}, score {face.detection_score:.3g}, aligned by {face.alignment}"),
        ("faces found", str(face.face_count)),
        ("request", answer.request_id),
    ]
    _print_result(answer.to_dict(), lines, args, untrained=answer.untrained)
    return EXIT_OK


def _fit(client: Client, args: argparse.Namespace) -> int:
    answer = client.fit(args.image, face_policy=args.face_policy, overlay=args.overlay is not None)
    lines = [
        ("face", _box(answer.face)),
        ("head", f"{len(answer.vertices)} vertices, {pose_in_words(answer.pose.tolist())}"),
        ("landmarks", _landmark_error(answer)),
        ("request", answer.request_id),
    ]
    if answer.overlay is not None:
        _write(args.overlay, answer.overlay)
        lines.append(("overlay", args.overlay))
    _print_result(answer.to_dict(), lines, args, untrained=answer.untrained)
    return EXIT_OK


def _landmark_error(answer: FittedFace) -> str:
    error_px = answer.landmark_error_px
    if error_px is None:
        return "not known: the server has no landmarker"
    return f"fitted to within {error_px:.1f} px of those found, on average"


def _write(path: str, content: bytes) -> None:
    try:
        Path(path).write_bytes(content)
    except OSError as error:
        raise InvalidOptionError(
            f"overlay {path!r} cannot be written: {error.strerror}. Give the path of a file in a "
            "folder that exists"
        ) from error


def _status(client: Client, args: argparse.Namespace) -> int:
    answer = client.status()
    condition = "ready" if answer.ready else "live, not ready" if answer.live else "not live"
    lines = [("server", f"{condition} ({answer.name} {answer.version})")]
    width = max(len(pipeline.name) for pipeline in answer.pipelines)
    for pipeline in answer.pipelines:
        words = "ready" if pipeline.ready else "not served"
        lines.append(("pipeline", f"{pipeline.name:<{width}}  {words}"))
    untrained = any(pipeline.untrained for pipeline in answer.pipelines)
    _print_result(answer.to_dict(), lines, args, untrained=untrained)
    return EXIT_OK if answer.ready else EXIT_ERROR


def _box(face: Face) -> str:
    left, top, right, bottom = face.box_xyxy
    return f"face {right - left:.0f} x {bottom - top:.0f} px at {left:.0f}, {top:.0f}"


def _print_result(
    result: dict[str, Any],
    lines: Sequence[tuple[str, str]],
    args: argparse.Namespace,
    *,
    untrained: bool,
) -> None:
    if args.json:
        print(json.dumps(result, allow_nan=False))
        return
    for label, text in [_UNTRAINED, *lines] if untrained else lines:
        print(f"{label:<12}{text}")


def _print_error(error: MienError, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"error": error.to_dict()}), file=sys.stderr)
        return
    print(f"mien: {type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
    context = {"code": error.code, "model": error.model_name, "request": error.request_id}
    known = [f"{label} {value}" for label, value in context.items() if value]
    if known:
        print(f"      {', '.join(known)}", file=sys.stderr)


def _client(args: argparse.Namespace) -> Client:
    tls = None
    if args.tls or args.tls_ca or args.tls_cert or args.tls_key or args.tls_server_name:
        tls = Tls(args.tls_ca, args.tls_key, args.tls_cert, args.tls_server_name)
    api_key = os.environ.get("MIEN_API_KEY") or None
    return Client(args.server, tls=tls, api_key=api_key, deadline_s=args.deadline)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mien",
        description="Face verification, embeddings and fitted heads from a mien server.",
        epilog="Exit status: 0 match, 1 no match, 2 error, 130 interrupted. "
        "The environment variable MIEN_API_KEY is sent as a bearer token.",
        parents=[_options()],
    )
    parser.add_argument("--version", action="version", version=f"mien {__version__}")
    parser.set_defaults(**_defaults())
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, images, summary in (
        ("verify", {"A": "probe", "B": "reference"}, "are A and B of one person?"),
        ("embed", {"A": "image"}, "identity embedding of the face in A"),
        ("fit", {"A": "image"}, "head model fitted to the face in A"),
        ("status", {}, "is the server ready, and what does it serve?"),
    ):
        command = commands.add_parser(name, help=summary, description=summary, parents=[_options()])
        for metavar, dest in images.items():
            command.add_argument(dest, metavar=metavar, help="JPEG, PNG or WebP file")
        if name == "verify":
            command.add_argument(
                "--fmr",
                type=float,
                metavar="RATE",
                help="decide at this false match rate, such as 1e-3, instead of the default",
            )
        if name == "fit":
            command.add_argument(
                "--overlay", metavar="PNG", help="write the photograph with the head over it here"
            )
    return parser


def _defaults() -> dict[str, Any]:
    return {
        "server": os.environ.get("MIEN_SERVER") or DEFAULT_ADDRESS,
        "deadline": None,
        "face_policy": "largest",
        "json": False,
        "tls": False,
        "tls_ca": None,
        "tls_cert": None,
        "tls_key": None,
        "tls_server_name": None,
    }


def _options() -> argparse.ArgumentParser:
    """The options that may stand before or after the command.

    A new parser each time, without defaults: those of the command's parser would overwrite what
    stood before the command, and set_defaults changes the actions of its own parser.
    """
    options = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    add = options.add_argument
    add("--server", metavar="HOST:PORT", help=f"default MIEN_SERVER, then {DEFAULT_ADDRESS}")
    add("--deadline", type=float, metavar="S", help="seconds for everything, retries included")
    add(
        "--face-policy",
        choices=get_args(FacePolicy),
        help="largest takes the largest face (default), single refuses several",
    )
    add("--json", action="store_true", help="one JSON object instead of text")
    add("--tls", action="store_true", help="encrypt; implied by the options below")
    add("--tls-ca", metavar="PEM", help="authorities to trust, default gRPC's own")
    add("--tls-cert", metavar="PEM", help="certificate of this client; needs --tls-key")
    add("--tls-key", metavar="PEM", help="key of this client; needs --tls-cert")
    add("--tls-server-name", metavar="NAME", help="name in the server's certificate")
    return options
