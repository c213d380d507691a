"""Recall@K on the 5,000 test pictures of MSCOCO (Karpathy's split): first among all of them, then
as the mean over five blocks of 1,000.

    python benchmarks/recall_mscoco.py --images coco --annotations dataset_coco.json \\
        [--captions first5] [--index ivf] [--model MODEL] ...

This runs `align evaluate coco` and then the same with ``--folds 5x1k``. It takes the options of
`align evaluate`. The second run uses the embeddings of the first. docs/evaluation.md says where the
files come from.
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
