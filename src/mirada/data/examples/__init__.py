"""Sample data sets to start with: real handwritten digits, drawn shapes with their boxes, drawn hands with an age."""
