# Every target makes what it needs: the environment is built once and again only when pyproject.toml changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 2

.PHONY: search test test-fast test-faults test-machines check format clean examples bench-speed bench-gpu bench-growth bench-cells bench-time bench-soak bench-budget bench-shrink bench-recipe bench-retention docs site hub-spaces from-model
.DEFAULT_GOAL := search

$(VENV)/.installed-%: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[$*]'
	@touch $@

search: $(VENV)/.installed-tensorboard
	$(BIN)/snas-nni launch snas.yml

# A process for each core, with one thread each; a file's tests stay in one process and share what they prepare.
test: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

# While one works: what takes no more than a second or two each, under three minutes in all.
test-fast: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m 'not proof and not hub and not slow'

# Kills, damaged files, full disks: about half an hour. Some faults need root, which can mount small file systems.
test-faults: $(VENV)/.installed-test
	$(BIN)/python -W ignore -m benchmarks.faults

# Trials on two SSH servers of this machine, a search over two nodes: five minutes. A test that cannot run says what it needs.
test-machines: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m machines -rs tests/machines

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Each of the three is a user's own project: its folder holds a space and an experiment file, nothing of this project.
examples: $(VENV)/.installed-tensorboard
	for project in images sequences tabular; do (cd examples/$$project && ../../$(BIN)/snas-nni launch snas.yml) || exit 1; done

# Timings: leave the machine alone while it runs, about half an hour.
bench-speed: $(VENV)/.installed-test
	$(BIN)/python -W ignore -m benchmarks.speed

# Timings too: to 64 candidates and 500 labels, a quarter of an hour on one thread.
bench-growth: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m benchmarks.speed growth size --threads 1 --output docs/results/growth

# Hours on one core; goes on where it was cut. DATA is a folder of CIFAR-10 images, TABLE the accuracies of NAS-Bench-201.
bench-cells: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m benchmarks.cells --data $(DATA) --table $(TABLE)

# A timing too; goes on where it was cut.
bench-time: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m benchmarks.time_to_quality

# A timing on a machine with GPUs. Without one: python -m benchmarks.gpu --device cpu shows that it runs.
bench-gpu: $(VENV)/.installed-test
	$(BIN)/python -W ignore -m benchmarks.gpu

# A timing too: five minutes.
bench-soak: $(VENV)/.installed-test
	$(BIN)/python -W ignore -m benchmarks.soak

bench-budget: $(VENV)/.installed-test
	$(BIN)/python -W ignore -m benchmarks.budget

# Hours on one thread; goes on where it was cut. DATA is a folder of CIFAR-10 images; it says which peers to install.
bench-shrink: $(VENV)/.installed-test
	$(BIN)/python -W ignore -m benchmarks.shrink --data $(DATA)

# Ten minutes on one thread for a seed; goes on where it was cut. DATA as above.
bench-recipe: $(VENV)/.installed-test
	$(BIN)/python -W ignore -m benchmarks.recipe --data $(DATA)

# Half an hour on two cores; goes on where it was cut.
bench-retention: $(VENV)/.installed-test
	$(BIN)/snas-nni bench retention --output docs/results/retention-digits.json
	$(BIN)/python -m benchmarks.verb_goals

# Pages of docs/ that are written from the code; `make test` compares them.
docs: $(VENV)/.installed-test
	$(BIN)/python -W ignore -m tests.test_settings_page
	$(BIN)/python -W ignore -m tests.test_architecture_page
	$(BIN)/python -W ignore -m tests.test_api_pages

# The documentation as a site in site/. Strict: a link or a reference that leads nowhere fails.
site: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "open site/index.html, or serve it: $(BIN)/python -m http.server --directory site"

# Measures what works with NNI's hub spaces and writes docs/hub_spaces.md: about ten minutes.
hub-spaces: $(VENV)/.installed-test
	$(BIN)/python -W ignore -m tests.snas_nni.test_hub_spaces

# Turns torchvision's networks into spaces and writes the table of docs/from_model.md: about ten minutes.
from-model: $(VENV)/.installed-test
	$(BIN)/python -W ignore -m tests.search_spaces.from_model.test_torchvision_networks

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist site *.egg-info runs nni-experiments
