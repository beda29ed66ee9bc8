"""What a network is, does and sees: layers, costs, gradients; activations, occlusion, saliency."""
