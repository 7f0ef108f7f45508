# Targets work from any folder name (spaces too) and need nothing but make, bash and Python 3.11 to 3.13.
PYTHON ?= python3
PROFILE ?= nano
export PYTHON
# waiting threads sleep instead of spinning: nbs/01a_threads
export GOMP_SPINCOUNT ?= 1000
BIN := .venv/bin
OFFLINE := HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 TOKENIZERS_PARALLELISM=false

.DEFAULT_GOAL := help
.PHONY: help setup report report-compressor report-hyperopt ship check-reports rerun test test-extras test-matrix docs lab export readme clean-notebooks check-clean hooks pins lock report-limits report-reading report-rivals demo screenshots report-speed report-scale peers

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sort | while IFS= read -r line; do \
	  printf '  make %-16s %s\n' "$${line%%:*}" "$${line#*## }"; done
	@echo
	@echo '  make report PROFILE=cuda LAYERS=sample P="batch_size=16 max_steps=3"'

setup: ## make .venv with the pinned packages (also: ./setup.sh)
	@./setup.sh

report: setup ## run a profile's notebooks and write reports/PROFILE/index.html
	@$(BIN)/python -m tokcomp.reports $(PROFILE) $(addprefix -f ,$(LAYERS)) $(if $(P),-p $(P))

report-compressor: setup ## measure the compressor that ships: reports/compressor/index.html
	@$(BIN)/python -m tokcomp.reports compressor --notebooks compressor

report-hyperopt: setup ## search over settings: reports/hyperopt/index.html, runs/hyperopt/best.yaml
	@$(BIN)/python -m tokcomp.reports hyperopt --notebooks hyperopt $(if $(P),-p $(P))

report-limits: setup ## how far the policy is from searched and from exact optima: reports/limits/index.html
	@$(BIN)/python -m tokcomp.reports limits --notebooks limits $(if $(P),-p $(P))

report-reading: setup ## what a model that reads compressed texts no longer knows: reports/reading/index.html
	@$(BIN)/python -m tokcomp.reports reading --notebooks reading $(if $(P),-p $(P))

report-rivals: setup ## the policy that ships against its nearest rivals, on more blocks: reports/rivals/index.html
	@$(BIN)/python -m tokcomp.reports rivals $(addprefix -f ,$(LAYERS)) --notebooks rivals $(if $(P),-p $(P))

report-speed: setup ## time the compressor beside others and the wait for a first token: reports/speed/index.html
	@$(BIN)/python -m tokcomp.reports speed --notebooks speed $(if $(P),-p $(P))

report-scale: setup ## one process and two, and faults made on purpose: reports/scale/index.html
	@$(BIN)/python -m tokcomp.reports scale --notebooks scale $(if $(P),-p $(P))

peers: setup ## install the other compressor that reports compare with, in an environment of its own
	@$(BIN)/python -m tokcomp.peers install

ship: setup ## put a run's trained weights into the package: make ship PROFILE=cpu, or under a name of their own, WEIGHTS=mine
	@$(BIN)/python -c "import sys; from tokcomp.weights import ship; print(ship(*sys.argv[1:]))" runs/$(PROFILE)/trained $(or $(WEIGHTS),$(PROFILE))

check-reports: setup ## say which reports are older than the code
	@$(BIN)/python -m tokcomp.reports --check

rerun: setup ## make a report again and compare: make rerun MANIFEST=reports/nano/manifest.json
	@$(BIN)/python -m tokcomp.reports --rerun "$(MANIFEST)"

test: setup ## run every notebook of the package, then the tests
	@$(OFFLINE) OMP_NUM_THREADS=1 $(BIN)/nbdev_test --path nbs --n_workers 2 --skip_folder_re '^([_.]|runs$$)'
	@$(OFFLINE) $(BIN)/python -m pytest -q -n 2 --ignore tests/test_widget.py --ignore tests/test_docs.py tests
	@$(OFFLINE) $(BIN)/python -m pytest -q tests/test_widget.py tests/test_docs.py # a browser wants the machine for itself

