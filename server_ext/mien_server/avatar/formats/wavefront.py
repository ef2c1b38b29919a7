# SPDX-License-Identifier: Apache-2.0
"""Avatars as a zip of Wavefront OBJ, MTL and images, as DECA writes them (`util.write_obj`).

DECA calls its map of normals a displacement (`disp`), by which a viewer would tear the head apart;
here it is `norm`, and `map_Bump` for those that read only that. Images keep their own encoding. A
format without sliders and joints: the head as the model's vertices have it.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_server.avatar.appearance import EncodedImage, Material
from mien_server.avatar.arrays import checked_name
from mien_server.avatar.formats.hair_material import hair_material
from mien_server.avatar.hair_geometry import CardHair, Hair, StrandHair
from mien_server.avatar.model import AvatarModel

__all__ = ["MAX_ZIP_BYTES", "to_obj_zip"]

# Of all files together, unpacked: what a careful reader still opens.
MAX_ZIP_BYTES = 256 * 1024 * 1024
EARLIEST = (1980, 1, 1, 0, 0, 0)
UNIX, PLAIN_FILE = 3, 0o100644
# Half the time of 6 for a fifth more bytes.
LEVEL = 3
# Windows keeps these names for devices, whatever follows the dot.
DEVICES = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{i}" for port in ("com", "lpt") for i in range(10)),
}


def to_obj_zip(model: AvatarModel, name: str) -> bytes:
    """Write an avatar as a zip with `name.obj`, `name.mtl` and an image for each texture.

    All files lie at the top of the archive, named after `name`, without folders, links or dates.

    Args:
        model: the avatar.
        name: 1 to 64 letters, digits, - and _.

    Raises:
        ValueError: a name that is not safe, or an archive of more than 256 MiB.
    """
    if checked_name(name, "an archive").lower() in DEVICES:
        raise ValueError(f"an archive is called {name!r}, which Windows keeps for a device")
    materials = [material for material, _ in model.surfaces()]
    if model.hair is not None:
        materials.append(hair_material(model.hair, mean_colour=True))
    images: dict[str, EncodedImage] = {}
    library = _library(materials, images, name)
    files = {f"{name}.obj": _geometry(model, name), f"{name}.mtl": library.encode("ascii")}
    return _zipped(files | {path: image.data for path, image in images.items()})


def _geometry(model: AvatarModel, name: str) -> bytes:
    topology = model.topology
    pieces = [
        "# metres, y up, the face towards +z\n",
        f"mtllib {name}.mtl\no head\n",
        _rows("v %.6f %.6f %.6f\n", model.vertices),
        _rows("vt %.6f %.6f\n", topology.uv),
        "s 1\n",
    ]
    for material, triangles in model.surfaces():
        corners = np.stack([topology.faces[triangles], topology.uv_faces[triangles]], axis=-1)
        pieces += [
            f"usemtl {material.name}\n",
            _rows("f %d/%d %d/%d %d/%d\n", corners.reshape(-1, 6) + 1),
        ]
    if model.hair is not None:
        pieces += ["o hair\n", *_hair(model.hair, len(model.vertices), len(topology.uv))]
    return "".join(pieces).encode("ascii")


def _hair(hair: Hair, vertices: int, coordinates: int) -> Iterable[str]:
    """Its lines, numbered on from the head's `vertices` and texture `coordinates`."""
    points = hair.points if isinstance(hair, StrandHair) else hair.vertices
    yield _rows("v %.6f %.6f %.6f\n", points.reshape(-1, 3))
    if isinstance(hair, CardHair):
        yield _rows("vt %.6f %.6f\n", hair.uv)
    yield "s 1\nusemtl hair\n"
    if isinstance(hair, StrandHair):
        strands, length, _ = hair.points.shape
        rows = np.arange(strands * length).reshape(strands, length) + vertices + 1
        yield _rows("l" + " %d" * length + "\n", rows)
    elif isinstance(hair, CardHair):
        corners = np.stack([hair.faces + vertices, hair.faces + coordinates], axis=-1) + 1
        yield _rows("f %d/%d %d/%d %d/%d\n", corners.reshape(-1, 6))
    else:
        yield _rows("f %d %d %d\n", hair.faces + vertices + 1)


def _rows(pattern: str, rows: NDArray[Any]) -> str:
    """The pattern filled with each row; one call of Python's formatting for all of them."""
    return (pattern * len(rows)) % tuple(rows.ravel().tolist())


def _library(materials: list[Material], images: dict[str, EncodedImage], name: str) -> str:
    """The text of the MTL; `images` gets the files it names."""
    lines = []
    for material in materials:
        red, green, blue = material.colour
        lines += [
            f"newmtl {material.name}",
            f"Kd {red:.6f} {green:.6f} {blue:.6f}",
            "Ka 0 0 0",
            "Ks 0 0 0",
            "d 1",
            "illum 1",
            f"Pr {material.roughness:.3f}",
            "Pm 0",
        ]
        if material.texture is not None:
            path = _path(images, material.texture, f"{name}_{material.name}")
            lines.append(f"map_Kd {path}")
            if material.alpha_mode != "OPAQUE":
                lines.append(f"map_d {path}")
        if material.normal_map is not None:
            path = _path(images, material.normal_map, f"{name}_{material.name}_normals")
            lines += [f"norm {path}", f"map_Bump {path}"]
        lines.append("")
    return "\n".join(lines)


def _path(images: dict[str, EncodedImage], image: EncodedImage, stem: str) -> str:
    """Where the image is kept; one that several materials share is kept once."""
    for path, kept in images.items():
        if kept.data == image.data:
            return path
    path = f"{stem}.{image.extension}"
    images[path] = image
    return path


def _zipped(files: dict[str, bytes]) -> bytes:
    total = sum(len(data) for data in files.values())
    if total > MAX_ZIP_BYTES:
        raise ValueError(
            f"the files of the archive have {total} bytes; at most {MAX_ZIP_BYTES} are allowed, "
            "use a smaller texture or fewer strands"
        )
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        for path, data in files.items():
            entry = zipfile.ZipInfo(path, EARLIEST)
            entry.create_system = UNIX
            entry.external_attr = PLAIN_FILE << 16
            # Images are compressed already.
            is_text = path.endswith((".obj", ".mtl"))
            entry.compress_type = zipfile.ZIP_DEFLATED if is_text else zipfile.ZIP_STORED
            writer.writestr(entry, data, compresslevel=LEVEL)
    return archive.getvalue()
