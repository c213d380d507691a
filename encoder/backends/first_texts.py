"""The text tower in NumPy, for the first few texts of a program.

It needs neither torch, which takes a second and more to import, nor a copy of the weights. For many
texts it is slower. `encoder.model.bert` says what is computed. Shapes: b texts, t tokens, d hidden
size, n heads.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from encoder.backends.protocol import Features, Tokens
from encoder.model.config import ACTIVATIONS, AlignConfig
from encoder.weights import Weights

Array = npt.NDArray[np.float32]


class FirstTexts:
    """Ids and mask, both (b, t), to features (b, e), as `Backend.text_features`."""

    def __init__(self, config: AlignConfig, weights: Weights) -> None:
        self._config = config.text_config
        self._arrays = weights.arrays("text_model.", "text_projection.")

    @staticmethod
    def can(config: AlignConfig) -> bool:
        """Whether a text tower of these sizes can be computed here."""
        return ACTIVATIONS[config.text_config.hidden_act] in _ACTIVATIONS

    def __call__(self, ids: Tokens, mask: Tokens) -> Features:
        """As many as `ids` are; meant for few."""
        x = self._embedded(ids)
        unseen = np.where(mask[:, None, None, :] == 0, np.float32(-np.inf), np.float32(0))
        layers = self._config.num_hidden_layers
        for number in range(layers):  # of the last one only [CLS] is used
            asking = x[:, :1] if number == layers - 1 else x
            x = self._layer(asking, x, unseen, f"encoder.layer.{number}.")
        return self._linear(x[:, 0], "text_projection", prefix="")

    def _embedded(self, ids: Tokens) -> Array:
        words = self._get("embeddings.word_embeddings.weight")[ids]  # (b, t, d)
        places = self._get("embeddings.position_embeddings.weight")[: ids.shape[1]]
        segment = self._get("embeddings.token_type_embeddings.weight")[0]
        return self._norm(words + segment + places, "embeddings.LayerNorm")

    def _layer(self, asking: Array, x: Array, unseen: Array, where: str) -> Array:
        b, a, d = asking.shape
        heads = self._config.num_attention_heads

        def split(tokens: Array, name: str) -> Array:  # (b, n, t, d / n)
            made = self._linear(tokens, f"{where}attention.self.{name}")
            return made.reshape(b, -1, heads, d // heads).transpose(0, 2, 1, 3)

        query, key, value = split(asking, "query"), split(x, "key"), split(x, "value")
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32((d // heads) ** 0.5) + unseen
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        mixed = (shares @ value).transpose(0, 2, 1, 3).reshape(b, a, d)
        attended = self._linear(mixed, f"{where}attention.output.dense")
        x = self._norm(asking + attended, f"{where}attention.output.LayerNorm")
        act = _ACTIVATIONS[ACTIVATIONS[self._config.hidden_act]]
        inner = act(self._linear(x, f"{where}intermediate.dense"))
        outer = self._linear(inner, f"{where}output.dense")
        return self._norm(x + outer, f"{where}output.LayerNorm")

    def _linear(self, x: Array, name: str, prefix: str = "text_model.") -> Array:
        made: Array = x @ self._arrays[f"{prefix}{name}.weight"].T
        return made + self._arrays[f"{prefix}{name}.bias"]

    def _norm(self, x: Array, name: str) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        variance = np.square(centred).mean(-1, keepdims=True)
        scaled: Array = centred / np.sqrt(variance + np.float32(self._config.layer_norm_eps))
        return scaled * self._get(f"{name}.weight") + self._get(f"{name}.bias")

    def _get(self, name: str) -> Array:
        return self._arrays[f"text_model.{name}"]


def _erf(x: Array) -> Array:
    """Within 1.5e-7 (Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26)."""
    t: Array = np.reciprocal(1 + np.float32(0.3275911) * np.abs(x))
    series: Array = np.zeros_like(x)
    for factor in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + np.float32(factor)) * t
    found: Array = np.sign(x) * (1 - series * np.exp(-np.square(x)))
    return found


def _gelu(x: Array) -> Array:
    half: Array = x * np.float32(0.5)
    made: Array = half * (1 + _erf(x * np.float32(0.5**0.5)))
    return made


def _gelu_tanh(x: Array) -> Array:
    half: Array = x * np.float32(0.5)
    inner: Array = np.float32((2 / np.pi) ** 0.5) * (x + np.float32(0.044715) * x * x * x)
    made: Array = half * (1 + np.tanh(inner))
    return made


def _relu(x: Array) -> Array:
    return np.maximum(x, np.float32(0))


_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "relu": _relu,
}
