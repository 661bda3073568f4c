"""The methods of task sequences, one file each: a file's name is the method's name."""
