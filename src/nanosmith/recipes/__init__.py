"""One file per way of making a model. Torch lives here alone; what comes out is a folder of plain files."""
