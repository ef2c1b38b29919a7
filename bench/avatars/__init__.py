# SPDX-License-Identifier: Apache-2.0
"""What avatars cost and how good they are: the thesis's tables 4.1 and 4.2, emotions and speed.

Every figure is of a server's answers; where it is compared with the same work in one process, that
is said.
"""
