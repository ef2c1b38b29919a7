# SPDX-License-Identifier: Apache-2.0
"""Sampling from a diffusion model: everything around the network's calls, in numpy.

`schedule` says how noisy a timestep is, `solvers` which steps are taken and with which numbers,
`guidance` what the network is asked at a step, `noise` where randomness comes from, and `sample`
keeps one image on its way. Every sample has its own of all these, so that those which share a call
of the network need not agree in anything.
"""
