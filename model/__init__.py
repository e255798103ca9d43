"""The BERT sequence encoder: training, evaluation, export, the artefact and its scorer.

A worker imports only `model.artifact`, `model.buckets` and `model.scorer`, which need numpy and
ONNX Runtime; torch and transformers are needed by `model.net`, `model.train` and `model.export`.
"""
