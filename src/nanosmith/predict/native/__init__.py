"""The encoder's forward pass in C (`native/` of the sources), and how a bundle's graph gets there."""
