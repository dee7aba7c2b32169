"""What the numbers of each figure say, in two or three sentences."""
