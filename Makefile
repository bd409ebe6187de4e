# Two commands: `make book` builds the HTML book, `make test` proves it.
# Each sets up .venv by itself; second runs reuse it.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
PYTEST := $(BIN)/python -m pytest
WORKERS ?= 2
# Tests and notebooks run side by side on small tensors: more threads would only wait.
export OMP_NUM_THREADS ?= 1

.PHONY: book test notebooks assignments grade merge doctor serve lint unit outputs clean help

book: $(INSTALLED)  ## build the HTML book
	$(BIN)/python tools/book.py

test: lint book unit outputs  ## prove every output, claim, exercise and page

notebooks: $(INSTALLED)  ## bring text and notebooks into step, run what changed
	$(BIN)/python tools/notebooks.py $(CHAPTER) $(if $(FORCE),--force)
	$(BIN)/python tools/ledger.py

assignments: $(INSTALLED)  ## make the student notebooks (A=a1 for one)
	$(BIN)/python -m attnbook.grading release $(A)

grade: $(INSTALLED)  ## grade A=a1 FROM=submissions.zip OUT=folder
	$(BIN)/python -m attnbook.grading grade $(A) $(FROM) --out $(OUT)

merge: $(INSTALLED)  ## join FROM="folder …" and hand marks, SHEET=free_text.csv, OUT=
	$(BIN)/python -m attnbook.grading merge $(FROM) $(if $(SHEET),--manual $(SHEET)) --out $(OUT)

doctor: $(INSTALLED)  ## try the sandbox that grading needs
	$(BIN)/python -m attnbook.grading doctor

serve: book  ## look at the book at http://localhost:8000
	$(BIN)/python -m http.server 8000 --bind 127.0.0.1 --directory .build/html

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

unit: $(INSTALLED)  # everything but the notebooks' outputs; needs the built book
	$(PYTEST) -n $(WORKERS)

# nbval has warnings of its own, which are not ours to turn into errors.
outputs: export ATTNBOOK_PROGRESS = 0
outputs: $(INSTALLED)  # run every notebook again and compare every stored output
	$(PYTEST) -n $(WORKERS) --dist loadfile --nbval -W default notebooks

$(INSTALLED): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  "attnbook needs Python 3.11 or newer; name one with PYTHON=…")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --requirement requirements.txt
	@touch $@

clean:  ## forget everything that was built or installed
	rm -rf .build .venv

help:  ## list the commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ –/'
