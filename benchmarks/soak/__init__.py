"""Mixed load with random cancels, and what must be as before when it is over."""
