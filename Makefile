# `make` builds what a target needs in .venv (or .venv-ops) and does nothing when
# the files that describe the environment have not changed.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
VENV_OPS ?= .venv-ops
VENV_WEB ?= .venv-web
PY := $(VENV)/bin/python
PY_OPS := $(VENV_OPS)/bin/python
PY_WEB := $(VENV_WEB)/bin/python
PIN := -c requirements/constraints.txt
MMCV := $(shell sed -n 's/^onedl-mmcv==/onedl-mmcv==/p' requirements/constraints.txt)
ENV_FILES := pyproject.toml setup.py $(wildcard requirements/*.txt)
TEST ?= tests

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Threads that wait by spinning for long make everything several times slower where
# cores are shared; ones that never spin make small operations 1.5 times slower.
export GOMP_SPINCOUNT := 20000
# A MIM-style build of the ops is for .venv-ops alone.
unexport MMCV_WITH_OPS

.PHONY: help venv venv-ops demo lint format test test-all test-slow test-web test-ops configs golden bench wheel release light docs notebooks docker-steps clean

help:  ## Show the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

venv: $(VENV)/.stamp  ## Create or update .venv

venv-ops: $(VENV_OPS)/.stamp  ## Create or update .venv-ops (mmcv with compiled ops)

demo: $(VENV)/.stamp  ## Draw shapes, train on them, evaluate: work_dirs/demo
	$(PY) demo/shapeworld_demo.py --work-dir work_dirs/demo

lint: $(VENV)/.stamp  ## Style, spelling and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/typos
	$(VENV)/bin/mypy

format: $(VENV)/.stamp  ## Let ruff rewrite what it can
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

# One process per core and one thread per process: the tests are many and small. Each
# begins with a part of its own, so that most fixtures are built once, and helps the
# other at the end.
test: $(VENV)/.stamp  ## The tests that need neither ops, GPU nor weights
	OMP_NUM_THREADS=1 $(PY) -m pytest -n auto --dist worksteal $(TEST)

test-all: $(VENV)/.stamp  ## Every test this machine can run without mmcv's ops
	OMP_NUM_THREADS=1 $(PY) -m pytest -n auto --dist worksteal -m 'not ops' $(TEST)

test-slow: $(VENV)/.stamp  ## The tests of half a minute and more, without the golden ones
	OMP_NUM_THREADS=1 $(PY) -m pytest -n auto --dist worksteal -m 'slow and not ops' \
	  --ignore tests/test_golden $(TEST)

test-web: $(VENV_WEB)/.stamp  ## The tests of mmovseg serve, in a browser where there is Chromium
	OMP_NUM_THREADS=1 $(PY_WEB) -m pytest -m web tests/test_web

test-ops: $(VENV_OPS)/.stamp  ## The tests with mmdet's and mmseg's own models
	OMP_NUM_THREADS=1 $(PY_OPS) -m pytest -n auto --dist loadfile -m ops $(TEST)

configs: $(VENV)/.stamp  ## Load and build every config
	OMP_NUM_THREADS=1 $(PY) -m pytest tests/test_configs.py

golden: $(VENV)/.stamp  ## Compare with the reference values recorded in ../shared
	OMP_NUM_THREADS=2 $(PY) -m pytest -m 'not ops' --need-shared tests/test_golden

bench: $(VENV)/.stamp  ## Compare the speed with that of a commit: make bench BASE=HEAD~1
	$(if $(BASE),,$(error make bench needs a commit to compare with: make bench BASE=HEAD~1))
	$(PY) .ci/bench.py $(BASE) $(CASES) --out work_dirs/bench.json

wheel: $(VENV)/.stamp  ## Build sdist and wheel, check them, use the wheel
	rm -rf build
	$(PY) .ci/release.py --build dist
	$(PY) tests/test_packaging/check_wheel.py dist/*.whl

release: $(VENV)/.stamp  ## Refuse what is untested; build and try a release on every Python
	$(PY) .ci/release.py

docs: $(VENV)/.stamp  ## Build the site (docs/_build/html) and run the examples in docstrings
	OMP_NUM_THREADS=1 $(PY) -m sphinx -q -W --keep-going -E -b html docs docs/_build/html
	OMP_NUM_THREADS=1 $(PY) -m pytest -q --doctest-modules mmovseg \
	  --ignore mmovseg/web/app.py --ignore mmovseg/web/page.py  # of the extra "web"
	OMP_NUM_THREADS=1 $(PY) .ci/api.py docs/_build/html

notebooks: $(VENV)/.stamp  ## Run the notebooks of the site
	OMP_NUM_THREADS=1 $(PY) .ci/notebooks.py

docker-steps:  ## Run the steps of the Dockerfile in a fresh environment, without Docker
	rm -rf work_dirs/docker_venv
	$(PYTHON) -m venv work_dirs/docker_venv
	for step in dependencies package check; do \
	  PATH="$(CURDIR)/work_dirs/docker_venv/bin:$$PATH" docker/install.sh $$step; done
	rm -rf work_dirs/docker_venv

light: wheel  ## Install the wheel alone in a new environment; infer and export there
	$(PY) .ci/light.py dist/*.whl

clean:  ## Remove what builds, tests and the demo leave (not the environments)
	rm -rf build dist work_dirs docs/_build .pytest_cache .ruff_cache .mypy_cache *.egg-info
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

define new_venv
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; ok = (3, 10) <= v <= (3, 12); \
	sys.exit(None if ok else "mmovseg needs Python 3.10, 3.11 or 3.12, but $(PYTHON) is \
	%d.%d: run make PYTHON=/path/to/python3.11" % v)'
	$(PYTHON) -m venv $(1)
endef

# PYTHONWARNINGS: setuptools explains at length what an editable install is.
# The ops build leaves a wheel with compiled ops in pip's cache under the same name;
# --no-cache-dir keeps it out of the pure environment.
$(VENV)/.stamp: $(ENV_FILES)
	$(call new_venv,$(VENV))
	$(PY) -m pip install -q $(PIN) --no-cache-dir --no-deps $(MMCV)
	PYTHONWARNINGS=ignore $(PY) -m pip install -q $(PIN) -r requirements/test.txt \
	  -r requirements/lint.txt -r requirements/docs.txt -r requirements/release.txt \
	  -e '.[openmmlab,export]'
	@touch $@

# What .venv has, and over it gradio, which wants an older pillow. The browser is driven by
# playwright, and is Chromium of the system.
$(VENV_WEB)/.stamp: $(VENV)/.stamp
	$(PYTHON) -m venv $(VENV_WEB)
	$(PY) -c 'import site; print("import site; site.addsitedir(%r)" % \
	  site.getsitepackages()[0])' \
	  >"$$($(PY_WEB) -c 'import site; print(site.getsitepackages()[0])')/main.pth"
	$(PY_WEB) -m pip install -q $(PIN) gradio \
	  $(if $(shell command -v chromium chromium-browser),playwright)
	@touch $@

# Six minutes on two idle cores the first time; later pip's cache has the wheel.
# Python compiles extensions with -g, which doubles the time: hence CFLAGS.
# A cached wheel without ops, or for another torch, does not import: build anew then.
$(VENV_OPS)/.mmcv: $(ENV_FILES)
	$(call new_venv,$(VENV_OPS))
	$(PY_OPS) -m pip install -q $(PIN) torch torchvision setuptools wheel ninja psutil
	@echo 'Installing $(MMCV) with compiled ops; building it takes up to a quarter of an hour.'
	MMCV_WITH_OPS=1 CFLAGS='-O2 -g0' $(PY_OPS) -m pip install -q $(PIN) --no-build-isolation $(MMCV)
	$(PY_OPS) -c 'import mmcv.ops' || { \
	  $(PY_OPS) -m pip cache remove 'onedl_mmcv*'; \
	  MMCV_WITH_OPS=1 CFLAGS='-O2 -g0' $(PY_OPS) -m pip install -q $(PIN) --no-build-isolation \
	    --force-reinstall --no-deps $(MMCV); \
	  $(PY_OPS) -c 'import mmcv.ops'; }
	@touch $@

$(VENV_OPS)/.stamp: $(VENV_OPS)/.mmcv
	PYTHONWARNINGS=ignore $(PY_OPS) -m pip install -q $(PIN) -r requirements/test.txt \
	  -e '.[openmmlab]'
	@touch $@
