"""How the embedded networks were pretrained on plumage."""
