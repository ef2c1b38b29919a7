# SPDX-License-Identifier: Apache-2.0
"""The pipeline `generate_faces`: faces of one identity in many styles, as a stream of events.

`options` reads what is asked, `identities` and `styles` turn references into contexts, `job` is one
request on its way through the sampling loop, `finishing` makes images of latents, and `generator`
holds the threads in which all that happens.
"""
