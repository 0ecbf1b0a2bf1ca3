# One line per verb. The first `make demo` or `make test` sets everything up: the needs are checked,
# .venv/ is made, llama.cpp/ fetched, the extension built. PYTHON=/path/to/bin/python skips that and
# uses the pyrunner installed there as it is.

ifneq ($(origin PYTHON),command line)
PYTHON := .venv/bin/python
SETUP  := .venv/.built
endif
BIN        := $(abspath $(dir $(PYTHON)))
export PATH := $(BIN):$(PATH)
# `python -m` would import the source tree from the current folder instead of what is installed.
export PYTHONSAFEPATH := 1
# So that a checkout in another folder finds what this one compiled.
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1

NATIVE := CMakeLists.txt $(shell find csrc pyrunner/_native tests/csrc \
              -name '*.h' -o -name '*.cpp' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' \
              -o -name CMakeLists.txt)
# An editable install knows the packages there were when it was made.
PACKAGES := $(shell find pyrunner -name __init__.py)

# The build requirements live in .venv and the build folder is kept, so that paths stay the same and
# a second build compiles what changed and nothing else. Written out, because pip 23.0, which is
# Debian 12's, has no -C.
BUILD := -v --no-deps --no-build-isolation --disable-pip-version-check \
             --config-settings=cmake.define.PYRUNNER_BUILD_TESTS=ON

.PHONY: demo test check check-native bench bench-distribution bench-engine soak wheel clean setup
.DELETE_ON_ERROR:

demo:  $(SETUP) ; @scripts/demo
test:  $(SETUP) ; @TESTED_PYRUNNER=$(if $(SETUP),tree,installed) pytest $(ARGS)
check: $(SETUP) ; @scripts/check
check-native: $(SETUP) ; @python scripts/check_native.py $(ARGS)
bench: $(SETUP) ; @for each in $(or $(ARGS),benchmarks/*.py benchmarks/engine); do echo "==> $$each" && python $$each || exit; done
bench-distribution: $(SETUP) ; @python benchmarks/distribution $(ARGS)
bench-engine: $(SETUP) ; @python benchmarks/engine $(ARGS)
soak: $(SETUP) ; @python benchmarks/soak $(ARGS)
wheel: $(SETUP) ; @python -m pip wheel $(BUILD) --wheel-dir dist .
clean:          ; rm -rf build dist .venv .*_cache
setup: $(SETUP)

.venv/.made: pyproject.toml scripts/check-needs
	@interpreter=$$(scripts/check-needs) && echo "==> .venv with $$interpreter" && "$$interpreter" -m venv .venv
	@echo "==> build, test and check requirements" && python scripts/requirements.py >.venv/requirements.txt
	@python -m pip install --quiet --disable-pip-version-check -r .venv/requirements.txt
	@touch $@

.venv/.built: .venv/.made $(NATIVE) $(PACKAGES)
	@scripts/get-llama-cpp
	@echo "==> building pyrunner (minutes the first time)" && python -m pip install $(BUILD) -e .
	@touch $@
