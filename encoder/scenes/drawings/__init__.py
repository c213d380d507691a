"""How each thing is drawn."""
