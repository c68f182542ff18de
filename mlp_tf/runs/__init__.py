"""A run on disk, and its life: begun or resumed, trained, saved, stopped, read back."""
