# The index of everything one can do here. Recipes longer than a line are scripts.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c

# Everything fetched or built lies in one folder outside the checkout, so that a fresh clone is quick too.
export MEDSEG_CACHE ?= $(HOME)/.cache/medseg
export CARGO_TARGET_DIR ?= $(MEDSEG_CACHE)/target

# PROFILE=dev takes the build that the suite makes: slower programs, sooner.
ifndef PROFILE
demo: export PROFILE := demo
endif
export PROFILE ?= release

# Runs a command with libtorch found, fetched first where it is missing.
ENV := scripts/env.sh
MEDSEG := medseg=$$(scripts/build.sh | tail -n 1) && $$medseg

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## build, start on one directory, send a phantom scan, print the answer; PORT=8080 chooses the port
	@scripts/demo.sh

.PHONY: mesh
mesh: ## the same, each service a process of its own on MariaDB, RabbitMQ and a double of Google Cloud Storage
	@scripts/mesh.sh

.PHONY: test
test: ## the whole suite, with private servers in temporary folders
	@scripts/test.sh

MANUAL := docs/manual/pictures

.PHONY: manual-pictures
manual-pictures: ## take the manual's pictures anew, by the story that the suite tells to the page
	@scripts/setup.sh test
	@PROFILE=dev scripts/build.sh >/dev/null
	@mkdir -p $(MANUAL) && rm -f $(MANUAL)/*.png
	@MANUAL_PICTURES="$(CURDIR)/$(MANUAL)" $(ENV) tests/browser/run.sh

.PHONY: notebooks
notebooks: ## run the notebooks, and the example client, against a medseg of their own
	@scripts/setup.sh test
	@medseg=$$(PROFILE=dev scripts/build.sh | tail -n 1) && $(ENV) scripts/check-notebooks.sh "$$(dirname "$$medseg")"

.PHONY: documented
documented: ## run every documented command, subcommand and target, with its errors: longer than the suite, which runs the documents' own blocks
	@scripts/setup.sh test
	@$(ENV) cargo build --quiet --workspace --lib --bins --tests
	@$(ENV) python3 scripts/documented "$(CARGO_TARGET_DIR)/debug"

FAULTS := scripts/servers.sh $(ENV) cargo test --quiet --package tests --test e2e --

.PHONY: faults
faults: ## kill, cut, freeze and fill the mesh's parts and its servers under load, and count what is lost; UPLOADS=200 for each fault
	@scripts/setup.sh test
	@$(ENV) cargo build --quiet --workspace --bins
	@DURABLE=1 FAULT_SERVERS=1 FAULT_ROWS="P1 every" FAULT_UPLOADS=1000 FAULT_ROUNDS=20 FAULT_PAUSE_MS=400 $(FAULTS) nothing_is_lost --nocapture
	@FAULT_KILLS=20 $(FAULTS) every_202_ends_in_one_result
	@FAULT_CANCELS=10000 scripts/servers.sh $(ENV) cargo test --quiet --package platform --test db -- callers_that_go_away
	@DURABLE=1 FAULT_SERVERS=1 FAULT_UPLOADS=$(or $(UPLOADS),200) FAULT_TRACED=1000 FAULT_MODELS=200 FAULT_FULL_DISKS=200 $(FAULTS) faults:: --nocapture --test-threads=1

.PHONY: fuzz
fuzz: ## feed what reads bytes of strangers with nearly sound ones, each for MINUTES=10; TARGET=dicom for one (libFuzzer where cargo-fuzz and nightly Rust are)
	@scripts/setup.sh build
	@$(ENV) scripts/fuzz.sh "$(or $(MINUTES),10)" "$(TARGET)"

.PHONY: mutated
mutated: ## 70,000 damaged files through the jailed decoder: each is refused in words or is a sound volume; FILES=70000
	@scripts/setup.sh build
	@$(ENV) cargo build --quiet --package jail --bins
	@MUTATED_FILES=$(or $(FILES),70000) $(ENV) cargo test --quiet --package ingest --test suite -- flipped_bits --nocapture

.PHONY: authorisation
authorisation: ## 100,000 calls of every route and RPC, as each role, with ids of its own hospital, of another and of nobody; CALLS=100000
	@scripts/setup.sh build
	@CALLS=$(or $(CALLS),100000) $(ENV) cargo test --quiet --package gateway --test face -- authorisation:: --nocapture

.PHONY: reproducible
reproducible: ## build release programs twice, in two folders, and compare them byte by byte; PACKAGES='gateway auth jail'
	@scripts/setup.sh build
	@scripts/reproducible.sh $(PACKAGES)

.PHONY: sbom
sbom: ## write a bill of materials (CycloneDX) for each program; FOLDER=sbom
	@python3 scripts/sbom.py "$(or $(FOLDER),sbom)"

.PHONY: seeded
seeded: ## show that those tests see: fifteen bugs made on purpose, each caught, in a copy of the tree
	@scripts/seeded.sh

.PHONY: setup
setup: ## fetch what building needs and is missing
	@scripts/setup.sh build

.PHONY: build
build: setup ## build the release binaries; the last line is the path of medseg
	@scripts/build.sh

.PHONY: lint
lint: setup ## formatting and clippy, warnings refused
	cargo fmt --all --check
	$(ENV) cargo clippy --workspace --all-targets -- --deny warnings

.PHONY: fmt
fmt: ## format the Rust code
	cargo fmt --all

.PHONY: deny
deny: ## licences, sources and duplicates of the dependencies (cargo-deny)
	@command -v cargo-deny >/dev/null || { echo "error: cargo-deny is missing: cargo install --locked cargo-deny" >&2; exit 1; }
	cargo deny --locked check licenses bans sources

.PHONY: train
train: setup ## train a model; ARGS='--manifest FILE --out FOLDER --minutes 60'
	@$(MEDSEG) train $(ARGS)

.PHONY: train-background
train-background: setup ## train beside other work with the least share of the processor, going on where it was cut off; ARGS='MANIFEST...'
	@scripts/train_background.sh $(ARGS)

.PHONY: evaluate
evaluate: setup ## measure a model; ARGS='--manifest FILE --model FILE --json'
	@$(MEDSEG) evaluate $(ARGS)

.PHONY: bench
bench: setup ## print a table of speeds; ARGS are passed on
	@$(MEDSEG) bench $(ARGS)

.PHONY: bench-model
bench-model: setup ## the network beside PyTorch, ONNX Runtime and OpenVINO (fetches them: 3 GB); ARGS='--manifest FILE --rounds 3'
	@scripts/bench_model.sh $(ARGS)

.PHONY: bench-training
bench-training: setup ## images per second in training, beside the same network in PyTorch (fetches it: 3 GB)
	@scripts/bench_training.sh $(ARGS)

.PHONY: bench-mesh
bench-mesh: ## load on the mesh: uploads, a long queue, workers, and FastAPI + PyTorch beside it; ARGS='uploads --seconds 5'
	@scripts/bench_mesh.sh $(ARGS)

.PHONY: drift
drift: ## compare windows of drift with what Evidently says of the same rows, and their speed: a hundred times as fast is asked
	@scripts/setup.sh test
	@medseg=$$(scripts/build.sh | tail -n 1) && RATIO=$(or $(RATIO),100) $(ENV) scripts/check-drift.sh "$$(dirname "$$medseg")"

.PHONY: flood
flood: setup ## what a hospital notices of floods by strangers and by another hospital; FLOODERS=2 processes, ARGS='silent lists --seconds 5'
	@medseg=$$(scripts/build.sh | tail -n 1) && $(ENV) python3 scripts/bench_flood.py "$$medseg" $(ARGS)

.PHONY: bench-feedback
bench-feedback: setup ## how many verdicts of readers a second are accepted durably, and whether one is lost or doubled by a kill; ARGS='agree --seconds 5'
	@medseg=$$(scripts/build.sh | tail -n 1) && $(ENV) python3 scripts/bench_feedback.py "$$medseg" $(ARGS)

.PHONY: simulate
simulate: ## a day of 1,000 hospitals and 1,000,000 scans, simulated: who waits, what is full first, what a scan costs; ARGS='--scans 100000 --device cpu', OUT=folder
	@scripts/setup.sh test
	@PYTHONPATH="$(MEDSEG_CACHE)/deploy-tools" python3 scripts/simulate.py --out "$(or $(OUT),$(MEDSEG_CACHE)/simulation)" $(ARGS)

.PHONY: connectathon
connectathon: ## walk one study through Orthanc, dcmtk, an information system and a FHIR server, and write a page of what was checked; OUT=folder
	@scripts/setup.sh test
	@medseg=$$(scripts/build.sh | tail -n 1) && $(ENV) scripts/check-connectathon.sh "$$(dirname "$$medseg")" "$(or $(OUT),$(MEDSEG_CACHE)/connectathon)"

.PHONY: bench-dicom
bench-dicom: ## how fast studies are taken by C-STORE and STOW-RS, beside Orthanc, and what else is waited for; ARGS='--instances 100 --rounds 1'
	@scripts/setup.sh test
	@medseg=$$(scripts/build.sh | tail -n 1) && $(ENV) scripts/bench-dicom.sh "$$(dirname "$$medseg")" $(ARGS)

.PHONY: bench-picker
bench-picker: ## how often a study's series are chosen rightly where descriptions are silent or lie, by words and by a model that looks; FLAIR=folder T1_CONTRAST=folder, with labelled slices
	@scripts/setup.sh test
	@medseg=$$(scripts/build.sh | tail -n 1) && PYTHONPATH="$(MEDSEG_CACHE)/pacs" $(ENV) python3 scripts/bench_picker.py "$$medseg" $(FLAIR) $(T1_CONTRAST) $(ARGS)

.PHONY: lighthouse
lighthouse: ## what Lighthouse gives the page for its speed, on a laptop and on a phone (fetches it: 100 MB); 90 of 100 are asked, and the first slice of a volume within a second; LEAST=90 SLICE_MS=1000 RUNS=3
	@scripts/setup.sh test
	@medseg=$$(scripts/build.sh | tail -n 1) && LEAST=$(or $(LEAST),90) SLICE_MS=$(or $(SLICE_MS),1000) RUNS=$(or $(RUNS),3) $(ENV) tests/lighthouse/run.sh "$$medseg"

.PHONY: clean
clean: ## delete what was built; downloads stay
	cargo clean
