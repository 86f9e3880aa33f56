"""The names of the files in a run folder."""

MODEL, EPOCHS, STATE, STATE_FILE = "model", "epochs", "state", "state.safetensors"
METRICS, HISTORY, LOG, LOCK, RUN = "metrics.json", "history.json", "log.txt", "run.lock", "run.json"
PARAMS_CONFIG, DATASET_CONFIGS, LAYERS = "params-config.json", "dataset-configs.json", "layers.json"
ENVIRONMENT, REPORT = "environment.json", "report.html"
OUTPUT, SCORES = ".out", ".out.eval"
# Of a group of runs.
SUMMARY, FOLDS, GROUP_CONFIGS, FOLD_DATA = "summary.json", "folds.json", "configs", "data"
