"""What a network is and does: layer tables, receptive fields, costs, gradients, its loss."""
