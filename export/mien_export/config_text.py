# SPDX-License-Identifier: Apache-2.0
"""Edits of ``config.pbtxt`` as text, so that the comments, which hold the units, survive."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mien_export.contract import parse_config
from mien_export.errors import ContractError

_STRING = r'"(?:[^"\\\n]|\\.)*"'


def set_parameters(text: str, values: Mapping[str, str], source: str) -> str:
    """Replace the values of parameters that the text already has.

    Args:
        text: a ``config.pbtxt``.
        values: new values by key.
        source: what to call the file in an error.

    Raises:
        ContractError: a key does not stand in the text exactly once.
    """
    for key, value in values.items():
        pattern = (
            rf'(parameters\s*\{{\s*key\s*:\s*"{re.escape(key)}"\s*value\s*:?\s*'
            rf"\{{\s*string_value\s*:\s*){_STRING}(\s*\}}\s*\}})"
        )
        text = _replace_once(text, pattern, _quoted(value), f'parameters {{ key: "{key}"', source)
    parsed = parse_config(text, source).parameters
    for key, value in values.items():
        if parsed.get(key) != value:
            raise ContractError(
                f"{source}: parameter {key!r} reads {parsed.get(key)!r} after setting {value!r}; "
                "the only occurrence seems to be a comment. Add the parameter to the file."
            )
    return text


def with_model_file(text: str, filename: str, source: str) -> str:
    """Point a graph's configuration at another file of its version directory."""
    pattern = rf"^(\s*default_model_filename\s*:\s*){_STRING}()"
    return _replace_once(text, pattern, _quoted(filename), "default_model_filename", source)


def with_tensorrt(text: str, engines: Mapping[str, str], source: str) -> str:
    """Turn a graph's configuration into one for TensorRT engines.

    Args:
        text: the portable configuration.
        engines: engine file by compute capability, such as ``{"9.0": "model.….plan"}``.
        source: what to call the file in an error.
    """
    text = with_model_file(text, "model.plan", source)
    pattern = rf"^(\s*backend\s*:\s*){_STRING}()"
    text = _replace_once(text, pattern, _quoted("tensorrt"), "backend", source)
    lines = [
        f"cc_model_filenames {{ key: {_quoted(capability)} value: {_quoted(engine)} }}"
        for capability, engine in sorted(engines.items())
    ]
    comment = "# An engine runs only on the compute capability and TensorRT version in its name."
    return "\n".join([text.rstrip("\n"), "", comment, *lines, ""])


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _replace_once(text: str, pattern: str, new: str, what: str, source: str) -> str:
    matches = list(re.finditer(pattern, text, flags=re.MULTILINE))
    if len(matches) != 1:
        raise ContractError(
            f"{source} has {len(matches)} places that read {what} …; expected exactly one. "
            "Only a value that the file states once can be replaced."
        )
    match = matches[0]
    return text[: match.start()] + match.group(1) + new + match.group(2) + text[match.end() :]
