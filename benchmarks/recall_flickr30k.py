"""Recall@K on the 1,000 test pictures of Flickr30K and their 5,000 captions.

    python benchmarks/recall_flickr30k.py --images flickr30k-images \\
        --annotations dataset_flickr30k.json [--index ivf] [--model MODEL] ...

This is `align evaluate flickr30k` and takes its options. docs/evaluation.md says where the files
come from.
"""

import sys

from retrieval.cli import main

if __name__ == "__main__":
    main(["evaluate", "flickr30k", *sys.argv[1:]])
