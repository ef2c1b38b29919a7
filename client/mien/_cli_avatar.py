# SPDX-License-Identifier: Apache-2.0
"""The commands ``mien avatar`` and ``mien hairstyles``: their options, and what they print."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from mien._avatar import Avatar
from mien._avatar_content import AvatarProgress
from mien._avatar_order import AvatarCompression, Expression, HairForm, Level
from mien._avatar_requests import TEXTURE_SIZES
from mien._cli_output import print_progress, print_result, shows_progress
from mien._client import Client
from mien._emotions import EMOTIONS
from mien._hairstyles import Hairstyle
from mien._requests import ShapeSource
from mien._whole_files import format_of, write_file

__all__ = ["add_avatar_options", "add_hairstyles_options", "run_avatar", "run_hairstyles"]

_EXIT_OK = 0
_SAME_OPTIONS = (
    *EMOTIONS, "expression", "hairstyle", "hair_color", "hair_form", "level", "texture_size",
    "detail", "shape_source", "compression", "face_policy",
)  # fmt: skip


def add_avatar_options(command: argparse.ArgumentParser) -> None:
    """Add what only ``mien avatar`` knows; what is left out has the server's default."""
    add = command.add_argument
    add("photos", nargs="+", metavar="PHOTO", help="1 to 8 of one person: JPEG, PNG or WebP files")
    add(
        "--out",
        metavar="FILE",
        required=True,
        help="write it here: .glb, .zip of OBJ, MTL and PNG, or .ply of the hair's strands",
    )
    add("--turntable", metavar="PNG", help="write a picture from several sides here")
    for name in EMOTIONS:
        add(f"--{name}", type=float, metavar="X", help="worn by the face, 0 to 1")
    add("--expression", choices=get_args(Expression), help="default detected, or the emotions")
    add("--hairstyle", metavar="NAME", help="of `mien hairstyles list`, own, or none (default)")
    add("--hair-color", metavar="RRGGBB", help="six digits; default the photograph's")
    add("--hair-form", choices=get_args(HairForm), help="default cards")
    add("--level", choices=get_args(Level), help="of detail of the hair, default medium")
    add("--texture-size", type=int, choices=TEXTURE_SIZES, help="pixels, default 512")
    add(
        "--detail",
        action=argparse.BooleanOptionalAction,
        help="a normal map of wrinkles; default where the server can",
    )
    add("--shape-source", choices=get_args(ShapeSource), help="default the best there is")
    add("--compression", choices=get_args(AvatarCompression), help="of .glb, default none")


def add_hairstyles_options(
    command: argparse.ArgumentParser, options: Callable[[], argparse.ArgumentParser]
) -> None:
    """Add what ``mien hairstyles`` can do.

    Args:
        command: its parser.
        options: makes the parser of the options of all commands.
    """
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, summary: str) -> argparse.ArgumentParser:
        return actions.add_parser(name, help=summary, description=summary, parents=[options()])

    action("list", "all of them")
    preview = action("preview", "write a picture of one")
    preview.add_argument("name", metavar="NAME")
    preview.add_argument("--out", metavar="PNG", required=True, help="write it here")
    added = action("add", "add one from a strand file, where the server's operator allows it")
    added.add_argument("file", metavar="FILE", help=".convdata or .data")
    added.add_argument("--name", help="that it will have, default the file's")
    added.add_argument("--title", help="for people, default the name")
    added.add_argument("--licence", required=True, help="under which it may be used")
    added.add_argument("--author", required=True, help="who made it")
    action("remove", "remove one that was added").add_argument("name", metavar="NAME")


def run_avatar(client: Client, args: argparse.Namespace) -> int:
    """Make an avatar and write it.

    Returns:
        The exit status.

    Raises:
        MienError: there is none, or it cannot be written.
    """
    options: dict[str, Any] = {name: getattr(args, name) for name in _SAME_OPTIONS}

    def show(progress: AvatarProgress) -> None:
        words = f"{progress.stages_done} of {progress.stages} stages, {progress.stage} done"
        print_progress(words, args)

    try:
        avatar = client.avatar(
            args.photos,
            format=format_of(args.out),
            turntable=args.turntable is not None,
            on_progress=show if shows_progress(args) else None,
            **options,
        )
    finally:
        print_progress("", args)
    avatar.save(args.out)
    result = {**avatar.to_dict(), "path": args.out, "turntable_path": args.turntable}
    lines = [
        ("avatar", f"{args.out}, {len(avatar.file):,} bytes"),
        ("likeness", _likeness(avatar)),
        ("request", avatar.request_id),
    ]
    if args.turntable is not None:
        write_file(args.turntable, avatar.preview(), "turntable")
        lines.insert(1, ("turntable", args.turntable))
    print_result(result, lines, args, untrained=avatar.untrained)
    return _EXIT_OK


def _likeness(avatar: Avatar) -> str:
    quality = avatar.quality
    return (
        f"similarity {quality.similarity:.4f}, DIFD {quality.difd:.4f}, PSNR {quality.psnr:.1f} dB,"
        f" SSIM {quality.ssim:.3f}"
    )


def run_hairstyles(client: Client, args: argparse.Namespace) -> int:
    """List, show, add or remove hairstyles.

    Returns:
        The exit status.

    Raises:
        MienError: it is not done.
    """
    if args.action == "list":
        styles = client.hairstyles()
        result: dict[str, Any] = {"hairstyles": [style.to_dict() for style in styles]}
        lines = [("hairstyle", _described(style)) for style in styles]
    elif args.action == "preview":
        write_file(args.out, client.hairstyle_preview(args.name), "preview")
        result, lines = {"name": args.name, "path": args.out}, [("preview", args.out)]
    elif args.action == "add":
        name = args.name or Path(args.file).stem
        style = client.add_hairstyle(
            args.file,
            name=name,
            title=args.title or name,
            licence=args.licence,
            author=args.author,
        )
        result, lines = style.to_dict(), [("added", _described(style))]
    else:
        client.remove_hairstyle(args.name)
        result, lines = {"removed": args.name}, [("removed", args.name)]
    print_result(result, lines, args, untrained=False)
    return _EXIT_OK


def _described(style: Hairstyle) -> str:
    return (
        f"{style.name:<18}{style.title}, {style.strands:,} strands of {style.length_cm:.0f} cm, "
        f"{style.licence}, {style.author}" + (", one's own" if style.is_own else "")
    )
