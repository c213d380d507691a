"""Recall@K on the 5,000 test pictures of MSCOCO (Karpathy's split): among all of them, then the
mean over five blocks of 1,000.

    python benchmarks/recall_mscoco.py --images coco --annotations dataset_coco.json \\
        [--captions first5] [--index ivf] [--model MODEL] ...

Takes the options of `align evaluate`, and is `align evaluate coco`, then the same with
``--folds 5x1k``: its embeddings are those of the first. docs/evaluation.md says where the files
come from.
"""

import sys

from retrieval.cli import main

if __name__ == "__main__":
    try:
        main(["evaluate", "coco", *sys.argv[1:]])
    except SystemExit as done:
        if done.code or "--help" in sys.argv:
            raise
    print()
    main(["evaluate", "coco", *sys.argv[1:], "--folds", "5x1k"])
