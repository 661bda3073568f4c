# `make test` is the test command. The environment is made anew whenever what it is made from changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp

.PHONY: install demo docs test test-slow test-long bench bench-save bench-compare clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv || true
	if [ -x $(BIN)/uv ]; then \
		$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python \
			-c constraints.txt -e '.[dev,docs]'; \
	else \
		$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev,docs]'; \
	fi
	touch $(STAMP)

demo: install
	@echo "The main job on procedural birds: one tuning world and two seeds, where a study has three"
	@echo "of each (zslbench leaderboard --dataset plumage). about 8 minutes on 2 cores."
	$(BIN)/zslbench leaderboard --dataset plumage --methods eszsl,vit_attr_head,svip \
		--worlds 1 --seeds 0,1 --reference vit_attr_head --results results/demo

# The site, in build/site; a broken link or anything loaded from elsewhere is an error.
docs: install
	$(BIN)/python docs/stage.py build/source
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -W --keep-going -q -b html -c docs build/source build/site
	$(BIN)/python docs/check.py build/site

test: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy & types=$$!; \
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --maxprocesses 4 \
		-m "not slow and not long"; tests=$$?; wait $$types && exit $$tests

test-slow: install
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile -m slow

test-long: install
	$(BIN)/pytest -m long -s

bench: install
	$(BIN)/pytest benchmarks/speed -s

SAVED = $$($(BIN)/python benchmarks/speed/compare.py --storage)

bench-save: install
	$(BIN)/pytest benchmarks/speed --benchmark-autosave --benchmark-storage=$(SAVED)

bench-compare: install
	mkdir -p .benchmarks
	$(BIN)/pytest benchmarks/speed --benchmark-json=.benchmarks/now.json
	$(BIN)/python benchmarks/speed/compare.py .benchmarks/now.json

clean:
	rm -rf $(VENV)
