"""What users write: mypy --strict accepts it, and knows the types of results. Not run."""

from collections.abc import Iterator
from typing import assert_type

import machamp_lite
from machamp_lite import Prediction, Predictor, Run, Span, Token, Tree

run = machamp_lite.train("my.json", "runs/x", overrides={"training.num_epochs": 3}, seed=1)
assert_type(run, Run)
assert_type(run.model, Predictor)
score: float = run.scores["MY_TREEBANK"]["upos"]["accuracy"]

model = machamp_lite.load("runs/x", device="cpu")
assert_type(model, Predictor)
assert_type(model.predict("Trains run late."), Prediction)
assert_type(model.predict(("Trains", "run", "late")), Prediction)
assert_type(model.predict(["Trains run late.", "Yes!"], top_k=3), list[Prediction])
assert_type(model.predict([("a", "b"), ("c", "d")], dataset="PAIRS"), list[Prediction])
assert_type(model.predict([["Trains", "run"], ["Yes"]]), list[Prediction])


def texts() -> Iterator[str]:
    yield "Trains run late."


for prediction in model.predict(texts()):
    assert_type(prediction, Prediction)
    assert_type(prediction.tokens, tuple[Token, ...])
    assert_type(prediction.spans["ner"][0], Span)
    assert_type(prediction.tree("dependency"), Tree)
    assert_type(prediction.to_conllu(), str)

exported = machamp_lite.load_onnx("onnx/x", threads=2)
assert_type(exported.predict("Trains run late."), Prediction)
assert_type(exported.predict(["Trains run late.", "Yes!"], top_k=3), list[Prediction])

scores = model.predict_file("in.conllu", "out.conllu", batch_size=64, top_k=2)
value: float = scores["dependency"]["las"]
accuracy: float = model.evaluate("dev.conllu", dataset="MY_TREEBANK")["upos"]["accuracy"]
config = machamp_lite.load_config({"UD": {"tasks": {}}}, params="params.json")
machamp_lite.train(config, "runs/y")
