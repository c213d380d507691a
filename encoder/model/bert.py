"""BERT (Devlin et al. 2018, arXiv 1810.04805): the text tower of ALIGN, with the published names.

Shapes: b texts, t tokens, d hidden size, n heads.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from encoder.model.activations import activation
from encoder.model.config import TextConfig


class Embeddings(nn.Module):
    """Token + position + segment (always 0), normalised."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        d = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, d, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, d)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, d)
        self.LayerNorm = nn.LayerNorm(d, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.word_embeddings(ids) + self.token_type_embeddings.weight[0]
        x = x + self.position_embeddings.weight[: ids.shape[1]]
        return cast(Tensor, self.dropout(self.LayerNorm(x)))


class SelfAttention(nn.Module):
    """Scaled dot-product attention of every token to the unmasked ones."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        d = config.hidden_size
        self.heads = config.num_attention_heads
        self.dropout = config.attention_probs_dropout_prob
        self.query, self.key, self.value = nn.Linear(d, d), nn.Linear(d, d), nn.Linear(d, d)

    def forward(self, asking: Tensor, x: Tensor, mask: Tensor) -> Tensor:
        """`asking` are the tokens (b, a, d) of `x` for which the result, (b, a, d), is wanted."""
        b, a, d = asking.shape
        q, k, v = (
            layer(tokens).view(b, -1, self.heads, d // self.heads).transpose(1, 2)  # (b, n, t, d/n)
            for layer, tokens in ((self.query, asking), (self.key, x), (self.value, x))
        )
        out = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, dropout_p=self.dropout if self.training else 0.0
        )
        return out.transpose(1, 2).reshape(b, a, d)


class Residual(nn.Module):
    """Linear, dropout, then the norm of the sum with what came before."""

    def __init__(self, config: TextConfig, inner: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inner, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        return cast(Tensor, self.LayerNorm(before + self.dropout(self.dense(x))))


class Attention(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.self = SelfAttention(config)
        self.output = Residual(config, config.hidden_size)

    def forward(self, asking: Tensor, x: Tensor, mask: Tensor) -> Tensor:
        return cast(Tensor, self.output(self.self(asking, x, mask), asking))


class Intermediate(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = activation(config.hidden_act)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.activation(self.dense(x)))


class Layer(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.intermediate = Intermediate(config)
        self.output = Residual(config, config.intermediate_size)

    def forward(self, x: Tensor, mask: Tensor, first_only: bool = False) -> Tensor:
        x = self.attention(x[:, :1] if first_only else x, x, mask)
        return cast(Tensor, self.output(self.intermediate(x), x))


class Layers(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))

    def forward(self, x: Tensor, mask: Tensor, first_only: bool) -> Tensor:
        for number, layer in enumerate(self.layer, 1):
            x = layer(x, mask, first_only and number == len(self.layer))
        return x


class Bert(nn.Module):
    """Token ids (b, t) int64 and mask (b, t), 0 where padded, to hidden states (b, t, d); with
    `first_only` to that of [CLS] alone, (b, 1, d), which saves most of the last layer."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = Layers(config)

    def forward(self, ids: Tensor, mask: Tensor | None = None, first_only: bool = False) -> Tensor:
        if mask is None:
            mask = torch.ones_like(ids)
        seen = mask.bool()[:, None, None, :]  # (b, 1, 1, t): broadcast over heads and queries
        return cast(Tensor, self.encoder(self.embeddings(ids), seen, first_only))
