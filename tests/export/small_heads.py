# SPDX-License-Identifier: Apache-2.0
"""Heads small enough for tests, in FLAME's schema, and the files FLAME would come in."""

import pickle
import struct
import sys
import tempfile
import types
from pathlib import Path
from typing import ClassVar

import numpy as np
from scipy import sparse

from mien_export.head_files import LANDMARK_KEYS
from mien_export.head_model import HeadModel, read_head

ROOT = Path(__file__).parents[2]
MODEL_KEYS = (
    "v_template", "f", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table",
)  # fmt: skip
ACTIONS, EMOTIONS = 4, 2


def sphere(rings: int, segments: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A closed sphere of radius 1 with poles on y, and a UV layout with a seam."""
    latitude = np.linspace(-np.pi / 2, np.pi / 2, rings + 2)[1:-1]
    longitude = np.arange(segments) * 2 * np.pi / segments
    ring = [
        np.cos(latitude)[:, None] * np.sin(longitude),
        np.sin(latitude)[:, None] + 0 * longitude,
    ]
    ring.append(np.cos(latitude)[:, None] * np.cos(longitude))
    vertices = np.concatenate([np.stack(ring, -1).reshape(-1, 3), [[0, -1, 0], [0, 1, 0]]])
    south, north = rings * segments, rings * segments + 1
    triangles = []
    for r in range(rings - 1):
        for s in range(segments):
            a, b = r * segments + s, r * segments + (s + 1) % segments
            triangles += [[a, b, b + segments], [a, b + segments, a + segments]]
    last = (rings - 1) * segments
    for s in range(segments):
        triangles.append([south, (s + 1) % segments, s])
        triangles.append([last + s, last + (s + 1) % segments, north])
    f = np.array(triangles)
    # Every corner has a texture vertex of its own: more than there are vertices.
    vt = np.random.default_rng(0).uniform(0, 1, (len(f) * 3, 2))
    return vertices, f, vt, np.arange(len(f) * 3).reshape(-1, 3)


def head_arrays(seed: int = 0, rings: int = 8, segments: int = 12) -> dict[str, np.ndarray]:
    """A random head of the right structure, float64: a sphere of 10 cm with random bases."""
    rng = np.random.default_rng(seed)
    v, f, vt, ft = sphere(rings, segments)
    num = len(v)
    weights = rng.dirichlet(np.ones(5), num)
    weights[:20] = np.eye(5)[rng.integers(0, 5, 20)]  # some vertices follow one joint alone
    bary = rng.dirichlet(np.ones(3), (79, 17))
    full_faces = rng.integers(0, len(f), (1, 68))
    full_bary = rng.dirichlet(np.ones(3), (1, 68))
    return {
        "v_template": 0.1 * v + [0.0, 0.02, 0.01],
        "f": f.astype(np.uint32),
        "shapedirs": rng.normal(0, 1e-3, (num, 3, 400)),
        "posedirs": rng.normal(0, 1e-3, (num, 3, 36)),
        "J_regressor": rng.dirichlet(np.full(num, 0.05), 5),
        "weights": weights,
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.uint32),
        "static_lmk_faces_idx": full_faces[0, 17:].astype(np.uint32),
        "static_lmk_bary_coords": full_bary[0, 17:],
        "dynamic_lmk_faces_idx": rng.integers(0, len(f), (79, 17)),
        "dynamic_lmk_bary_coords": bary,
        "full_lmk_faces_idx": full_faces,
        "full_lmk_bary_coords": full_bary,
        "vt": vt,
        "ft": ft,
    }


def extra_arrays(num_vertices: int) -> dict[str, np.ndarray]:
    """What head.npz holds beyond FLAME."""
    rng = np.random.default_rng(1)
    return {
        "action_names": np.array(["jawOpen", "mouthSmileLeft", "eyeBlinkLeft", "browDownLeft"]),
        "expression_from_actions": rng.normal(size=(100, ACTIONS)),
        "pose_from_actions": rng.normal(size=(15, ACTIONS)),
        "emotion_names": np.array(["joy", "anger"]),
        "actions_from_emotions": rng.uniform(size=(ACTIONS, EMOTIONS)),
        "shape_std": np.linspace(2, 0.01, 300),
        "expression_std": np.linspace(1, 0.01, 100),
        "region_nose": np.arange(num_vertices) < 5,
        "origin": np.array("made by a test"),
        "licence": np.array("Apache-2.0"),
    }


def save_head(path: Path, arrays=None, **changes) -> Path:
    """Write a head.npz with some arrays changed, or left out where they are None."""
    arrays = {**(arrays or head_arrays()), **changes}
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return path


def save_albedo(path: Path, **changes) -> Path:
    """Write an albedo.npz of ours with some arrays changed, or left out where they are None."""
    rng = np.random.default_rng(0)
    arrays = {
        "mean": rng.uniform(0.2, 0.8, (256, 256, 3)).astype(np.float16),
        "tex_dir": rng.normal(0, 0.02, (256, 256, 3, 50)).astype(np.float16),
        "scale": 1.0,
        "channel_order": "rgb",
        **changes,
    }
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return path


def make_head(arrays=None) -> HeadModel:
    """The head of these arrays, through a file."""
    with tempfile.TemporaryDirectory() as folder:
        return read_head(save_head(Path(folder) / "head.npz", arrays))


class _Python2Pickler(pickle._Pickler):
    """Writes text and bytes as Python 2 wrote its one kind of string."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def _save_string(self, text):
        content = text.encode("latin1") if isinstance(text, str) else text
        if self.proto < 1:
            self.write(b"S" + repr(content)[1:].encode("ascii") + b"\n")
        else:
            self.write(b"T" + struct.pack("<i", len(content)) + content)
        self.memoize(text)

    dispatch[str] = dispatch[bytes] = _save_string


def fake_chumpy(monkeypatch):
    """Modules under chumpy's names, whose classes pickle by their ``__dict__`` as chumpy's do."""
    modules = {name: types.ModuleType(name) for name in ("chumpy", "chumpy.ch")}
    modules["chumpy.reordering"] = types.ModuleType("chumpy.reordering")
    for module, name in (("chumpy.ch", "Ch"), ("chumpy.reordering", "Select")):
        setattr(modules[module], name, type(name, (), {"__module__": module}))
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)

    def wrap(array):
        item = modules["chumpy.ch"].Ch()
        item.__dict__ |= {"x": array, "_dirty_vars": None, "_status": "new"}
        return item

    def select(array):
        """The same array, as a selection from a shuffled one."""
        order = np.random.default_rng(0).permutation(array.size)
        item = modules["chumpy.reordering"].Select()
        shuffled = array.ravel()[order]
        picks = np.argsort(order)
        item.__dict__ |= {"a": wrap(shuffled), "idxs": picks, "preferred_shape": array.shape}
        return item

    return wrap, select


