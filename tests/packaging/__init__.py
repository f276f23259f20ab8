"""Building, installing, and the scripts of the checkout."""