# what .venv has, and the optional extras beside it: .venv itself stays without them, and its tests check that
test-extras: setup ## test the optional extras against the real packages, in .venv-extras
	@[ -x .venv-extras/bin/python ] || $(BIN)/python -m venv .venv-extras
	@site=$$($(BIN)/python -c 'import site; print(site.getsitepackages()[0])') && echo "import site; site.addsitedir('$$site')" \
	  > "$$(.venv-extras/bin/python -c 'import site; print(site.getsitepackages()[0])')/tokcomp-venv.pth"
	@.venv-extras/bin/python -m pip install --quiet --disable-pip-version-check -c requirements.txt -e '.[langchain,llama-index,ray]' --no-build-isolation
	@.venv-extras/bin/python -c 'import langchain_core, llama_index.core, ray.data'
	@for notebook in 16a_shards 17_integrations; do \
	  $(OFFLINE) .venv-extras/bin/python -m nbdev.test --path nbs/$$notebook.ipynb --n_workers 1 || exit 1; done

# by itself: it makes environments of its own, with gigabytes of packages
test-matrix: ## run the notebooks with the lowest and with the highest versions that settings.ini allows
	@"$(PYTHON)" tests/matrix.py $(WHICH)

docs: setup ## build the site of notebooks and reference pages: _docs/html/index.html
	@$(BIN)/python docs/build.py

lab: setup ## open the notebooks in JupyterLab, at the first one
	@$(BIN)/python -m jupyterlab nbs/index.ipynb

demo: setup ## serve the masking widget as a page, until Ctrl-C
	@$(BIN)/python -m voila nbs/runs/demo.ipynb

screenshots: setup ## picture the widget and time it in a browser: reports/demo/index.html
	@$(BIN)/python tests/screenshots.py

export: setup ## write the package from the notebooks
	@$(BIN)/nbdev_export

# a code cell becomes a fence without a language: named here, so that it is shown as Python
readme: setup ## write README.md from nbs/index.ipynb, the committed reports and the cards of the weights
	@$(BIN)/python -m nbconvert --log-level=WARN --to markdown --execute --output-dir . --output README \
	  --TagRemovePreprocessor.enabled=True --TagRemovePreprocessor.remove_input_tags=hide_input \
	  --RegexRemovePreprocessor.patterns='#\s*\|\s*(hide|default_exp)' nbs/index.ipynb
	@awk '/^```/ { open = !open; if (open && $$0 == "```") $$0 = "```python" } \
	  NF { blank = 0 } !NF && (open ? 0 : blank++) { next } { print }' README.md > README.md.new
	@mv README.md.new README.md

# nbdev_clean keeps the tags that settings.ini allows; its own --clear_all would take papermill's with it
clean-notebooks: setup ## strip outputs and incidental metadata from the notebooks
	@$(BIN)/python -m nbconvert --log-level=WARN --clear-output nbs/*.ipynb $(wildcard nbs/runs/*.ipynb)
	@$(BIN)/nbdev_clean

check-clean: setup ## export, clean and write README.md; fail if that changed a file
	@.ci/check-clean

hooks: setup ## install a git hook that runs check-clean before each commit
	@if [ -n "$$(git config core.hooksPath)" ]; then \
	  echo "core.hooksPath is set to $$(git config core.hooksPath): add .ci/pre-commit there yourself" >&2; exit 1; fi
	@hook="$$(git rev-parse --git-path hooks)/pre-commit"; mkdir -p "$${hook%/*}"; \
	if [ -e "$$hook" ] && ! cmp -s .ci/pre-commit "$$hook"; then \
	  echo "$$hook exists already: move it away, or call .ci/pre-commit from it" >&2; exit 1; fi; \
	cp .ci/pre-commit "$$hook" && chmod +x "$$hook" && echo "installed $$hook"

pins: ## write requirements.txt from what .venv holds now
	@{ grep '^#' requirements.txt; $(BIN)/python -m pip freeze --all --exclude-editable --exclude pip \
	  | sed -E 's/^(torch==[0-9.]+)\+.*/\1/'; } > requirements.txt.new
	@if grep -E ' @ |://' requirements.txt.new; then rm requirements.txt.new; \
	  echo 'the lines above name a place, not a version: install those packages by version' >&2; exit 1; fi
	@mv requirements.txt.new requirements.txt

lock: setup ## write requirements.lock: the hashes of what requirements.txt pins, for each platform and Python
	@$(BIN)/python .ci/lock.py
