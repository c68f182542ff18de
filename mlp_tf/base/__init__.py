"""What every rank may use: files, text, the machine."""
