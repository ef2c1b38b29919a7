# SPDX-License-Identifier: Apache-2.0
"""The command ``mien``: faces and avatars from a shell.

Exit status: 0 match, 1 no match, 2 error, 130 interrupted, 143 told to end by SIGTERM, which only
`synthesize` handles. Only `verify` answers 1; `status` answers 0 where the server is ready and 2
where it is not. Results go to stdout, errors to stderr, and so does progress; with ``--json``
either is one JSON object on one line.
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
from mien._cli_avatar import add_avatar_options, add_hairstyles_options, run_avatar, run_hairstyles
from mien._cli_output import print_lines, print_progress, print_result, shows_progress
from mien._cli_synthesize import add_synthesize_options, run_synthesize
from mien._client import Client
from mien._config import DEFAULT_ADDRESS, Tls
from mien._errors import InvalidOptionError, MienError
from mien._fitted import FittedFace
from mien._generated import FacePreview, GeneratedFace, GenerationProgress, GenerationStarted
from mien._generation_requests import BlendingOrder, Solver, StylePart
from mien._requests import FacePolicy, ShapeSource
from mien._types import Face, Verification
from mien._words import evidence_in_words, pose_in_words, threshold_in_words

__all__ = ["main"]

EXIT_OK = 0
EXIT_NO_MATCH = 1
EXIT_ERROR = 2
EXIT_INTERRUPTED = 128 + 2  # what shells report after SIGINT


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
    commands = {
        "verify": _verify,
        "embed": _embed,
        "fit": _fit,
        "generate": _generate,
        "status": _status,
        "avatar": run_avatar,
        "hairstyles": run_hairstyles,
    }
    try:
        if args.command == "synthesize":
            return run_synthesize(args, tls=_tls(args), api_key=_api_key())
        with _client(args) as client:
            return commands[args.command](client, args)
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
    print_result(answer.to_dict(), lines, args, untrained=answer.untrained)
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
    print_result(answer.to_dict(), lines, args, untrained=answer.untrained)
    return EXIT_OK


def _fit(client: Client, args: argparse.Namespace) -> int:
    answer = client.fit(
        args.image,
        face_policy=args.face_policy,
        shape_source=args.shape_source,
        overlay=args.overlay is not None,
    )
    lines = [
        ("face", _box(answer.face)),
        ("head", f"{len(answer.vertices)} vertices, {pose_in_words(answer.pose.tolist())}"),
        ("landmarks", _landmark_error(answer)),
        ("request", answer.request_id),
    ]
    if answer.overlay is not None:
        _write(Path(args.overlay), answer.overlay, "overlay")
        lines.append(("overlay", args.overlay))
    print_result(answer.to_dict(), lines, args, untrained=answer.untrained)
    return EXIT_OK


def _landmark_error(answer: FittedFace) -> str:
    error_px = answer.landmark_error_px
    if error_px is None:
        return "not known: the server has no landmarker"
    return f"fitted to within {error_px:.1f} px of those found, on average"


def _generate(client: Client, args: argparse.Namespace) -> int:
    folder = _made_folder(args.to)
    result: dict[str, Any] = {"faces": [], "previews": []}
    with client.generate(args.identity, **_generate_options(args)) as events:
        for event in events:
            if isinstance(event, GenerationProgress):
                print_progress(f"{event.steps_done} of {event.num_steps} steps", args)
                continue
            print_progress("", args)
            if isinstance(event, GenerationStarted):
                result |= event.to_dict()
                lines = [("request", event.request_id)]
                print_lines(lines, args, untrained=event.untrained)
                continue
            path, line = _shown(folder, event)
            kind = "face" if isinstance(event, GeneratedFace) else "preview"
            _write(path, bytes(event.image), kind)
            result[f"{kind}s"].append({**event.to_dict(), "path": str(path)})
            print_lines([(kind, line)], args)
    if args.json:
        print(json.dumps(result, allow_nan=False))
    return EXIT_OK


def _generate_options(args: argparse.Namespace) -> dict[str, Any]:
    same = (
        "style", "style_parts", "face_policy", "count", "seed", "solver", "steps", "eta",
        "guidance_weight", "switch_at", "blending_order", "preview_every",
    )  # fmt: skip
    options = {name: getattr(args, name) for name in same}
    replace_shape = False if args.keep_shape else None
    return options | {"replace_shape": replace_shape, "progress": shows_progress(args)}


def _shown(folder: Path, event: GeneratedFace | FacePreview) -> tuple[Path, str]:
    """Where an image goes, and what is said of it."""
    if isinstance(event, GeneratedFace):
        path = folder / f"face-{event.seed}.png"
        return path, f"{path}, similarity {event.similarity:.4f}"
    path = folder / f"preview-{event.index}-{event.steps_done}.png"
    return path, f"{path}, after {event.steps_done} of {event.num_steps} steps"


def _made_folder(path: str) -> Path:
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidOptionError(
            f"folder {path!r} cannot be made: {error.strerror}. Give the path of a folder, or of a "
            "new one in a place that can be written to"
        ) from error
    return Path(path)


def _write(path: Path, content: bytes, what: str) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InvalidOptionError(
            f"{what} {str(path)!r} cannot be written: {error.strerror}. Give the path of a file in "
            "a folder that exists"
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
    print_result(answer.to_dict(), lines, args, untrained=untrained)
    return EXIT_OK if answer.ready else EXIT_ERROR


def _box(face: Face) -> str:
    left, top, right, bottom = face.box_xyxy
    return f"face {right - left:.0f} x {bottom - top:.0f} px at {left:.0f}, {top:.0f}"


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
    return Client(args.server, tls=_tls(args), api_key=_api_key(), deadline_s=args.deadline)


def _tls(args: argparse.Namespace) -> Tls | None:
    if args.tls or args.tls_ca or args.tls_cert or args.tls_key or args.tls_server_name:
        return Tls(args.tls_ca, args.tls_key, args.tls_cert, args.tls_server_name)
    return None


def _api_key() -> str | None:
    return os.environ.get("MIEN_API_KEY") or None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mien",
        description="Verified, embedded, fitted, generated faces and avatars from a mien server.",
        epilog="Exit status: 0 match, 1 no match, 2 error, 130 interrupted, 143 after SIGTERM. "
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
        ("avatar", {}, "textured head of the person in the photographs, with hair, as a file"),
        ("hairstyles", {}, "which hairstyles there are; show one, add one's own"),
        ("generate", {"A": "identity"}, "new faces of the person in A"),
        ("synthesize", {}, "a training set of people who do not exist, for face recognition"),
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
                "--shape-source",
                choices=get_args(ShapeSource),
                help="whose shape the head has; default the best that the server has",
            )
            command.add_argument(
                "--overlay", metavar="PNG", help="write the photograph with the head over it here"
            )
        if name == "generate":
            _add_generate_options(command)
        if name == "avatar":
            add_avatar_options(command)
        if name == "hairstyles":
            add_hairstyles_options(command, _options)
        if name == "synthesize":
            add_synthesize_options(command)
    return parser


def _add_generate_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--to", metavar="DIR", required=True, help="write face-SEED.png and previews here")
    add("--count", type=int, metavar="N", help="faces, default 1")
    add(
        "--seed",
        type=int,
        metavar="N",
        help="of the first face, the next has N + 1; default random",
    )
    add("--style", metavar="B", help="photograph of the style; default: one is sampled per face")
    add(
        "--style-parts",
        nargs="+",
        choices=get_args(StylePart),
        metavar="PART",
        help=f"taken from B, some of {', '.join(get_args(StylePart))}; default all",
    )
    add("--keep-shape", action="store_true", help="of a style, in place of the shape of A")
    add("--solver", choices=get_args(Solver), help="default dpm_solver_2m")
    add("--steps", type=int, metavar="N", help="of the solver, 1 to 1000; more take longer")
    add("--eta", type=float, metavar="X", help="noise that ddim draws on the way, 0 (default) to 1")
    add("--guidance-weight", type=float, metavar="W", help="0 to 20; 0 guides nothing")
    add(
        "--switch-at",
        type=int,
        metavar="T",
        help="style is dropped above, identity below; 0 to 1000",
    )
    add("--blending-order", choices=get_args(BlendingOrder), help="default style_first")
    add("--preview-every", type=int, metavar="N", help="write previews every so many steps")


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
    add(
        "--deadline",
        type=float,
        metavar="S",
        help="seconds for everything, retries included; of synthesize for each request",
    )
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
