"""The shared package of *Attention: from scores to Transformers*.

Each module holds one idea of the field and names the chapter that builds it:
`masks`, `scores`, `saliency`, `attention`, `tasks`. The rest serves the book:
`runtime`, `data`, `plotting`, `tracing`, `claims`, `exercises`, `explore`.

Importing it seeds nothing, downloads nothing and chooses no device.
"""

__version__ = "0.1.0"
