"""From records to the flat tensors of one step."""
