"""ALIGN (Jia et al. 2021, arXiv 2102.05918): two towers and a temperature.

Shapes: b pictures or texts, e = `config.projection_dim`.
"""

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from encoder.model.bert import Bert
from encoder.model.config import AlignConfig
from encoder.model.efficientnet import EfficientNet

LABEL_SMOOTHING = 0.1


@dataclass(frozen=True)
class AlignOutput:
    """What `AlignModel` returns for b_i pictures and b_t texts."""

    image_embeds: Tensor  # (b_i, e), rows of length 1
    text_embeds: Tensor  # (b_t, e), rows of length 1
    logits_per_image: Tensor  # (b_i, b_t), cosine / temperature
    logits_per_text: Tensor  # (b_t, b_i)
    loss: Tensor | None  # (), when asked for


class AlignModel(nn.Module):
    """The model of the published checkpoint; parameter names are its state dict's."""

    def __init__(self, config: AlignConfig) -> None:
        super().__init__()
        self.config = config
        self.text_model = Bert(config.text_config)
        self.vision_model = EfficientNet(config.vision_config)
        self.text_projection = nn.Linear(config.text_config.hidden_size, config.projection_dim)
        self.temperature = nn.Parameter(torch.tensor(config.temperature_init_value))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw fresh weights: BERT's normal(0, initializer_range), Kaiming for convolutions (so
        that a deep tower does not forget its input), Xavier for the projection."""
        for module in self.text_model.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=self.config.text_config.initializer_range)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
            if isinstance(module, nn.Embedding) and module.padding_idx is not None:
                nn.init.zeros_(module.weight[module.padding_idx].detach())
        for module in self.vision_model.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.xavier_uniform_(self.text_projection.weight)
        nn.init.zeros_(self.text_projection.bias)

    def get_image_features(self, pixel_values: Tensor) -> Tensor:
        """(b, 3, h, w) float, preprocessed, to (b, e), not normalised."""
        return cast(Tensor, self.vision_model(pixel_values))

    def get_text_features(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """(b, t) int64 to (b, e), not normalised: the projection of [CLS]'s last hidden state."""
        hidden = self.text_model(input_ids, attention_mask)  # (b, t, d)
        return cast(Tensor, self.text_projection(hidden[:, 0]))

    def forward(
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        return_loss: bool = False,
    ) -> AlignOutput:
        """Compare every text (b_t, t) with every picture (b_i, 3, h, w)."""
        images = F.normalize(self.get_image_features(pixel_values), dim=-1)
        texts = F.normalize(self.get_text_features(input_ids, attention_mask), dim=-1)
        logits = texts @ images.T / self.temperature  # (b_t, b_i)
        return AlignOutput(
            image_embeds=images,
            text_embeds=texts,
            logits_per_image=logits.T,
            logits_per_text=logits,
            loss=contrastive_loss(logits) if return_loss else None,
        )


def contrastive_loss(logits: Tensor) -> Tensor:
    """Mean of the two cross-entropies, text to picture and picture to text (arXiv 2102.05918,
    section 4.1), with label smoothing; logits (b, b), the pairs on the diagonal."""
    target = torch.arange(len(logits), device=logits.device)
    per_text = F.cross_entropy(logits, target, label_smoothing=LABEL_SMOOTHING)
    per_image = F.cross_entropy(logits.T, target, label_smoothing=LABEL_SMOOTHING)
    return (per_text + per_image) / 2
