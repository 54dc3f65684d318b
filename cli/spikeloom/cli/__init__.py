"""The command ``spikeloom``, thin on top of all other portions."""
