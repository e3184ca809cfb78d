"""What the OSS decides: intent (plans, services), its delivery to the network, and what is read back."""
