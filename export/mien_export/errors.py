# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, by what the caller can do about it.

ExportError                 exit status 1
├── UsageError              2: the command line asks for something impossible
│   └── MissingToolError    2: an optional tool or device is not there
├── ContractError           a config.pbtxt, or a graph that does not equal it
├── CheckpointError         a weights file that cannot be taken
├── CalibrationError        calibration images, or a calibration report, that cannot be taken
├── ConversionError         a graph that cannot be converted
├── ParityError             a converted graph that computes something else
└── TargetError             the target directory cannot be written or is damaged
"""


class ExportError(Exception):
    """Root of every error that mien-export raises on purpose."""

    exit_status = 1


class UsageError(ExportError):
    """The request itself cannot be met; nothing was started."""

    exit_status = 2


class MissingToolError(UsageError):
    """An optional tool or device that the request needs is not on this machine."""


class ContractError(ExportError):
    """A ``config.pbtxt`` is wrong, or something does not equal it."""


class CheckpointError(ExportError):
    """A weights file is missing, hostile, damaged or of another network."""


class CalibrationError(ExportError):
    """Calibration images, or a report of what was measured on them, cannot be taken."""


class ConversionError(ExportError):
    """A graph cannot be converted into the one the contract asks for."""


class ParityError(ExportError):
    """A converted graph misses its tolerance."""


class TargetError(ExportError):
    """The target directory cannot be written, or what lies in it is not ours or damaged."""
