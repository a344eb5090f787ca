"""What the commands of `sluice` do, by what they are about; `app/cli.py` puts them together."""
