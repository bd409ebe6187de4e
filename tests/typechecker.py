"""The run-time type checker of the tests: beartype, with an int where a float will do.

Python's own typing rules accept it, and so does every reader who writes `scale=1`.
"""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
