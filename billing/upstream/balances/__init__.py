"""What is left at providers: one adapter for each way of asking, and the registry of them all."""
