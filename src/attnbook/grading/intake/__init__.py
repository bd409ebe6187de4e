"""Take in what students handed in: files, names, notebooks, whatever is in them."""
