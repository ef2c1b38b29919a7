# SPDX-License-Identifier: Apache-2.0
"""Galleries: templates of people, kept sealed, and who among them a face is (1:N).

`gallery` says what one is; `local` keeps it in a folder of one machine, in these layers::

    local                one gallery
    └── keeping          its file and its memory, changed together
        ├── contents     all of it in memory
        │   ├── roster           who is enrolled
        │   └── template_rows    exact search, and `approximate` where there are many
        ├── group_commit what many threads write at once
        └── gallery_file the folder: lock, and files that take another's place
            └── record_log       one file of sealed records, `file_head` its beginning

`rotation` makes templates cancellable, `keys` gives every purpose a key of its own, `receipts` says
that somebody was deleted. `qdrant`, which needs an extra, keeps galleries in a vector database.
"""

from mien_server.gallery.gallery import (
    Enrolment,
    Existing,
    Gallery,
    Match,
    Page,
    Size,
    Subject,
)
from mien_server.gallery.keys import GALLERY_KEY_VARIABLE, gallery_key
from mien_server.gallery.local import LocalGallery
from mien_server.gallery.local_galleries import LocalGalleries
from mien_server.gallery.receipts import Receipt, read_receipt

__all__ = [
    "GALLERY_KEY_VARIABLE",
    "Enrolment",
    "Existing",
    "Gallery",
    "LocalGalleries",
    "LocalGallery",
    "Match",
    "Page",
    "Receipt",
    "Size",
    "Subject",
    "gallery_key",
    "read_receipt",
]
