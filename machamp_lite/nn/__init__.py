"""Building blocks that the decoders and the encoder share."""
