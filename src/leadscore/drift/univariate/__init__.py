"""Each feature alone: a window beside what it is compared with, like hours with like hours."""
