"""From a photo or drawing of a digit to an example."""