def save_flame(folder: Path, monkeypatch, arrays=None, protocol: int = 2) -> Path:
    """Write ``generic_model.pkl`` and ``landmark_embedding.npy`` as FLAME's publishers did."""
    arrays = arrays or head_arrays()
    wrap, select = fake_chumpy(monkeypatch)
    model = {key: arrays[key] for key in MODEL_KEYS}
    model["shapedirs"] = wrap(np.asfortranarray(model["shapedirs"]))
    model["v_template"] = wrap(model["v_template"])
    model["weights"] = select(model["weights"])
    model["J_regressor"] = sparse.csc_matrix(model["J_regressor"])
    model["bs_style"], model["bs_type"] = "lbs", "lrotmin"
    path = folder / "generic_model.pkl"
    with path.open("wb") as stream:
        _Python2Pickler(stream, protocol=protocol).dump(model)
    save_landmarks(folder / "landmark_embedding.npy", arrays)
    return path


def save_landmarks(path: Path, arrays) -> None:
    """A pickled dictionary in a ``.npy``; the contour's arrays are torch tensors."""
    import torch

    items = {key: arrays[key] for key in LANDMARK_KEYS}
    for key in ("dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords"):
        items[key] = torch.from_numpy(np.ascontiguousarray(items[key]))
    np.save(path, items, allow_pickle=True)


def save_template(path: Path, arrays) -> None:
    """``head_template.obj``: the topology and UV layout, in an OBJ."""
    lines = ["# a head", "mtllib head.mtl"]
    lines += [f"v {x} {y} {z}" for x, y, z in arrays["v_template"]]
    lines += [f"vt {u:.9f} {v:.9f}" for u, v in arrays["vt"]]
    for triangle, texture in zip(arrays["f"], arrays["ft"], strict=True):
        corners = (f"{a + 1}/{b + 1}" for a, b in zip(triangle, texture, strict=True))
        lines.append("f " + " ".join(corners))
    path.write_text("\n".join(lines) + "\n")
