"""What every operation of the management API has in common; knows neither people nor quota."""
