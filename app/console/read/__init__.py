"""What the pages show: queries over the rooms' tables, shaped for one page each. Nothing here knows Flask."""
