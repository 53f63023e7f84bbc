# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := demo

.PHONY: demo test docs campaign browser lint clean

demo: $(STAMP)
	$(BIN)/nonneg reproduce ddnmf --dataset digits --out $(DEMO)

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist worksteal

# the site, in docs/_build/html/index.html; scripts of the gallery run again when they have changed
docs: $(STAMP)
	$(BIN)/sphinx-build -q -W --keep-going -c docs -d docs/_build/doctrees . docs/_build/html
	@echo "written: docs/_build/html/index.html"

# a quarter of an hour: a hundred kills of running fits, more than ten thousand damaged files
campaign: $(STAMP)
	NONNEG_CAMPAIGN=1 $(BIN)/python -m pytest tests/campaigns -s

# reports in Chromium (apt install chromium): what they ask for, how wide they are, what can be read by day and by night
browser: $(STAMP)
	NONNEG_BROWSER=1 $(BIN)/python -m pytest tests/browser

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# one environment, remade when what it is made from changes
$(STAMP): pyproject.toml constraints.txt
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev,docs]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) $(DEMO) dist build docs/_build docs/auto_examples docs/api/generated
