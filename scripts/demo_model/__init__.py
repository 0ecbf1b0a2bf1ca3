"""The demo model: corpus, tokenizer, network, training, export and evaluation.

Everything runs on one thread of Python with PyTorch's own threads below it. Nothing is
read from the network and nothing outside the output folder is written.
"""
