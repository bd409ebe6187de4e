"""The shared package of *Attention: from scores to Transformers*.

Each module holds one idea of the field and names the chapter that builds it:
`masks`, `scores`, `saliency`, `attention`, `multihead`, `positions`, `layers`,
`models`, `recurrent`, `generation`. Around them: `tasks`, `dates`, `data`, `corpora`,
`tokenizers`, `batching`, `training`, `checkpoints`, `bleu`, `experiments`. The rest
serves the book: `runtime`, `plotting`, `tracing`, `claims`, `exercises`, `explore`,
and small helpers of single chapters (`picking`, `tiny_lm`, `costs`).

Importing it seeds nothing, downloads nothing and chooses no device.
"""

__version__ = "0.1.0"
