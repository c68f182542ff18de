"""What every command shares: flags in, one line for a mistake, an exit code out."""
