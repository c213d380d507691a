"""How a batch becomes features: the one place that decides on sizes of batches and on what computes
them."""

from encoder.backends.batches import embed_images, embed_texts
from encoder.backends.choice import choose, choose_device
from encoder.backends.protocol import Backend

__all__ = ["Backend", "choose", "choose_device", "embed_images", "embed_texts"]
