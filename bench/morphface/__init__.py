# SPDX-License-Identifier: Apache-2.0
"""The evidence of MorphFace's paper, measured on people of our own through the served endpoints.

Paper    MorphFace (arXiv 2504.00430), supplement: measures C.1 to C.4, table 4.

`plan` says what is made, `people` of whom, `making` asks a server for it and `store` keeps it;
`features`, `recall` and `measures` turn pictures into numbers, `figures` has those of a setting,
`directions` compares the settings, `evidence` gathers it all, and `report` and `plots` show it.
Nothing is measured that is not on the disk by then, so that a run that was cut off goes on.
"""
