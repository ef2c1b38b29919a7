# SPDX-License-Identifier: Apache-2.0
"""The denoiser computed from a state_dict alone, in float64: names and arithmetic, no modules.

Written from the description of the public networks: what stands where is read off the names.
"""

import numpy as np
import torch
from torch.nn import functional as f


def denoise(state, z, t, contexts, *, groups, head_channels):
    """Give epsilon; ``contexts`` are those inside the network: (B, E) by suffix."""
    return _Oracle(state, groups, head_channels, contexts).run(z.double(), t.double())


def context_inside(state, suffix, context, keep):
    """The context that pixels attend to: projected, or the learned empty one."""
    state = {name: tensor.double() for name, tensor in state.items()}
    weight = state.get(f"context_emb{suffix}.weight")
    inside = context.double()
    if weight is not None:
        inside = inside @ weight.T + state[f"context_emb{suffix}.bias"]
    empty = state[f"empty_context_embedding{suffix}"]
    return torch.stack([row if kept else empty for row, kept in zip(inside, keep, strict=True)])


def softmax_attention(q, k, v, heads):
    """(B, C, N), (B, C, M), (B, C, M) in numpy, head by head."""
    outputs = []
    for rows in zip(*(np.split(np.asarray(x), heads, axis=1) for x in (q, k, v)), strict=True):
        query, key, value = rows
        logits = np.einsum("bdn,bdm->bnm", query, key) / np.sqrt(query.shape[1])
        weights = np.exp(logits - logits.max(axis=2, keepdims=True))
        weights /= weights.sum(axis=2, keepdims=True)
        outputs.append(np.einsum("bnm,bdm->bdn", weights, value))
    return np.concatenate(outputs, axis=1)


class _Oracle:
    def __init__(self, state, groups, head_channels, contexts):
        self.state = {name: tensor.double() for name, tensor in state.items()}
        self.groups, self.head_channels, self.contexts = groups, head_channels, contexts

    def has(self, prefix):
        return any(name.startswith(prefix) for name in self.state)

    def pair(self, name):
        return self.state[f"{name}.weight"], self.state[f"{name}.bias"]

    def linear(self, x, name):
        weight, bias = self.pair(name)
        return x @ weight.flatten(1).T + bias

    def per_pixel(self, x, name):
        """A 1x1 convolution of (B, C, N)."""
        return self.linear(x.transpose(1, 2), name).transpose(1, 2)

    def norm(self, x, name):
        weight, bias = self.pair(name)
        grouped = x.reshape(len(x), self.groups, -1)
        mean = grouped.mean(2, keepdim=True)
        var = ((grouped - mean) ** 2).mean(2, keepdim=True)
        y = ((grouped - mean) / (var + 1e-5).sqrt()).reshape(x.shape)
        per_channel = (1, -1, *[1] * (x.dim() - 2))
        return y * weight.reshape(per_channel) + bias.reshape(per_channel)

    def swish(self, x):
        return x / (1 + torch.exp(-x))

    def run(self, z, t):
        channels = len(self.state["image_proj.bias"])
        k = torch.arange(channels // 2, dtype=torch.float64)
        angles = t * 10000.0 ** (-k / (channels // 2))
        wave = torch.cat([angles.cos(), angles.sin()], dim=1)
        self.time = self.linear(self.swish(self.linear(wave, "time_emb.lin1")), "time_emb.lin2")
        x = f.conv2d(z, *self.pair("image_proj"), padding=1)
        left, i = [x], 0
        while self.has(f"down.{i}."):
            x = self.step(x, f"down.{i}", down=True)
            left.append(x)
            i += 1
        x = self.residual(x, "middle.res1")
        x = self.residual(self.attention(x, "middle.attn"), "middle.res2")
        i = 0
        while self.has(f"up.{i}."):
            if self.has(f"up.{i}.res."):
                x = torch.cat([x, left.pop()], dim=1)
            x = self.step(x, f"up.{i}", down=False)
            i += 1
        assert not left
        return f.conv2d(self.swish(self.norm(x, "norm")), *self.pair("final"), padding=1)

    def step(self, x, name, *, down):
        if self.has(f"{name}.conv."):
            if down:
                return f.conv2d(x, *self.pair(f"{name}.conv"), stride=2, padding=1)
            return f.conv_transpose2d(x, *self.pair(f"{name}.conv"), stride=2, padding=1)
        x = self.residual(x, f"{name}.res")
        return self.attention(x, f"{name}.attn") if self.has(f"{name}.attn.") else x

    def residual(self, x, name):
        y = f.conv2d(
            self.swish(self.norm(x, f"{name}.norm1")), *self.pair(f"{name}.conv1"), padding=1
        )
        embedded = self.linear(self.swish(self.time), f"{name}.time_emb.1")
        scale, shift = (
            self.linear(embedded, f"{name}.{part}_emb")[:, :, None, None]
            for part in ("scale", "shift")
        )
        y = self.norm(y, f"{name}.norm2.norm") * (1 + scale) + shift
        y = f.conv2d(self.swish(y), *self.pair(f"{name}.conv2"), padding=1)
        if self.has(f"{name}.shortcut."):
            x = f.conv2d(x, *self.pair(f"{name}.shortcut"))
        return x + y

    def attention(self, x, name):
        y = self.per_pixel(x.flatten(2), f"{name}.x_proj_in")
        normed = self.norm(y, f"{name}.x_norm")
        y = y + self.heads(normed, normed, f"{name}.self_attention")
        normed = self.norm(y, f"{name}.x_norm")
        y = y + self.heads(normed, self.tokens(name), f"{name}.cross_attention")
        wide = self.per_pixel(self.norm(y, f"{name}.x_norm"), f"{name}.ff.0")
        y = y + self.per_pixel(wide * 0.5 * (1 + torch.erf(wide / 2**0.5)), f"{name}.ff.2")
        return x + self.per_pixel(y, f"{name}.x_proj_out").reshape(x.shape)

    def tokens(self, name):
        tokens = []
        for suffix, context in self.contexts.items():
            if not self.has(f"{name}.c_proj_in{suffix}."):
                tokens.append(context[:, :, None])
                continue
            flat = self.linear(context, f"{name}.c_proj_in{suffix}")
            one = flat.reshape(len(flat), context.shape[1], -1)
            tokens.append(self.norm(one, f"{name}.c_norm{suffix}"))
        return torch.cat(tokens, dim=2)

    def heads(self, x, source, name):
        q = self.per_pixel(x, f"{name}.to_q")
        k, v = (self.per_pixel(source, f"{name}.{part}") for part in ("to_k", "to_v"))
        attended = softmax_attention(q, k, v, q.shape[1] // self.head_channels)
        return self.per_pixel(torch.from_numpy(attended), f"{name}.proj_out")
