# SPDX-License-Identifier: Apache-2.0
"""Enrols people by many threads, and says of each on standard output when that has returned."""

import sys
import threading
from pathlib import Path

from mien_server.gallery import LocalGallery
from tests.server.gallery.planted_people import KEY, SPACE, people

THREADS = 3


def main() -> None:
    gallery = LocalGallery.open(Path(sys.argv[1]), "staff", SPACE, KEY)
    faces = people(8, per=1)

    def enrol(thread: int) -> None:
        number = 0
        while True:
            name = f"run{sys.argv[2]}-{thread}-{number}"
            gallery.enrol(name, faces[number % 8], {"number": number})
            if number % 5 == 4:  # so that files take each other's place now and then
                gallery.delete(name, compact=number % 10 == 9)
                name = f"-{name}"
            sys.stdout.write(f"{name}\n")
            sys.stdout.flush()
            number += 1

    for thread in range(THREADS):
        threading.Thread(target=enrol, args=(thread,)).start()


if __name__ == "__main__":
    main()
